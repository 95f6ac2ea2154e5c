"""The command line: `sift-retry …`, the same as `python -m bot`."""

import gc
import sys
from importlib import import_module

import click

from bot.base.errors import BotError, SettingsError

_COMMANDS = {
    "access": ("bot.cli.access", "access_group"),
    "audit": ("bot.cli.audit", "audit_group"),
    "backup": ("bot.cli.database", "backup"),
    "demo": ("bot.cli.run", "demo"),
    "doctor": ("bot.cli.doctor", "doctor"),
    "migrate": ("bot.cli.database", "migrate_command"),
    "move-database": ("bot.cli.database", "move_database"),
    "recover": ("bot.cli.database", "recover_command"),
    "run": ("bot.cli.run", "run"),
}
"""Where each command is. It is imported when somebody asks for it, so that the bot starts without the others."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the start
        try:
            command: click.Command = getattr(import_module(module), name)
        finally:
            gc.enable()
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sift-retry-bot")
def cli() -> None:
    """A Slack bot that retries failed Sift jobs and remembers who asked."""


def main() -> None:
    """Runs the command line; errors are one line each on stderr."""
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except SettingsError as error:
        _fail(2, *error.problems)
    except click.UsageError as error:
        _fail(2, f"{error.format_message()} (see: {error.ctx.command_path if error.ctx else 'sift-retry'} --help)")
    except click.ClickException as error:
        _fail(1, error.format_message())
    except (BotError, OSError) as error:
        _fail(1, str(error))
    except (click.Abort, KeyboardInterrupt):
        _fail(1, "stopped")
    except Exception as error:  # noqa: BLE001  # a traceback on stderr would show whatever the error holds
        _fail(1, _unexpected(error))


def _unexpected(error: Exception) -> str:
    from sqlalchemy.exc import SQLAlchemyError  # heavy, as what follows: by now a command has imported it

    from bot.cli.session import one_line

    if isinstance(error, SQLAlchemyError):
        return f"the database did not do it: {one_line(str(getattr(error, 'orig', None) or error))}"
    return f"unexpected {type(error).__name__}: {one_line(str(error))}"


def _fail(code: int, *lines: str) -> None:
    from bot.settings import redactor_at_hand  # heavy, and a usage error may come before any command

    scrub = redactor_at_hand().scrub
    for line in lines:
        click.echo(f"sift-retry: {scrub(line)}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()

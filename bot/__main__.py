"""The command line: `sift-retry …`, the same as `python -m bot`."""

import asyncio
import sys
from importlib import import_module

import click
from sqlalchemy.exc import SQLAlchemyError

from bot.base import logs
from bot.base.clock import utc_now
from bot.base.errors import BotError, SettingsError
from bot.cli.run import demo, run
from bot.cli.session import one_line, opened, operator, transaction
from bot.db.database import migrate, schema_version
from bot.settings import redactor_at_hand


_LATER = {
    "access": ("bot.cli.access", "access_group"),
    "audit": ("bot.cli.audit", "audit_group"),
    "backup": ("bot.cli.database", "backup"),
    "move-database": ("bot.cli.database", "move_database"),
}
"""Commands that are imported when somebody asks for them, and where they are: the bot starts without them."""


class _Commands(click.Group):
    """The commands beside those of `_LATER`, and these."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LATER:
            return super().get_command(ctx, cmd_name)
        module, name = _LATER[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sift-retry-bot")
def cli() -> None:
    """A Slack bot that retries failed Sift jobs and remembers who asked."""


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for a program to read.")
def doctor(as_json: bool) -> None:
    """Checks settings, Slack, Sift and the database; one line each, exit 1 if any fails."""
    from bot.cli.doctor import report

    logs.configure("error", "console", redactor_at_hand().scrub)
    if not asyncio.run(report(as_json)):
        sys.exit(1)


@cli.command("migrate")
def migrate_command() -> None:
    """Brings the database schema to the newest version."""
    with opened() as database:
        migrate(database.engine)
        with database.transaction() as connection:
            click.echo(f"the schema is at version {schema_version(connection)}", err=True)


@cli.command("recover")
def recover_command() -> None:
    """After a restore from a backup: closes what was open, so that nothing is sent to Sift again."""
    from bot.retries import recovery

    with transaction(alone=True) as connection:
        done = recovery.recover(connection, operator(), utc_now())
    click.echo(f"{done.unknown} open requests will be read back and not sent again; {done.refused} were refused")


for command in (run, demo):
    cli.add_command(command)


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
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        _fail(1, f"the database did not do it: {one_line(str(reason))}")
    except (click.Abort, KeyboardInterrupt):
        _fail(1, "stopped")
    except Exception as error:  # noqa: BLE001  # a traceback on stderr would show whatever the error holds
        _fail(1, f"unexpected {type(error).__name__}: {one_line(str(error))}")


def _fail(code: int, *lines: str) -> None:
    scrub = redactor_at_hand().scrub
    for line in lines:
        click.echo(f"sift-retry: {scrub(line)}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()

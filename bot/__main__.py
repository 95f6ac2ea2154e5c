"""The command line: `sift-retry …`, the same as `python -m bot`."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.base import logs
from bot.base.clock import utc_now
from bot.base.errors import BotError, SettingsError
from bot.cli.access import access_group
from bot.cli.audit import audit_group
from bot.cli.session import one_line, opened, operator, transaction
from bot.db.database import migrate, schema_version
from bot.settings import Settings, load, redactor_at_hand

log = structlog.get_logger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sift-retry-bot")
def cli() -> None:
    """A Slack bot that retries failed Sift jobs and remembers who asked."""


@cli.command()
def run() -> None:
    """Runs the bot: Socket Mode if SLACK_APP_TOKEN is set, HTTP otherwise."""
    from bot.app.bot import run_bot  # what only this command needs is imported by it alone: the others start faster

    settings = load(Settings)
    logs.configure(settings.log_level, settings.log_format, settings.redactor().scrub)
    _until_stopped(lambda stop: run_bot(settings, stop))


@cli.command()
def demo() -> None:
    """Runs the same bot against an embedded Slack and Sift, and serves a page to try it on."""
    from bot.cli.demo import run_demo

    _until_stopped(run_demo)


@cli.command()
def doctor() -> None:
    """Checks settings, Slack, Sift and the database; one line each, exit 1 if any fails."""
    from bot.cli.doctor import examine

    logs.configure("error", "console", redactor_at_hand().scrub)
    healthy = True
    for check in asyncio.run(examine()):
        healthy = healthy and check.passed
        click.echo(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.said}")
    if not healthy:
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


cli.add_command(access_group)
cli.add_command(audit_group)


def _until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` in an event loop until SIGTERM or Ctrl-C sets its stop event."""
    import uvloop

    sys.setswitchinterval(0.001)  # the event loop and the database's thread hand over to each other often

    async def stoppable() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await work(stop)
        except (BotError, OSError, SQLAlchemyError):
            raise
        except Exception:
            log.exception("process.failed")
            raise

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(stoppable())


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

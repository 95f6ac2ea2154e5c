"""The command line: `sift-retry …`, the same as `python -m bot`."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.access import grants as access_grants
from bot.access.policy import Role
from bot.base import logs
from bot.base.clock import rfc3339, utc_now
from bot.base.errors import BotError, SettingsError
from bot.cli.audit import audit_group
from bot.cli.parameters import CHANNEL, DURATION, SUBJECT
from bot.cli.session import one_line, opened, operator, transaction
from bot.db.database import migrate, schema_version
from bot.settings import JOB_TYPES, Settings, load, redactor_at_hand

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


@cli.group("access")
def access_group() -> None:
    """The allow-list: who may retry, read the audit, or grant."""


@access_group.command("grant")
@click.argument("user", type=SUBJECT)
@click.option("--role", type=click.Choice([role.value for role in Role]), default="operator", show_default=True)
@click.option("--for", "duration", type=DURATION, help="Until then, such as 8h; forever if left out.")
@click.option("--type", "job_types", type=click.Choice(JOB_TYPES), multiple=True, help="Only jobs of this type.")
@click.option("--channel", "channels", type=CHANNEL, multiple=True, help="Only in this channel.")
@click.option("--reason", help="Why, for the audit.")
def access_grant(
    user: str, role: str, duration: Any, job_types: tuple[str, ...], channels: tuple[str, ...], reason: str | None
) -> None:
    """Adds USER, a Slack user ID or user-group ID (S…), to the allow-list."""
    now = utc_now()
    new = access_grants.NewGrant(
        subject=user,
        role=Role(role),
        granted_by=operator(),
        job_types=frozenset(job_types),
        channels=frozenset(channels),
        expires_at=now + duration if duration else None,
        reason=reason,
    )
    with transaction() as connection:
        number = access_grants.grant(connection, new, now)
    until = f" until {rfc3339(new.expires_at)}" if new.expires_at else ""
    click.echo(f"granted: {user} is {role}{until} (grant {number})")


@access_group.command("revoke")
@click.argument("user", type=SUBJECT)
def access_revoke(user: str) -> None:
    """Revokes every grant of USER."""
    with transaction() as connection:
        numbers = access_grants.revoke(connection, user, operator(), utc_now())
    click.echo(f"revoked: {user} ({', '.join(f'grant {number}' for number in numbers)})")


@access_group.command("list")
def access_list() -> None:
    """Lists the allow-list; users named by ADMINS are not in it."""
    now = utc_now()
    with transaction() as connection:
        grants = access_grants.listed(connection)
    for grant in grants:
        ends = "forever" if grant.expires_at is None else f"until {rfc3339(grant.expires_at)}"
        expired = " (expired)" if grant.expires_at is not None and grant.expires_at <= now else ""
        scope = " ".join([*sorted(grant.job_types), *sorted(grant.channels)]) or "everything"
        click.echo("\t".join([grant.subject, grant.role.value, scope, ends + expired, grant.reason or ""]).rstrip())
    if not grants:
        click.echo("the allow-list is empty: nobody but ADMINS may do anything", err=True)


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

"""The command line: `sift-retry …`, the same as `python -m bot`."""

import asyncio
import contextlib
import getpass
import io
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import access, audit, export, logs
from bot.arguments import CHANNEL, DURATION, MOMENT, SUBJECT
from bot.clock import rfc3339, utc_now
from bot.database import Database, migrate, require_schema, schema_version
from bot.errors import BotError, SettingsError
from bot.policy import Role
from bot.settings import JOB_TYPES, Settings, StoreSettings, load
from bot.tables import SCHEMA_VERSION, STATES


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sift-retry-bot")
def cli() -> None:
    """A Slack bot that retries failed Sift jobs and remembers who asked."""


@cli.command()
def run() -> None:
    """Runs the bot: Socket Mode if SLACK_APP_TOKEN is set, HTTP otherwise."""
    from bot.app import run_bot  # what only this command needs is imported by it alone: the others start faster

    settings = load(Settings)
    logs.configure(settings.log_level, settings.log_format)
    _until_stopped(lambda stop: run_bot(settings, stop))


@cli.command()
def demo() -> None:
    """Runs the same bot against an embedded Slack and Sift, and serves a page to try it on."""
    from bot.sandbox.demo import run_demo

    _until_stopped(run_demo)


@cli.command()
def doctor() -> None:
    """Checks settings, Slack, Sift and the database; one line each, exit 1 if any fails."""
    from bot.doctor import examine

    healthy = True
    for check in asyncio.run(examine()):
        healthy = healthy and check.passed
        click.echo(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.said}")
    if not healthy:
        sys.exit(1)


@cli.command("migrate")
def migrate_command() -> None:
    """Brings the database schema to the newest version."""
    with _database() as database:
        migrate(database.engine)
        with database.transaction() as connection:
            click.echo(f"the schema is at version {schema_version(connection)}", err=True)


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
    new = access.NewGrant(
        subject=user,
        role=Role(role),
        granted_by=_operator(),
        job_types=frozenset(job_types),
        channels=frozenset(channels),
        expires_at=now + duration if duration else None,
        reason=reason,
    )
    with _transaction() as connection:
        number = access.grant(connection, new, now)
    until = f" until {rfc3339(new.expires_at)}" if new.expires_at else ""
    click.echo(f"granted: {user} is {role}{until} (grant {number})")


@access_group.command("revoke")
@click.argument("user", type=SUBJECT)
def access_revoke(user: str) -> None:
    """Revokes every grant of USER."""
    with _transaction() as connection:
        numbers = access.revoke(connection, user, _operator(), utc_now())
    click.echo(f"revoked: {user} ({', '.join(f'grant {number}' for number in numbers)})")


@access_group.command("list")
def access_list() -> None:
    """Lists the allow-list; users named by ADMINS are not in it."""
    now = utc_now()
    with _transaction() as connection:
        grants = access.listed(connection)
    for grant in grants:
        ends = "forever" if grant.expires_at is None else f"until {rfc3339(grant.expires_at)}"
        expired = " (expired)" if grant.expires_at is not None and grant.expires_at <= now else ""
        scope = " ".join([*sorted(grant.job_types), *sorted(grant.channels)]) or "everything"
        click.echo("\t".join([grant.subject, grant.role.value, scope, ends + expired, grant.reason or ""]).rstrip())
    if not grants:
        click.echo("the allow-list is empty: nobody but ADMINS may do anything", err=True)


@cli.group("audit")
def audit_group() -> None:
    """Who retried what, and what came of it."""


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options by which entries are chosen."""
    for option in (
        click.option("--outcome", type=click.Choice(STATES), help="Only entries with this outcome."),
        click.option("--until", type=MOMENT, help="Before this moment."),
        click.option("--since", type=MOMENT, help="From this moment on: a date, RFC 3339, or a time ago (7d)."),
        click.option("--user", "user_id", help="Only what this Slack user did."),
        click.option("--job", "job_id", help="Only this job."),
    ):
        command = option(command)
    return command


@audit_group.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def audit_list(limit: int, **wanted: Any) -> None:
    """Lists the newest entries, newest first."""
    filters = _chosen(wanted)
    with _transaction() as connection:
        rows = audit.page(connection, filters, limit=limit)
        _note_reading(connection, "list", wanted)
    for row in rows:
        who = f"{row.user_name or ''} ({row.user_id})".strip() if row.user_id else "-"
        status = " → ".join(filter(None, (row.status_before, row.status_after))) or "-"
        cells = [rfc3339(row.at)[:19] + "Z", row.event, row.outcome or "-", row.job_id or "-", who, status]
        click.echo("\t".join([*cells, row.request_id or "-", _one_line(row.reason)]).rstrip())
    if not rows:
        click.echo("no entries", err=True)


@audit_group.command("export")
@_filters
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="A file, not stdout.")
def audit_export(form: str, output: Path | None, **wanted: Any) -> None:
    """Writes every entry that fits, oldest first; the head of the chain goes to stderr."""
    filters = _chosen(wanted)
    with _database(current=True) as database:
        with database.transaction() as connection:
            _note_reading(connection, f"export {form}", wanted)
        with database.reading() as connection, _target(output) as target:
            count = export.WRITERS[form](audit.export(connection, filters), target)
            head = audit.head(connection)
    click.echo(f"{count} entries; head of the chain: {head.count} {head.hash}", err=True)


@audit_group.command("verify")
def audit_verify() -> None:
    """Recomputes the whole chain; exit 1 and the first bad entry if it was changed."""
    with _database(current=True) as database, database.reading() as connection:
        found = audit.verify(connection)
    if isinstance(found, audit.Broken):
        raise click.ClickException(f"entry {found.id} was changed: {found.why}")
    click.echo(f"{found.count} entries, unbroken; head {found.hash}")


def _one_line(text: str | None) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text or "").split())


def _chosen(wanted: dict[str, Any]) -> audit.Filters:
    job_id = wanted["job_id"]
    return audit.Filters(**{**wanted, "job_id": job_id.lower() if job_id else None})


def _note_reading(connection: Connection, what: str, wanted: dict[str, Any]) -> None:
    """Reading the audit is an entry of its own."""
    filters = {
        name: rfc3339(value) if isinstance(value, datetime) else value for name, value in wanted.items() if value
    }
    entry = audit.Entry(
        event="audit_read", user_id=_operator(), source="cli", detail={"what": what, "filters": filters}
    )
    audit.append(connection, entry, utc_now())


def _operator() -> str:
    """Who uses the command line: the operating system's user, marked as no Slack user."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


@contextlib.contextmanager
def _database(current: bool = False) -> Iterator[Database]:
    settings = load(StoreSettings)
    logs.configure("warning", settings.log_format)
    database = Database(settings.database_url.get_secret_value(), utc_now)
    try:
        if current:
            with database.reading() as connection:
                require_schema(connection)
        yield database
    finally:
        database.close()


@contextlib.contextmanager
def _transaction() -> Iterator[Connection]:
    """One transaction on the database; an SQLite file that is missing or old is brought up to date first."""
    with _database() as database:
        with database.reading() as connection:
            outdated = schema_version(connection) != SCHEMA_VERSION
        if outdated and database.is_sqlite:
            migrate(database.engine)
        with database.transaction() as connection:
            require_schema(connection)
            yield connection


@contextlib.contextmanager
def _target(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="replace", newline="")
        yield stdout
        stdout.flush()
        stdout.detach()
        return
    with output.open("w", encoding="utf-8", errors="replace", newline="") as file:
        yield file


def _until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Runs `work` in an event loop until SIGTERM or Ctrl-C sets its stop event."""
    import uvloop

    sys.setswitchinterval(0.001)  # the event loop and the database's thread hand over to each other often

    async def stoppable() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await work(stop)

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
        _fail(1, f"the database did not do it: {_one_line(str(reason))}")
    except (click.Abort, KeyboardInterrupt):
        _fail(1, "stopped")


def _fail(code: int, *lines: str) -> None:
    for line in lines:
        click.echo(f"sift-retry: {line}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()

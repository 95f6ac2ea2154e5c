"""What is done to the whole database: `sift-retry migrate`, `recover`, `backup` and `move-database`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
from sqlalchemy import Connection, make_url

from bot.audit import log as audit
from bot.audit.entry import Broken, Head
from bot.base.clock import utc_now
from bot.base.errors import BotError, SchemaNewer, SchemaOutdated
from bot.base.redactor import Redactor
from bot.cli.parameters import DATABASE
from bot.cli.session import opened, operator, tidying_up, transaction
from bot.db import marks
from bot.db.backup import back_up
from bot.db.database import Database, migrate, require_schema, schema_version
from bot.db.guard import guard
from bot.db.moving import MOVED, move, require_not_moved
from bot.retries import recovery
from bot.settings import StoreSettings, load


class NotWhole(BotError):
    """The audit is not whole: {why}. Nothing was moved; see: sift-retry audit verify"""


@click.command("migrate")
def migrate_command() -> None:
    """Brings the database schema to the newest version."""
    with opened() as database:
        migrate(database.engine)
        with database.transaction() as connection:
            click.echo(f"the schema is at version {schema_version(connection)}", err=True)


@click.command("recover")
def recover_command() -> None:
    """After a restore from a backup: closes what was open, so that nothing is sent to Sift again."""
    with transaction(alone=True) as connection:
        done = recovery.recover(connection, operator(), utc_now())
    click.echo(f"{done.unknown} open requests will be read back and not sent again; {done.refused} were refused")


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copies the SQLite database into FILE, which must not exist yet; the bot may go on meanwhile."""
    url = make_url(load(StoreSettings).database_url.get_secret_value())
    if url.get_backend_name() != "sqlite":
        raise click.ClickException("this copies SQLite files; back PostgreSQL up with pg_dump")
    with tidying_up():
        back_up(Path(url.database or ""), file)
    click.echo(f"{file}: {_told(f'sqlite:///{file}')}")


def _told(url: str) -> str:
    """What a copy holds, to be compared after it was restored."""
    with _opened(url) as database, database.reading() as connection:
        version = schema_version(connection)
        if version == "none":
            return "nothing yet"
        head = audit.head(connection)
    return f"schema {version}, {head.count} audit entries, head {_named(head)}"


@click.command("move-database")
@click.argument("source_url", metavar="FROM", type=DATABASE)
@click.argument("target_url", metavar="TO", type=DATABASE)
def move_database(source_url: str, target_url: str) -> None:
    """Moves everything from an SQLite file into an empty PostgreSQL database, and compares what arrived.

    FROM is sqlite:///path, TO is postgresql://user@host/name. No bot may be running, and both need the newest
    schema: see `sift-retry migrate`. Keep a password off the command line, for example in ~/.pgpass.
    """
    _check_kinds(source_url, target_url)
    shown = make_url(target_url).set(drivername="postgresql", query={}).render_as_string()
    with tidying_up(), _opened(source_url) as source, _opened(target_url) as target:
        source.claim_file()
        with source.transaction() as left:  # of the command line, too, nobody writes to it now
            _require_schema("FROM", left)
            require_not_moved(left)
            with target.transaction() as arrived:
                _require_schema("TO", arrived)
                move(left, arrived, lambda line: click.echo(line, err=True))
                head = _same_head(left, arrived)
            marks.write(left, MOVED, shown, utc_now())  # last: a target whose commit failed must not be all there is
    click.echo(f"moved to {shown}: {head.count} audit entries, head {_named(head)}")
    click.echo("set DATABASE_URL to it and start the bot; the file is kept, and no bot starts on it", err=True)


def _check_kinds(source_url: str, target_url: str) -> None:
    source, target = make_url(source_url), make_url(target_url)
    if source.get_backend_name() != "sqlite":
        raise click.BadParameter("expected sqlite:///path", param_hint="FROM")
    if target.get_backend_name() != "postgresql":
        raise click.BadParameter("expected postgresql://user@host/name", param_hint="TO")
    if not Path(source.database or "").is_file():
        raise click.ClickException(f"there is no database {source.database}")


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Database]:
    """A database that takes rows exactly as they are, and repeats none of them in an error."""
    database = Database(url, utc_now)
    for engine in database.engines:
        guard(engine, Redactor([]))
    try:
        yield database
    finally:
        database.close()


def _require_schema(which: str, connection: Connection) -> None:
    try:
        require_schema(connection)
    except (SchemaOutdated, SchemaNewer) as error:
        raise click.ClickException(f"{which}: {error}") from error


def _same_head(left: Connection, arrived: Connection) -> Head:
    """The audit's head, which is the same in both, at the end of an unbroken chain.

    Raises:
        NotWhole: it is not.
    """
    before, after = audit.head(left), audit.verify(arrived)
    if isinstance(after, Broken):
        raise NotWhole(why=after)
    if after != before:
        raise NotWhole(why=f"it ends with {_named(after)} and not with {_named(before)}")
    return after


def _named(head: Head) -> str:
    return f"{head.count}:{head.hash}"

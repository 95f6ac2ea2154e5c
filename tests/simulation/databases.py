"""The database of one run: an SQLite file, or a database on a real PostgreSQL server, whose clock shows virtual time.

With several replicas one SQLite file stands for a PostgreSQL server: there, too, writers take turns and the server's
clock decides.
"""

import contextlib
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from bot.base.clock import Clock
from bot.db.batch import Batch
from bot.db.columns import NotAhead, metadata
from bot.db.database import Database, migrate

STATEMENTS: tuple[str, ...] = ()
"""What is changed in the schema of each new database; a mutation may."""

Row = Mapping[str, Any]


class Storage:
    """Where the bot's rows are, and how they are read beside the bot.

    Args:
        url: as `DATABASE_URL` has it.
        kind: what the bot opens it as.
        alone: whether it goes by the clock of its one process, and not by one of its own.
    """

    def __init__(self, url: str, kind: type[Database], *, alone: bool) -> None:
        self.url = url
        self.kind = kind
        self.alone = alone

    def tune(self, database: Database) -> None:
        """Makes an opened database part of the run."""
        for engine in database.engines:
            self._tune(engine)

    def _tune(self, engine: Engine) -> None:
        """Makes one way to it part of the run."""
        raise NotImplementedError

    def rows(self, query: str, values: tuple[object, ...]) -> Sequence[Row]:
        """What a query finds that is committed."""
        raise NotImplementedError

    def contents(self) -> dict[str, bytes]:
        """Whatever is written there, by its place."""
        raise NotImplementedError

    def before(self, batch: Batch) -> None:
        """A transaction is about to be carried out."""

    def after(self, batch: Batch) -> None:
        """It is committed."""

    def cut(self, engine: Engine) -> None:
        """The connections of an engine are lost."""

    def lose_power(self) -> None:
        """The machine of the processes fails."""

    def close(self) -> None:
        """Frees what the run still holds."""


class SqliteStorage(Storage):
    """One file, put there anew for each run.

    Args:
        directory: where it is, alone.
        now: the clock of the server that it stands for; None: it serves one process.
    """

    def __init__(self, directory: Path, now: Clock | None) -> None:
        self._path = directory / "bot.db"
        self._now = now
        self._flushed: dict[Path, bytes] | None = None
        _fresh_file(self._path, directory / "template.db")
        super().__init__(f"sqlite:///{self._path}", Database if now is None else SharedDatabase, alone=now is None)

    def tune(self, database: Database) -> None:
        super().tune(database)
        if isinstance(database, SharedDatabase):
            assert self._now is not None
            database.server_clock = self._now

    def _tune(self, engine: Engine) -> None:
        remember_statements(engine, _known_sqlite())
        tell_the_time(engine, self._now)

    def rows(self, query: str, values: tuple[object, ...]) -> Sequence[Row]:
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, values).fetchall()

    def contents(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted(self._path.parent.glob("bot.db*"))}

    def before(self, batch: Batch) -> None:
        """Remembers what is flushed, before the first commit that is not."""
        if self._flushed is None and batch.lazy:
            files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
            self._flushed = {file: file.read_bytes() for file in files if file.exists()}

    def after(self, batch: Batch) -> None:
        """A commit that is flushed flushes what came before it."""
        if not batch.lazy:
            self._flushed = None

    def lose_power(self) -> None:
        """Loses what was not flushed; nobody has the file open."""
        if self._flushed is None:
            return
        for old in self._path.parent.glob(f"{self._path.name}*"):
            old.unlink()
        for file, content in self._flushed.items():
            file.write_bytes(content)
        self._flushed = None


class PostgresStorage(Storage):
    """A database of each run's own on a server that serves this process alone, so that runs are the same each time.

    The SQL is the bot's own. What it calls as `clock_timestamp()` is found in `public`, before PostgreSQL's.

    Args:
        server: what reaches the server, as `tests.postgres.server` yields it.
        now: what the server's clock shows.
    """

    def __init__(self, server: str, now: Clock) -> None:
        self._server = server
        self._now = now
        _fresh_database(server)
        self._connection = _connect(server, "world")
        self._opened: dict[Engine, list[int]] = defaultdict(list)
        for statement in STATEMENTS:
            self._connection.execute(statement.encode())
        options = "options=-csearch_path%3Dpublic%2Cpg_catalog&connect_timeout=30"  # a busy machine changes no run
        super().__init__(f"{_url(server, 'world')}&{options}", Database, alone=False)

    def _tune(self, engine: Engine) -> None:
        remember_statements(engine, _known_postgresql(self._server))
        event.listen(engine, "checkout", self._tell_the_time)
        event.listen(engine, "connect", lambda dbapi, _: self._opened[engine].append(dbapi.info.backend_pid))

    def _tell_the_time(self, dbapi: Any, *_: object) -> None:
        """A transaction takes no virtual time, so the moment before its beginning holds all through it."""
        dbapi.execute("SELECT set_config('world.now', %s, false)", (self._now().isoformat(),))
        dbapi.commit()

    def rows(self, query: str, values: tuple[object, ...]) -> Sequence[Row]:
        return self._connection.execute(query.replace("?", "%s").encode(), values).fetchall()

    def contents(self) -> dict[str, bytes]:
        return {
            table: repr(self._connection.execute(f"SELECT * FROM {table}".encode()).fetchall()).encode()
            for table in metadata.tables
        }

    def cut(self, engine: Engine) -> None:
        """Ends them at the server's side, for good: whoever uses one next finds it broken."""
        opened = self._opened.pop(engine, [])
        end = "SELECT pg_terminate_backend(pid, 15000) FROM pg_stat_activity WHERE datname = 'world' AND pid = ANY(%s)"
        self._connection.execute(end, (opened,))

    def close(self) -> None:
        self._connection.close()
        _drop_database(self._server)


class SharedDatabase(Database):
    """The one database of several replicas, whose own clock decides."""

    server_clock: Clock

    @property
    def is_sqlite(self) -> bool:
        return False

    def now(self, connection: Connection) -> datetime:
        """The moment by the server's clock."""
        return self._server_clock.told(self.server_clock())

    @contextlib.contextmanager
    def _snapshot(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection


@compiles(NotAhead, "sqlite")
def _at_most_now(element: NotAhead, compiler: SQLCompiler, **more: Any) -> str:
    """As on PostgreSQL, where the simulated server's clock decides."""
    moment = compiler.process(element.clauses, **more)
    return f"not_ahead({moment})" if getattr(compiler.dialect, "simulated", False) else moment


def tell_the_time(engine: Engine, now: Clock | None) -> None:
    """Has a database know what time it is by its own clock; None: it goes by that of its process."""

    def not_ahead(moment: str) -> str:
        return min(moment, f"{now():%Y-%m-%d %H:%M:%S.%f}") if now is not None else moment

    event.listen(engine, "connect", lambda dbapi, _: dbapi.create_function("not_ahead", 1, not_ahead))


def remember_statements(engine: Engine, known: Engine) -> None:
    """Has an engine use the statements that earlier ones compiled: each run has engines of its own."""
    engine.dialect = known.dialect
    engine.pool._dialect = known.dialect
    engine._compiled_cache = known._compiled_cache


@cache
def _known_sqlite() -> Engine:
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dialect.simulated = True  # type: ignore[attr-defined]  # read by `_at_most_now` alone
    return engine


@cache
def _known_postgresql(server: str) -> Engine:
    engine = create_engine(_url(server, "postgres"))
    engine.connect().close()
    engine.pool.dispose()
    return engine


def _fresh_file(path: Path, template: Path) -> None:
    """Puts an empty database of the newest schema there."""
    if not template.exists():
        engine = create_engine(f"sqlite:///{template}")
        migrate(engine)
        engine.dispose()
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    shutil.copyfile(template, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in STATEMENTS:
            connection.execute(statement)


def _fresh_database(server: str) -> None:
    """Makes an empty database of the newest schema there."""
    with _connect(server, "postgres") as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'template_world'").fetchall():
            connection.execute("CREATE DATABASE template_world")
            _make_template(server)
        connection.execute("DROP DATABASE IF EXISTS world WITH (FORCE)")  # of a run that was interrupted
        connection.execute("CREATE DATABASE world TEMPLATE template_world")


def _make_template(server: str) -> None:
    engine = create_engine(_url(server, "template_world"))
    migrate(engine)
    engine.dispose()
    with _connect(server, "template_world") as connection:
        connection.execute(
            "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE "
            "AS $$ SELECT current_setting('world.now')::timestamptz $$"
        )


def _drop_database(server: str) -> None:
    with _connect(server, "postgres") as connection:
        connection.execute("DROP DATABASE world WITH (FORCE)")


def _connect(server: str, name: str) -> psycopg.Connection[dict[str, Any]]:
    """A connection beside the bot's, which waits for nothing for long."""
    options = "-c lock_timeout=2s -c statement_timeout=20s"
    host = server.removeprefix("host=")
    return psycopg.connect(
        host=host, user="bot", dbname=name, options=options, autocommit=True, row_factory=dict_row, connect_timeout=30
    )


def _url(server: str, name: str) -> str:
    return f"postgresql+psycopg://bot@/{name}?{server}"

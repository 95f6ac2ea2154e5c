"""Engines whose connections give up in time, and can be cut off from another thread when they hang all the same."""

import contextlib
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from bot.db.found import forget

Told = Callable[[Connection, datetime], object]

WRITERS = 0x51F7
"""The advisory lock of writers; any number that nothing else on the same PostgreSQL database uses."""

_FLUSHED, _UNFLUSHED = "FULL", "NORMAL"
"""SQLite's `synchronous`: with NORMAL a WAL database stays consistent, but what was committed last may be rolled back
after a power failure, though not after the end of a process; FULL also syncs the WAL after each commit, and so what
was committed to it before (sqlite.org/pragma.html#pragma_synchronous)."""

_TAKE_TURN = select(func.clock_timestamp()).select_from(func.pg_advisory_xact_lock(WRITERS).alias("turn"))
"""What time it is once the turn came."""

_TAKE_TURN_LAZILY = _TAKE_TURN.add_columns(func.set_config("synchronous_commit", "off", text("true")))
"""The same for a transaction whose commit does not wait for the disk; a crash of the server may lose it, but nothing
that was committed earlier or flushed later (postgresql.org/docs/current/wal-async-commit.html)."""

_NETWORK = {
    "connect_timeout": 2,  # seconds; libpq knows no shorter one
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
"""How a PostgreSQL host that went away is noticed; what the URL says counts instead (libpq, “Parameter Key Words”)."""


@dataclass(frozen=True)
class Limits:
    """What a connection is for, as PostgreSQL limits it.

    Args:
        statement: seconds for one statement.
        idle: seconds between two statements of one transaction.
    """

    statement: int
    idle: int


WRITING = Limits(statement=8, idle=10)
READING = Limits(statement=60, idle=60)
BY_HAND = Limits(statement=3_600, idle=10)
"""The command line: a statement of a migration may take its time, but other writers wait for it."""


class Lines:
    """The connections of one database: the one that each thread opened last can be cut off while it hangs in it."""

    def __init__(self) -> None:
        self._of: dict[int, _Line] = {}
        self._lock = threading.RLock()  # a generator that is collected while it is held takes it again
        self._users: Counter[Engine] = Counter()
        self._ended = False

    @contextlib.contextmanager
    def using(self, engine: Engine) -> Iterator[Engine]:
        """Has the connections of an engine stay open while one is in use, and not longer once everything ended.

        `Engine.dispose` closes what lies in the pool; what is in use goes back to a pool that nobody knows any more,
        and stays open there (SQLAlchemy, “Engine Disposal”). So at the end whoever uses an engine last disposes of it.
        """
        with self._lock:
            self._users[engine] += 1
        try:
            yield engine
        finally:
            with self._lock:
                self._users[engine] -= 1
                if self._ended:
                    self._dispose(engine)

    def end(self, engines: Iterable[Engine]) -> None:
        """Closes every connection: at once, or when the last one who uses its engine is done."""
        with self._lock:
            self._ended = True
            for engine in engines:
                self._dispose(engine)

    def _dispose(self, engine: Engine) -> None:
        if not self._users[engine]:
            engine.dispose()

    def watch(self, engine: Engine) -> None:
        """Knows the engine's connections from their beginning to their end."""
        event.listen(engine, "connect", self._opened)
        event.listen(engine, "close", self.closed)

    def cut(self, thread: int) -> None:
        """Cuts off what a thread hangs in; it gets an error, and the connection is thrown away."""
        line = self._of.get(thread)
        if line is not None:
            line.cut()

    def cut_all(self) -> None:
        """Cuts off whatever hangs, at the end of everything."""
        for line in list(self._of.values()):
            line.cut()

    def _opened(self, dbapi: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        thread = threading.get_ident()
        if thread in self._of:  # it ended before anybody could close it, such as one that was cut off while it began
            self._of[thread].close()
        record.info["line"] = self._of[thread] = _Line(dbapi)

    def closed(self, _dbapi: object, record: ConnectionPoolEntry) -> None:
        """Forgets a connection that is being closed."""
        line = record.info.pop("line", None)
        if line is not None:
            line.close()


class _Line:
    """One connection, as far as another thread may touch it."""

    def __init__(self, dbapi: DBAPIConnection) -> None:
        self._dbapi = dbapi if isinstance(dbapi, sqlite3.Connection) else None
        # A descriptor of our own: the connection's may be closed, and stand for something else, at any moment.
        self._socket = None if self._dbapi else socket.fromfd(dbapi.fileno(), socket.AF_INET, socket.SOCK_STREAM)

    def cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)
        elif self._dbapi is not None:
            with contextlib.suppress(sqlite3.Error):  # nor is it open any more
                self._dbapi.interrupt()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._dbapi = None


def make_engine(
    url: str, limits: Limits, lines: Lines | None = None, told: Told = lambda *_: None, **pool: Any
) -> Engine:
    """An engine whose connections and transactions begin as the bot needs them.

    Args:
        lines: has the connections known there, so that they can be cut off.
        told: gets what PostgreSQL's clock says in each transaction that writes.
        pool: how connections are kept, as `create_engine` takes it.
    """
    sqlite = make_url(url).get_backend_name() == "sqlite"
    query = make_url(url).query
    network = {} if sqlite else {name: value for name, value in _NETWORK.items() if name not in query}
    engine = create_engine(url, hide_parameters=True, connect_args=network, pool_pre_ping=not sqlite, **pool)
    if lines is not None:
        lines.watch(engine)  # first of all: the next listener speaks to the server already
    event.listen(engine, "connect", _or_close(_prepare_sqlite if sqlite else _prepare_postgresql(limits), lines))
    for name in ("begin", "rollback_savepoint"):
        event.listen(engine, name, forget)
    event.listen(engine, "begin", _begin_sqlite if sqlite else _begin_postgresql(told))
    return engine


def _or_close(prepare: Callable[[Any, Any], None], lines: Lines | None) -> Callable[[Any, Any], None]:
    """Closes a connection that ends while it is prepared: SQLAlchemy does not know of it yet."""

    def prepared(dbapi: Any, record: ConnectionPoolEntry) -> None:
        try:
            prepare(dbapi, record)
        except BaseException:
            if lines is not None:
                lines.closed(dbapi, record)
            dbapi.close()
            raise

    return prepared


def _prepare_sqlite(dbapi: sqlite3.Connection, _record: object) -> None:
    dbapi.isolation_level = None  # transactions begin where SQLAlchemy begins them, not where sqlite3 guesses
    for pragma in ("journal_mode=WAL", f"synchronous={_FLUSHED}", "busy_timeout=2000", "foreign_keys=ON"):
        dbapi.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    wanted = _UNFLUSHED if _is_lazy(connection) else _FLUSHED
    if connection.info.get("synchronous", _FLUSHED) != wanted:  # which cannot be changed inside a transaction
        connection.connection.cursor().execute(f"PRAGMA synchronous={wanted}")
        connection.info["synchronous"] = wanted
    connection.exec_driver_sql("BEGIN" if _only_reads(connection) else "BEGIN IMMEDIATE")


def _prepare_postgresql(limits: Limits) -> Callable[[DBAPIConnection, object], None]:
    def prepare(dbapi: DBAPIConnection, _record: object) -> None:
        dbapi.autocommit = True
        for name, seconds in (
            ("lock_timeout", 2),
            ("statement_timeout", limits.statement),
            ("idle_in_transaction_session_timeout", limits.idle),
        ):
            dbapi.execute(f"SET {name} = '{seconds}s'")
        dbapi.autocommit = False

    return prepare


def _begin_postgresql(told: Told) -> Callable[[Connection], None]:
    """Makes writers take turns, as SQLite does: the audit's chain needs it, and then nothing can deadlock."""

    def begin(connection: Connection) -> None:
        if not _only_reads(connection):
            told(connection, connection.execute(_TAKE_TURN_LAZILY if _is_lazy(connection) else _TAKE_TURN).one()[0])

    return begin


def _is_lazy(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("lazy"))


def _only_reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("read_only"))

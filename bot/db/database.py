"""The engine, and transactions as plain functions run in the database's own thread.

`await database.run(work)` runs `work(connection)` and commits. Since `work` is no coroutine, no transaction can
await, and none is open while Sift or Slack is called. `await database.read(work)` reads beside it.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Generic

from sqlalchemy import Connection, Engine, inspect, text

from bot.base import tracing
from bot.base.clock import Clock
from bot.base.deadline import seconds_left
from bot.base.errors import DatabaseBusy, DatabaseUnavailable, SchemaNewer, SchemaOutdated
from bot.db.clock import ServerClock
from bot.db.connections import BY_HAND, READING, WRITING, Lines, make_engine
from bot.db.sqlite_file import SqliteFile
from bot.db.tables import SCHEMA_VERSION
from bot.db.worker import PATIENCE_SECONDS, T, Work, Worker

__all__ = ["Database", "Work", "is_outdated", "migrate", "require_schema", "schema_version"]

Snapshot = Callable[[], contextlib.AbstractContextManager[Connection]]

READERS = 2
"""Long readings at a time."""

MAX_READING = 50
"""More readings than these, waiting ones included, are refused at once."""

READ_SECONDS = 30.0
"""How long one reading may take, waiting for its turn included."""

CLOSE_SECONDS = 1.0
"""How long what waits may take to finish at the end; of the ten seconds of a stop the drain has half."""


class Database:
    """One database: writers take turns in one thread, here and among replicas; readers read beside them.

    Args:
        url: an SQLAlchemy URL, as `settings` makes it.
        clock: the present moment, for SQLite; PostgreSQL's own clock decides there.
        patience: seconds that a work may take, waiting included, where nobody waits for less.
        read_seconds: the same for a reading.
        worker: runs the transactions.
        readers: runs the readings.
        timer: monotonic seconds, for what the server's clock says between two looks at it.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        patience: float = PATIENCE_SECONDS,
        read_seconds: float = READ_SECONDS,
        worker: Callable[[Engine, Lines, Callable[[], None]], Worker] = Worker,
        readers: Executor | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = make_engine(url, BY_HAND, pool_size=1, max_overflow=4)
        self.clock = clock
        self._server_clock = ServerClock(timer)
        self.patience = patience
        self.read_seconds = read_seconds
        self._lines = Lines()
        told = self._server_clock.told_in
        self._writer = make_engine(url, WRITING, self._lines, told, pool_size=1, max_overflow=0)
        self._readers = [make_engine(url, READING, self._lines, pool_size=1, max_overflow=0) for _ in range(READERS)]
        self._unused = [*self._readers]
        self._mine = threading.local()
        self.worker = worker(self._writer, self._lines, self._check_file)
        self._threads = readers or ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._reading = 0
        self._file: SqliteFile | None = None

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Every way to the database: by hand, to write, to read."""
        return self.engine, self._writer, *self._readers

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    async def run(self, work: Work[T]) -> T:
        """Runs one transaction: everything `work` does is committed, or nothing of it.

        Raises:
            DatabaseUnavailable: the database did not do it, or not in time; nothing was written.
            MaybeRecorded: it was lost while it committed; whether anything was written is not known.
            Exception: whatever `work` raised; nothing was written then.
        """
        with tracing.span("transaction"):
            return await self.worker.run(work, seconds_left(self.patience))

    async def run_lazily(self, work: Work[T]) -> T:
        """Runs one transaction like `run`, but its commit is not flushed: a power failure may undo it.

        Only for what nobody was promised, and what heals by itself: which message shows a row, what a look found out,
        a claim that nobody else could have taken. Whatever is committed by `run` flushes what came before it.
        """
        return await self.worker.run(work, seconds_left(self.patience), lazy=True)

    async def read(self, work: Work[T]) -> T:
        """Runs one long reading in a thread and a snapshot of its own, so that it holds up nobody.

        Raises:
            DatabaseBusy: others were reading all the time.
            DatabaseUnavailable: it took too long.
        """
        if self._reading >= MAX_READING:
            raise DatabaseBusy
        reading = _Reading(self._snapshot_to_keep, work, self._lines)
        self._reading += 1
        future = self._threads.submit(reading)
        try:
            async with asyncio.timeout(seconds_left(self.read_seconds)):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.done() and not future.cancelled():
                return future.result()
            raise (DatabaseUnavailable("reading took too long") if reading.cut() else DatabaseBusy()) from None
        except asyncio.CancelledError:
            reading.cut()
            raise
        finally:
            self._reading -= 1

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction in the calling thread, for the command line."""
        with self._lines.using(self.engine), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot to read from in the calling thread; writers are not held up by it."""
        with self._snapshot(self.engine) as connection:
            yield connection

    @contextlib.contextmanager
    def _snapshot_to_keep(self) -> Iterator[Connection]:
        """A snapshot over the connection that the thread opened, so that it can be cut off there, and keeps."""
        if not hasattr(self._mine, "engine"):
            self._mine.engine = self._unused.pop()
        with self._snapshot(self._mine.engine) as connection:
            yield connection

    @contextlib.contextmanager
    def _snapshot(self, engine: Engine) -> Iterator[Connection]:
        options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with (
            self._lines.using(engine),
            engine.connect().execution_options(read_only=True, **options) as connection,
            connection.begin(),
        ):
            yield connection

    def now(self, connection: Connection) -> datetime:
        """The moment leases are reckoned by: the one clock that all replicas share."""
        return self.clock() if self.is_sqlite else self._server_clock.during(connection)

    def present(self) -> datetime:
        """The moment by that clock, as far as it is known without asking: what all replicas go by."""
        return self.clock() if self.is_sqlite else self._server_clock.now() or self.clock()

    def claim_file(self) -> None:
        """Makes this process the only bot on its SQLite file, until it ends; before anything else is done with it.

        Raises:
            AlreadyRunning: another process has it.
        """
        path = self.engine.url.database
        if self.is_sqlite and path is not None:
            self._file = SqliteFile(path)

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    def close(self) -> None:
        """Lets what waits finish, for a moment, then closes every connection."""
        self.worker.close(CLOSE_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._reading:  # the end of the process waits for their threads
            self._lines.cut_all()
        self._lines.end(self.engines)
        if self._file is not None:
            self._file.release()
            self._file = None


class _Reading(Generic[T]):
    """One reading in a thread of the readers'."""

    def __init__(self, snapshot: Snapshot, work: Work[T], lines: Lines) -> None:
        self._snapshot = snapshot
        self._work = work
        self._lines = lines
        self._lock = threading.Lock()  # so that nobody else's reading is cut off, who has the thread next
        self._thread: int | None = None
        self._given_up = False

    def __call__(self) -> T:
        with self._lock:
            if self._given_up:
                raise DatabaseBusy
            self._thread = threading.get_ident()
        try:
            with self._snapshot() as connection:
                self._go_on()
                return self._work(connection)
        finally:
            with self._lock:
                self._thread = None

    def _go_on(self) -> None:
        """Goes on unless it was given up while there was no connection yet to cut off."""
        with self._lock:
            if self._given_up:
                raise DatabaseBusy

    def cut(self) -> bool:
        """Cuts it off if it was begun; returns whether it was."""
        with self._lock:
            self._given_up = True
            if self._thread is not None:
                self._lines.cut(self._thread)
            return self._thread is not None


def schema_version(connection: Connection) -> str:
    """The version of the schema found, or `none`."""
    if not inspect(connection).has_table("alembic_version"):
        return "none"
    return connection.scalar(text("SELECT version_num FROM alembic_version")) or "none"


def require_schema(connection: Connection) -> None:
    """Checks that the schema is the one this bot knows.

    Raises:
        SchemaOutdated: it is older.
        SchemaNewer: a newer bot was here; an older one must not touch what it does not know.
    """
    if is_outdated(connection):
        raise SchemaOutdated(found=schema_version(connection), needed=SCHEMA_VERSION)


def is_outdated(connection: Connection) -> bool:
    """Whether the schema has to be upgraded.

    Raises:
        SchemaNewer: it is newer than this bot.
    """
    found = schema_version(connection)
    if found.isdigit() and found > SCHEMA_VERSION:  # numbers of four digits
        raise SchemaNewer(found=found, needed=SCHEMA_VERSION)
    return found != SCHEMA_VERSION


def migrate(engine: Engine) -> None:
    """Brings the schema to the newest version; migrations travel inside the installed package.

    Raises:
        SchemaNewer: it is newer than this bot.
        DatabaseUnavailable: no migrations were found beside the code.
    """
    from alembic import command  # slow to import, and rarely needed
    from alembic.config import Config
    from alembic.util import CommandError

    here = Path(__file__).parent.parent  # bot/
    found = [path for path in (here / "migrations", here.parent / "migrations") if (path / "env.py").is_file()]
    if not found:
        raise DatabaseUnavailable("the migrations are missing from this installation")
    config = Config()
    config.set_main_option("script_location", str(found[0]))
    with engine.begin() as connection:
        is_outdated(connection)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:  # such as a version that no bot ever wrote
            raise DatabaseUnavailable(f"the schema cannot be upgraded: {error}") from error

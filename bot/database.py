"""The engine, and transactions as plain functions run in the database's own thread.

`await database.run(work)` runs `work(connection)` and commits. Since `work` is no coroutine, no transaction can
await, and none is open while Sift or Slack is called. Works that wait together share one commit, a SAVEPOINT each.
"""

import asyncio
import contextlib
import fcntl
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, make_url, select, text

from bot.clock import Clock
from bot.errors import AlreadyRunning, DatabaseUnavailable, SchemaOutdated
from bot.tables import SCHEMA_VERSION

T = TypeVar("T")
Work = Callable[[Connection], T]

WRITERS = 0x51F7
"""The advisory lock of writers; any number that nothing else on the same PostgreSQL database uses."""

TOGETHER = 64
"""How many waiting works may share a commit."""


@dataclass
class _Job:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"

    def settle(self, result: Any, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Database:
    """One database, through one thread and one connection: writers take turns, here and among replicas.

    Args:
        url: an SQLAlchemy URL, as `settings` makes it.
        clock: the present moment, for SQLite; PostgreSQL's own clock decides there.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self.engine = _engine(url)
        self.clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock: IO[str] | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    async def run(self, work: Work[T]) -> T:
        """Runs one transaction: everything `work` does is committed, or nothing of it.

        Raises:
            Exception: whatever `work` or the commit raised; nothing was written then.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="database", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._jobs.put(job)
        return await job.future  # type: ignore[no-any-return]  # the future carries what work returned

    async def read(self, work: Work[T]) -> T:
        """Runs one long reading in a thread and a snapshot of its own, so that it holds up nobody."""

        def reading() -> T:
            with self.reading() as connection:
                return work(connection)

        return await asyncio.to_thread(reading)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction in the calling thread, for the command line."""
        with self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot to read from, however long that takes; writers are not held up by it."""
        with self.engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection

    def now(self, connection: Connection) -> datetime:
        """The moment leases are reckoned by: the one clock that all replicas share."""
        if self.is_sqlite:
            return self.clock()
        return connection.scalar(select(func.clock_timestamp()))  # type: ignore[return-value]  # never null

    def claim_file(self) -> None:
        """Makes this process the only bot on its SQLite file, until it ends.

        Raises:
            AlreadyRunning: another process has it.
        """
        path = self.engine.url.database
        if not self.is_sqlite or path is None:
            return
        lock = Path(f"{path}.lock").open("w")  # noqa: SIM115  # held for as long as the process lives
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise AlreadyRunning(path=path) from None
        self._lock = lock

    def close(self) -> None:
        """Lets what waits finish, then closes every connection."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout=10)
            self._thread = None
        self.engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _serve(self) -> None:
        while (first := self._jobs.get()) is not None:
            jobs = [first]
            last = False
            with contextlib.suppress(queue.Empty):
                while len(jobs) < TOGETHER and not last:
                    job = self._jobs.get_nowait()
                    if job is None:
                        last = True
                    else:
                        jobs.append(job)
            self._commit_together(jobs)
            if last:
                return

    def _commit_together(self, jobs: list[_Job]) -> None:
        settled: list[tuple[_Job, Any, BaseException | None]] = []
        try:
            with self.engine.begin() as connection:
                if len(jobs) == 1:  # nobody else's work to protect: its failure undoes the transaction
                    settled.append((jobs[0], jobs[0].work(connection), None))
                else:
                    settled += [(job, *_attempt(connection, job.work)) for job in jobs]
        except Exception as error:  # noqa: BLE001  # whatever it was, each caller must learn that nothing was written
            settled = [(job, None, error) for job in jobs]
        for job, result, problem in settled:
            job.settle(result, problem)


def _attempt(connection: Connection, work: Work[Any]) -> tuple[Any, BaseException | None]:
    """Runs one work inside a SAVEPOINT, so that its failure undoes nothing but its own.

    Spelled out, since SQLAlchemy's nested transactions take longer than most works.
    """
    connection.exec_driver_sql("SAVEPOINT work")
    try:
        result, error = work(connection), None
    except Exception as problem:  # noqa: BLE001  # handed to the one who waits for it
        result, error = None, problem
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT work")
    connection.exec_driver_sql("RELEASE SAVEPOINT work")
    return result, error


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        prepare, begin = _prepare_sqlite, _begin_sqlite
    else:
        prepare, begin = _prepare_postgresql, _begin_postgresql
    pre_ping = begin is _begin_postgresql
    engine = create_engine(url, pool_size=1, max_overflow=4, pool_pre_ping=pre_ping, hide_parameters=True)
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _prepare_sqlite(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None  # transactions begin where SQLAlchemy begins them, not where sqlite3 guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=2000", "foreign_keys=ON"):
        dbapi.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if _only_reads(connection) else "BEGIN IMMEDIATE")


def _prepare_postgresql(dbapi: Any, _record: Any) -> None:
    dbapi.autocommit = True
    for setting in ("lock_timeout = '2s'", "idle_in_transaction_session_timeout = '10s'"):
        dbapi.execute(f"SET {setting}")
    dbapi.autocommit = False


def _begin_postgresql(connection: Connection) -> None:
    """Makes writers take turns, as SQLite does: the audit's chain needs it, and then nothing can deadlock."""
    if not _only_reads(connection):
        connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))


def _only_reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("read_only"))


def schema_version(connection: Connection) -> str:
    """The version of the schema found, or `none`."""
    if not inspect(connection).has_table("alembic_version"):
        return "none"
    return connection.scalar(text("SELECT version_num FROM alembic_version")) or "none"


def require_schema(connection: Connection) -> None:
    """Checks that the schema is the one this bot knows.

    Raises:
        SchemaOutdated: it is older or newer.
    """
    found = schema_version(connection)
    if found != SCHEMA_VERSION:
        raise SchemaOutdated(found=found, needed=SCHEMA_VERSION)


def migrate(engine: Engine) -> None:
    """Brings the schema to the newest version; migrations travel inside the installed package.

    Raises:
        DatabaseUnavailable: no migrations were found beside the code.
    """
    from alembic import command  # slow to import, and rarely needed
    from alembic.config import Config

    here = Path(__file__).parent
    found = [path for path in (here / "migrations", here.parent / "migrations") if (path / "env.py").is_file()]
    if not found:
        raise DatabaseUnavailable("the migrations are missing from this installation")
    config = Config()
    config.set_main_option("script_location", str(found[0]))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

"""The bot's database in the world: a real SQLite file, real transactions, whose works run in the loop's own thread.

A transaction takes its time before and after it is committed, and whatever can become of it does, if the world says so.
With several replicas the one file stands for a PostgreSQL server: there, too, writers take turns and the server's
clock decides.
"""

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from bot.base.clock import Clock
from bot.base.errors import DatabaseUnavailable
from bot.db.batch import Batch, Job, Outcome, told
from bot.db.columns import NotAhead
from bot.db.connections import Lines
from bot.db.database import Database
from bot.db.worker import TOGETHER, Worker

T = TypeVar("T")


@dataclass
class Fate:
    """What becomes of one transaction.

    Args:
        before: seconds until it is committed.
        after: seconds from then until anybody learns of it.
        gone: the database is not there.
        hangs: it never begins, until it is cut off.
        fails: the commit fails, and nothing is written.
        lost: it is committed, and the connection breaks.
        dies_before, dies_after: the process is killed right before or after the commit.
        sleeps_after: the process is stopped right after the commit, for longer than its lease.
    """

    before: float = 0.002
    after: float = 0.002
    gone: bool = False
    hangs: bool = False
    fails: bool = False
    lost: bool = False
    dies_before: bool = False
    dies_after: bool = False
    sleeps_after: bool = False


def is_lazy(batch: Batch) -> bool:
    """Whether a commit is not flushed to the disk, and so may be undone by a power failure."""
    return bool(getattr(batch, "lazy", False))


class Disk:
    """What of the database's file would be there after a power failure.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._flushed: dict[Path, bytes] | None = None

    def before(self, batch: Batch) -> None:
        """Remembers what is flushed, before the first commit that is not."""
        if self._flushed is None and is_lazy(batch):
            files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
            self._flushed = {file: file.read_bytes() for file in files if file.exists()}

    def after(self, batch: Batch) -> None:
        """A commit that is flushed flushes what came before it."""
        if not is_lazy(batch):
            self._flushed = None

    def fail(self) -> None:
        """Loses what was not flushed; nobody has the file open."""
        if self._flushed is None:
            return
        for old in self._path.parent.glob(f"{self._path.name}*"):
            old.unlink()
        for file, content in self._flushed.items():
            file.write_bytes(content)
        self._flushed = None


class Killed(BaseException):
    """The process ends here."""


def _error(said: str, *, lost: bool = False) -> OperationalError:
    return OperationalError("COMMIT", None, Exception(said), connection_invalidated=lost)


class SimulatedWorker(Worker):
    """Runs works in the loop's thread, one transaction after another.

    Args:
        fate: what becomes of the next transaction.
        kill: ends the process at once.
        sleep: stops it for longer than its lease.
        disk: what a power failure leaves.
    """

    def __init__(
        self,
        engine: Engine,
        lines: Lines,
        check: Callable[[], None],
        *,
        fate: Callable[[int], Fate],
        kill: Callable[[], None],
        sleep: Callable[[], None],
        disk: Disk,
        timer: Callable[[], float],
    ) -> None:
        super().__init__(engine, lines, check, timer=timer)
        self._fate_of = fate
        self._kill = kill
        self._sleep = sleep
        self._disk = disk
        self._fate = Fate()
        self._serving = False
        event.listen(engine, "commit", self._committing)

    def close(self, seconds: float) -> None:
        """Finishes what waits, in an orderly end."""
        self._fate = Fate()
        while jobs := self._waiting():
            self._commit_together(Batch(jobs, self._timer()))

    def _start(self) -> None:
        if not self._serving:
            self._serving = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        jobs = self._waiting()
        if not jobs:
            self._serving = False
            return
        self._fate = self._fate_of(len(jobs))
        self._batch = batch = Batch(jobs, self._timer())
        if not self._fate.hangs:
            asyncio.get_running_loop().call_later(self._fate.before, self._carry_out, batch)

    def _waiting(self) -> list[Job]:
        jobs: list[Job] = []
        with contextlib.suppress(queue.Empty):
            while len(jobs) < TOGETHER:
                job = self._jobs.get_nowait()
                if job is not None and not job.given_up:
                    jobs.append(job)
        return jobs

    def _carry_out(self, batch: Batch) -> None:
        try:
            outcomes = self._outcomes(batch)
            if self._fate.dies_after:
                raise Killed
        except Killed:
            self._kill()
            return
        if self._fate.sleeps_after:
            self._sleep()
        asyncio.get_running_loop().call_later(self._fate.after, self._finish, batch, outcomes)

    def _transact(self, batch: Batch) -> list[Outcome]:
        if self._fate.gone:
            raise _error("the database is gone")
        self._disk.before(batch)
        outcomes = super()._transact(batch)
        self._disk.after(batch)
        if self._fate.lost:
            raise _error("the connection was lost", lost=True)
        return outcomes

    def _committing(self, _: object) -> None:
        if self._fate.dies_before:
            raise Killed
        if self._fate.fails:
            raise _error("the disk is full")

    def _finish(self, batch: Batch, outcomes: list[Outcome]) -> None:
        if self._batch is not batch:
            return
        self._settle(batch, outcomes)
        self._take()

    def _abandon(self, batch: Batch) -> None:
        super()._abandon(batch)
        if not batch.committing:  # it is cut off, and gets an error
            outcome: Outcome = (None, told(DatabaseUnavailable(), batch))
            asyncio.get_running_loop().call_soon(self._finish, batch, [outcome] * len(batch.jobs))


class InLoop(Executor):
    """Runs what is submitted in the loop's thread, a moment later."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self._pause = pause

    def submit(self, work: Callable[..., T], /, *args: Any, **more: Any) -> "Future[T]":
        """Has it run soon."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **more))
            except Exception as error:  # noqa: BLE001  # handed to whoever waits for it
                future.set_exception(error)

        asyncio.get_running_loop().call_later(self._pause(), run)
        return future


class SharedDatabase(Database):
    """The one database of several replicas, whose own clock decides."""

    server_clock: Clock

    @property
    def is_sqlite(self) -> bool:
        return False

    def _asked(self, connection: Connection) -> datetime:
        """The moment by the server's clock."""
        return self.server_clock()

    @contextlib.contextmanager
    def _snapshot(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection


@cache
def _remembered() -> Engine:
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dialect.simulated = True  # type: ignore[attr-defined]  # read by `_at_most_now` alone
    return engine


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


def remember_statements(engine: Engine) -> None:
    """Has an engine use the statements that earlier ones compiled: each run has engines of its own."""
    known = _remembered()
    engine.dialect = known.dialect
    engine.pool._dialect = known.dialect
    engine._compiled_cache = known._compiled_cache

"""The database's own thread: works that wait together share one commit, and nobody waits for it for ever.

Whoever waits longer than they can is told so, and truly: what was not begun is never begun, what was begun is cut off
before its commit. Only while a commit is under way nobody can say.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from bot.base.errors import DatabaseUnavailable, MaybeRecorded
from bot.db.connections import Lines

T = TypeVar("T")
Work = Callable[[Connection], T]
Outcome = tuple[Any, BaseException | None]

TOGETHER = 64
"""How many waiting works may share a commit."""

MAX_WAITING = 2_000
"""More works than these wait for no answer in time."""

PATIENCE_SECONDS = 10.0
"""How long a work may take, waiting included; then it is given up, and the connection with it."""

STUCK_SECONDS = 30.0
"""A transaction that is not even ended by cutting it off for so long has the thread count as stuck."""


@dataclass(eq=False)
class _Job:
    work: Work[object]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    lazy: bool = False
    given_up: bool = False
    outcome: Outcome | None = None

    def settle(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if self.future.done() or self.outcome is None:
            return
        result, error = self.outcome
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


@dataclass(eq=False)
class _Batch:
    """Works in one transaction."""

    jobs: list[_Job]
    began: float
    committing: bool = False
    abandoned: bool = False

    @property
    def lazy(self) -> bool:
        """Whether its commit need not be flushed: one work that needs it has all of them flushed."""
        return all(job.lazy for job in self.jobs)


class _Abandoned(Exception):
    """Nobody waits for this transaction any more."""


class Worker:
    """Runs works in a thread of its own, one transaction after another.

    Args:
        engine: its one connection is this thread's alone.
        lines: where that connection can be cut off.
        check: raises what forbids to write at all, such as a database file that is gone.
        stuck_seconds: after so long in one transaction the thread counts as stuck.
        timer: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        lines: Lines,
        check: Callable[[], None],
        stuck_seconds: float = STUCK_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stuck_seconds = stuck_seconds
        self._timer = timer
        self._engine = engine
        self._lines = lines
        self._check = check
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # held for moments only, never while the database is spoken to
        self._batch: _Batch | None = None
        self._thread: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Whether the thread is dead, or hangs in something that nothing ends."""
        batch, thread = self._batch, self._thread
        if thread is None:
            return False
        return not thread.is_alive() or (batch is not None and self._age(batch) > self.stuck_seconds)

    @property
    def waiting(self) -> int:
        """How many works wait for the thread."""
        return self._jobs.qsize()

    async def run(self, work: Work[T], seconds: float, *, lazy: bool = False) -> T:
        """Runs one work; see `Database.run`, and `Database.run_lazily` for a lazy one."""
        if seconds <= 0 or self._jobs.qsize() >= MAX_WAITING:
            raise DatabaseUnavailable
        self._start()
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future(), lazy)
        self._jobs.put(job)
        try:
            async with asyncio.timeout(seconds):
                return await job.future  # type: ignore[no-any-return]  # the future carries what work returned
        except TimeoutError:
            result, error = self._give_up(job)
            if error is not None:
                raise error from None
            return result  # type: ignore[no-any-return]  # as above
        except asyncio.CancelledError:
            job.given_up = True
            raise

    def close(self, seconds: float) -> None:
        """Lets what waits finish, for so long; then cuts it off."""
        if self._thread is None:
            return
        self._jobs.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._lines.cut(self._thread.ident or 0)
            self._thread.join(0.5)
        self._thread = None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="database", daemon=True)
            self._thread.start()

    def _give_up(self, job: _Job) -> Outcome:
        """What is true of a work whose time is over; what hangs is cut off, so that the thread gets free."""
        with self._lock:
            job.given_up = True
            batch = self._batch
            if job.outcome is not None:  # just now
                return job.outcome
            mine = batch is not None and job in batch.jobs
            unclear = mine and batch is not None and batch.committing
            if batch is not None and ((mine and not batch.committing) or self._age(batch) >= PATIENCE_SECONDS):
                self._abandon(batch)
        return None, MaybeRecorded() if unclear else DatabaseUnavailable()

    def _age(self, batch: _Batch) -> float:
        return self._timer() - batch.began

    def _abandon(self, batch: _Batch) -> None:
        batch.abandoned = True
        if self._thread is not None:
            self._lines.cut(self._thread.ident or 0)

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
            wanted = [job for job in jobs if not job.given_up]
            if wanted:
                self._commit_together(_Batch(wanted, self._timer()))
            if last:
                return

    def _commit_together(self, batch: _Batch) -> None:
        with self._lock:
            self._batch = batch
        self._settle(batch, self._outcomes(batch))

    def _outcomes(self, batch: _Batch) -> list[Outcome]:
        """Runs the transaction; returns what becomes of each work in it."""
        try:
            return self._transact(batch)
        except Exception as error:  # noqa: BLE001  # whatever it was, each caller must learn that nothing was written
            return [(None, _told(error, batch))] * len(batch.jobs)

    def _settle(self, batch: _Batch, outcomes: list[Outcome]) -> None:
        with self._lock:
            self._batch = None
            for job, outcome in zip(batch.jobs, outcomes, strict=True):
                job.outcome = outcome
        for job in batch.jobs:
            job.settle()

    def _transact(self, batch: _Batch) -> list[Outcome]:
        self._check()
        with (
            self._lines.using(self._engine) as engine,
            engine.connect().execution_options(lazy=batch.lazy) as connection,
            connection.begin(),
        ):
            if len(batch.jobs) == 1:  # nobody else's work to protect: its failure undoes the transaction
                self._go_on(batch)
                outcomes: list[Outcome] = [_unless_given_up(connection, batch.jobs[0])]
            else:
                outcomes = [self._attempt(connection, batch, job) for job in batch.jobs]
            self._go_on(batch, committing=True)
        return outcomes

    def _attempt(self, connection: Connection, batch: _Batch, job: _Job) -> Outcome:
        """Runs one work inside a SAVEPOINT, so that its failure undoes nothing but its own.

        Spelled out, since SQLAlchemy's nested transactions take longer than most works.
        """
        self._go_on(batch)
        connection.exec_driver_sql("SAVEPOINT work")
        outcome: Outcome
        try:
            outcome = _unless_given_up(connection, job)
        except Exception as problem:  # noqa: BLE001  # handed to the one who waits for it
            outcome = None, _told(problem, batch)
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT work")
        connection.exec_driver_sql("RELEASE SAVEPOINT work")
        return outcome

    def _go_on(self, batch: _Batch, committing: bool = False) -> None:
        """Goes on with a transaction, unless it was given up; once it is being committed nobody takes it back."""
        with self._lock:
            if batch.abandoned:
                raise _Abandoned
            batch.committing = committing


def _unless_given_up(connection: Connection, job: _Job) -> Outcome:
    """Runs a work; one that was cancelled meanwhile is not begun any more."""
    return (None, DatabaseUnavailable()) if job.given_up else (job.work(connection), None)


def _told(error: Exception, batch: _Batch) -> Exception:
    """The error that the caller gets: what the database could not do has one type, whichever database it is."""
    if isinstance(error, _Abandoned) or (batch.abandoned and not batch.committing):
        return DatabaseUnavailable()
    if not isinstance(error, (OperationalError, InterfaceError)):
        return error
    lost = batch.committing and isinstance(error, DBAPIError) and error.connection_invalidated
    told = MaybeRecorded() if lost else DatabaseUnavailable(reason=_first_line(error))
    told.__cause__ = error
    return told


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""The database's own thread: works that wait together share one commit, and nobody waits for it for ever.

Whoever waits longer than they can is told so, and truly: what was not begun is never begun, what was begun is cut off
before its commit. Only while a commit is under way nobody can say. What has too little time left to be committed with
others is not begun at all: cut off among them, it would undo them all.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from bot.base.errors import DatabaseUnavailable, MaybeRecorded
from bot.db.batch import Abandoned, Batch, Job, Outcome, T, Work, told
from bot.db.connections import Lines
from bot.db.found import forget

__all__ = ["PATIENCE_SECONDS", "STUCK_SECONDS", "TOGETHER", "T", "Work", "Worker"]

TOGETHER = 64
"""How many waiting works may share a commit."""

MAX_WAITING = 2_000
"""More works than these wait for no answer in time."""

PATIENCE_SECONDS = 10.0
"""How long a work may take, waiting included; then it is given up, and the connection with it."""

SHARED_SECONDS = 0.25
"""After so long no further work is begun in a commit that is shared; it is one of the next."""

HASTE_SECONDS = 2 * SHARED_SECONDS
"""So much time is enough for any work that shares a commit; less may be, where the last commit took less than half."""

STUCK_SECONDS = 30.0
"""A transaction that is not even ended by cutting it off for so long has the thread count as stuck."""


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
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # held for moments only, never while the database is spoken to
        self._batch: Batch | None = None
        self._left: list[Job] = []  # taken, and to be the first in the next transaction
        self._lasted = 0.0  # seconds of a transaction, the longest of late
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
        return self._jobs.qsize() + len(self._left)

    async def run(self, work: Work[T], seconds: float, *, lazy: bool = False) -> T:
        """Runs one work; see `Database.run`, and `Database.run_lazily` for a lazy one."""
        if seconds <= 0 or self._jobs.qsize() >= MAX_WAITING:
            raise DatabaseUnavailable
        self._start()
        loop = asyncio.get_running_loop()
        job = Job(work, loop, loop.create_future(), self._timer() + seconds, lazy)
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

    def _give_up(self, job: Job) -> Outcome:
        """What is true of a work whose time is over; what hangs is cut off, so that the thread gets free."""
        with self._lock:
            job.given_up = True
            batch = self._batch
            if job.outcome is not None:  # just now
                return job.outcome
            mine = batch is not None and job in batch.jobs
            unclear = mine and batch is not None and batch.committing
            hangs = batch is not None and not batch.committing and (job.begun or not batch.begun)
            if batch is not None and ((mine and hangs) or self._age(batch) >= PATIENCE_SECONDS):
                self._abandon(batch)
        return None, MaybeRecorded() if unclear else DatabaseUnavailable()

    def _age(self, batch: Batch) -> float:
        return self._timer() - batch.began

    def _abandon(self, batch: Batch) -> None:
        batch.abandoned = True
        if self._thread is not None:
            self._lines.cut(self._thread.ident or 0)

    def _serve(self) -> None:
        last = False
        while self._left or not last:
            jobs, self._left = self._left, []
            with contextlib.suppress(queue.Empty):
                while len(jobs) < TOGETHER and not last:
                    job = self._jobs.get(block=not jobs)
                    if job is None:
                        last = True
                    else:
                        jobs.append(job)
            self._refuse_late(jobs)
            wanted = [job for job in jobs if not job.given_up]
            if wanted:
                self._commit_together(Batch(wanted, self._timer()))

    def _refuse_late(self, jobs: list[Job]) -> None:
        """Gives up, of works that would share a commit, those whose time would be over before it."""
        if len(jobs) < 2:
            return
        latest = self._timer() + min(2 * self._lasted, HASTE_SECONDS)
        with self._lock:
            late = [job for job in jobs if job.until < latest and not job.given_up]
            for job in late:
                job.given_up, job.outcome = True, (None, DatabaseUnavailable())
        for job in late:
            job.settle()

    def _commit_together(self, batch: Batch) -> None:
        with self._lock:
            self._batch = batch
        self._settle(batch, self._outcomes(batch))

    def _outcomes(self, batch: Batch) -> list[Outcome]:
        """Runs the transaction; returns what becomes of each work in it."""
        try:
            return self._transact(batch)
        except Exception as error:  # noqa: BLE001  # whatever it was, each caller must learn that nothing was written
            return [(None, told(error, batch))] * len(batch.jobs)

    def _settle(self, batch: Batch, outcomes: list[Outcome]) -> None:
        with self._lock:
            self._batch, self._lasted = None, max(self._age(batch), 0.9 * self._lasted)
            for job, outcome in zip(batch.jobs, outcomes, strict=True):
                job.outcome = outcome
        for job in batch.jobs:
            job.settle()

    def _transact(self, batch: Batch) -> list[Outcome]:
        self._check()
        with (
            self._lines.using(self._engine) as engine,
            engine.connect().execution_options(lazy=batch.lazy) as connection,
            connection.begin(),
        ):
            if len(batch.jobs) == 1:  # nobody else's work to protect: its failure undoes the transaction
                outcomes = [self._do(connection, batch, batch.jobs[0])]
            else:
                outcomes = self._attempt_each(connection, batch)
            self._go_on(batch)
        return outcomes

    def _attempt_each(self, connection: Connection, batch: Batch) -> list[Outcome]:
        """Runs works one after another; those for which there is no time left are kept for the next transaction."""
        outcomes: list[Outcome] = []
        until = self._timer() + SHARED_SECONDS
        for job in batch.jobs:
            if outcomes and self._timer() > until:
                break
            outcomes.append(self._attempt(connection, batch, job))
        with self._lock:
            self._left = batch.jobs[len(outcomes) :]
            batch.jobs = batch.jobs[: len(outcomes)]
        return outcomes

    def _attempt(self, connection: Connection, batch: Batch, job: Job) -> Outcome:
        """Runs one work inside a SAVEPOINT, so that its failure undoes nothing but its own.

        Spelled out, since SQLAlchemy's nested transactions take longer than most works.
        """
        connection.exec_driver_sql("SAVEPOINT work")
        outcome: Outcome
        try:
            outcome = self._do(connection, batch, job)
        except Abandoned:
            raise
        except Exception as problem:  # noqa: BLE001  # handed to the one who waits for it
            outcome = None, told(problem, batch)
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT work")
            forget(connection)
        connection.exec_driver_sql("RELEASE SAVEPOINT work")
        return outcome

    def _do(self, connection: Connection, batch: Batch, job: Job) -> Outcome:
        """Runs a work; one that was given up meanwhile is not begun any more."""
        self._go_on(batch, job)
        return (job.work(connection), None) if job.begun else (None, DatabaseUnavailable())

    def _go_on(self, batch: Batch, job: Job | None = None) -> None:
        """Goes on with a work, or to the commit, unless the transaction was given up; a commit is not taken back."""
        with self._lock:
            if batch.abandoned:
                raise Abandoned
            if job is None:
                batch.committing = True
            else:
                job.begun = not job.given_up

"""What runs the bot's transactions in the world: real ones on a real database, in the loop's own thread.

A transaction takes its time before and after it is committed, and whatever can become of it does, if the world says so.
"""

import asyncio
import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from bot.base.errors import DatabaseUnavailable
from bot.db.batch import Batch, Job, Outcome, told
from bot.db.connections import Lines
from bot.db.worker import TOGETHER, Worker
from tests.simulation.databases import Storage

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
        storage: where the rows are.
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
        storage: Storage,
        timer: Callable[[], float],
    ) -> None:
        super().__init__(engine, lines, check, timer=timer)
        self._fate_of = fate
        self._kill = kill
        self._sleep = sleep
        self._storage = storage
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
            self._storage.cut(self._engine)
            raise _error("the database is gone")
        self._storage.before(batch)
        outcomes = super()._transact(batch)
        self._storage.after(batch)
        if self._fate.lost:
            self._storage.cut(self._engine)
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
            self._storage.cut(self._engine)
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

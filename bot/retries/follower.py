"""The follower: one batched read for all followed jobs, then whatever it shows is recorded.

Settles what is `unknown` and follows what was `accepted`; both are rows with a `due_at`, not sleeping coroutines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.base.errors import WrongState
from bot.base.loops import Tasks, until_written
from bot.db.database import Database
from bot.retries import about, claims, late, outcome, store
from bot.retries.cooldown import offered_until
from bot.retries.kind import Kind
from bot.retries.outcome import Outcome
from bot.retries.request import Retry
from bot.retries.state import State
from bot.retries.store import Changes
from bot.sift.client import Sift
from bot.sift.errors import SiftError
from bot.sift.job import Job
from bot.sift.subject import About
from bot.sift.subjects import Subjects

log = structlog.get_logger(__name__)

BY_THE_JOB = (Kind.RETRY, Kind.CANCEL)
"""What a job tells of an unknown outcome; that of a rerun is told by a report, see `reruns`."""

LATE_POLLS = 3
"""For so many polls after a retry, a read that shows the job as before is taken for a late one."""

CLAIMED = 0.9
"""How much of a poll a row is claimed for: a little less, so that the next look does not find it a moment too early."""


@dataclass(frozen=True)
class Step:
    """A change of a row, and whom to tell once it is committed.

    Args:
        enters: whether the row enters a state; else it is progress, which is read again should it be lost.
    """

    write: Callable[[Connection], Retry]
    tell: Callable[[], None] = lambda: None
    enters: bool = False


class Follower:
    """Follows retries to their end.

    Args:
        poll: how often a followed job is read.
        settle: how long an unknown outcome is read back before it is reported as it is.
        changed: told when rows changed, so that they are shown.
        entered: told each state that a request entered.
        tasks: where the reason of a new failure is looked up, so that nothing waits for it.
        finds_late: whether it is looked for reports that were evaluated before an import's data arrived.
        cooldown: the least time between two retries of one job.
    """

    def __init__(
        self,
        *,
        database: Database,
        sift: Sift,
        subjects: Subjects,
        clock: Clock,
        poll: timedelta,
        settle: timedelta,
        changed: Callable[[], None],
        entered: Callable[[State], None],
        tasks: Tasks,
        finds_late: bool = False,
        cooldown: timedelta = timedelta(0),
    ) -> None:
        self._database = database
        self._sift = sift
        self._subjects = subjects
        self._clock = clock
        self._poll = poll
        self._settle = settle
        self._changed = changed
        self._entered = entered
        self._tasks = tasks
        self._finds_late = finds_late
        self._cooldown = cooldown

    async def step(self) -> None:
        """Reads every job that is due in as few requests as there can be, and records what moved.

        Raises:
            SiftError: Sift could not be read; what is followed is read again later.
        """
        retries = await self._database.run_lazily(self._claim)
        if not retries:
            return
        try:
            jobs = await self._sift.jobs({retry.followed_id for retry in retries})
        except SiftError:
            await self._record(retries, self._unreadable)
            raise
        key_user = await self._sift.key_user()
        await self._record(retries, lambda retry, at: self._look(retry, jobs, at, key_user))

    def _claim(self, connection: Connection) -> list[Retry]:
        now = self._database.now(connection)
        until = now + self._poll * CLAIMED
        followed = claims.claim(connection, [State.ACCEPTED], now, until=until)
        return followed + claims.claim(connection, [State.UNKNOWN], now, until=until, kinds=BY_THE_JOB)

    async def _record(self, retries: list[Retry], look: Callable[[Retry, datetime], Step | None]) -> None:
        """Writes what changed, all in one transaction, and has it shown."""
        at = self._clock()
        steps = [step for retry in retries if (step := look(retry, at)) is not None]
        if not steps:
            return

        def work(connection: Connection) -> list[Step]:
            return [step for step in steps if _written(connection, step)]

        seconds = (self._poll * CLAIMED).total_seconds()
        run = self._database.run if any(step.enters for step in steps) else self._database.run_lazily
        for step in await until_written(lambda: run(work), seconds=seconds):
            step.tell()
        self._changed()

    def _look(self, retry: Retry, jobs: Mapping[str, Job], at: datetime, key_user: str | None) -> Step | None:
        """What one row's job shows: a verdict, progress, or nothing new."""
        job = jobs.get(retry.followed_id)
        if retry.state is State.UNKNOWN:
            found = outcome.settled(retry, job, at, self._settle, key_user)
        else:
            found = outcome.followed(retry, job, at, self._poll * LATE_POLLS)
        if found is not None:
            return self._enter(retry, found, job, at)
        if job is None:
            return Step(lambda connection: store.note_progress(connection, retry, at, missed=retry.missed + 1))
        if retry.state is State.UNKNOWN or job == retry.job_after or outcome.is_late(retry, job):
            return None
        return Step(lambda connection: store.note_progress(connection, retry, at, job_after=job, missed=0))

    def _enter(self, retry: Retry, found: Outcome, job: Job | None, at: datetime) -> Step:
        changes: Changes = {} if job is None else {"job_after": job}
        if self._finds_late and late.may_have_come_late(retry.kind, found.state, job):
            changes["late_until"] = at + late.LOOK_FOR
        if (until := offered_until(retry, found.state, self._cooldown)) is not None and until > at:
            changes["cools_until"] = until

        def write(connection: Connection) -> Retry:
            due_at = self._database.now(connection) + self._poll * CLAIMED
            more: Changes = {**changes, "detail": found.detail, "due_at": due_at}
            return store.enter_once(connection, retry, found.state, at, **more)

        def tell() -> None:
            log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=found.state, **found.detail)
            self._entered(found.state)
            if found.state is State.FAILED_AGAIN and job is not None:
                self._tasks.start(self._explain(retry, job), request_id=retry.id)

        return Step(write, tell, enters=True)

    async def _explain(self, retry: Retry, job: Job) -> None:
        """Adds why the job failed again, as far as Sift says."""
        found = (await self._subjects.about([job])).get(job.job_id, About())
        if found != About():
            await self._database.run(lambda connection: about.add_again(connection, retry.id, found, self._clock()))
            self._changed()

    def _unreadable(self, retry: Retry, at: datetime) -> Step | None:
        """Says of an unknown outcome, once, that it stays unknown for as long as Sift cannot be read."""
        overdue = retry.state is State.UNKNOWN and at - (retry.unknown_at or retry.created_at) >= self._settle
        if not overdue or retry.detail.get("overdue"):
            return None
        detail = {**retry.detail, "overdue": True}
        return Step(lambda connection: store.note_progress(connection, retry, at, detail=detail))


def _written(connection: Connection, step: Step) -> bool:
    """Writes one step, unless somebody else moved its row meanwhile."""
    try:
        step.write(connection)
    except WrongState:
        log.info("follow.overtaken")
        return False
    return True

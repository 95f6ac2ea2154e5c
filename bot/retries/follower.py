"""The follower: one read for all followed jobs, then whatever it shows is recorded.

Settles what is `unknown` and follows what was `accepted`; both are rows with a `due_at`, not sleeping coroutines. The
rows are claimed for longer than a poll, so what does not move costs no transaction; each write names the fence.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, exc

from bot.base.clock import Clock
from bot.base.errors import WrongState
from bot.base.loops import Tasks
from bot.db.database import Database
from bot.db.writing import until_written
from bot.retries import about, claims, late, outcome, store
from bot.retries.cooldown import offered_until
from bot.retries.followed import Followed, Held, Reading
from bot.retries.kind import Kind
from bot.retries.outcome import Outcome
from bot.retries.queries import UNREADABLE
from bot.retries.recorder import claiming
from bot.retries.request import Retry
from bot.retries.state import State
from bot.retries.store import Changes
from bot.sift.client import Sift
from bot.sift.errors import SiftError
from bot.sift.job import Job
from bot.sift.subject import About
from bot.sift.subjects import Subjects
from bot.slack.outbox import LEASE
from bot.slack.publisher import Claim, Publisher

log = structlog.get_logger(__name__)

BY_THE_JOB = (Kind.RETRY, Kind.CANCEL)
"""What a job tells of an unknown outcome; that of a rerun is told by a report, see `reruns`."""

LATE_POLLS = 3
"""For so many polls after a retry, a read that shows the job as before is taken for a late one."""

CLAIM_EVERY = 6
"""In how many polls it is looked for rows that nobody follows; at the next one where this process made some."""

CLAIMED_AT_A_TIME = 1_000

TOGETHER = 10
"""So many rows are written in one transaction, so that nobody else waits for long."""

LEASE_ALONE = timedelta(minutes=10)
"""For so long rows are claimed where there is one process, whose next start frees them anyhow."""


@dataclass(frozen=True)
class _Done:
    """A row as it is now, and the step that brought it there, if it took one."""

    row: Retry
    step: "Step | None" = None


@dataclass(frozen=True)
class Step:
    """A change of a row, and whom to tell once it is committed.

    Args:
        enters: whether the row enters a state; else it is progress, which is read again should it be lost.
    """

    retry: Retry
    write: Callable[[Connection], Retry]
    tell: Callable[[], None] = lambda: None
    enters: bool = False

    @property
    def id(self) -> str:
        return self.retry.id


class Follower:
    """Follows retries to their end.

    Args:
        publisher: shows a lone request as soon as it moved.
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
        publisher: Publisher[Retry],
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
        self._publisher = publisher
        self._clock = clock
        self._poll = poll
        self._settle = settle
        self._changed = changed
        self._entered = entered
        self._tasks = tasks
        self._finds_late = finds_late
        self._cooldown = cooldown
        self._rows = Followed(poll * LATE_POLLS)
        self._reading = Reading(sift)
        self._lease = LEASE_ALONE if database.is_sqlite else max(LEASE, poll * CLAIM_EVERY)
        self._stopping = False
        self._expects = True
        self._claimed_at: datetime | None = None

    def entered(self, state: State) -> None:
        """Told each state that a request entered; what is to be followed from now on is claimed at the next poll."""
        self._entered(state)
        self._expects = self._expects or state in (State.ACCEPTED, State.UNKNOWN)

    async def stop(self) -> None:
        """Leaves what is followed to other processes, at once."""
        self._stopping = True
        for mine, ids in self._rows.claims():
            await self._renew(ids, mine, timedelta(0))

    async def step(self) -> None:
        """Reads every job that is due in as few requests as there can be, and records what moved.

        Raises:
            SiftError: Sift could not be read; what is followed is read again later.
        """
        at = self._clock()
        if self._stopping:
            return
        await self._hold(at)
        if not self._rows:
            return
        try:
            jobs = await self._reading.read(self._rows, at)
        except SiftError:
            await self._record(list(self._rows), {}, self._clock(), self._unreadable)
            raise
        counting = [held for held in self._rows if held.counts(jobs, at)]
        if counting:
            key_user, at = await self._sift.key_user(), self._clock()
            for start in range(0, len(counting), TOGETHER):
                some = counting[start : start + TOGETHER]
                await self._record(some, jobs, at, lambda retry, at: self._look(retry, jobs, at, key_user))

    async def _hold(self, at: datetime) -> None:
        """Claims what nobody follows, when there may be some, and keeps what is followed here."""
        before = self._claimed_at
        if self._expects or before is None or not timedelta(0) <= at - before < self._poll * CLAIM_EVERY:
            self._expects, self._claimed_at = False, at
            try:
                claimed = await self._database.run_lazily(self._claim)
            except BaseException:
                self._expects = True
                raise
            self._rows.put(claimed)
            self._expects = self._expects or len(claimed) >= CLAIMED_AT_A_TIME
        for mine, ids in self._rows.claims(before=at + self._lease / 2):
            await self._renew(ids, mine, self._lease)

    def _claim(self, connection: Connection) -> list[Retry]:
        now = self._database.now(connection)
        until, most = now + self._lease, CLAIMED_AT_A_TIME
        followed = claims.claim(connection, [State.ACCEPTED], now, until=until, limit=most)
        return followed + claims.claim(connection, [State.UNKNOWN], now, until=until, kinds=BY_THE_JOB)

    async def _renew(self, ids: Sequence[str], mine: datetime, lease: timedelta) -> None:
        """Keeps rows for another lease; those that somebody else took meanwhile are left to them."""

        def work(connection: Connection) -> tuple[set[str], datetime]:
            until = self._database.now(connection) + lease
            return claims.renew(connection, ids, mine, until), until

        kept, until = await self._database.run_lazily(work)
        self._rows.renewed(kept, until)
        self._rows.drop(set(ids) - kept)

    async def _record(
        self,
        looked_at: Sequence[Held],
        jobs: Mapping[str, Job | None],
        at: datetime,
        look: Callable[[Retry, datetime], Step | None],
    ) -> None:
        """Looks at rows as they were at a moment, writes what changed in one transaction, and has it shown."""
        known = [held.retry for held in looked_at if held.retry is not None]
        unknown = {held.id: held.fence for held in looked_at if held.retry is None and held.job_id in jobs}
        steps = [step for retry in known if (step := look(retry, at)) is not None]
        done: dict[str, _Done] = {}
        if steps or unknown:

            def work(connection: Connection) -> dict[str, _Done]:
                loaded = claims.load(connection, list(unknown))
                mine = {retry.id: retry for retry in loaded if retry.fence == unknown[retry.id]}
                more = {identifier: look(retry, at) for identifier, retry in mine.items()}
                quiet = {identifier: _Done(mine[identifier]) for identifier, step in more.items() if step is None}
                return quiet | _written(connection, [*steps, *filter(None, more.values())], shown)

            run = self._database.run if unknown or any(step.enters for step in steps) else self._database.run_lazily
            with contextlib.ExitStack() as turns:
                shown = {step.id: turns.enter_context(claiming(self._publisher, step.retry)) for step in steps}
                done = await until_written(lambda: run(work), seconds=self._poll.total_seconds())
            self._rows.drop({step.id for step in steps} - done.keys() | unknown.keys() - done.keys())
        self._rows.put(written.row for written in done.values())
        told = [written.step for written in done.values() if written.step is not None]
        self._rows.looked_at([held.id for held in looked_at], jobs, at)
        for step in told:
            step.tell()
        if told:
            self._changed()

    def _look(self, retry: Retry, jobs: Mapping[str, Job | None], at: datetime, key_user: str | None) -> Step | None:
        """What one row's job shows: an outcome, progress, or nothing new."""
        job = jobs.get(retry.followed_id)
        if retry.state is State.UNKNOWN:
            found = outcome.settled(retry, job, at, self._settle, key_user)
        else:
            found = outcome.followed(retry, job, at, self._poll * LATE_POLLS)
        if found is not None:
            return self._enter(retry, found, job, at)
        if job is None:
            return Step(retry, lambda connection: store.note_progress(connection, retry, at, missed=retry.missed + 1))
        if retry.state is State.UNKNOWN or job == retry.job_after or outcome.is_late(retry, job):
            return None
        return Step(retry, lambda connection: store.note_progress(connection, retry, at, job_after=job, missed=0))

    def _enter(self, retry: Retry, found: Outcome, job: Job | None, at: datetime) -> Step:
        changes: Changes = {} if job is None else {"job_after": job}
        if self._finds_late and late.may_have_come_late(retry.kind, found.state, job):
            changes["late_until"] = at + late.LOOK_FOR
        if (until := offered_until(retry, found.state, self._cooldown)) is not None and until > at:
            changes["cools_until"] = until

        def write(connection: Connection) -> Retry:
            due_at = self._database.now(connection) + self._lease
            more: Changes = {**changes, "detail": found.detail, "due_at": due_at}
            return store.enter_once(connection, retry, found.state, at, **more)

        def tell() -> None:
            log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=found.state, **found.detail)
            self._entered(found.state)
            if found.state is State.FAILED_AGAIN and job is not None:
                self._tasks.start(self._explain(retry, job), request_id=retry.id)

        return Step(retry, write, tell, enters=True)

    async def _explain(self, retry: Retry, job: Job) -> None:
        """Adds why the job failed again, as far as Sift says."""
        found = (await self._subjects.about([job])).get(job.job_id, About())
        if found != About():
            await self._database.run(lambda connection: about.add_again(connection, retry.id, found, self._clock()))
            self._changed()

    def _unreadable(self, retry: Retry, at: datetime) -> Step | None:
        """Says of an unknown outcome, once, that it stays unknown for as long as Sift cannot be read."""
        overdue = retry.state is State.UNKNOWN and outcome.is_overdue(retry, at, self._settle)
        if not overdue or retry.detail.get("overdue"):
            return None
        detail = {**retry.detail, "overdue": True}
        return Step(retry, lambda connection: store.note_progress(connection, retry, at, detail=detail))


def _written(connection: Connection, steps: Sequence[Step], shown: Mapping[str, Claim]) -> dict[str, _Done]:
    """Writes steps, and claims to show them where there is a place for that; not if somebody moved a row meanwhile."""
    done: dict[str, _Done] = {}
    for step in steps:
        try:
            with connection.begin_nested():  # what one row spoils, it spoils for itself
                done[step.id] = _Done(step.write(connection), step)
        except WrongState:
            log.info("follow.overtaken", request_id=step.id)
            continue
        except (*UNREADABLE, exc.IntegrityError, exc.DataError) as error:
            log.error("retry.unreadable", request_id=step.id, error=type(error).__name__)
            continue
        if step.id in shown:
            shown[step.id](connection)
    return done

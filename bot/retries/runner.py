"""The runner: takes one recorded request and pushes it to its outcome.

decide → read the job → mark `sending` → `POST …:retry` once → record the outcome → show it. The mark is committed
before the POST leaves, so whatever is found in `sending` later may have been sent, and is never sent again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.access.authorizer import Access
from bot.access.policy import AccessRequest, Decision, Permission, Reason
from bot.base.bulkhead import Bulkhead
from bot.base.clock import Clock
from bot.base.errors import WrongState
from bot.base.loops import Tasks, until_written
from bot.db.database import Database
from bot.retries import approvals, batches, store
from bot.retries import outcome as retries_outcome
from bot.retries.limiter import Limiter
from bot.retries.messages import answers
from bot.retries.outcome import Outcome
from bot.retries.request import Request, Retry
from bot.retries.state import ACTIVE, State
from bot.sift.client import LONGEST_WAIT, Sift
from bot.sift.errors import MustWait, OutcomeUnknown, SiftError
from bot.sift.job import Cause, Job
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.outbox import LEASE
from bot.slack.people import PERSON_SECONDS, People, Person
from bot.slack.publisher import Publisher

log = structlog.get_logger(__name__)

HINT_SECONDS = 3.0
"""After so long without an answer from Sift, the person is told that it takes longer."""

CAUSE_SECONDS = 10
"""How long the reason of the earlier failure is waited for after the retry itself is done."""

MAX_READ_AGE = timedelta(seconds=10)
"""A job that was read longer ago than this is read again before it is retried."""

GIVE_WAY_SECONDS = 0.05
"""For so long at most a turn waits while requests are being recorded: acks go first."""

MAX_CONCURRENT = 32
"""Requests on their way to an outcome at a time, of lone ones and of batches each: what is in flight takes memory."""

OF_ONE_PERSON = 16
"""So many of them are one person's: whoever asks for a lot, or is slow to be looked up, leaves room for others."""

DECIDE_SECONDS = 10.0
"""How long finding out who somebody is and what they may do can take; then the answer is no."""

PUT_OFF_WITHIN = timedelta(minutes=10)
"""For so long a request waits where Slack wants no look-ups; then the answer is no."""

STANDING = timedelta(seconds=PERSON_SECONDS)
"""Who somebody is, and what they may do, was found out no longer ago than this when their retry is sent."""

BRIEFLY = 1.0
"""Seconds that a turn keeps its place while Sift asks to wait; for longer, the request goes back to the queue."""

WAIT_WITHIN = timedelta(hours=6)
"""So old a request may become while Sift asks to wait; then that is its outcome."""

KEEP_EVERY = LEASE / 4
"""How often the requests that wait here are put off for the other replicas."""

GIVE_BACK_SECONDS = 0.5
"""So long a stop tries to leave what still waits here to other replicas at once; else they find it a lease later."""

ALONE, IN_A_BATCH = 0, 1
"""Ranks: somebody who waits for one job does not wait for hundreds."""


class Outdated(Exception):
    """Who somebody is was found out too long ago."""


class PutOff(Exception):
    """Slack wants no questions for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class Allowed:
    """That somebody may, as far as that is known before the job is read, and when it was found out."""

    decision: Decision
    at: datetime


class Refused(Exception):
    """There is nothing to retry, or this person may not."""

    def __init__(self, state: State, detail: dict[str, Any], **columns: Any) -> None:
        super().__init__(state)
        self.state = state
        self.detail = detail
        self.columns = columns


@dataclass(frozen=True)
class _Found:
    """What a sweep found left behind: to be carried out, and refused because nobody did for too long."""

    waiting: Sequence[Retry]
    stale: Sequence[Retry]


class Runner:
    """Pushes requests to their outcome, so many at a time.

    Args:
        cooldown: the least time between two retries of one job.
        pace: how many calls of Sift's retry endpoint may be under way at a time.
        approval_after: from this retry of one job on, a second person must approve; None: never.
        workspace: the Slack workspace whose people may be allowed.
        entered: told each state that a request entered.
        changed: told when messages other than the retry's own are to be shown again.
    """

    def __init__(
        self,
        *,
        database: Database,
        sift: Sift,
        slack: Slack,
        people: People,
        access: Access,
        publisher: Publisher[Retry],
        clock: Clock,
        cooldown: timedelta,
        limiter: Limiter,
        approval_after: int | None,
        workspace: str,
        entered: Callable[[State], None],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._sift = sift
        self._slack = slack
        self._people = people
        self._access = access
        self._publisher = publisher
        self._clock = clock
        self._cooldown = cooldown
        self._workspace = workspace
        self._entered = entered
        self._limiter = limiter
        self._approval_after = approval_after
        self._changed = changed
        self._stopping = False
        self._at_work: set[str] = set()
        self._spelling: set[str] = set()
        self._kept_at: datetime | None = None
        self._recording = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._rooms = {rank: Bulkhead(MAX_CONCURRENT, OF_ONE_PERSON) for rank in (ALONE, IN_A_BATCH)}
        self.tasks = Tasks()

    @contextlib.contextmanager
    def giving_way(self) -> Iterator[None]:
        """Has turns that are about to begin wait for a moment: something is being recorded that Slack waits for."""
        self._recording += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._recording -= 1
            if not self._recording:
                self._quiet.set()

    def start(self, request: Request) -> None:
        """Takes up a recorded request on the side."""
        if request.id not in self._at_work and not self._stopping:
            self._at_work.add(request.id)
            self.tasks.start(self._run(request), request_id=request.id)

    def start_batches(self) -> None:
        """Spells out what batches are recorded, and takes it up, on the side."""
        self.tasks.start(self._open_batches())

    async def sweep(self) -> None:
        """Takes up what was left behind: by a crash, a failed turn, another replica."""
        held = sorted(self._at_work)
        found = await self._database.run(lambda connection: self._left_behind(connection, held))
        for request in found.waiting:
            self.start(request)
        for request in found.stale:
            log.info("retry.refused", request_id=request.id, job_id=request.job_id, state=State.REFUSED, why="stale")
            self._entered(State.REFUSED)
        await self._open_batches()

    async def _open_batches(self) -> None:
        """Has each batch spelled out by itself: one whose person Slack is slow to name holds up no other."""
        found = await self._database.run(lambda connection: batches.due(connection, self._database.now(connection)))
        for batch in found:
            if batch.id not in self._spelling and not self._stopping:
                self._spelling.add(batch.id)
                self.tasks.start(self._spell_out(batch), batch_id=batch.id)

    async def _spell_out(self, batch: batches.Open) -> None:
        try:
            # Whether the person may retry anything there, whatever job it is: asked once for the whole batch.
            decision = None if batch.begun else await self._found_out(batch, batch.created_at)
            left = True
            while left and not self._stopping:
                left = await self._spell_out_some(batch, decision)
        except PutOff as pause:  # it stays due, so the next sweeps ask again
            log.info("batch.put_off", batch_id=batch.id, seconds=round(pause.seconds))
        finally:
            self._spelling.discard(batch.id)

    async def _spell_out_some(self, batch: batches.Open, decision: Decision | None) -> bool:
        """One step; answers whether there is more to spell out."""

        def work(connection: Connection) -> batches.Spelled | State:
            now, at = self._database.now(connection), self._clock()
            refusal = self._refusal_of(connection, batch, decision, at)
            if refusal is not None and batches.refuse(connection, batch.id, refusal.state, refusal.detail, now, at):
                return refusal.state
            return batches.spell_out(connection, batch.id, now, at)

        spelled = await self._database.run(work)
        if isinstance(spelled, State):
            log.info("batch.refused", batch_id=batch.id, user_id=batch.user_id, state=spelled)
            self._entered(spelled)
            self._changed()
            return False
        for request in spelled.requests:
            self.start(request)
        for _ in range(spelled.refused):
            self._entered(State.REFUSED)
        return spelled.left

    def _refusal_of(
        self, connection: Connection, batch: batches.Open, decision: Decision | None, at: datetime
    ) -> Refused | None:
        """Why none of a batch that has not begun is let through."""
        if decision is None:
            return None
        if not decision.allowed:
            ask = self._access.who_may_grant(connection, at)
            return Refused(State.DENIED, {**decision.explained(at), "ask": ask})
        told = batches.under_way(connection, batch.id)
        return Refused(State.REFUSED, told) if told is not None else None

    async def stop(self, seconds: float) -> None:
        """Starts nothing more, and waits for what is under way; what cannot finish is found again at the next start."""
        self._stopping = True
        held = sorted(self._at_work)
        await self.tasks.drain(seconds)
        if held and not self._database.is_sqlite:  # where the next start frees everything anyway
            with contextlib.suppress(TimeoutError, SQLAlchemyError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._database.run(lambda c: store.keep(c, held, self._database.now(c)))

    def _left_behind(self, connection: Connection, held: Sequence[str]) -> _Found:
        now, at = self._database.now(connection), self._clock()
        for retry in store.claim(connection, [State.SENDING], now):
            log.warning("retry.unknown", request_id=retry.id, why="interrupted")
            store.transition(connection, retry, State.UNKNOWN, now, detail={"why": "interrupted"}, due_at=now)
        if self._kept_at is None or not now - KEEP_EVERY < self._kept_at <= now:
            store.keep(connection, held, now + LEASE)
            self._kept_at = now
        others = [retry for retry in store.due(connection, [State.REQUESTED], now) if retry.id not in self._at_work]
        stale = [retry for retry in others if store.is_stale(retry, now)][: store.STALE_AT_A_TIME]
        for retry in stale:
            store.refuse_stale(connection, retry.id, retry.created_at, now, at)
        return _Found([retry for retry in others if not store.is_stale(retry, now)], stale)

    async def _run(self, request: Request) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), GIVE_WAY_SECONDS)
            await self._turn(request)
        finally:
            self._at_work.discard(request.id)

    async def _turn(self, request: Request) -> None:
        alone = request.batch_id is None
        hint = asyncio.create_task(self._hint(request)) if alone else None
        try:
            async with self._rooms[_rank(request)].share(request.user_id):
                why = await self._carry_out(request)
        finally:
            if hint is not None:
                hint.cancel()
        if alone and (why is None or not why.done()):
            await self._publisher.show(request.id)
        if why is not None:
            await self._add_cause(request.id, why)
            if alone:
                await self._publisher.show(request.id)
        self._changed()

    async def _hint(self, request: Request) -> None:
        """Says that it takes longer, so that nobody stares at a channel in which nothing happens."""
        await asyncio.sleep(HINT_SECONDS)
        await self._tell(request, answers.still_at_it(request.id, request.job_id))

    async def _tell(self, request: Request, message: Message) -> None:
        await self._slack.tell(
            request.user_id,
            message,
            channel_id=request.channel_id,
            thread_ts=request.asked_in,
            response_url=request.response_url,
        )

    async def _carry_out(self, request: Request) -> "asyncio.Task[Cause] | None":
        """Brings a request to its outcome; answers the look-up of why the job failed before, if it was sent."""
        try:
            while True:
                allowed = await self._allowed(request)  # before a place is taken, since it may take a while
                with contextlib.suppress(Outdated):
                    async with self._rooms[_rank(request)].place():
                        return await self._attempt(request, allowed)
        except Refused as refusal:
            await self._refuse(request, refusal)
        except PutOff as pause:
            await self._put_off(request, pause.seconds)
        except MustWait as limit:
            await self._wait_for_sift(request, limit)
        return None

    async def _allowed(self, request: Request) -> Allowed:
        """Finds out who somebody is and what they may do.

        Raises:
            Refused: they may not, or nobody can say in time.
            PutOff: Slack wants to be asked later.
        """
        at = self._clock()
        decision = await self._found_out(request, request.created_at if isinstance(request, Retry) else at)
        if decision.allowed:
            return Allowed(decision, at)
        raise self.denial(decision)

    async def _found_out(self, request: Request | batches.Open, asked_at: datetime) -> Decision:
        """What somebody may do; no, if nobody can say in time.

        Raises:
            PutOff: Slack wants to be asked later.
        """
        decision = Decision(False, Reason.UNKNOWN_PERSON)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DECIDE_SECONDS):
                person = await self._people.person(request.user_id, request.team_id)
                decision = Decision(False, Reason.GROUPS_UNKNOWN if person else Reason.UNKNOWN_PERSON)
                decision = await self._access.decide(self._wish(request.channel_id), person, request.user_id)
        unknown = decision.why in (Reason.UNKNOWN_PERSON, Reason.GROUPS_UNKNOWN)
        waited = self._clock() - asked_at > PUT_OFF_WITHIN
        if unknown and not waited and (wait := self._people.look_up_wait):
            raise PutOff(wait)
        return decision

    async def _attempt(self, request: Request, allowed: Allowed) -> "asyncio.Task[Cause] | None":
        """Reads the job, waits until Sift may be called, and sends the retry.

        Raises:
            Outdated: that took so long that who somebody is has to be found out again.
        """
        read_at, job = self._clock(), await self._read(request)
        async with self._limiter.slot(_rank(request)):
            if self._stopping:
                return None
            if self._clock() - allowed.at > STANDING or not self._people.remembers(request.user_id):
                raise Outdated
            person = await self._people.person(request.user_id, request.team_id)
            if self._clock() - read_at > MAX_READ_AGE:
                read_at, job = self._clock(), await self._read(request)
            return await self._retry(request, job, allowed.decision, person, read_at)

    async def _put_off(self, request: Request, seconds: float) -> None:
        """Has the request looked at again later; a restart does not forget it meanwhile."""

        def work(connection: Connection) -> list[Retry]:
            now = self._database.now(connection)
            return store.claim(
                connection, [State.REQUESTED], now, only=request.id, until=now + timedelta(seconds=seconds)
            )

        for retry in await self._database.run(work):
            log.info("retry.put_off", request_id=retry.id, seconds=round(seconds))

    async def _retry(
        self, request: Request, job: Job, decision: Decision, person: Person | None, read_at: datetime
    ) -> "asyncio.Task[Cause] | None":
        """Marks the request as sent, sends it, and records what came of it.

        Raises:
            MustWait: Sift asked to be left alone; nothing is marked or sent.
        """
        if (seconds := self._sift.must_wait("retry")) > BRIEFLY:
            raise MustWait(retry_after=seconds)
        key_user = await self._sift.key_user()
        sending = await self._mark_sending(request, job, decision, person, read_at)
        if sending is None:
            return None
        why = asyncio.create_task(self._sift.why_failed(job))
        try:
            await self._send(sending, key_user)
        except BaseException:
            why.cancel()
            raise
        return why

    async def _read(self, request: Request) -> Job:
        """The job as it is now, if there is something to retry.

        Raises:
            Refused: there is not, or Sift did not say.
            MustWait: Sift wants to be asked later.
        """
        try:
            job = await self._sift.job(request.job_id)
        except MustWait:
            raise
        except SiftError as error:
            raise Refused(State.FAILED, _said(error, "read")) from error
        if job is None:
            raise Refused(State.REFUSED, {"why": "unknown_job"})
        if not job.retryable:
            under_way = await self._database.run(lambda connection: _under_way(connection, request.job_id))
            raise Refused(State.REFUSED, under_way or {"why": "not_retryable"}, job_before=job)
        if request.offered is not None and request.offered != job.failure:
            raise Refused(State.REFUSED, {"why": "outdated"}, job_before=job)
        return job

    def _wish(self, channel_id: str | None, job: Job | None = None) -> AccessRequest:
        return AccessRequest(
            right=Permission.RETRY,
            workspace=self._workspace,
            at=self._clock(),
            channel_id=channel_id,
            job_type=job.kind if job else None,
        )

    def denial(self, decision: Decision, **columns: Any) -> Refused:
        return Refused(State.DENIED, decision.explained(self._clock()), **columns)

    async def _mark_sending(
        self, request: Request, job: Job, decision: Decision, person: Person | None, read_at: datetime
    ) -> Retry | None:
        """Claims the row and commits that the retry is about to be sent; None if somebody else has the row.

        Raises:
            Refused: the person may not retry such a job, or it is being retried already, or was a moment ago.
        """

        def work(connection: Connection) -> Retry | None:
            wish = self._wish(request.channel_id, job)
            final = self._access.decide_again(connection, wish, person, decision)
            if not final.allowed:
                raise self.denial(final, job_before=job)
            return self._begin(connection, request, job, final, person, read_at)

        try:
            return await self._database.run(work)
        except IntegrityError:  # another replica was faster; now its row is there to be seen
            return await self._database.run(work)

    def _begin(
        self,
        connection: Connection,
        request: Request,
        job: Job,
        decision: Decision,
        person: Person | None,
        read_at: datetime,
    ) -> Retry | None:
        at, due = self._clock(), self._database.now(connection)
        newest, accepted_at, count = store.last_attempts(connection, request.job_id)
        if newest is not None and newest.sent_at is not None:
            told = _told_of(newest)
            if newest.state in ACTIVE:
                raise Refused(State.REFUSED, {"why": "under_way", **told}, job_before=job)
            if newest.sent_at >= read_at:  # what was read is older than that retry
                raise Refused(State.REFUSED, {"why": "just_retried", **told}, job_before=job)
            if accepted_at is not None and (left := accepted_at + self._cooldown - at) > timedelta(0):
                seconds = max(1, -(-left // timedelta(seconds=1)))
                raise Refused(State.REFUSED, {"why": "cooldown", "seconds": seconds, **told}, job_before=job)
        claimed = store.claim(connection, [State.REQUESTED], due, only=request.id)
        if not claimed:
            return None
        if self._needs_approval(claimed[0], count + 1, job):
            approvals.ask(connection, replace(claimed[0], job_before=job, attempt=count + 1), due, at)
            return None
        grant = decision.grant
        return store.transition(
            connection,
            claimed[0],
            State.SENDING,
            at,
            due_at=due + LEASE,
            sent_at=at,
            job_before=job,
            attempt=count + 1,
            grant_id=grant.id if grant else None,
            note={
                "allowed_by": decision.why.value,
                "granted_by": grant.granted_by if grant else "ADMINS",
                "name": person.name if person else None,
                "email": person.email if person else None,
            },
        )

    def _needs_approval(self, claimed: Retry, attempt: int, job: Job) -> bool:
        """Whether a second person has to speak first.

        Raises:
            Refused: nobody did in time, or it is one of many.
        """
        if self._approval_after is None or attempt < self._approval_after or claimed.approved_by is not None:
            return False
        if claimed.batch_id is not None:
            raise Refused(State.DENIED, {"why": "approval_needed"}, job_before=job)
        if claimed.approval_until is not None and claimed.approval_until <= self._clock():
            raise Refused(State.DENIED, {"why": "approval_expired"}, job_before=job)
        return True

    async def _send(self, retry: Retry, key_user: str | None) -> None:
        """Calls Sift's retry endpoint, once, and records what it answered."""
        lease_ends = asyncio.get_running_loop().time() + LEASE.total_seconds()
        try:
            answer = await self._sift.retry(retry.job_id)
        except OutcomeUnknown as error:
            await self._enter(retry, Outcome(State.UNKNOWN, _said(error, "post")), lease_ends)
        except MustWait as limit:
            await self._back_to_the_queue(retry, limit, lease_ends)
        except SiftError as error:
            await self._enter(retry, Outcome(State.FAILED, _said(error, "post")), lease_ends)
        else:
            outcome = retries_outcome.answered(retry.job_before, answer, key_user)
            await self._enter(retry, outcome, lease_ends, job_after=answer)

    async def _back_to_the_queue(self, retry: Retry, limit: MustWait, lease_ends: float) -> None:
        """Records that Sift did nothing yet and asks to wait: everything is decided anew when that is over."""
        said = _said(limit, "post")
        if self._clock() - retry.created_at > WAIT_WITHIN:
            await self._enter(retry, Outcome(State.FAILED, said), lease_ends)
        elif await self._enter(
            retry, Outcome(State.REQUESTED, said), lease_ends, due_in=_seconds_of(limit), grant_id=None
        ):
            self._put_off_by_sift(retry, limit)

    async def _enter(
        self, retry: Retry, outcome: Outcome, lease_ends: float, *, due_in: float = 0.0, **columns: Any
    ) -> bool:
        """Records the outcome of the POST, trying again while the lease lasts, since nothing else remembers it.

        Args:
            lease_ends: when others take the row for interrupted, by the event loop's clock.
            due_in: in how many seconds the row is to be looked at; an accepted or unknown one at once.

        Returns:
            Whether it was recorded; not if somebody else has the row by now.
        """
        at = self._clock()

        def work(connection: Connection) -> Retry:
            due_at = self._database.now(connection) + timedelta(seconds=due_in)
            return store.enter_once(
                connection, retry, outcome.state, at, detail=outcome.detail, due_at=due_at, **columns
            )

        left = max(0.0, lease_ends - asyncio.get_running_loop().time())
        try:
            await until_written(lambda: self._database.run(work), seconds=left)
        except WrongState:
            log.warning("retry.overtaken", request_id=retry.id, state=outcome.state)
            return False
        log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=outcome.state, **outcome.detail)
        self._entered(outcome.state)
        return True

    async def _wait_for_sift(self, request: Request, limit: MustWait) -> None:
        """Leaves a request, for which nothing was sent, in the queue for as long as Sift asks to wait."""
        at = self._clock()
        if isinstance(request, Retry) and at - request.created_at > WAIT_WITHIN:
            await self._refuse(request, Refused(State.FAILED, _said(limit, "read")))
            return

        def work(connection: Connection) -> None:
            now = self._database.now(connection)
            until = now + timedelta(seconds=_seconds_of(limit))
            for retry in store.claim(connection, [State.REQUESTED], now, only=request.id, until=until):
                store.note_progress(connection, retry, at, detail=_said(limit, "read"))

        await self._database.run(work)
        self._put_off_by_sift(request, limit)

    def _put_off_by_sift(self, request: Request, limit: MustWait) -> None:
        """Says that a request waits for Sift: once, to somebody who waits for this one."""
        seconds = _seconds_of(limit)
        log.info("retry.put_off", request_id=request.id, job_id=request.job_id, seconds=round(seconds))
        told = isinstance(request, Retry) and request.detail.get("why") == limit.name
        if request.batch_id is None and not told:
            message = answers.put_off(request.id, request.job_id, timedelta(seconds=seconds))
            self.tasks.start(self._tell(request, message), request_id=request.id)

    async def _refuse(self, request: Request, refusal: Refused) -> None:
        """Records that nothing was sent, and why; unless somebody else has the row."""
        at = self._clock()

        def work(connection: Connection) -> bool:
            detail = dict(refusal.detail)
            if refusal.state is State.DENIED:
                detail["ask"] = self._access.who_may_grant(connection, at)
            claimed = store.claim(connection, [State.REQUESTED], self._database.now(connection), only=request.id)
            for retry in claimed:
                store.transition(connection, retry, refusal.state, at, detail=detail, **refusal.columns)
            return bool(claimed)

        if await self._database.run(work):
            log.info(
                "retry.refused", request_id=request.id, job_id=request.job_id, state=refusal.state, **refusal.detail
            )
            self._entered(refusal.state)

    async def _add_cause(self, request_id: str, why: "asyncio.Task[Cause]") -> None:
        """Adds why the job failed before; best effort, and a slow answer holds up nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CAUSE_SECONDS):
                facts = {name: value for name, value in asdict(await why).items() if value}
                if facts:
                    await self._database.run(
                        lambda connection: store.add_cause(connection, request_id, facts, self._clock())
                    )


def _rank(request: Request) -> int:
    return ALONE if request.batch_id is None else IN_A_BATCH


def _under_way(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """Who is retrying a job, if the bot is."""
    newest, _, _ = store.last_attempts(connection, job_id)
    return {"why": "under_way", **_told_of(newest)} if newest is not None and newest.state in ACTIVE else None


def _told_of(other: Retry) -> dict[str, Any]:
    """What a person is told of another retry of the job."""
    return {"by": other.user_id, "channel_id": other.channel_id, "ts": other.root_ts, "request": other.id}


def _seconds_of(limit: MustWait) -> float:
    """How long a request is put off where Sift asks to wait."""
    return min(limit.retry_after or BRIEFLY, LONGEST_WAIT)


def _said(error: SiftError, stage: str) -> dict[str, Any]:
    """What the row, the log and the person are told of Sift's error."""
    return {"why": error.name, "stage": stage, "message": str(error)[:500]}

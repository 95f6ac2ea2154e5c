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

from bot import approvals, batches, record, verdict
from bot.access import Access
from bot.clock import Clock
from bot.database import Database
from bot.display import Display
from bot.loops import Tasks
from bot.models import Job
from bot.pace import Pace
from bot.policy import Decision, Person, Right, Wish
from bot.presenter import answers
from bot.record import Request, Retry
from bot.showing import LEASE
from bot.sift import Cause, OutcomeUnknown, Sift, SiftError
from bot.slack import Slack
from bot.tables import ACTIVE

log = structlog.get_logger(__name__)

HINT_SECONDS = 3.0
"""After so long without an answer from Sift, the person is told that it takes longer."""

CAUSE_SECONDS = 10
"""How long the reason of the earlier failure is waited for after the retry itself is done."""

FRESH = timedelta(seconds=10)
"""A job that was read longer ago than this is read again before it is retried."""

GIVE_WAY_SECONDS = 0.05
"""For so long at most a turn waits while requests are being recorded: acks go first."""

AT_ONCE = 32
"""Requests on their way to an outcome at a time, of lone ones and of batches each: what is in flight takes memory."""

KEEP_EVERY = LEASE / 4
"""How often the requests that wait here are put off for the other replicas."""

GIVE_BACK_SECONDS = 0.5
"""So long a stop tries to leave what still waits here to other replicas at once; else they find it a lease later."""

ALONE, IN_A_BATCH = 0, 1
"""Ranks: somebody who waits for one job does not wait for hundreds."""


class Refused(Exception):
    """There is nothing to retry, or this person may not."""

    def __init__(self, state: str, detail: dict[str, Any], **columns: Any) -> None:
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
        access: Access,
        display: Display[Retry],
        clock: Clock,
        cooldown: timedelta,
        pace: Pace,
        approval_after: int | None,
        workspace: str,
        entered: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._sift = sift
        self._slack = slack
        self._access = access
        self._display = display
        self._clock = clock
        self._cooldown = cooldown
        self._workspace = workspace
        self._entered = entered
        self._pace = pace
        self._approval_after = approval_after
        self._changed = changed
        self._stopping = False
        self._at_work: set[str] = set()
        self._spelling: set[str] = set()
        self._kept_at: datetime | None = None
        self._recording = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._rooms = {rank: asyncio.Semaphore(AT_ONCE) for rank in (ALONE, IN_A_BATCH)}
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
            log.info("retry.refused", request_id=request.id, job_id=request.job_id, state="refused", why="stale")
            self._entered("refused")
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
            decision = None if batch.begun else await self._may_begin(batch)
            left = True
            while left and not self._stopping:
                left = await self._spell_out_some(batch, decision)
        finally:
            self._spelling.discard(batch.id)

    async def _may_begin(self, batch: batches.Open) -> Decision:
        """Whether the person may retry anything there, whatever job it is; asked once for the whole batch."""
        person = await self._slack.person(batch.user_id, batch.team_id)
        wish = Wish(right=Right.RETRY, workspace=self._workspace, at=self._clock(), channel_id=batch.channel_id)
        return await self._access.decide(wish, person, batch.user_id)

    async def _spell_out_some(self, batch: batches.Open, decision: Decision | None) -> bool:
        """One step; answers whether there is more to spell out."""

        def work(connection: Connection) -> batches.Spelled | str:
            now, at = self._database.now(connection), self._clock()
            refusal = self._refusal_of(connection, batch, decision, at)
            if refusal is not None and batches.refuse(connection, batch.id, refusal.state, refusal.detail, now, at):
                return refusal.state
            return batches.spell_out(connection, batch.id, now, at)

        spelled = await self._database.run(work)
        if isinstance(spelled, str):
            log.info("batch.refused", batch_id=batch.id, user_id=batch.user_id, state=spelled)
            self._entered(spelled)
            self._changed()
            return False
        for request in spelled.requests:
            self.start(request)
        for _ in range(spelled.refused):
            self._entered("refused")
        return spelled.left

    def _refusal_of(
        self, connection: Connection, batch: batches.Open, decision: Decision | None, at: datetime
    ) -> Refused | None:
        """Why none of a batch that has not begun is let through."""
        if decision is None:
            return None
        if not decision.allowed:
            ask = self._access.who_may_grant(connection, at)
            return Refused("denied", {**decision.explained(at), "ask": ask})
        told = batches.under_way(connection, batch.id)
        return Refused("refused", told) if told is not None else None

    async def stop(self, seconds: float) -> None:
        """Starts nothing more, and waits for what is under way; what cannot finish is found again at the next start."""
        self._stopping = True
        held = sorted(self._at_work)
        await self.tasks.drain(seconds)
        if held and not self._database.is_sqlite:  # where the next start frees everything anyway
            with contextlib.suppress(TimeoutError, SQLAlchemyError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._database.run(lambda c: record.keep(c, held, self._database.now(c)))

    def _left_behind(self, connection: Connection, held: Sequence[str]) -> _Found:
        now, at = self._database.now(connection), self._clock()
        for retry in record.claim(connection, ("sending",), now):
            log.warning("retry.unknown", request_id=retry.id, why="interrupted")
            record.enter(connection, retry, "unknown", now, detail={"why": "interrupted"}, due_at=now)
        if self._kept_at is None or not now - KEEP_EVERY < self._kept_at <= now:
            record.keep(connection, held, now + LEASE)
            self._kept_at = now
        others = [retry for retry in record.due(connection, ("requested",), now) if retry.id not in self._at_work]
        stale = [retry for retry in others if record.is_stale(retry, now)][: record.STALE_AT_A_TIME]
        for retry in stale:
            record.refuse_stale(connection, retry.id, retry.created_at, now, at)
        return _Found([retry for retry in others if not record.is_stale(retry, now)], stale)

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
            async with self._rooms[_rank(request)]:
                why = await self._carry_out(request)
        finally:
            if hint is not None:
                hint.cancel()
        if alone and (why is None or not why.done()):
            await self._display.show(request.id)
        if why is not None:
            await self._add_cause(request.id, why)
            if alone:
                await self._display.show(request.id)
        self._changed()

    async def _hint(self, request: Request) -> None:
        """Says that it takes longer, so that nobody stares at a channel in which nothing happens."""
        await asyncio.sleep(HINT_SECONDS)
        message = answers.still_at_it(request.id, request.job_id)
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
            person = await self._slack.person(request.user_id, request.team_id)
            decision = await self._access.decide(self._wish(request), person, request.user_id)
            if not decision.allowed:
                raise self._denial(decision)
            read_at, job = self._clock(), await self._read(request)
            async with self._pace.slot(_rank(request)):
                if self._stopping:
                    return None
                if self._clock() - read_at > FRESH:
                    read_at, job = self._clock(), await self._read(request)
                return await self._retry(request, job, decision, person, read_at)
        except Refused as refusal:
            await self._refuse(request, refusal)
            return None

    async def _retry(
        self, request: Request, job: Job, decision: Decision, person: Person | None, read_at: datetime
    ) -> "asyncio.Task[Cause] | None":
        """Marks the request as sent, sends it, and records what came of it."""
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
        """
        try:
            job = await self._sift.job(request.job_id)
        except SiftError as error:
            raise Refused("failed", _said(error, "read")) from error
        if job is None:
            raise Refused("refused", {"why": "unknown_job"})
        if not job.retryable:
            under_way = await self._database.run(lambda connection: _under_way(connection, request.job_id))
            raise Refused("refused", under_way or {"why": "not_retryable"}, job_before=job)
        if request.offered is not None and request.offered != job.failure:
            raise Refused("refused", {"why": "outdated"}, job_before=job)
        return job

    def _wish(self, request: Request, job: Job | None = None) -> Wish:
        return Wish(
            right=Right.RETRY,
            workspace=self._workspace,
            at=self._clock(),
            channel_id=request.channel_id,
            job_type=job.job_type.removeprefix("JOB_TYPE_").lower() if job else None,
        )

    def _denial(self, decision: Decision, **columns: Any) -> Refused:
        return Refused("denied", decision.explained(self._clock()), **columns)

    async def _mark_sending(
        self, request: Request, job: Job, decision: Decision, person: Person | None, read_at: datetime
    ) -> Retry | None:
        """Claims the row and commits that the retry is about to be sent; None if somebody else has the row.

        Raises:
            Refused: the person may not retry such a job, or it is being retried already, or was a moment ago.
        """

        def work(connection: Connection) -> Retry | None:
            wish = self._wish(request, job)
            final = self._access.decide_again(connection, wish, person, decision)
            if not final.allowed:
                raise self._denial(final, job_before=job)
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
        newest, accepted_at, count = record.last_attempts(connection, request.job_id)
        if newest is not None and newest.sent_at is not None:
            told = _told_of(newest)
            if newest.state in ACTIVE:
                raise Refused("refused", {"why": "under_way", **told}, job_before=job)
            if newest.sent_at >= read_at:  # what was read is older than that retry
                raise Refused("refused", {"why": "just_retried", **told}, job_before=job)
            if accepted_at is not None and (left := accepted_at + self._cooldown - at) > timedelta(0):
                seconds = max(1, -(-left // timedelta(seconds=1)))
                raise Refused("refused", {"why": "cooldown", "seconds": seconds, **told}, job_before=job)
        claimed = record.claim(connection, ("requested",), due, only=request.id)
        if not claimed:
            return None
        if self._needs_approval(claimed[0], count + 1, job):
            approvals.ask(connection, replace(claimed[0], job_before=job, attempt=count + 1), due, at)
            return None
        grant = decision.grant
        return record.enter(
            connection,
            claimed[0],
            "sending",
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
            raise Refused("denied", {"why": "approval_needed"}, job_before=job)
        if claimed.approval_until is not None and claimed.approval_until <= self._clock():
            raise Refused("denied", {"why": "approval_expired"}, job_before=job)
        return True

    async def _send(self, retry: Retry, key_user: str | None) -> Retry:
        """Calls Sift's retry endpoint, once, and records what it answered."""
        try:
            answer = await self._sift.retry(retry.job_id)
        except OutcomeUnknown as error:
            return await self._enter(retry, "unknown", _said(error, "post"))
        except SiftError as error:
            return await self._enter(retry, "failed", _said(error, "post"))
        outcome = verdict.answered(retry.job_before, answer, key_user)
        return await self._enter(retry, outcome.state, outcome.detail, job_after=answer)

    async def _enter(self, retry: Retry, state: str, detail: dict[str, Any], **columns: Any) -> Retry:
        """Records the outcome of the POST; an accepted or unknown one is due for the follower at once."""
        now = self._clock()
        log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=state, **detail)
        self._entered(state)
        return await self._database.run(
            lambda connection: record.enter(
                connection, retry, state, now, detail=detail, due_at=self._database.now(connection), **columns
            )
        )

    async def _refuse(self, request: Request, refusal: Refused) -> None:
        """Records that nothing was sent, and why; unless somebody else has the row."""
        at = self._clock()

        def work(connection: Connection) -> bool:
            detail = dict(refusal.detail)
            if refusal.state == "denied":
                detail["ask"] = self._access.who_may_grant(connection, at)
            claimed = record.claim(connection, ("requested",), self._database.now(connection), only=request.id)
            for retry in claimed:
                record.enter(connection, retry, refusal.state, at, detail=detail, **refusal.columns)
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
                        lambda connection: record.add_cause(connection, request_id, facts, self._clock())
                    )


def _rank(request: Request) -> int:
    return ALONE if request.batch_id is None else IN_A_BATCH


def _under_way(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """Who is retrying a job, if the bot is."""
    newest, _, _ = record.last_attempts(connection, job_id)
    return {"why": "under_way", **_told_of(newest)} if newest is not None and newest.state in ACTIVE else None


def _told_of(other: Retry) -> dict[str, Any]:
    """What a person is told of another retry of the job."""
    return {"by": other.user_id, "channel_id": other.channel_id, "ts": other.root_ts, "request": other.id}


def _said(error: SiftError, stage: str) -> dict[str, Any]:
    """What the row, the log and the person are told of Sift's error."""
    return {"why": error.name, "stage": stage, "message": str(error)[:500]}

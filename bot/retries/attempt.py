"""One request's turn: may they, beside reading the job → mark `sending` → `POST` once → record the outcome.

The mark is committed before the POST leaves, so whatever is found in `sending` later may have been sent, and is never
sent again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bot.access.policy import Decision
from bot.base.bulkhead import Bulkhead
from bot.retries import approval_rows, buttons, claims, cooldown, queries, rules, store
from bot.retries.decider import PutOff
from bot.retries.kind import Kind
from bot.retries.limiter import rank_of
from bot.retries.recorder import BRIEFLY, said
from bot.retries.request import Request, Retry
from bot.retries.rules import Next, Refusal, Wait
from bot.retries.sending import Sent, send
from bot.retries.services import Services
from bot.retries.state import State
from bot.sift.errors import MustWait, SiftError
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.outbox import LEASE
from bot.slack.people import PERSON_SECONDS, Person
from bot.slack.publisher import Claim

MAX_READ_AGE = timedelta(seconds=10)
"""A job that was read longer ago than this is read again before its retry is marked."""

STANDING = timedelta(seconds=PERSON_SECONDS)
"""Who somebody is, and what they may do, was found out no longer ago than this when their retry is marked."""


class Outdated(Exception):
    """Who somebody is was found out too long ago."""


@dataclass(eq=False)
class Refused(Exception):
    """Nothing is sent; `job` as it was read, if it was."""

    refusal: Refusal
    job: Job | None = None


@dataclass
class Attempt:
    """One turn of a request; what it finds out on its way stands in its fields.

    Args:
        room: the places for requests like it.
        first: what gives way to it, until it is marked or nothing is to be sent for it.
        moved: the row as the turn left it, if it changed it.
    """

    request: Request
    services: Services
    room: Bulkhead
    first: contextlib.ExitStack
    slot_taken: Callable[[], None] = field(init=False)
    decision: Decision = field(init=False)
    decided_at: datetime = field(init=False)
    job: Job = field(init=False)
    read_at: datetime = field(init=False)
    person: Person | None = field(init=False, default=None)
    moved: Retry | None = field(init=False, default=None)

    async def carry_out(self) -> "asyncio.Task[About] | None":
        """Brings the request to its outcome, or back into the queue.

        Returns:
            The look-up of what the job is about and why it failed before; None if there is nothing to add.
        """
        recorder = self.services.recorder
        try:
            while True:
                await self._find_out()
                with contextlib.suppress(Outdated):
                    async with self.room.place():
                        return await self._take_slot()
        except Refused as refused:
            self.moved = await recorder.refusal(self.request, refused.refusal, refused.job)
        except PutOff as pause:
            await recorder.put_off(self.request, pause.seconds)
        except MustWait as limit:
            self.moved = await recorder.wait_for_sift(self.request, limit)
        return None

    async def _find_out(self) -> None:
        """Has who somebody is, their groups and the job asked for side by side.

        For whom the allow-list has nothing at all, nothing is read. Nobody who may not learns anything of the job: they
        are told no as soon as that is known, whatever was read.

        Raises:
            Refused: they may not, or there is nothing to retry, or nobody can say in time.
            PutOff: Slack wants to be asked later.
            MustWait: Sift does.
        """
        listed = asyncio.Event()
        reading = asyncio.create_task(self._read_in_a_place(listed))
        try:
            await self._decide(listed)
            await reading
        finally:
            reading.cancel()
            await asyncio.wait((reading,))
            if not reading.cancelled():
                reading.exception()  # seen, should nobody wait for it any more

    async def _read_in_a_place(self, listed: asyncio.Event) -> None:
        """Reads the job; the place is given back before it is known who somebody is, which may take a while."""
        await listed.wait()
        self.slot_taken = self.first.enter_context(self.services.limiter.expecting(rank_of(self.request)))
        async with self.room.place():
            await self._read()

    async def _decide(self, listed: asyncio.Event) -> None:
        """Finds out who somebody is and what they may do, as far as that is known before the job is read.

        Raises:
            Refused: they may not, or nobody can say in time.
            PutOff: Slack wants to be asked later.
        """
        self.decided_at = self.services.clock()
        asked_at = self.request.could_begin_at if isinstance(self.request, Retry) else self.decided_at
        self.decision = await self.services.decider.decide(self.request, asked_at, listed.set)
        if not self.decision.allowed:
            raise Refused(self.services.decider.denial(self.decision))

    async def _take_slot(self) -> "asyncio.Task[About] | None":
        """Waits until Sift may be called, sends the retry, and records what came of it.

        Raises:
            Outdated: that took so long that who somebody is has to be found out again.
            MustWait: Sift asked to be left alone; nothing is marked or sent.
        """
        services, people = self.services, self.services.decider.people
        async with services.limiter.slot(rank_of(self.request)) as slot:
            self.slot_taken()
            if services.stopping():
                return None
            if services.clock() - self.decided_at > STANDING or not people.remembers(self.request.user_id):
                raise Outdated
            self.person = await people.person(self.request.user_id, self.request.team_id)
            if services.clock() - self.read_at > MAX_READ_AGE:
                await self._read()
            if (seconds := services.sift.must_wait(self.request.kind)) > BRIEFLY:
                raise MustWait(retry_after=seconds)
            key_user = await services.sift.key_user()
            why = asyncio.create_task(services.look_up(self.job))  # before the retry, which may make Sift forget why
            may_begin = partial(services.may_begin, slot)
            try:
                sending = await self._mark_sending()
                sent = await send(services.sift, sending, key_user, may_begin) if sending is not None else None
            except BaseException:
                why.cancel()
                raise
        return await self._record(sent, why) if sent is not None else why

    async def _read(self) -> None:
        """Reads the job as it is now, if there is something to retry.

        Raises:
            Refused: there is not, or Sift did not say.
            MustWait: Sift wants to be asked later.
        """
        self.read_at = self.services.clock()
        try:
            job = await self.services.sift.job(self.request.job_id)
        except MustWait:
            raise
        except SiftError as error:
            raise Refused(Refusal(State.FAILED, said(error, "read"))) from error
        if job is None:
            raise Refused(rules.UNKNOWN_JOB)
        newest = None if job.retryable else await self._newest()
        refusal = rules.refusal(self.request, job, newest, self.services.limits)
        if refusal is not None:
            raise Refused(refusal, job)
        self.job = job

    async def _newest(self) -> Retry | None:
        job_id, kind = self.request.job_id, self.request.kind
        return await self.services.database.run(
            lambda connection: queries.last_attempts(connection, job_id, kind).newest
        )

    async def _mark_sending(self) -> Retry | None:
        """Claims the row and commits that the retry is about to be sent; None if somebody else has the row.

        Raises:
            Refused: the person may not retry such a job, or it is being retried already, or was a moment ago.
        """
        with self.services.recorder.claiming(self.request, more=True) as claim:
            try:
                sending = await self.services.database.run(lambda connection: self._begin(connection, claim))
            except IntegrityError:  # another replica was faster; now its row is there to be seen
                sending = await self.services.database.run(lambda connection: self._begin(connection, claim))
        self.first.close()
        if sending is not None and sending.thread_ts is not None:
            self.services.changed()  # what it was asked from shows it
        return sending

    def _begin(self, connection: Connection, claim: Claim) -> Retry | None:
        """What `_mark_sending` does, in its transaction."""
        services, request = self.services, self.request
        decision = services.decider.decide_again(connection, request, self.job, self.person, self.decision)
        if not decision.allowed:
            raise Refused(services.decider.denial(decision), self.job)
        now, at = services.database.now(connection), services.clock()
        claimed = claims.claim(connection, [State.REQUESTED], now, only=request.id)
        if not claimed:
            return None
        if buttons.is_outdated(connection, claimed[0]):
            raise Refused(rules.OUTDATED, self.job)
        earlier = queries.last_attempts(connection, request.job_id, request.kind)
        attempt = earlier.accepted + 1 if request.kind is Kind.RETRY else None
        step = rules.next_step(claimed[0], earlier, read_at=self.read_at, at=at, limits=services.limits)
        refusal: Refusal | None = None
        match step:
            case Refusal():
                refusal = step
            case Wait():
                waiting = replace(claimed[0], job_before=self.job)
                refusal = cooldown.wait(connection, waiting, step.until, now, at)
            case Next.ASK:
                waiting = replace(claimed[0], job_before=self.job, attempt=attempt)
                may = services.decider.who_may(connection, waiting)
                other = approval_rows.ask(connection, waiting, may, services.limits.approval_count, now, at)
                refusal = rules.awaited(other) if other else None
            case Next.SEND:
                sending = self._mark(connection, claimed[0], attempt, decision, at, now)
                if sending.announced_early:
                    claim(connection)
                return sending
            case _:
                assert_never(step)
        if refusal is not None:
            raise Refused(refusal, self.job)
        return None

    def _mark(
        self,
        connection: Connection,
        claimed: Retry,
        attempt: int | None,
        decision: Decision,
        at: datetime,
        now: datetime,
    ) -> Retry:
        grant, person = decision.grant, self.person
        return store.transition(
            connection,
            claimed,
            State.SENDING,
            at,
            due_at=now + LEASE,
            sent_at=at,
            job_before=self.job,
            attempt=attempt,
            grant_id=grant.id if grant else None,
            note={
                "allowed_by": decision.why.value,
                "granted_by": grant.granted_by if grant else "ADMINS",
                "name": person.name if person else None,
                "email": person.email if person else None,
            },
        )

    async def _record(self, sent: Sent, why: "asyncio.Task[About]") -> "asyncio.Task[About] | None":
        """Records what came of the call, with what was looked up, if that was quicker; returns what is to be added."""
        recorder = self.services.recorder
        try:
            if isinstance(sent.found, MustWait):
                self.moved = await recorder.back_to_the_queue(sent.claimed, sent.found)
                why.cancel()
                return None
            looked_up = why.result() if why.done() and why.exception() is None else None
            self.moved = await recorder.outcome(sent.claimed, sent.found, looked_up=looked_up, **sent.changes)
        except BaseException:
            why.cancel()
            raise
        return why if looked_up is None else None

"""A second person's word: asked for from some retry of a job on, given by somebody else, or overridden loudly.

The request stays `requested` while it waits, due again when the time for an approval is over.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from bot import audit, record
from bot.access import Access
from bot.clock import Clock
from bot.database import Database
from bot.payloads import Asker
from bot.policy import Decision, Person, Right, Why, Wish
from bot.presenter import answers
from bot.presenter import approvals as shown
from bot.record import Retry, entry_of
from bot.showing import soon
from bot.slack import Message, Slack
from bot.tables import retries

APPROVAL_FOR = timedelta(hours=1)
"""How long a request waits for somebody else's word."""

CHECK_SECONDS = 2.0
"""How long Slack is waited for to say who somebody is: the click must be acknowledged within three."""


def ask(connection: Connection, retry: Retry, now: datetime, at: datetime) -> Retry:
    """Has a claimed request wait for a second person; one that waits already goes on waiting."""
    if retry.approval_until is not None:
        return record.note_progress(connection, retry, at, due_at=now + (retry.approval_until - at))
    waiting = record.note_progress(
        connection,
        retry,
        at,
        approval_until=at + APPROVAL_FOR,
        due_at=now + APPROVAL_FOR,
        job_before=retry.job_before,
        attempt=retry.attempt,
    )
    audit.append(connection, entry_of(waiting, None, event="approval_asked"), at)
    return waiting


class Approvals:
    """Takes approvals and overrides, checked and recorded in time for the ack.

    Args:
        workspace: the Slack workspace whose people may be allowed.
        start: has the runner take up an approved request.
        changed: told when messages are to be shown again.
    """

    def __init__(
        self,
        *,
        database: Database,
        slack: Slack,
        access: Access,
        workspace: str,
        clock: Clock,
        start: Callable[[Retry], None],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._slack = slack
        self._access = access
        self._workspace = workspace
        self._clock = clock
        self._start = start
        self._changed = changed

    async def approve(self, asker: Asker, request_id: str) -> Message | None:
        """Approves a request; answers why not, if it was not done."""
        person, decision = await self._decide(asker, request_id, Right.RETRY)

        def refuse(waiting: Retry) -> str | None:
            if not decision.allowed:
                return decision.why.value
            return "self_approval" if asker.user_id == waiting.user_id else None

        return await self._speak(asker, person, decision, request_id, refuse, "approval", None)

    async def override(self, asker: Asker, request_id: str, reason: str) -> Message | None:
        """Breaks the glass: an admin lets a request through without a second person, and everybody is told."""
        person, decision = await self._decide(asker, request_id, Right.OVERRIDE)

        def refuse(_: Retry) -> str | None:
            return None if decision.allowed else decision.why.value

        return await self._speak(asker, person, decision, request_id, refuse, "break_glass", reason)

    async def may_override(self, asker: Asker, request_id: str) -> Message | None:
        """Why somebody may not override; None if they may."""
        _, decision = await self._decide(asker, request_id, Right.OVERRIDE)
        return None if decision.allowed else await self._denied(decision)

    async def _speak(
        self,
        asker: Asker,
        person: Person | None,
        decision: Decision,
        request_id: str,
        refuse: Callable[[Retry], str | None],
        event: str,
        reason: str | None,
    ) -> Message | None:
        at = self._clock()

        def work(connection: Connection) -> Retry | Message:
            waiting = _waiting(connection, request_id, at)
            if waiting is None:
                return shown.no_longer_waiting()
            why = refuse(waiting)
            _note(connection, waiting, asker, person, decision, event, reason, why, at)
            if why is not None:
                return self._refusal(connection, decision, why)
            return _let_through(connection, waiting, asker.user_id, reason, self._database.now(connection), at)

        result = await self._database.run(work)
        if isinstance(result, Message):
            return result
        self._start(result)
        self._changed()
        return None

    def _refusal(self, connection: Connection, decision: Decision, why: str) -> Message:
        if decision.allowed:
            return shown.not_by_oneself()
        ask = self._access.who_may_grant(connection, self._clock())
        return answers.denied({**decision.explained(self._clock()), "ask": ask}, "approve this")

    async def _denied(self, decision: Decision) -> Message:
        return await self._database.run(lambda connection: self._refusal(connection, decision, decision.why.value))

    async def _decide(self, asker: Asker, request_id: str, right: Right) -> tuple[Person | None, Decision]:
        job_type = await self._database.run(lambda connection: _job_type(connection, request_id))
        wish = Wish(
            right=right, workspace=self._workspace, at=self._clock(), channel_id=asker.channel_id, job_type=job_type
        )
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                person = await self._slack.person(asker.user_id, asker.team_id)
                return person, await self._access.decide(wish, person, asker.user_id)
        except TimeoutError:
            return None, Decision(False, Why.UNKNOWN_PERSON)


def _waiting(connection: Connection, request_id: str, at: datetime) -> Retry | None:
    row = connection.execute(select(retries).where(retries.c.id == request_id).with_for_update()).first()
    retry = Retry.of(row) if row is not None else None
    if retry is None or not retry.waits_for_approval or retry.approval_until is None or retry.approval_until <= at:
        return None
    return retry


def _job_type(connection: Connection, request_id: str) -> str | None:
    row = connection.execute(select(retries).where(retries.c.id == request_id)).first()
    job = Retry.of(row).job if row is not None else None
    return job.job_type.removeprefix("JOB_TYPE_").lower() if job else None


def _let_through(
    connection: Connection, waiting: Retry, user_id: str, reason: str | None, now: datetime, at: datetime
) -> Retry:
    through = (
        update(retries)
        .where(retries.c.id == waiting.id)
        .values(
            approved_by=user_id,
            override_reason=reason,
            due_at=now,
            version=retries.c.version + 1,
            show_at=soon(retries),
        )
        .returning(*retries.c)
    )
    return Retry.of(connection.execute(through, {"b_at": at}).one())


def _note(
    connection: Connection,
    waiting: Retry,
    asker: Asker,
    person: Person | None,
    decision: Decision,
    event: str,
    reason: str | None,
    why: str | None,
    at: datetime,
) -> None:
    """The audit names whoever spoke, and for whom."""
    detail = {"for": waiting.user_id, "why": why or decision.why.value}
    entry = replace(
        entry_of(waiting, None if why is None else "denied", detail, event),
        team_id=asker.team_id,
        user_id=asker.user_id,
        user_name=person.name if person else asker.user_name,
        reason=reason,
        grant_id=decision.grant.id if decision.grant else None,
    )
    audit.append(connection, entry, at)

"""A second person's word: asked for from some retry of a job on, given by somebody else, or overridden loudly.

The request stays `requested` while it waits, due again when the time for an approval is over.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from bot.access.authorizer import Asked, Authorizer
from bot.access.policy import Permission
from bot.audit import entry
from bot.audit import log as audit
from bot.base.requester import Requester
from bot.db.tables import retries
from bot.retries import store
from bot.retries.entries import entry_of
from bot.retries.messages import approval as shown
from bot.retries.request import Retry
from bot.retries.state import ApprovalReason, State
from bot.slack.message import Message
from bot.slack.outbox import soon

DOING = "approve this"
"""What somebody is told that they may not do."""

APPROVAL_FOR = timedelta(hours=1)
"""How long a request waits for somebody else's word."""


def ask(connection: Connection, retry: Retry, now: datetime, at: datetime) -> Retry:
    """Has a claimed request wait for a second person; one that waits already goes on waiting."""
    if retry.approval_until is not None:
        return store.note_progress(connection, retry, at, due_at=now + (retry.approval_until - at))
    waiting = store.note_progress(
        connection,
        retry,
        at,
        approval_until=at + APPROVAL_FOR,
        due_at=now + APPROVAL_FOR,
        job_before=retry.job_before,
        attempt=retry.attempt,
    )
    audit.append(connection, entry_of(waiting, None, event=entry.Event.APPROVAL_ASKED), at)
    return waiting


def not_later(connection: Connection, at: datetime) -> None:
    """Has no request wait longer for a second person than from now on."""
    latest = at + APPROVAL_FOR
    connection.execute(update(retries).where(retries.c.approval_until > latest).values(approval_until=latest))


@dataclass(frozen=True)
class Approvals:
    """Takes approvals and overrides, checked and recorded in time for the ack.

    Args:
        start: has the runner take up an approved request.
        changed: told when messages are to be shown again.
    """

    authorizer: Authorizer
    start: Callable[[Retry], None]
    changed: Callable[[], None]

    async def approve(self, requester: Requester, request_id: str) -> Message | None:
        """Approves a request; returns why not, if it was not done."""
        asked = await self._decide(requester, request_id, Permission.RETRY)
        return await self._speak(asked, request_id, entry.Event.APPROVAL, None)

    async def override(self, requester: Requester, request_id: str, reason: str) -> Message | None:
        """Breaks the glass: an admin lets a request through without a second person, and everybody is told."""
        asked = await self._decide(requester, request_id, Permission.OVERRIDE)
        return await self._speak(asked, request_id, entry.Event.BREAK_GLASS, reason)

    async def may_override(self, requester: Requester, request_id: str) -> Message | None:
        """Why somebody may not override; None if they may."""
        asked = await self._decide(requester, request_id, Permission.OVERRIDE)
        return await self.authorizer.refusal(asked, DOING, entry.Event.BREAK_GLASS)

    async def _decide(self, requester: Requester, request_id: str, right: Permission) -> Asked:
        job_type = await self.authorizer.database.run(lambda connection: _job_type(connection, request_id))
        return await self.authorizer.decide_in_time(requester, right, job_type)

    async def _speak(self, asked: Asked, request_id: str, event: entry.Event, reason: str | None) -> Message | None:
        at = self.authorizer.clock()

        def work(connection: Connection) -> Retry | Message:
            waiting = _waiting(connection, request_id, at)
            if waiting is None:
                return shown.no_longer_waiting()
            busy = self.authorizer.too_many(connection, asked.requester, event)
            if busy is not None:
                return busy
            why = None if asked.decision.allowed else asked.decision.why.value
            if why is None and reason is None and asked.requester.user_id == waiting.user_id:
                why = ApprovalReason.BY_ONESELF
            audit.append(connection, _entry(waiting, asked, event, reason, why), at)
            if not asked.decision.allowed:
                return self.authorizer.denied(connection, asked.decision, DOING)
            if why is not None:
                return shown.not_by_oneself()
            now = self.authorizer.database.now(connection)
            return _let_through(connection, waiting, asked.requester.user_id, reason, now, at)

        result = await self.authorizer.database.run(work)
        if isinstance(result, Message):
            return result
        self.start(result)
        self.changed()
        return None


def _waiting(connection: Connection, request_id: str, at: datetime) -> Retry | None:
    row = connection.execute(select(retries).where(retries.c.id == request_id).with_for_update()).first()
    retry = Retry.of(row._mapping) if row is not None else None
    if retry is None or not retry.waits_for_approval or retry.approval_until is None or retry.approval_until <= at:
        return None
    return retry


def _job_type(connection: Connection, request_id: str) -> str | None:
    row = connection.execute(select(retries).where(retries.c.id == request_id)).first()
    job = Retry.of(row._mapping).job if row is not None else None
    return job.kind if job else None


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
    return Retry.of(connection.execute(through, {"b_at": at}).one()._mapping)


def _entry(waiting: Retry, asked: Asked, event: entry.Event, reason: str | None, why: str | None) -> entry.Entry:
    """What the audit says of the request, in the name of whoever spoke."""
    detail = {"for": waiting.user_id, "why": why or asked.decision.why.value}
    grant = asked.decision.grant
    return replace(
        entry_of(waiting, None if why is None else State.DENIED, detail, event),
        team_id=asked.requester.team_id,
        user_id=asked.requester.user_id,
        user_name=asked.by.user_name,
        source=asked.requester.source,  # the button, or the modal that asks for a reason
        reason=reason,
        grant_id=grant.id if grant else None,
    )

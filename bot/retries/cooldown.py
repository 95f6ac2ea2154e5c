"""The cooldown: what is pressed during it waits until its end, and can be taken back; what offers it says from when.

A request that waits stays `requested`, due at the end of the cooldown, when it is decided anew. A job has one that
waits at most: a unique index over `waits_until` sees to that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, bindparam, case, null, select, update

from bot.audit import log as audit
from bot.audit.entry import Event, denied
from bot.base.clock import Clock
from bot.base.requester import Requester
from bot.db.columns import Moment
from bot.db.database import Database
from bot.db.tables import alerts, retries
from bot.retries import approval_rows, claims, queries, rules, store
from bot.retries.alert_rows import touch_storms
from bot.retries.kind import Kind
from bot.retries.messages import cooldown as messages
from bot.retries.request import Retry
from bot.retries.rules import Refusal
from bot.retries.state import OFFERING, RefusalReason, State
from bot.slack.message import Message
from bot.slack.outbox import soon

NOT_YOURS = "not_yours"
"""Why somebody may not take a request back: it is another person's."""

AT_A_TIME = 500
"""So many rows are looked at in one go."""

WITHDRAWN_AT_ONCE = 200
"""So many requests are taken back in one transaction, so that the ack comes in time, and nobody else waits for long."""

_ROW = retries.c
_WAITING = (_ROW.state == State.REQUESTED) & _ROW.waits_until.is_not(None)
_OTHER = select(retries).where(
    _ROW.job_id == bindparam("b_job"), _ROW.kind == bindparam("b_kind"), _ROW.id != bindparam("b_id"), _WAITING
)
_SHOWN_BY = (
    select(retries)
    .where(
        (_ROW.id == bindparam("b_id")) | (_ROW.batch_id == bindparam("b_id")), _WAITING, _ROW.approval_until.is_(None)
    )
    .order_by(_ROW.created_at, _ROW.id)
    .limit(bindparam("b_limit", type_=Integer))
)
# `accepted_at` is looked at as well, since the setting, or the machine's clock, may have been set back meanwhile.
IS_OVER = _ROW.cools_until.is_not(None) & (
    (_ROW.cools_until <= bindparam("b_at", type_=Moment()))
    | (_ROW.accepted_at <= bindparam("b_accepted", type_=Moment()))
)
_OVER = select(_ROW.id, _ROW.job_id, _ROW.batch_id).where(IS_OVER).limit(AT_A_TIME)
_SHOW = (
    update(retries)
    .where(_ROW.id == bindparam("b_id"))
    .values(
        cools_until=None,
        version=_ROW.version + 1,
        show_at=case((_ROW.batch_id.is_not(None), null()), else_=soon(retries)),
    )
)
_SHOW_ALERT = (
    update(alerts)
    .where(alerts.c.job_id == bindparam("b_job"), alerts.c.retry_id == bindparam("b_retry"), alerts.c.manner == "alone")
    .values(version=alerts.c.version + 1, show_at=soon(alerts))
)


def offered_until(retry: Retry, state: State, cooldown: timedelta) -> datetime | None:
    """Until when a retry that is offered again from this state lets whoever presses wait; None: it is not offered."""
    if retry.kind is not Kind.RETRY or state not in OFFERING or retry.accepted_at is None:
        return None
    return retry.accepted_at + cooldown


def wait(connection: Connection, retry: Retry, until: datetime, now: datetime, at: datetime) -> Refusal | None:
    """Has a claimed request wait for the end of the cooldown; returns why not, if another one of its job does already.

    Args:
        retry: with the job as it was read, for the message that says so.
    """
    named = {"b_job": retry.job_id, "b_kind": retry.kind, "b_id": retry.id}
    if (awaits := approval_rows.elsewhere(connection, retry, at)) is not None:
        return rules.awaited(awaits)
    other = connection.execute(_OTHER, named).first()
    if other is not None:
        return rules.queued_behind(queries.as_far_as_readable(other), at)
    store.note_progress(
        connection, retry, at, waits_until=until, due_at=now + (until - at), job_before=retry.job_before
    )
    touch_storms(connection, [retry.job_id], at)
    return None


@dataclass(frozen=True)
class Cooldowns:
    """Ends what the cooldown lets people wait for.

    Args:
        cooldown: the least time between two retries of one job.
        changed: told when messages are to be shown again.
        entered: told each state that a request entered.
    """

    database: Database
    clock: Clock
    cooldown: timedelta
    changed: Callable[[], None]
    entered: Callable[[State], None]

    async def step(self) -> None:
        """Has whatever said from when a retry works say so no longer, once it does."""
        at = self.clock()
        if await self.database.run(lambda connection: _end(connection, at, at - self.cooldown)):
            self.changed()

    async def withdraw(self, requester: Requester, shown_by: str) -> Message | list[Retry]:
        """Takes back what somebody asked for, as far as it still waits: the first of it, in time for the ack.

        Args:
            shown_by: the request, or the batch, that is taken back.

        Returns:
            What was taken back; or why nothing may be.
        """
        at = self.clock()

        def work(connection: Connection) -> Message | list[Retry]:
            first = connection.execute(_SHOWN_BY, {"b_id": shown_by, "b_limit": 1}).first()
            if first is not None and first.user_id != requester.user_id:
                detail = {"why": NOT_YOURS, "request": shown_by}
                audit.append(connection, denied(Event.REQUEST, requester, detail, first.job_id), at)
                return messages.not_yours()
            return _withdraw(connection, shown_by, self.database.now(connection), at)

        return await self.database.run(work)

    async def withdraw_rest(self, shown_by: str, taken: Sequence[Retry]) -> Message:
        """Takes back the rest of it; returns what whoever asked is told.

        Args:
            taken: what was taken back so far, which is theirs.
        """
        taken, some = list(taken), taken
        while len(some) == WITHDRAWN_AT_ONCE:
            some = await self.database.run(
                lambda connection: _withdraw(connection, shown_by, self.database.now(connection), self.clock())
            )
            taken += some
        self.changed()
        for retry in taken:
            self.entered(retry.state)
        return messages.withdrawn(taken)


def _withdraw(connection: Connection, shown_by: str, now: datetime, at: datetime) -> list[Retry]:
    """Takes back some of what waits of one request or batch; returns it."""
    waiting = connection.execute(_SHOWN_BY, {"b_id": shown_by, "b_limit": WITHDRAWN_AT_ONCE}).all()
    return [
        store.transition(connection, retry, State.REFUSED, at, detail={"why": RefusalReason.WITHDRAWN})
        for row in waiting
        for retry in claims.claim(connection, [State.REQUESTED], now, only=row.id)
    ]


def _end(connection: Connection, at: datetime, accepted: datetime) -> bool:
    """Ends the cooldowns that are over; whoever else does so at the same time does no harm.

    Returns:
        Whether any message changes.
    """
    over = connection.execute(_OVER, {"b_at": at, "b_accepted": accepted}).all()
    for row in over:
        connection.execute(_SHOW, {"b_id": row.id, "b_at": at})
        connection.execute(_SHOW_ALERT, {"b_job": row.job_id, "b_retry": row.id, "b_at": at})
        if row.batch_id is not None:
            store.touch(connection, row.batch_id, at)
    return bool(over)

"""The rows of retries as a queue: who takes one leaves it to nobody else for a lease, and raises its fence.

`due_at` says until when; every later write of that turn names the fence. Every function runs inside one transaction of
the caller's.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, Update, bindparam, select, update

from bot.db.columns import Moment
from bot.db.tables import retries
from bot.retries import queries
from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.state import State
from bot.slack.outbox import LEASE

MOVED_WITHIN = timedelta(days=30)
"""No request moves that was made longer ago: a retry is followed for a week."""

STALE_AFTER = timedelta(minutes=15)
"""A request that nobody has touched for so long is not carried out any more: nobody wants yesterday's click today."""

STALE_AT_A_TIME = 100
KEPT_AT_A_TIME = 500
"""So many IDs go into one statement."""

# Statements are built once; see `store`.
_ROW = retries.c
_DUE = (
    select(_ROW.id)
    .where(
        _ROW.state.in_(bindparam("b_states", expanding=True)),
        _ROW.kind.in_(bindparam("b_kinds", expanding=True)),
        _ROW.due_at <= bindparam("b_now"),
    )
    .order_by(_ROW.due_at)
    .limit(bindparam("b_limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_CLAIM = update(retries).values(fence=_ROW.fence + 1, due_at=bindparam("b_until")).returning(*_ROW)
_CLAIM_DUE = _CLAIM.where(_ROW.id.in_(_DUE.scalar_subquery()))
# A request waits for whoever carries it out, who keeps putting it off for the others, or for a second person.
_WAITS_HERE = (_ROW.state == State.REQUESTED) & (_ROW.approval_until.is_(None) | _ROW.approved_by.is_not(None))
_ONE = (
    select(_ROW.id)
    .where(
        _ROW.id == bindparam("b_id"),
        _ROW.state.in_(bindparam("b_states", expanding=True)),
        (_ROW.due_at <= bindparam("b_now")) | _WAITS_HERE,
    )
    .with_for_update(skip_locked=True)
)
_CLAIM_ONE = _CLAIM.where(_ROW.id.in_(_ONE.scalar_subquery()))
_GIVE_BACK = (
    update(retries)
    .where(_ROW.id.in_(bindparam("b_ids", expanding=True)), _WAITS_HERE)
    .values(due_at=bindparam("b_until", type_=Moment()))
)
# Whoever claimed a row since has set another end.
_RENEW = (
    update(retries)
    .where(_ROW.id.in_(bindparam("b_ids", expanding=True)), _ROW.due_at == bindparam("b_mine", type_=Moment()))
    .values(due_at=bindparam("b_until", type_=Moment()))
    .returning(_ROW.id)
)
_THESE = select(retries).where(_ROW.id.in_(bindparam("b_ids", expanding=True)))
_COOLED = _ROW.waits_until.is_(None) | (_ROW.waits_until <= bindparam("b_now", type_=Moment()))
_KEEP = _GIVE_BACK.where(_ROW.due_at < bindparam("b_until", type_=Moment()), _COOLED)


def claim(
    connection: Connection,
    states: Sequence[State],
    at: datetime,
    *,
    only: str | None = None,
    until: datetime | None = None,
    limit: int = 1_000,
    kinds: Sequence[Kind] = tuple(Kind),
) -> list[Retry]:
    """Takes rows that are due, or only one; until `until`, a lease from now, nobody else takes them.

    Args:
        only: this row; a request that waits for nobody else is taken before it is due, too.
    """
    values = {"b_states": states, "b_now": at, "b_until": until or at + LEASE, "b_limit": limit}
    if only is None:
        rows = connection.execute(_CLAIM_DUE, values | {"b_kinds": kinds})
    else:
        rows = connection.execute(_CLAIM_ONE, values | {"b_id": only})
    return queries.readable(rows)


def due(connection: Connection, states: Sequence[State], at: datetime, limit: int = 1_000) -> list[Retry]:
    """Rows that are due, without claiming them."""
    query = select(retries).where(retries.c.state.in_(states), retries.c.due_at <= at)
    return queries.readable(connection.execute(query.order_by(retries.c.due_at).limit(limit)))


def renew(connection: Connection, ids: Sequence[str], mine: datetime, until: datetime) -> set[str]:
    """Keeps claims that end at `mine` until `until`; returns whose still were."""
    named = {"b_ids": list(ids), "b_mine": mine, "b_until": until}
    return set(connection.scalars(_RENEW, named))


def load(connection: Connection, ids: Sequence[str]) -> list[Retry]:
    """Rows as they are now, apart from those that cannot be read."""
    found: list[Retry] = []
    for start in range(0, len(ids), KEPT_AT_A_TIME):
        rows = connection.execute(_THESE, {"b_ids": list(ids[start : start + KEPT_AT_A_TIME])})
        found += queries.readable(rows)
    return found


def keep(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Has requests that wait for their turn here left alone by others for a lease, and so not grow stale.

    One that was put off for longer just now, or to the end of a cooldown, by a turn that is about to end, stays so.
    """
    _put_off(connection, _KEEP, ids, {"b_until": now + LEASE, "b_now": now})


def give_back(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Has requests that wait for their turn here taken at `at`, by whoever finds them first."""
    _put_off(connection, _GIVE_BACK, ids, {"b_until": at})


def _put_off(connection: Connection, statement: Update, ids: Sequence[str], moments: dict[str, datetime]) -> None:
    for start in range(0, len(ids), KEPT_AT_A_TIME):
        connection.execute(statement, {"b_ids": ids[start : start + KEPT_AT_A_TIME], **moments})


def is_stale(retry: Retry, now: datetime) -> bool:
    """Whether a request that was found due has been left alone for too long; a second person may take longer."""
    return retry.due_at is not None and now - retry.due_at > STALE_AFTER and not retry.waits_for_approval


def free_leases(connection: Connection, at: datetime) -> None:
    """Makes every claimed row due at once; only for a process that is alone on its database."""
    connection.execute(update(retries).where(retries.c.due_at > at).values(due_at=at))


def not_later(connection: Connection, at: datetime) -> None:
    """Has no moment of a row lie in the future but the lease of what may be with Sift just now."""
    waiting = update(retries).where(_ROW.state != State.SENDING, _ROW.due_at > at)
    connection.execute(waiting.values(due_at=at))
    connection.execute(update(retries).where(_ROW.due_at > at + LEASE).values(due_at=at + LEASE))
    for moment in (_ROW.sent_at, _ROW.unknown_at, _ROW.accepted_at):
        ahead = update(retries).where(moment > at, _ROW.created_at > at - MOVED_WITHIN)
        connection.execute(ahead.values({moment: at}))

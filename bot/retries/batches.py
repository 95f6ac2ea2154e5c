"""Several requests of one kind made at once: recorded as one row before the ack, then spelled out a few at a time.

Whether their person may is decided once, before; who may not leaves one entry and no rows.

Each job gets a retry and an audit trail of its own; the batch is what shows them together. What is still to be spelled
out stands in the batch's row, so an interrupted batch goes on where it stopped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, or_, select, update

from bot import VERSION
from bot.audit import entry
from bot.audit import log as audit
from bot.base.requester import Source
from bot.base.text import new_id
from bot.db.columns import due_at
from bot.db.once import insert_once
from bot.db.tables import batches, retries
from bot.retries import claims, queries, store
from bot.retries.alert_rows import touch_storms
from bot.retries.kind import EVENTS, Kind
from bot.retries.request import JobRef, Request
from bot.retries.rules import Refusal
from bot.retries.state import ACTIVE, OFFERING, RefusalReason, State

CHUNK = 25
"""So many retries are spelled out in one transaction, so that nobody else waits for long."""

MAX_OPEN = 100
"""So many batches are spelled out side by side."""

MAX_QUERIED = 500
"""Job IDs to a query."""

_insert = insert_once(batches, "delivery_key", due_at=due_at())
_BEGUN = exists().where(retries.c.batch_id == batches.c.id)
_WAITING = exists().where(retries.c.batch_id == batches.c.id, retries.c.state == State.REQUESTED)
_DUE = (
    select(batches, _BEGUN.label("begun"))
    .where(batches.c.due_at <= bindparam("b_now"))
    .order_by(batches.c.due_at)
    .limit(MAX_OPEN)
)
_DUE_ONE = select(batches).where(batches.c.id == bindparam("b_id"), batches.c.due_at <= bindparam("b_now"))
_UNDER_WAY = (
    select(batches)
    .where(
        batches.c.origin.in_(bindparam("b_origins", expanding=True)),
        batches.c.kind == bindparam("b_kind"),
        batches.c.id != bindparam("b_id"),
        _BEGUN,
        _WAITING | batches.c.due_at.is_not(None),
    )
    .order_by(batches.c.created_at)
    .limit(MAX_OPEN)
)
_BUSY = select(retries.c.job_id).where(
    retries.c.job_id.in_(bindparam("b_jobs", expanding=True)),
    retries.c.kind == bindparam("b_kind"),
    retries.c.state.in_((State.REQUESTED, *ACTIVE)),
)
_DELIVERED = select(or_(*(exists().where(table.c.delivery_key == bindparam("b_key")) for table in (retries, batches))))
_REST = update(batches).where(batches.c.id == bindparam("b_id"))
_ONE = select(batches).where(batches.c.id == bindparam("b_id"))
MEMBERS = select(retries).where(retries.c.batch_id == bindparam("b_id"))
AGAIN = MEMBERS.where(retries.c.state.in_(OFFERING), retries.c.superseded_by.is_(None))
STALE = MEMBERS.where(store.IS_STALE, retries.c.superseded_by.is_(None)).order_by(retries.c.created_at, retries.c.id)


@dataclass(frozen=True, kw_only=True)
class Open:
    """A batch of which some is not spelled out yet; `begun` once its person was let through."""

    id: str
    team_id: str
    user_id: str
    channel_id: str | None
    created_at: datetime
    begun: bool


@dataclass(frozen=True)
class Spelled:
    """What one step of spelling out brought.

    Args:
        requests: to be carried out.
        refused: so many were left alone for too long instead.
        left: whether there is more to spell out.
    """

    requests: Sequence[Request] = ()
    refused: int = 0
    left: bool = False


def open_batch(
    connection: Connection, first: Request, wanted: Sequence[JobRef], at: datetime, origin: str | None = None
) -> bool:
    """Records a batch.

    Args:
        first: who asks, from where, and why: a request as it would be for the first job alone; its ID is the batch's.
        wanted: the jobs; of reruns, with their reports. One that is named twice is wanted once.
        origin: the storm or the batch whose button asks for all of it; `storm:group` for a part of a storm.

    Returns:
        Whether it is new; False for one that was already delivered.
    """
    wanted = list({one.job_id: one for one in wanted}.values())
    values = {name: value for name, value in first.__dict__.items() if name in batches.c}
    values |= {
        "created_at": at,
        "total": len(wanted),
        "todo": json.dumps([[one.job_id, one.offered, one.report_id] for one in wanted]),
        "b_at": at,
        "origin": origin,
    }
    return _insert(connection, values)


def delivered(connection: Connection, delivery_key: str) -> bool:
    """Whether a request, of one job or of several, was recorded before."""
    return bool(connection.scalar(_DELIVERED, {"b_key": delivery_key}))


def due(connection: Connection, now: datetime) -> list[Open]:
    """The batches of which some is not spelled out yet."""
    return [
        Open(**{name: row._mapping[name] for name in Open.__dataclass_fields__})
        for row in connection.execute(_DUE, {"b_now": now})
    ]


def under_way(connection: Connection, batch_id: str) -> Refusal | None:
    """Why a whole storm, or batch, is not retried: somebody else's request for it is not sent yet.

    Only where all that is still to be done of it is asked for or under way; else what is left is retried, and the rest
    refused job by job.

    Writing transactions take turns (see `database`), so of two that begin at once one sees the other.
    """
    mine = connection.execute(_ONE, {"b_id": batch_id}).one()
    if mine.origin is None:
        return None
    origins = {mine.origin, mine.origin.partition(":")[0]}  # a part of a storm, and the whole of it
    named = {"b_id": batch_id, "b_origins": list(origins), "b_kind": mine.kind}
    others = connection.execute(_UNDER_WAY, named).all()
    if not others or not _all_busy(connection, mine, others):
        return None
    other = others[0]
    ts = other.thread_ts or json.loads(other.shown).get("announcement", {}).get("ts")
    told = {"by": other.user_id, "channel_id": other.channel_id, "ts": ts, "request": other.id}
    return Refusal(State.REFUSED, {"why": RefusalReason.UNDER_WAY, **told})


def _all_busy(connection: Connection, mine: Row[Any], others: Sequence[Row[Any]]) -> bool:
    """Whether all that a batch has left to do is asked for or under way, as far as other batches have begun."""
    asked = {one[0] for other in others for one in json.loads(other.todo)}
    left = [one[0] for one in json.loads(mine.todo) if one[0] not in asked]
    for start in range(0, len(left), MAX_QUERIED):
        some = left[start : start + MAX_QUERIED]
        busy = set(connection.scalars(_BUSY, {"b_jobs": some, "b_kind": mine.kind}))
        if not busy.issuperset(some):
            return False
    return True


def refuse(connection: Connection, batch_id: str, refusal: Refusal, now: datetime, at: datetime) -> bool:
    """Lets none of a batch through: one entry, no rows.

    Returns:
        Whether it was refused; False if somebody else was at it.
    """
    row = connection.execute(_DUE_ONE.where(~_BEGUN), {"b_id": batch_id, "b_now": now}).first()
    if row is None:
        return False
    closed = {"todo": "[]", "due_at": None, "refusal": entry.canonical(refusal.detail)}
    connection.execute(_REST, {"b_id": batch_id, **closed})
    store.touch(connection, batch_id, now)
    facts = {"version": VERSION, "batch": batch_id, "total": row.total, **refusal.detail}
    audit.append(
        connection, _entry(row, refusal.state, {name: fact for name, fact in facts.items() if fact is not None}), at
    )
    return True


def spell_out(connection: Connection, batch_id: str, now: datetime, at: datetime) -> Spelled:
    """Records the next few retries of a batch; those of one that was left alone for too long are refused."""
    row = connection.execute(_DUE_ONE, {"b_id": batch_id, "b_now": now}).first()
    if row is None:
        return Spelled()
    stale = now - row.due_at > claims.STALE_AFTER
    todo = json.loads(row.todo)
    requests = [_request(row, *one) for one in todo[:CHUNK]]
    for number, request in enumerate(requests):
        store.add(connection, request, at + timedelta(microseconds=number))  # which keeps their order
        if stale:
            store.refuse_stale(connection, request.id, row.created_at, now, at)
    touch_storms(connection, [request.job_id for request in requests], now)
    left = todo[CHUNK:]
    again = row.due_at if stale else now  # what is left of a stale one stays so
    connection.execute(_REST, {"b_id": row.id, "todo": json.dumps(left), "due_at": again if left else None})
    store.touch(connection, row.id, now)
    return Spelled((), len(requests), bool(left)) if stale else Spelled(requests, 0, bool(left))


def spell_out_rest(connection: Connection, at: datetime) -> None:
    """Records every retry that batches have left."""
    for row in connection.execute(select(batches).where(batches.c.due_at.is_not(None))).all():
        for number, one in enumerate(json.loads(row.todo)):
            store.add(connection, _request(row, *one), at + timedelta(microseconds=number))
        connection.execute(_REST, {"b_id": row.id, "todo": "[]", "due_at": None})
        store.touch(connection, row.id, at)


def to_retry_again(connection: Connection, batch_id: str) -> list[JobRef]:
    """What failed again, was cancelled or never arrived, and may be retried once more."""
    members = queries.readable(connection.execute(AGAIN, {"b_id": batch_id}))
    return [JobRef(retry.job_id, retry.job.failure) for retry in members if retry.job is not None]


def left_over(connection: Connection, batch_id: str) -> list[JobRef]:
    """What was left alone for too long, and may be asked for once more."""
    return [JobRef(row.job_id, row.offered) for row in connection.execute(STALE, {"b_id": batch_id})]


def _entry(row: Row[Any], outcome: State, detail: Mapping[str, Any]) -> entry.Entry:
    names = ("team_id", "user_id", "user_name", "channel_id", "source", "reason")
    return entry.Entry(
        event=EVENTS[Kind(row.kind)],
        outcome=outcome,
        detail=detail,
        **{name: row._mapping[name] for name in names},
    )


def _request(row: Row[Any], job_id: str, offered: str | None, report_id: str | None = None) -> Request:
    return Request(
        id=new_id(),
        delivery_key=f"batch:{row.id}:{job_id}",
        kind=Kind(row.kind),
        job_id=job_id,
        offered=offered,
        report_id=report_id,
        batch_id=row.id,
        team_id=row.team_id,
        user_id=row.user_id,
        user_name=row.user_name,
        source=Source(row.source),
        reason=row.reason,
        channel_id=row.channel_id,
        thread_ts=row.thread_ts,
    )

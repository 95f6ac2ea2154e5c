"""Rows that take a second person's word: asked for, given, and what waits for it.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Unpack

from sqlalchemy import ColumnElement, Connection, bindparam, case, exists, func, null, or_, select, update

from bot.audit import entry
from bot.audit import log as audit
from bot.base.requester import Actor
from bot.db.columns import by_value, equal
from bot.db.tables import approvals, retries
from bot.retries import known, queries, store
from bot.retries.alert_rows import touch_alerts
from bot.retries.entries import entry_of
from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.spoken import Spoken
from bot.retries.state import UNSENT, State
from bot.retries.store import Changes
from bot.sift.ids import job_kind

APPROVAL_FOR = timedelta(hours=1)
"""How long a request waits for somebody else's word."""

MAX_MAY = 5
"""So many of those who may approve are named."""

MAX_SPOKEN = 50
"""So many different ways in which the requests of one batch went are told."""

_ROW = retries.c
_WAITS = equal(_ROW.state, State.REQUESTED) & _ROW.approval_until.is_not(None) & _ROW.approved_by.is_(None)
_AWAITING = select(retries).where(_ROW.job_id == bindparam("b_job"), _ROW.kind == Kind.RETRY, _WAITS).limit(1)


def ask(
    connection: Connection, retry: Retry, may: Sequence[str], needed: int, now: datetime, at: datetime
) -> Retry | None:
    """Has a claimed request wait for a second person; one that waits already goes on waiting.

    Args:
        may: the users and user groups that may approve, the requester among them or not.
        needed: how many people have to approve.

    Returns:
        Another request for the job that waits already, in whose place none is made; None if this one waits.
    """
    if retry.approval_until is not None:
        store.note_progress(connection, retry, at, due_at=now + (retry.approval_until - at))
        return None
    if (other := elsewhere(connection, retry, at)) is not None:
        return other
    others = [subject for subject in may if subject != retry.user_id]
    detail = {"may_approve": others[:MAX_MAY], "more": len(others[MAX_MAY:])}
    waiting = store.note_progress(
        connection,
        retry,
        at,
        approval_until=at + APPROVAL_FOR,
        approvals_needed=needed,
        waits_until=None,
        due_at=now + APPROVAL_FOR,
        job_before=retry.job_before,
        attempt=retry.attempt,
        detail=detail,
    )
    audit.append(connection, entry_of(waiting, None, {**detail, "needed": needed}, entry.Event.APPROVAL_ASKED), at)
    touch_alerts(connection, retry.job_id, at)
    return None


def awaiting(connection: Connection, job_id: str) -> Retry | None:
    """The retry of a job that waits for a second person; None if none does."""
    row = connection.execute(_AWAITING, {"b_job": job_id}).first()
    return None if row is None else queries.placed(connection, queries.as_far_as_readable(row))


def elsewhere(connection: Connection, retry: Retry, at: datetime) -> Retry | None:
    """Another request for the same job that waits for a second person, or was approved and is about to be sent."""
    same = (_ROW.job_id == retry.job_id) & (_ROW.kind == retry.kind) & (_ROW.id != retry.id)
    open_ = (_ROW.state == State.REQUESTED) & or_(_ROW.approval_until > at, _ROW.approved_by.is_not(None))
    row = connection.execute(select(retries).where(same, open_).limit(1)).first()
    return None if row is None else queries.placed(connection, queries.as_far_as_readable(row))


def waiting(
    connection: Connection,
    of: str,
    at: datetime,
    limit: int,
    *,
    by: str = "",
    only: Collection[str] | None = None,
    until: datetime | None = None,
) -> list[Retry]:
    """What waits for a second person of one request or batch, kept from others until the transaction is over.

    Args:
        of: the request, or the batch.
        by: who speaks: what they approved already, and now waits for others, comes last.
        only: these requests of the batch alone.
        until: those alone that wait no longer than that, since whoever speaks had not seen later ones.
    """
    query = select(retries).where(or_(_ROW.id == of, _ROW.batch_id == of), _WAITS, _ROW.approval_until > at)
    if only is not None:
        query = query.where(_ROW.id.in_(only))
    if until is not None:
        query = query.where(_ROW.approval_until <= until)
    spoken = exists().where(approvals.c.retry_id == _ROW.id, approvals.c.user_id == by)
    rows = connection.execute(query.order_by(spoken, _ROW.created_at, _ROW.id).limit(limit).with_for_update())
    return known.with_approvers(connection, queries.readable(rows))


def last_spoken(connection: Connection, of: str) -> Retry | None:
    """The request, or of a batch one whose wait is over; None if nobody was ever asked."""
    asked = select(retries).where(or_(_ROW.id == of, _ROW.batch_id == of), _ROW.approval_until.is_not(None))
    row = connection.execute(asked.order_by(_WAITS, _ROW.ended_at.desc(), _ROW.id).limit(1)).first()
    return None if row is None else queries.as_far_as_readable(row)


def approve(connection: Connection, retry: Retry, by: Actor, now: datetime, at: datetime) -> Retry:
    """Writes down that somebody approves a request that waits; with the last word that it takes it is let through."""
    word = approvals.insert().values(retry_id=retry.id, user_id=by.user_id, user_name=by.user_name, at=at)
    connection.execute(word)
    approvers = (*retry.approvers, by.user_id)
    if len(approvers) < (retry.approvals_needed or 1):
        return replace(store.note_progress(connection, retry, at), approvers=approvers)
    return _let_through(connection, retry, at, approved_by=by.user_id, due_at=now)


def override(connection: Connection, retry: Retry, by: Actor, reason: str, now: datetime, at: datetime) -> Retry:
    """Lets a request that waits through without a second person."""
    return _let_through(connection, retry, at, approved_by=by.user_id, override_reason=reason, due_at=now)


def _let_through(connection: Connection, retry: Retry, at: datetime, **changes: Unpack[Changes]) -> Retry:
    touch_alerts(connection, retry.job_id, at)
    return store.note_progress(connection, retry, at, **changes)


def page(connection: Connection, after: str, limit: int) -> list[Retry]:
    """What waits for a second person, by its ID, from after one on."""
    one = by_value(_ROW.id)
    return queries.readable(connection.execute(select(retries).where(_WAITS, one > after).order_by(one).limit(limit)))


@dataclass(frozen=True)
class Open:
    """As much of a request that waits for a second person as tells whether somebody may say a word.

    Args:
        job_type: as grants name it.
    """

    id: str
    batch_id: str | None
    channel_id: str | None
    approval_until: datetime
    job_type: str | None


def open_to(connection: Connection, user_id: str, at: datetime, limit: int) -> list[Open]:
    """What waits for a second person, and for this one to speak of.

    Returns:
        The newest batch, or request, first; those of a batch in the order in which a press on it takes them.
    """
    spoken = exists().where(approvals.c.retry_id == _ROW.id, approvals.c.user_id == user_id)
    asked_at = func.max(_ROW.created_at).over(partition_by=func.coalesce(_ROW.batch_id, _ROW.id))
    query = (
        select(_ROW.id, _ROW.batch_id, _ROW.channel_id, _ROW.approval_until, _ROW.job_before)
        .where(_WAITS, _ROW.approval_until > at, _ROW.user_id != user_id, ~spoken)
        .order_by(asked_at.desc(), _ROW.batch_id, _ROW.created_at, _ROW.id)
        .limit(limit)
    )
    found = []
    for row in connection.execute(query):
        try:
            job_type = job_kind(json.loads(row.job_before)["jobType"]) if row.job_before else None
        except queries.UNREADABLE:  # as `queries.readable` leaves it out
            continue
        found.append(Open(row.id, row.batch_id, row.channel_id, row.approval_until, job_type))
    return found


def named(connection: Connection, ids: Sequence[str]) -> list[Retry]:
    """Returns these requests as they are shown, in this order."""
    rows = connection.execute(select(retries).where(_ROW.id.in_(ids))).all()
    found = queries.readable(sorted(rows, key=lambda row: ids.index(row.id)))
    return known.completed(connection, found)


def not_later(connection: Connection, at: datetime) -> None:
    """Has no request wait longer for a second person than from now on."""
    latest = at + APPROVAL_FOR
    late = update(retries).where(equal(_ROW.state, State.REQUESTED), _ROW.approval_until > latest)
    connection.execute(late.values(approval_until=latest))


@dataclass(frozen=True)
class OfBatch:
    """How the requests of a batch stand with the second person.

    Args:
        spoken: of those that took one, how many went which way.
        awaiting: the first few that wait.
        until: for how long the last of all that wait does.
        undecided: so many may come to wait.
    """

    spoken: Sequence[Spoken]
    awaiting: Sequence[Retry]
    undecided: int
    until: datetime | None = None


def of_batch(connection: Connection, batch_id: str, limit: int) -> OfBatch:
    """How the requests of a batch stand with the second person; the first `limit` that wait."""
    mine = _ROW.batch_id == batch_id
    # One that Sift asked to wait for says so in its detail, and holds up nobody else's.
    undecided = mine & (_ROW.state == State.REQUESTED) & _ROW.approval_until.is_(None) & _ROW.detail.is_(None)
    left = connection.scalar(select(func.count()).where(undecided)) or 0
    spoken = _spoken(connection, mine)
    if not any(one.waits for one in spoken):
        return OfBatch(spoken, (), left)
    rows = connection.execute(select(retries).where(mine, _WAITS).order_by(_ROW.created_at, _ROW.id).limit(limit))
    until = connection.scalar(select(func.max(_ROW.approval_until)).where(mine, _WAITS))
    return OfBatch(spoken, known.with_approvers(connection, queries.readable(rows)), left, until)


def _spoken(connection: Connection, mine: ColumnElement[bool]) -> list[Spoken]:
    why = case((_ROW.state.in_(UNSENT), _ROW.detail), else_=null())
    parts = (_ROW.state, _ROW.approved_by, _ROW.override_reason, why)
    asked = select(*parts, func.count()).where(mine, _ROW.approval_until.is_not(None)).group_by(*parts)
    rows = connection.execute(asked.order_by(func.count().desc()).limit(MAX_SPOKEN))
    return [Spoken.of(*row) for row in rows]

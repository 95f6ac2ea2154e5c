"""What is read of the rows of retries, each on its own: one that cannot be read holds up no other.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Row, Select, bindparam, case, func, select

from bot.db.tables import batches, retries
from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.rules import Earlier
from bot.retries.state import ACTIVE, State

R = TypeVar("R")

log = structlog.get_logger(__name__)

# Statements are built once; see `store`.
_ROW = retries.c
_OF_KIND = (_ROW.job_id == bindparam("b_job")) & (_ROW.kind == bindparam("b_kind"))
_NEWEST_SENT = select(retries).where(_OF_KIND, _ROW.sent_at.is_not(None)).order_by(_ROW.sent_at.desc()).limit(1)
_ACCEPTED = select(func.max(_ROW.accepted_at), func.count(_ROW.accepted_at)).where(_OF_KIND)

_SHOWN: Select[Any] = select(batches.c.id, batches.c.shown).where(batches.c.id == bindparam("b_id"))

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a row raises that somebody else wrote, or that is damaged."""

_UNREAD = {"shown": "{}", **dict.fromkeys(("detail", "about", "job_before", "job_after", "late"))}
"""The columns of a row that are read, and not taken as they are, empty."""


def find(connection: Connection, request_id: str) -> Retry | None:
    """A request, alone or of a batch; None if there is none by that ID."""
    row = connection.execute(select(retries).where(retries.c.id == request_id)).first()
    return None if row is None else Retry.of(row._mapping)


def open_requests(connection: Connection) -> list[Retry]:
    """Every request that is not final, those that may have been sent first, then oldest first."""
    order = (case((_ROW.state == State.REQUESTED, 1), else_=0), _ROW.created_at, _ROW.id)
    query = select(retries).where(_ROW.state.in_((State.REQUESTED, *ACTIVE))).order_by(*order)
    return [as_far_as_readable(row) for row in connection.execute(query)]


def last_attempts(connection: Connection, job_id: str, kind: Kind = Kind.RETRY) -> Earlier:
    """The requests of one kind for a job that were sent so far."""
    named = {"b_job": job_id, "b_kind": kind}
    newest = connection.execute(_NEWEST_SENT, named).first()
    if newest is None:
        return Earlier()
    accepted_at, count = connection.execute(_ACCEPTED, named).one()
    return Earlier(placed(connection, as_far_as_readable(newest)), accepted_at, count)


def placed(connection: Connection, retry: Retry) -> Retry:
    """Returns a request, to be told of, with the thread that shows it: of one of a batch, the batch's."""
    if retry.batch_id is None or retry.root_ts is not None:
        return retry
    rows = connection.execute(_SHOWN, {"b_id": retry.batch_id})
    shown = each_readable(rows, lambda row: dict(json.loads(row["shown"])), "batch")
    return replace(retry, shown=shown[0]) if shown else retry


def readable(rows: Iterable[Row[Any]]) -> list[Retry]:
    """Returns the rows that can be read, so that one that cannot holds up no other."""
    return each_readable(rows, Retry.of, "retry")


def each_readable(rows: Iterable[Row[Any]], read: Callable[[Mapping[Any, Any]], R], what: str) -> list[R]:
    """Returns what `read` makes of each row, apart from those that it cannot read; the log names these.

    Args:
        what: whose rows they are.
    """
    found = []
    for row in rows:
        try:
            found.append(read(row._mapping))
        except UNREADABLE as error:
            log.error(f"{what}.unreadable", request_id=row.id, error=type(error).__name__)
    return found


def as_far_as_readable(row: Row[Any]) -> Retry:
    """Returns a row; of one that cannot be read, what stands in columns of its own: whose it is, how it stands, when.

    For whoever decides by it: that it is there must not be overlooked.
    """
    try:
        return Retry.of(row._mapping)
    except UNREADABLE as error:
        log.error("retry.unreadable", request_id=row.id, error=type(error).__name__)
        return Retry.of({**row._mapping, **_UNREAD})

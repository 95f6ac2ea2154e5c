"""Whether retrying helped before: how earlier retries ended, by the cause of the failure.

Every function runs inside one transaction of the caller's.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, func, select, text

from bot.db.tables import retries
from bot.retries.record import Frequent, Record
from bot.retries.state import State

RECENT = 200
"""So many of the latest retries tell how it goes: what helped two years ago says little."""

_ROW = retries.c
_TOLD = (State.FINISHED, State.FAILED_AGAIN)
"""How a retry ended that tells whether it helped; one that was cancelled, or is no longer followed, tells nothing."""

_HELPED = func.sum(case((_ROW.state == State.FINISHED, 1), else_=0))
_OF_CAUSE = (
    select(_ROW.state, _ROW.accepted_at, _ROW.ended_at)
    .where(_ROW.cause_key == bindparam("b_key"), _ROW.kind == "retry", _ROW.state.in_(_TOLD))
    .order_by(_ROW.ended_at.desc())
    .limit(RECENT)
)
# By an expression, which no index has in order: SQLite would read all of that index, not the chosen time alone.
_CAUSE = func.coalesce(_ROW.cause_key, text("''"))
_FREQUENT = (
    select(_CAUSE.label("cause_key"), func.count().label("tried"), _HELPED.label("helped"))
    .where(_ROW.cause_key.is_not(None), _ROW.kind == "retry", _ROW.state.in_(_TOLD))
    .where(_ROW.created_at >= bindparam("b_since"))
    .group_by(_CAUSE)
    .order_by(func.count().desc(), _CAUSE)
)


def record_of(connection: Connection, cause_key: str) -> Record:
    """Returns how the latest retries after failures of this cause ended."""
    return _record(connection.execute(_OF_CAUSE, {"b_key": cause_key}))


def records_of(connection: Connection, cause_keys: Collection[str]) -> dict[str, Record]:
    """Returns the same for several causes."""
    return {key: record_of(connection, key) for key in set(cause_keys)}


def frequent(connection: Connection, since: datetime, limit: int = 5) -> list[Frequent]:
    """Returns the causes after which most retries were asked for since a moment and ended, most frequent first."""
    rows = connection.execute(_FREQUENT.limit(limit), {"b_since": since})
    return [Frequent(row.cause_key, Record(int(row.helped), row.tried)) for row in rows]


def _record(rows: Iterable[Row[Any]]) -> Record:
    ended = list(rows)
    helped = [row for row in ended if row.state == State.FINISHED]
    seconds = [(row.ended_at - row.accepted_at).total_seconds() for row in helped if row.accepted_at is not None]
    return Record(len(helped), len(ended), timedelta(seconds=median(seconds)) if seconds else None)

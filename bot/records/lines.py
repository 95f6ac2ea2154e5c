"""The lines of the audit, read from the database a page at a time, each search by an index.

Every function runs inside one transaction of the caller's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, or_, select, text

from bot.audit import log
from bot.audit.entry import Event, Filters
from bot.db.lines import ENDED, LINES
from bot.db.tables import audit, retries
from bot.records.line import Line
from bot.records.search import Search
from bot.retries import known, queries
from bot.sift.subject import About

MAX_STEPS = 60
"""So many entries of one request are shown."""

_ROW = audit.c
_RETRIES = select(retries).where(retries.c.id.in_(bindparam("b_ids", expanding=True)))
_OWNER = select(retries.c.user_id).where(retries.c.id == bindparam("b_id"))
_FOUND = ("alert", "remind")
"""What the bot found by itself; there may be thousands, so only who looks for a job or a run is shown it."""


def page(
    connection: Connection, search: Search, *, before: tuple[datetime, int] | None = None, limit: int = 10
) -> list[Line]:
    """Returns the newest lines first.

    Args:
        before: the (`at`, `id`) of the last one seen.
    """
    query = log.newest_first(search.filters, before, limit).where(*_chosen(search))
    return _completed(connection, connection.execute(query).all())


def _chosen(search: Search) -> list[ColumnElement[bool] | Any]:
    """Which entries are lines; word for word as their indexes say it."""
    filters: Filters = search.filters
    if filters.outcome is not None:
        return [text(ENDED), *([] if search.reads else [_ROW.event != Event.AUDIT_READ.value])]
    more = [*(_FOUND if filters.job_id or filters.run else ()), *([Event.AUDIT_READ.value] if search.reads else ())]
    return [or_(text(f"({LINES})"), _ROW.event.in_(more))] if more else [text(LINES)]


def steps(connection: Connection, request_id: str) -> list[Line]:
    """Returns everything that is on record of one request, oldest first; one more than are shown at most."""
    return _completed(connection, log.story(connection, request_id, MAX_STEPS + 1))


def owner(connection: Connection, request_id: str) -> str | None:
    """Returns whose request it is; None if there is no such request."""
    return connection.scalar(_OWNER, {"b_id": request_id})


def _completed(connection: Connection, rows: Sequence[Row[Any]]) -> list[Line]:
    """The lines with their requests as these are now, and what their jobs are called."""
    ids = {row.request_id for row in rows if row.request_id}
    found = queries.readable(connection.execute(_RETRIES, {"b_ids": list(ids)})) if ids else []
    requests = {retry.id: retry for retry in known.completed(connection, found)}
    others = {row.job_id for row in rows if row.job_id and row.request_id not in requests}
    named = known.subjects(connection, others)
    lines = []
    for row in rows:
        retry = requests.get(row.request_id)
        subject = named.get(row.job_id)
        about = retry.about if retry is not None else About(subject) if subject is not None else None
        lines.append(Line.of(row._mapping, retry, about))
    return lines

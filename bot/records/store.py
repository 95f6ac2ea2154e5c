"""How retries went, counted in the database."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select, text

from bot.db.tables import retries
from bot.records.stats import Stats
from bot.retries.causes import frequent

MAX_PEOPLE = 15


def counted(connection: Connection, since: datetime, user_id: str | None = None) -> Stats:
    """Counts requests to retry since a moment: everybody's, or one person's."""
    chosen = (retries.c.created_at >= since) & (retries.c.kind == "retry")
    if user_id is not None:
        chosen = chosen & (retries.c.user_id == user_id)
    days: dict[str, dict[str, int]] = {}
    day = _day(connection)
    for row in connection.execute(
        select(day, retries.c.state, func.count()).where(chosen).group_by(day, retries.c.state).order_by(day)
    ):
        days.setdefault(row[0], {})[row[1]] = row[2]
    return Stats(
        since,
        days,
        _counts(connection, retries.c.job_type, chosen & retries.c.job_type.is_not(None)),
        _counts(connection, retries.c.user_id, chosen),
        frequent(connection, since) if user_id is None else (),
    )


def _counts(connection: Connection, column: ColumnElement[Any], chosen: ColumnElement[bool]) -> dict[str, int]:
    # By an expression, which no index has in order: SQLite would read all of that index, not the chosen time alone.
    value = func.coalesce(column, text("''"))
    query = select(value, func.count()).where(chosen).group_by(value).order_by(func.count().desc())
    return {row[0]: row[1] for row in connection.execute(query.limit(MAX_PEOPLE))}


def _day(connection: Connection) -> ColumnElement[str]:
    """The day of a request, in UTC, as text."""
    if connection.dialect.name == "sqlite":
        return func.substr(cast(retries.c.created_at, Text), 1, 10)
    return func.to_char(func.timezone("UTC", retries.c.created_at), "YYYY-MM-DD")

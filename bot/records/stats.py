"""How retries went, counted: per day by outcome, by job type, by person, and how often a retry helped."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from bot.db.tables import retries

MOST_PEOPLE = 15


@dataclass(frozen=True)
class Stats:
    """Counts since a moment.

    Args:
        days: for each day (UTC, `2026-11-24`) how many requests ended, or are, in which state.
        types: how many were for each job type as Sift names it.
        people: how many each of the most active asked for.
    """

    since: datetime
    days: Mapping[str, Mapping[str, int]]
    types: Mapping[str, int]
    people: Mapping[str, int]

    @property
    def states(self) -> dict[str, int]:
        """How many are in which state, over all days."""
        found: dict[str, int] = {}
        for states in self.days.values():
            for state, count in states.items():
                found[state] = found.get(state, 0) + count
        return found

    @property
    def total(self) -> int:
        """How many requests there were."""
        return sum(self.states.values())

    @property
    def helped(self) -> tuple[int, int]:
        """How many retried jobs finished, of how many that ended."""
        states = self.states
        finished = states.get("finished", 0)
        return finished, finished + states.get("failed_again", 0) + states.get("cancelled", 0)


def counted(connection: Connection, since: datetime, user_id: str | None = None) -> Stats:
    """Counts requests since a moment: everybody's, or one person's."""
    chosen = retries.c.created_at >= since
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
    )


def _counts(connection: Connection, column: ColumnElement[Any], chosen: ColumnElement[bool]) -> dict[str, int]:
    query = select(column, func.count()).where(chosen).group_by(column).order_by(func.count().desc())
    return {row[0]: row[1] for row in connection.execute(query.limit(MOST_PEOPLE))}


def _day(connection: Connection) -> ColumnElement[str]:
    """The day of a request, in UTC, as text."""
    if connection.dialect.name == "sqlite":
        return func.substr(cast(retries.c.created_at, Text), 1, 10)
    return func.to_char(func.timezone("UTC", retries.c.created_at), "YYYY-MM-DD")

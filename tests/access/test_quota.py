"""How much is recorded of one person in a minute, on both databases."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Row, select

from bot.access.quota import Quota, end_minutes
from bot.audit import log as audit
from bot.audit.entry import Filters
from bot.base.requester import Actor, Source
from bot.db.database import Database
from bot.db.tables import quotas
from tests.conftest import NOW

QUOTA = Quota(3)
LATER = NOW + timedelta(seconds=60)


@pytest.fixture
def connection(database: Database) -> Any:
    """One transaction, in which all of a test takes place."""
    with database.transaction() as connection:
        yield connection


def by(user_id: str = "U") -> Actor:
    return Actor(team_id="T", user_id=user_id, channel_id="C", source=Source.COMMAND)


def admitted(connection: Connection, count: int, at: datetime = NOW, user_id: str = "U") -> int:
    """How many of so many were admitted; the others are refused."""
    found = 0
    for _ in range(count):
        if QUOTA.admits(connection, by(user_id), at):
            found += 1
        else:
            QUOTA.refuse(connection, by(user_id), at)
    return found


def refusals(connection: Connection) -> list[tuple[str | None, dict[str, Any]]]:
    rows: list[Row[Any]] = list(audit.export(connection, Filters()))
    assert {(row.event, row.outcome) for row in rows} <= {("request", "refused")}
    return [(row.user_id, json.loads(row.detail)) for row in rows]


def test_so_many_are_admitted_of_each_person(connection: Connection) -> None:
    assert admitted(connection, 5) == 3
    assert admitted(connection, 5, user_id="U2") == 3


def test_the_first_refusal_is_audited_and_the_others_are_counted_when_the_minute_is_over(
    connection: Connection,
) -> None:
    admitted(connection, 10)
    assert refusals(connection) == [("U", {"why": "too_many", "per_minute": 3})]
    end_minutes(connection, LATER - timedelta(seconds=1))
    assert len(refusals(connection)) == 1
    end_minutes(connection, LATER)
    counted = {"why": "too_many", "more": 6, "since": "2026-11-20T12:00:00.000000Z"}
    assert refusals(connection)[1:] == [("U", counted)]
    assert connection.execute(select(quotas)).all() == [], "nothing is kept of who asks for nothing any more"


def test_whoever_asks_again_before_that_was_looked_at_loses_no_count(connection: Connection) -> None:
    admitted(connection, 5)
    assert admitted(connection, 4, LATER) == 3
    assert [detail.get("more") for _, detail in refusals(connection)] == [None, 1, None]


def test_a_lone_refusal_is_not_counted_twice(connection: Connection) -> None:
    admitted(connection, 4)
    end_minutes(connection, LATER)
    assert len(refusals(connection)) == 1


def test_the_wait_ends_with_the_minute(connection: Connection) -> None:
    admitted(connection, 3)
    at = NOW + timedelta(seconds=12.5)
    assert not QUOTA.admits(connection, by(), at)
    assert QUOTA.refuse(connection, by(), at) == 48


def test_a_clock_set_back_locks_nobody_out(connection: Connection) -> None:
    admitted(connection, 4)
    assert admitted(connection, 1, NOW - timedelta(hours=1)) == 1


def test_a_redelivery_is_given_back(connection: Connection) -> None:
    admitted(connection, 3)
    QUOTA.give_back(connection, "U")
    assert admitted(connection, 2) == 1


def test_there_may_be_no_limit(connection: Connection) -> None:
    free = Quota(0)
    assert all(free.admits(connection, by(), NOW) for _ in range(100))
    assert connection.execute(select(quotas)).all() == []

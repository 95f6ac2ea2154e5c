"""What earlier retries of the same cause say of the next one."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from bot.db.database import Database
from bot.db.tables import retries
from bot.retries.causes import RECENT, frequent, record_of, records_of
from bot.retries.record import Frequent, Record
from bot.retries.state import State
from tests.conftest import NOW


def ended(
    number: int, state: State, cause_key: str | None = "not a number", minutes: int = 6, **more: object
) -> dict[str, object]:
    """A row of a retry that ended."""
    at = NOW + timedelta(seconds=number)
    return {
        "id": f"r{number}",
        "delivery_key": f"k{number}",
        "kind": "retry",
        "state": state,
        "job_id": f"j{number}",
        "team_id": "T",
        "user_id": "U",
        "source": "command",
        "created_at": at,
        "cause_key": cause_key,
        "accepted_at": at - timedelta(minutes=minutes),
        "ended_at": at,
        **more,
    }


def write(database: Database, *rows: dict[str, object]) -> None:
    with database.transaction() as connection:
        for row in rows:
            connection.execute(insert(retries).values(row))


def test_a_record_counts_what_finished_and_what_failed_again(database: Database) -> None:
    write(
        database,
        *(ended(number, State.FINISHED, minutes=number) for number in (4, 6, 60)),
        ended(100, State.FAILED_AGAIN),
        ended(101, State.CANCELLED),
        ended(102, State.LOST),
        ended(103, State.FINISHED, "another cause"),
        ended(104, State.FINISHED, kind="cancel"),
        ended(105, State.ACCEPTED, ended_at=None),
    )
    with database.reading() as connection:
        assert record_of(connection, "not a number") == Record(3, 4, timedelta(minutes=6))
        assert record_of(connection, "never seen") == Record(0, 0, None)
        assert records_of(connection, ["another cause", "never seen"]) == {
            "another cause": Record(1, 1, timedelta(minutes=6)),
            "never seen": Record(),
        }


def test_only_the_latest_count(database: Database) -> None:
    old = [ended(number, State.FAILED_AGAIN) for number in range(5)]
    write(database, *old, *(ended(10 + number, State.FINISHED) for number in range(RECENT)))
    with database.reading() as connection:
        assert record_of(connection, "not a number") == Record(RECENT, RECENT, timedelta(minutes=6))


def test_causes_come_by_how_often_they_were_retried(database: Database) -> None:
    write(
        database,
        *(ended(number, State.FAILED_AGAIN, "often") for number in range(3)),
        ended(3, State.FINISHED, "often"),
        *(ended(10 + number, State.FINISHED, "less") for number in range(2)),
        ended(20, State.FINISHED, "rarely"),
        ended(21, State.FINISHED, None),
        *(ended(-60 - number, State.FINISHED, "earlier") for number in range(5)),
    )
    with database.reading() as connection:
        found = frequent(connection, NOW, limit=2)
    assert found == [Frequent("often", Record(1, 4)), Frequent("less", Record(2, 2))]


@pytest.mark.parametrize(
    ("record", "says_something", "hopeless"),
    [
        (Record(), False, False),
        (Record(0, 2), False, False),
        (Record(0, 3), True, True),
        (Record(1, 12), True, False),
        (Record(12, 12), True, False),
    ],
)
def test_from_three_tries_on_a_record_says_something(record: Record, says_something: bool, hopeless: bool) -> None:
    assert (record.says_something, record.hopeless) == (says_something, hopeless)


def test_looking_a_record_up_uses_the_index(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL reads small tables whole")
    with database.reading() as connection:
        query = (
            "SELECT state FROM retries WHERE cause_key = 'x' AND state IN ('finished') ORDER BY ended_at DESC LIMIT 9"
        )
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    assert "ix_retries_cause" in str(plan)
    assert "TEMP B-TREE" not in str(plan)

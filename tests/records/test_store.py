"""Statistics, counted on both databases."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from bot.base.requester import Source
from bot.db.database import Database
from bot.records.store import counted
from bot.retries import store
from bot.retries.request import Request
from tests.conftest import NOW


def test_people_are_counted_by_the_index_of_the_time(database: Database) -> None:
    with database.transaction() as connection:
        for number, (user, days) in enumerate((("U1", 0), ("U1", 1), ("U2", 2), ("U3", 40))):
            known: dict[str, Any] = {
                "id": f"r{number}",
                "delivery_key": f"k{number}",
                "job_id": f"j{number}",
                "user_id": user,
            }
            request = Request(**known, team_id="T", source=Source.COMMAND)
            store.add(connection, request, NOW - timedelta(days=days))
    said: list[tuple[str, object]] = []
    with database.reading() as connection:
        event.listen(connection, "before_cursor_execute", lambda *found: said.append((found[2], found[3])))
        found = counted(connection, NOW - timedelta(days=30))
        assert (found.total, dict(found.people), dict(found.types)) == (3, {"U1": 2, "U2": 1}, {})
        if database.is_sqlite:
            raw = connection.connection.driver_connection
            assert raw is not None
            plans = [raw.execute(f"EXPLAIN QUERY PLAN {query}", given).fetchall()[0][3] for query, given in said]
            assert all("ix_retries_created" in plan for plan in plans)

"""A row that is written once, on both databases."""

from sqlalchemy import select

from bot.db.database import Database
from bot.db.once import insert_once
from bot.db.tables import alerts
from tests.conftest import NOW

insert = insert_once(alerts, "job_id", "failure")


def test_a_row_with_the_same_key_is_left_out(database: Database) -> None:
    row = {
        "job_type": "",
        "channel_id": "C",
        "created_at": NOW,
        "manner": "new",
        "state": "open",
        "offered": "",
        "job": "",
    }
    with database.transaction() as connection:
        assert insert(connection, {**row, "id": "1", "job_id": "j", "failure": "f"})
        assert not insert(connection, {**row, "id": "2", "job_id": "j", "failure": "f"})
        assert insert(connection, {**row, "id": "3", "job_id": "j", "failure": "another"})
        assert insert(connection, {**row, "id": "4", "job_id": "another", "failure": "f"})
        assert list(connection.scalars(select(alerts.c.id).order_by(alerts.c.id))) == ["1", "3", "4"]

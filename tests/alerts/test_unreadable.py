"""A row that cannot be read holds up no other, in either database."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, update

from bot.alerts import creators, oncall, store
from bot.db.database import Database
from bot.db.tables import alerts
from tests.conftest import NOW
from tests.reading import a_job


def failed(connection: Connection, count: int) -> Sequence[str]:
    """Has jobs fail, and be alerted; returns the IDs of their alerts."""
    jobs = [a_job(job_id=f"{number:08}-0000-4000-8000-000000000000") for number in range(count)]
    store.note_failures(connection, {"C0": jobs}, NOW)
    store.fold(connection, 10, NOW)
    return connection.scalars(alerts.select().with_only_columns(alerts.c.id).order_by(alerts.c.job_id)).all()


def test_a_snooze_ends_beside_one_that_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        broken, other = failed(connection, 2)
        connection.execute(update(alerts).values(snoozed_until=NOW - timedelta(seconds=1)))
        connection.execute(update(alerts).where(alerts.c.id == broken).values(about="{", snoozed_until=NOW))
        assert {one.id for one in oncall.wake(connection, NOW, NOW, None)} == {broken, other}
        assert oncall.wake(connection, NOW, NOW, None) == []


def test_who_created_a_job_is_looked_up_beside_one_that_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        broken, other = failed(connection, 2)
        connection.execute(update(alerts).where(alerts.c.id == broken).values(job="{"))
        assert creators._new(connection, NOW) == {broken: "", other: a_job().created_by_user_id}

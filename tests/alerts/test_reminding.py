"""When somebody is reminded, in either database, where the clock does not only go forward."""

from datetime import timedelta

from sqlalchemy import select, update

from bot.alerts import store
from bot.alerts.reminders import Reminders
from bot.db.database import Database
from bot.db.tables import alerts
from tests.conftest import HandClock
from tests.reading import a_job

AFTER = timedelta(minutes=30)


async def test_a_clock_that_was_ahead_holds_no_reminder_back(database: Database, clock: HandClock) -> None:
    reminders = Reminders(database=database, clock=clock, after=AFTER, group=None, changed=lambda: None)
    await reminders.step()
    ahead = clock.now + timedelta(days=1)
    with database.transaction() as connection:
        store.note_failures(connection, {"C0": [a_job()]}, ahead)
        store.fold(connection, 10, ahead)
        connection.execute(update(alerts).values(remind_at=ahead))
    told = []
    for _ in range(10):
        clock.advance(1_800)
        await reminders.step()
        with database.reading() as connection:
            told.append(connection.scalar(select(alerts.c.reminded)))
    assert told == [0, 1, 1, 1, 2, 2, 2, 2, 2, 2]

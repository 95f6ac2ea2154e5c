"""The clock that several processes share: the database server's, whatever their own say."""

from datetime import timedelta

from bot.base.clock import utc_now
from bot.db.clock import GOOD_SECONDS, SET_BACK, ServerClock
from bot.db.database import Database
from tests.conftest import NOW, HandClock


class Timer:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_the_servers_clock_goes_on_between_two_looks_at_it() -> None:
    timer = Timer()
    clock = ServerClock(timer)
    assert clock.now() is None
    assert clock.told(NOW) == NOW
    timer.seconds += 7
    assert clock.now() == NOW + timedelta(seconds=7)


def test_a_slow_answer_sets_nothing_back_until_the_quick_one_is_old() -> None:
    timer = Timer()
    clock = ServerClock(timer)
    clock.told(NOW)
    timer.seconds += 2
    assert clock.told(NOW) == NOW
    assert clock.now() == NOW + timedelta(seconds=2)
    timer.seconds += GOOD_SECONDS
    clock.told(NOW)
    assert clock.now() == NOW


def test_a_server_whose_clock_is_set_is_believed() -> None:
    timer = Timer()
    clock = ServerClock(timer)
    clock.told(NOW)
    for moment in (NOW + timedelta(hours=1), NOW - SET_BACK - timedelta(seconds=1)):
        clock.told(moment)
        assert clock.now() == moment


def test_on_postgresql_a_process_goes_by_the_servers_clock_whatever_its_own_says(postgres_url: str) -> None:
    database = Database(postgres_url, HandClock(utc_now() + timedelta(hours=1)))
    try:
        with database.reading() as connection:
            now = database.now(connection)
        assert timedelta(0) <= database.present() - now < timedelta(minutes=1)
        assert abs(database.present() - utc_now()) < timedelta(minutes=1)
    finally:
        database.close()


def test_on_sqlite_a_process_goes_by_its_own(sqlite_url: str, clock: HandClock) -> None:
    database = Database(sqlite_url, clock)
    try:
        with database.reading() as connection:
            assert database.now(connection) == NOW
        clock.advance(5)
        assert database.present() == NOW + timedelta(seconds=5)
    finally:
        database.close()

"""Nobody waits for the database for ever, and what is said of what was recorded is true."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Connection, select, text

from bot.base.errors import DatabaseBusy, DatabaseUnavailable, MaybeRecorded
from bot.db.database import Database
from bot.db.tables import marks
from bot.db.worker import MAX_WAITING
from tests.conftest import NOW
from tests.db.test_database import adding, names
from tests.relay import Relay, relayed

Far = tuple[Relay, Database]


@pytest.fixture
async def far(postgres_url: str) -> AsyncIterator[Far]:
    """A database behind a relay, connected; a work there may take 0.3 seconds."""
    with relayed(postgres_url) as (relay, url):
        database = Database(url, lambda: NOW, patience=5, read_seconds=5)
        await database.run(adding("first"))
        database.patience = database.read_seconds = 0.3
        yield relay, database
        relay.speak()
        await asyncio.to_thread(database.close)


@contextlib.contextmanager
def held(database: Database) -> Iterator[asyncio.Task[bool]]:
    """The database's thread busy until the block ends."""
    go_on, begun = threading.Event(), threading.Event()

    def work(_: Connection) -> bool:
        begun.set()
        return go_on.wait(10)

    task = asyncio.create_task(database.run(work))
    try:
        yield task
    finally:
        go_on.set()


async def until_recorded(database: Database, name: str) -> None:
    """Tries until the database answers again, as the bot's loops do."""
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(DatabaseUnavailable):
                await database.run(adding(name))
                return


async def test_a_silent_host_is_told_and_nothing_was_recorded(far: Far) -> None:
    relay, database = far
    relay.silence()
    works = [database.run(adding(f"{number}")) for number in range(20)]
    async with asyncio.timeout(3):
        told = await asyncio.gather(*works, return_exceptions=True)
    assert {type(one) for one in told} == {DatabaseUnavailable}
    assert "nothing was recorded" in str(told[0])
    relay.speak()
    await until_recorded(database, "again")
    assert names(database) == {"first", "again"}


async def test_a_connection_that_hangs_for_ever_is_replaced(far: Far) -> None:
    relay, database = far
    before = relay.accepted
    relay.silence()
    with pytest.raises(DatabaseUnavailable):
        await database.run(adding("lost"))
    relay.forget()
    await until_recorded(database, "again")
    assert relay.accepted > before
    assert names(database) == {"first", "again"}


async def test_of_a_commit_without_an_answer_nobody_says_that_nothing_was_recorded(far: Far) -> None:
    relay, database = far
    relay.unheard = [b"COMMIT"]
    with pytest.raises(MaybeRecorded):
        await database.run(adding("perhaps"))
    relay.speak()
    assert "perhaps" in names(database)


async def test_a_connection_lost_in_a_commit_is_unclear_too(far: Far) -> None:
    relay, database = far
    database.patience = 5
    relay.unheard = [b"COMMIT"]
    work = asyncio.create_task(database.run(adding("perhaps")))
    async with asyncio.timeout(5):
        while relay.unheard:
            await asyncio.sleep(0.01)
    assert database.worker._thread is not None
    database._lines.cut(database.worker._thread.ident or 0)
    with pytest.raises(MaybeRecorded):
        await work
    relay.speak()


async def test_work_that_nobody_waits_for_any_more_is_not_begun(database: Database) -> None:
    database.patience = 0.2
    with held(database):
        late = asyncio.create_task(database.run(adding("late")))
        cancelled = asyncio.create_task(database.run(adding("cancelled")))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(DatabaseUnavailable):
            await late
    database.patience = 5
    await until_recorded(database, "next")
    assert names(database) == {"next"}


async def test_what_was_given_up_while_it_ran_is_not_committed(sqlite_url: str) -> None:
    database = Database(sqlite_url, lambda: NOW, patience=0.1)
    go_on = threading.Event()

    def slow(connection: Connection) -> None:
        adding("slow")(connection)
        go_on.wait(5)

    with pytest.raises(DatabaseUnavailable, match="nothing was recorded"):
        await database.run(slow)
    go_on.set()
    database.patience = 5
    await until_recorded(database, "next")
    assert names(database) == {"next"}
    database.close()


async def test_a_work_whose_time_is_over_undoes_none_of_those_it_shares_a_commit_with(database: Database) -> None:
    def slow(connection: Connection) -> None:
        time.sleep(0.4)
        adding("slow")(connection)

    with held(database):
        works = [asyncio.create_task(database.run(work)) for work in (slow, adding("beside"))]
        await asyncio.sleep(0)
        database.patience = 0.2
        late = asyncio.create_task(database.run(adding("late")))
        await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable):
        await late
    await asyncio.gather(*works)
    assert names(database) == {"slow", "beside"}


async def test_a_flood_is_served_as_fast_as_ever_and_only_what_is_too_much_is_not(sqlite_url: str) -> None:
    database = Database(sqlite_url, lambda: NOW, patience=1)
    began, recorded = time.monotonic(), []

    async def ask(number: int) -> None:
        def work(connection: Connection) -> None:
            time.sleep(0.002)
            adding(f"{number}")(connection)

        with contextlib.suppress(DatabaseUnavailable):
            await database.run(work)
            recorded.append(time.monotonic() - began)

    asked: list[asyncio.Task[None]] = []
    while (passed := time.monotonic() - began) < 3.5:
        asked += [asyncio.create_task(ask(number)) for number in range(len(asked), int(passed * 1_000))]
        await asyncio.sleep(0.01)
    await asyncio.gather(*asked)
    first, last = (sum(start < at <= start + 1 for at in recorded) for start in (0, 2.5))
    assert last > first / 10, "hardly anything is recorded any more"
    assert len(names(database)) == len(recorded)
    database.close()


async def test_more_than_can_be_served_in_time_is_refused_at_once(sqlite_url: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    with held(database):
        waiting = [asyncio.create_task(database.run(adding(f"{number}"))) for number in range(MAX_WAITING + 100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        told = [task.exception() for task in waiting if task.done()]
    assert told
    assert {type(one) for one in told} == {DatabaseUnavailable}
    await asyncio.gather(*waiting, return_exceptions=True)
    database.close()


async def test_a_thread_that_hangs_is_stuck_and_a_database_that_is_down_is_not(far: Far) -> None:
    relay, database = far
    database.worker.stuck_seconds = 0.05
    with held(database) as holding:
        async with asyncio.timeout(5):
            while not database.worker.stuck:
                await asyncio.sleep(0.01)
    await asyncio.gather(holding, return_exceptions=True)
    assert not database.worker.stuck
    database.worker.stuck_seconds = 4
    relay.silence()
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await database.run(adding("lost"))
    assert not database.worker.stuck


async def test_two_read_at_a_time_and_the_others_are_told(database: Database) -> None:
    go_on = threading.Event()
    database.read_seconds = 5
    slow = [asyncio.create_task(database.read(lambda _: go_on.wait(10))) for _ in range(2)]
    await asyncio.sleep(0)
    database.read_seconds = 0.1
    with pytest.raises(DatabaseBusy, match="try again"):
        await database.read(lambda connection: connection.execute(select(marks)).all())
    await asyncio.wait_for(database.run(adding("written")), 2)
    go_on.set()
    assert await asyncio.gather(*slow) == [True, True]
    database.read_seconds = 5
    assert await database.read(lambda connection: set(connection.scalars(select(marks.c.name)))) == {"written"}


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


async def test_a_reading_that_takes_too_long_is_cut_off_and_its_place_free_again(database: Database) -> None:
    database.read_seconds = 0.3
    endless = text(ENDLESS[database.engine.dialect.name])
    readings = [database.read(lambda connection: connection.execute(endless).all()) for _ in range(2)]
    told = await asyncio.gather(*readings, return_exceptions=True)
    assert [str(one) for one in told] == ["reading took too long"] * 2
    database.read_seconds = 5
    began = time.monotonic()
    assert await database.read(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    assert time.monotonic() - began < 5


async def test_a_reading_sees_one_moment(database: Database) -> None:
    with database.reading() as connection:
        connection.execute(select(marks)).all()
        await asyncio.wait_for(database.run(adding("written")), 2)
        assert connection.execute(select(marks)).all() == []
    assert names(database) == {"written"}

"""What a transaction remembers ends with it, and with whatever is undone of it."""

import asyncio
import contextlib
import threading

import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import OperationalError

from bot.audit import log as audit
from bot.audit.entry import Entry, Event, Head
from bot.base.clock import utc_now
from bot.base.errors import DatabaseUnavailable
from bot.db.database import Database
from bot.db.found import found
from tests.conftest import NOW


def append(connection: Connection) -> int:
    return audit.append(connection, Entry(event=Event.REQUEST), NOW).count


def append_and_fail(connection: Connection) -> None:
    append(connection)
    raise LookupError


def verified(database: Database) -> int:
    with database.reading() as connection:
        head = audit.verify(connection)
    assert isinstance(head, Head), head
    return head.count


async def test_an_entry_that_was_taken_back_is_followed_by_none(database: Database) -> None:
    started = threading.Event()
    held = asyncio.create_task(database.run(lambda _: started.wait(5)))
    works = [database.run(work) for work in (append, append_and_fail, append, append)]
    together = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)
    started.set()
    assert [
        one if isinstance(one, int) else type(one) for one in await asyncio.gather(*together, return_exceptions=True)
    ] == [
        1,
        LookupError,
        2,
        3,
    ]
    await held
    assert verified(database) == 3


async def test_nor_one_that_a_work_took_back_itself(database: Database) -> None:
    def work(connection: Connection) -> list[int]:
        counts = [append(connection)]
        with contextlib.suppress(LookupError), connection.begin_nested():
            append_and_fail(connection)
        return [*counts, append(connection)]

    assert await database.run(work) == [1, 2]
    assert verified(database) == 2


async def test_nothing_is_remembered_from_one_transaction_to_the_next(database: Database) -> None:
    def fails(connection: Connection) -> None:
        found(connection)["here"] = True
        append_and_fail(connection)

    with pytest.raises(LookupError):
        await database.run(fails)
    assert await database.run(lambda connection: "here" in found(connection)) is False
    assert await database.run(append) == 1


async def test_nor_over_a_connection_of_somebody_elses(sqlite_url: str) -> None:
    with create_engine(sqlite_url).connect() as connection:
        found(connection)["here"] = True
        assert "here" not in found(connection)


@pytest.mark.parametrize("nested", [False, True])
async def test_a_connection_that_is_lost_midway_is_the_databases_trouble_and_everybodys_who_shares_it(
    database: Database, nested: bool
) -> None:
    def lost(connection: Connection) -> None:
        with connection.begin_nested() if nested else contextlib.nullcontext():
            connection.invalidate()  # as SQLAlchemy does when the server closed it
            raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    started = threading.Event()
    held = asyncio.create_task(database.run(lambda _: started.wait(5)))
    together = [asyncio.create_task(database.run(work)) for work in (append, lost, append)]
    await asyncio.sleep(0)
    started.set()
    _, *told = await asyncio.gather(held, *together, return_exceptions=True)
    assert [type(one) for one in told] == [DatabaseUnavailable] * 3
    with pytest.raises(DatabaseUnavailable):
        await database.run(lost)
    assert await database.run(append) == 1


async def test_postgresql_is_asked_what_time_it_is_once_a_transaction(postgres_url: str) -> None:
    seconds = 1_000.0
    database = Database(postgres_url, utc_now, timer=lambda: seconds)

    def passes(connection: Connection) -> float:
        nonlocal seconds
        began = database.now(connection)
        seconds += 3
        return (database.now(connection) - began).total_seconds()

    assert await database.run(passes) == 3
    assert abs(await database.run(lambda connection: (database.now(connection) - utc_now()).total_seconds())) < 60
    database.close()

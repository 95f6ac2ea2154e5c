"""Connections that end before anybody knows of them, and those that come about while everything ends."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from bot.db.connections import Limits, Lines, make_engine
from bot.db.database import Database
from tests.conftest import NOW


def test_a_connection_that_ends_while_it_is_prepared_is_closed(postgres_url: str) -> None:
    engine = make_engine(postgres_url, Limits(statement=-1, idle=1), Lines())
    with pytest.raises(DBAPIError, match="statement_timeout"):
        engine.connect()
    gc.collect()  # what is still open complains, and so fails this test
    engine.dispose()


class Held:
    """Connections of a database that are not made before they may be; and which of them are open."""

    def __init__(self, database: Database) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.opened = 0
        self.closed = 0
        for engine in database.engines:
            event.listen(engine, "do_connect", self._hold)
            event.listen(engine, "connect", self._count_opened)
            event.listen(engine, "close", self._count_closed)

    def _hold(self, *_: object) -> None:
        self.asked.set()
        assert self.go_on.wait(10)

    def _count_opened(self, *_: object) -> None:
        self.opened += 1

    def _count_closed(self, *_: object) -> None:
        self.closed += 1


@pytest.fixture
def held(postgres_url: str) -> Iterator[tuple[Database, Held]]:
    database = Database(postgres_url, lambda: NOW)
    held = Held(database)
    yield database, held
    held.go_on.set()
    database.close()


def one(connection: Connection) -> Any:
    return connection.scalar(text("SELECT 1"))


def by_hand(database: Database) -> Any:
    with database.transaction() as connection:
        return one(connection)


def looking(database: Database) -> Any:
    with database.reading() as connection:
        return one(connection)


@pytest.mark.parametrize("use", [by_hand, looking])
async def test_a_connection_made_while_its_database_is_closed_is_closed_after_its_use(
    held: tuple[Database, Held], use: Callable[[Database], Any]
) -> None:
    database, connections = held
    using = asyncio.create_task(asyncio.to_thread(use, database))
    assert await asyncio.to_thread(connections.asked.wait, 5)
    database.close()
    connections.go_on.set()
    assert await using == 1
    assert (connections.opened, connections.closed) == (1, 1)


async def test_a_work_that_is_connecting_when_its_database_is_closed_leaves_no_connection(
    held: tuple[Database, Held],
) -> None:
    database, connections = held
    work = asyncio.create_task(database.run(one))
    assert await asyncio.to_thread(connections.asked.wait, 5)
    thread = database.worker._thread
    assert thread is not None
    await asyncio.to_thread(database.close)
    connections.go_on.set()
    assert await work == 1
    await asyncio.to_thread(thread.join, 5)
    assert (connections.opened, connections.closed) == (1, 1)


async def test_a_reading_given_up_while_it_is_connecting_is_not_begun_and_leaves_no_connection(
    held: tuple[Database, Held],
) -> None:
    database, connections = held
    begun: list[Connection] = []
    reading = asyncio.create_task(database.read(begun.append))
    assert await asyncio.to_thread(connections.asked.wait, 5)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    database.close()
    connections.go_on.set()
    await asyncio.to_thread(database._threads.shutdown)
    assert begun == []
    assert (connections.opened, connections.closed) == (1, 1)


@pytest.mark.parametrize("use", [by_hand, looking])
def test_what_is_asked_of_a_database_after_its_end_leaves_no_connection(
    held: tuple[Database, Held], use: Callable[[Database], Any]
) -> None:
    database, connections = held
    connections.go_on.set()
    database.close()
    assert [use(database), use(database)] == [1, 1]
    assert (connections.opened, connections.closed) == (2, 2)

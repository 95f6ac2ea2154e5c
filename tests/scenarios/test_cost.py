"""What a lone retry costs the database: transactions, flushes and statements, counted on SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World

MOST_FLUSHES = 5
"""The record, `sending`, the outcome and the ending; and one, should something else share a commit that is flushed."""

MOST_WRITES = 12
"""Those; what the job is about; twice or three times a claim to show it and what was shown; the follower's claims."""


@dataclass
class Transaction:
    """One transaction of the writer's."""

    statements: list[str] = field(default_factory=list)
    wrote: bool = False
    flushed: bool = False

    @property
    def is_of_a_retry(self) -> bool:
        """Whether it wrote anything of it."""
        return self.wrote and any(name in one for name in ("retries", "audit") for one in self.statements)


@contextmanager
def counted(engine: Engine) -> Iterator[list[Transaction]]:
    """Gathers the transactions of an engine with one connection, for as long as the block lasts."""
    done: list[Transaction] = []
    now = Transaction()
    changes = 0

    def begin(connection: Connection) -> None:
        nonlocal now, changes
        now, changes = Transaction(), raw(connection).total_changes

    def execute(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        now.statements.append(statement)

    def commit(connection: Connection) -> None:
        now.wrote = raw(connection).total_changes > changes
        # 1 NORMAL: no flush at a commit in WAL; 2 FULL: one (sqlite.org/pragma.html#pragma_synchronous)
        now.flushed = now.wrote and raw(connection).execute("PRAGMA synchronous").fetchone()[0] == 2
        done.append(now)

    listeners: list[tuple[str, Any]] = [("begin", begin), ("before_cursor_execute", execute), ("commit", commit)]
    for name, listener in listeners:
        event.listen(engine, name, listener)
    yield done
    for name, listener in listeners:
        event.remove(engine, name, listener)


def raw(connection: Connection) -> sqlite3.Connection:
    found = connection.connection.dbapi_connection
    assert isinstance(found, sqlite3.Connection)
    return found


@pytest.mark.sqlite
async def test_a_lone_retry_to_its_end_is_flushed_where_a_promise_hangs_on_it(world: World) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="0.7") as bot:
        world.allow()
        with counted(bot.database.engines[1]) as transactions:
            await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.fail_one().job_id)
            await world.until_outcome("finished", timeout=10)
            await world.until(lambda: len(world.replies()) == 2)
        assert world.outcomes() == ["requested", "sending", "accepted", "finished"]
        of_it = [one for one in transactions if one.is_of_a_retry]
        assert 4 <= sum(one.flushed for one in of_it) <= MOST_FLUSHES
        assert len(of_it) <= MOST_WRITES

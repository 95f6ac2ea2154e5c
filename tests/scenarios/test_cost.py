"""What a lone retry costs the database: transactions, flushes and statements, counted on SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World


@dataclass
class Transaction:
    """One transaction of the writer's."""

    statements: list[str] = field(default_factory=list)
    wrote: bool = False
    flushed: bool = False


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


async def test_a_lone_retry(world: World) -> None:
    # Nothing of the clockwork's: what runs beside the retry would be counted with it.
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="0.7") as bot:
        world.allow()
        job = world.sift.fail_one()
        with counted(bot.database.engines[1]) as transactions:
            await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
            await world.until_outcome("finished")
            import asyncio

            await asyncio.sleep(1)
    for t in transactions:
        print(
            "W" if t.wrote else "r",
            "F" if t.flushed else "-",
            len(t.statements),
            [" ".join(s.split())[:60] + ".." for s in t.statements],
        )
    print(
        len(transactions),
        sum(t.wrote for t in transactions),
        sum(t.flushed for t in transactions),
        sum(len(t.statements) for t in transactions),
    )

"""A database that grew for years: a start, rest and a retry cost what they cost at the beginning, or it shows here."""

import asyncio
import statistics
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from bench.arena import Arena
from bench.figures import Figures
from bench.load import cpu_seconds
from bench.long_log import fill
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.db.tables import grants
from bot.sandbox import DATA_IMPORTS

CROWD = 20
SETTLED_SECONDS = 3.0
REST_SECONDS = 20.0


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Args:
        start: seconds until it was ready.
        rest: the part of a processor that it uses while nothing happens.
        retry: seconds of a processor for one retry.
    """

    start: float
    rest: float
    retry: float


async def measure_grown(arena: Arena, figures: Figures, past: int, rounds: int) -> None:
    """Compares a new database to one in which so many requests were made, each after an alert, by many people."""
    print(f"A database that grew: {past:,} past requests and alerts, {past * 4:,} entries, {past // 100:,} people")
    new = await _cost(arena, 0, rounds)
    grown = await _cost(arena, past, rounds)
    for name, form in (("start", "{:.2f} s"), ("rest", "{:.2%}"), ("retry", "{:.4f} s")):
        before, after = getattr(new, name), getattr(grown, name)
        figures.say(f"{name}: new", before, form)
        figures.say(f"{name}: grown", after, form)
        figures.say(f"{name}: grown / new", after / before, goal="goal: 1")


async def _cost(arena: Arena, past: int, rounds: int) -> Cost:
    async with arena.ours(
        seed=lambda database: _seed(database, past), ALERT_CHANNEL=DATA_IMPORTS, ALERT_POLL_SECONDS="2"
    ) as running:
        await asyncio.sleep(SETTLED_SECONDS)
        used = cpu_seconds(running.pid)
        await asyncio.sleep(REST_SECONDS)
        rest = (cpu_seconds(running.pid) - used) / REST_SECONDS
        retries = []
        for _ in range(rounds + 1):
            job_ids = arena.job_ids(CROWD)
            await asyncio.sleep(SETTLED_SECONDS)  # until their failures are alerted
            used = cpu_seconds(running.pid)
            await arena.click_to_message(running.url, job_ids)
            await asyncio.sleep(SETTLED_SECONDS)
            retries.append((cpu_seconds(running.pid) - used) / CROWD)
            arena.clear()
    return Cost(running.seconds_to_start, rest, statistics.median(retries[1:]))


def _seed(database: Database, past: int) -> None:
    with database.transaction() as connection:
        fill(connection, past * 4, utc_now(), max(1, past // 100), alerted=True)
        _grant(connection, past // 100)


def _grant(connection: Connection, people: int) -> None:
    """Has so many people on the allow-list."""
    last, at = connection.scalar(select(func.max(grants.c.id))) or 0, utc_now()
    rows = [
        {"id": last + number, "subject": f"U{number}X", "role": "operator", "granted_by": "cli:bench", "granted_at": at}
        for number in range(1, people + 1)
    ]
    if rows:
        connection.execute(insert(grants), rows)

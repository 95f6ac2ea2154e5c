"""What one retry costs: until its first post leaves, in processor time, in transactions and flushes.

Ours on both databases and the usual bot take turns, with peers that answer at once and with peers like the real ones.
"""

import asyncio
import contextlib
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from bench.arena import Arena, Contender
from bench.figures import Figures
from bench.load import Running, milliseconds, tree_cpu_seconds
from bench.postgres import database

ONE, CROWD = 1, 20


@dataclass
class _Cost:
    """What was measured of one contender, by the peers and how many people were at it."""

    waits: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    processor: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    retries: int = 0


async def measure_retries(arena: Arena, figures: Figures, rounds: int) -> None:
    """Has all contenders retry jobs, in turns."""
    counts = {name: Path(arena.directory) / f"{name}.json" for name in ("SQLite", "PostgreSQL")}
    async with contextlib.AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {
            "ours, SQLite": lambda: arena.ours(counted=counts["SQLite"]),
            "the usual bot": arena.usual,
        }
        url = stack.enter_context(database())
        if url is not None:
            contenders["ours, PostgreSQL"] = lambda: arena.ours(counted=counts["PostgreSQL"], url=url)
        running = {name: await stack.enter_async_context(made()) for name, made in contenders.items()}
        costs = {name: _Cost() for name in contenders}
        for number in range(rounds + 1):
            for like_real in (False, True):
                arena.slow.on = like_real
                for people in (ONE, CROWD):
                    for name, contender in running.items():
                        await _round(arena, contender, costs[name], (like_real, people), warm=number > 0)
        arena.slow.on = False
    _say(figures, costs)
    for name, file in counts.items():
        if file.exists():
            for what, count in sorted(json.loads(file.read_text()).items()):
                figures.say(f"{what} a retry, ours, {name}", count / costs[f"ours, {name}"].retries, "{:.1f}")


async def _round(arena: Arena, contender: Running, cost: _Cost, key: tuple[bool, int], *, warm: bool) -> None:
    used = tree_cpu_seconds(contender.pid)
    waits = await arena.click_to_message(contender.url, arena.job_ids(key[1]))
    await asyncio.sleep(1.0)  # until what follows, the summaries, is shown, too
    used = tree_cpu_seconds(contender.pid) - used
    arena.clear()
    cost.retries += key[1]
    if warm:
        cost.waits.setdefault(key, []).extend(waits)
        cost.processor.setdefault(key, []).append(used / key[1])


def _say(figures: Figures, costs: dict[str, _Cost]) -> None:
    for like_real in (False, True):
        peers = "peers like the real ones" if like_real else "instant peers"
        for people in (ONE, CROWD):
            usual = milliseconds(costs["the usual bot"].waits[like_real, people])
            for name, cost in costs.items():
                waited = milliseconds(cost.waits[like_real, people])
                figures.say(f"{peers}, {people}: until the first post leaves, {name}", waited, "{:.0f} ms")
                if name != "the usual bot":
                    figures.say(f"{peers}, {people}: {name} / the usual bot", waited / usual, "{:.2f}")
    for name, cost in costs.items():
        spent = statistics.median(cost.processor[False, CROWD])
        figures.say(f"processor time a retry, {CROWD} at once, {name}", spent * 1e3, "{:.1f} ms")
        if name != "the usual bot":
            usual = statistics.median(costs["the usual bot"].processor[False, CROWD])
            figures.say(f"processor time a retry, {CROWD} at once: {name} / the usual bot", spent / usual, "{:.2f}")

"""The moment after an outage: a hundred people at once, two replicas on one PostgreSQL."""

import asyncio
import contextlib

from bench.arena import Arena
from bench.figures import Figures
from bench.load import Typists, tree_cpu_seconds
from bench.postgres import database

CROWD = 100


async def measure_outage(arena: Arena, figures: Figures, rounds: int) -> None:
    """A hundred people type a command at the same moment, half of them to each replica."""
    print(f"{CROWD} people at the same moment, PostgreSQL, 2 replicas")
    with database() as url:
        if url is None:
            print("  PostgreSQL is not installed here")
            return
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(arena.ours(url=url))
            second = await stack.enter_async_context(arena.another(url))
            others = await stack.enter_async_context(Typists(arena.sandbox.slack.signing_secret))
            replicas, took, used = (first, second), list[float](), 0.0
            for number in range(rounds + 1):
                job_ids = [[job_id] for job_id in arena.job_ids(CROWD)]
                before = sum(tree_cpu_seconds(one.pid) for one in replicas)
                halves = await asyncio.gather(
                    arena.typists.type(first.url, job_ids[: CROWD // 2]), others.type(second.url, job_ids[CROWD // 2 :])
                )
                await arena.shown(CROWD)
                await asyncio.sleep(2.0)
                arena.clear()
                if number:  # the first round opens everybody's connection
                    took += [one for half, _ in halves for one in half]
                    used += sum(tree_cpu_seconds(one.pid) for one in replicas) - before
    took.sort()
    figures.say(f"ack of {CROWD} at the same moment, median", took[len(took) // 2] * 1e3, "{:.0f} ms")
    figures.say(
        f"ack of {CROWD} at the same moment, p99", took[len(took) * 99 // 100] * 1e3, "{:.0f} ms", "goal: 250 ms"
    )
    figures.say(f"ack of {CROWD} at the same moment, slowest", took[-1] * 1e3, "{:.0f} ms")
    figures.say("processor time of both replicas a retry", used / rounds / CROWD * 1e3, "{:.1f} ms")

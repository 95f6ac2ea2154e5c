"""A storm that somebody retries as a whole, with peers like the real ones: Sift is kept busy, and nobody else waits."""

import asyncio
import statistics
import time

from bench.arena import Arena
from bench.figures import Figures
from bench.load import Running, cpu_seconds
from bot.sandbox import DATA_IMPORTS, OPERATOR
from bot.sandbox.slack.messages import Message

CONCURRENCY = 4
"""What `RETRY_CONCURRENCY` is by default: so many calls may be under way."""

WARM_SECONDS = 5.0

APART_SECONDS = 3.6
"""Between two lone retries, of which each posts three times: Slack takes one post a second."""


async def measure_storm(arena: Arena, figures: Figures, jobs: int, lone: int) -> None:
    """Has so many jobs fail at once, presses *Retry all*, and retries other jobs meanwhile, one at a time.

    Args:
        lone: how many other jobs are retried, beside the storm and before it.
    """
    print(f"A storm of {jobs:,}, retried as a whole")
    others = arena.job_ids(2 * lone)  # which failed before the bot came, so that nobody is alerted
    async with arena.ours(
        paced=True, ALERT_CHANNEL=DATA_IMPORTS, ALERT_POLL_SECONDS="5", RETRY_CONCURRENCY=str(CONCURRENCY)
    ) as running:
        arena.sandbox.slack.request_url = f"{running.url}/slack/events"
        await asyncio.sleep(3)
        arena.slow.on = True
        quiet = await _one_by_one(arena, running, others[:lone])
        arena.sandbox.sift.outage(jobs)
        storm = await _alerted(arena, jobs)
        began = time.perf_counter()
        pressed = await arena.sandbox.slack.click(OPERATOR, DATA_IMPORTS, storm.ts, "retry_storm")
        assert pressed.answer.ok
        figures.say("from the press to its ack", (time.perf_counter() - began) * 1e3, "{:.0f} ms")
        await asyncio.sleep(WARM_SECONDS)
        since, before, used = time.perf_counter(), arena.slow.retried, cpu_seconds(running.pid)
        beside = await _one_by_one(arena, running, others[lone:])
        seconds, done, used = time.perf_counter() - since, arena.slow.retried - before, cpu_seconds(running.pid) - used
        arena.slow.on = False
    figures.say("Sift's allowed calls under way", done.seconds / seconds / CONCURRENCY, "{:.0%}", "goal: 90 %")
    figures.say("processor time a retry of the storm", used / max(1, done.calls) * 1e3, "{:.1f} ms")
    figures.say("a lone retry before the storm: until its first post leaves", quiet * 1e3, "{:.0f} ms")
    figures.say("a lone retry beside the storm: until its first post leaves", beside * 1e3, "{:.0f} ms")
    figures.say("a lone retry: beside the storm / before", beside / quiet, "{:.2f}", "goal: 1.1")


async def _alerted(arena: Arena, jobs: int) -> Message:
    """The storm's message, once it is about all of the jobs."""
    wanted = f"Retry all ({jobs:,})"
    async with asyncio.timeout(120):
        while True:
            for message in arena.sandbox.slack.channels[DATA_IMPORTS].messages:
                if wanted in str(message.blocks):
                    return message
            await asyncio.sleep(0.2)


async def _one_by_one(arena: Arena, running: Running, job_ids: list[str]) -> float:
    """The median of the seconds until the first post of each left, in the middle of a second's work at other times."""
    waits = []
    for job_id in job_ids:
        arena.clear()
        waits += await arena.click_to_message(running.url, [job_id])
        await asyncio.sleep(APART_SECONDS)
    return statistics.median(waits)

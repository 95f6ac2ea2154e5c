"""Slack's limits, kept by the real app: the sandbox enforces them, ten times as fast as Slack and the bot alike."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.sandbox import DATA_IMPORTS, LAUNCH_OPS, OPERATOR
from bot.sandbox.slack.state import ApiCall
from bot.sandbox.slack.trouble import RATES as SLACKS
from bot.sandbox.slack.trouble import RateLimits
from bot.slack.pace import RATES
from tests.scenarios.conftest import World

FASTER = 10
OURS = {method: replace(rate, seconds=rate.seconds / FASTER) for method, rate in RATES.items()}


@pytest.fixture
def limited(world: World) -> World:
    """A world with Slack's limits."""
    faster = {method: replace(rate, seconds=rate.seconds / FASTER) for method, rate in SLACKS.items()}
    world.slack.limits = RateLimits(rates=faster)
    world.slack.rate_limits = True
    world.rates = OURS
    return world


def posts(world: World, channel_id: str = LAUNCH_OPS) -> list[ApiCall]:
    calls = [call for call in world.slack.calls if call.method == "chat.postMessage"]
    return [call for call in calls if call.arguments["channel"] == channel_id]


async def test_twelve_commands_at_once_are_not_turned_away(limited: World) -> None:
    async with limited.running(socket_mode=False):
        limited.allow()
        jobs = [limited.sift.add() for _ in range(12)]
        await asyncio.gather(*(limited.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for job in jobs))
        await limited.until(lambda: sum("*Finished*" in it.text_shown() for it in limited.replies()) == 12, timeout=15)
        assert len(limited.messages()) == 12
        assert limited.slack.limits.turned_away.total() <= 2
        assert len(posts(limited)) <= 12 * 3 + 2


async def test_what_begins_a_thread_comes_before_what_goes_on_in_one(limited: World) -> None:
    async with limited.running(socket_mode=False):
        limited.allow()
        await turned_away(limited, 3)
        for _ in range(8):
            await limited.slack.command(OPERATOR, LAUNCH_OPS, limited.sift.add().job_id)
        await limited.until(lambda: limited.outcomes().count("finished") == 9, timeout=8)
        await limited.until(lambda: len(limited.replies()) >= 9, timeout=8)
        shown = [bool(it.thread_ts) for it in limited.slack.channel(LAUNCH_OPS).messages]
        assert sum(shown[:9]) <= 1, "the last one may not have been there yet when there was a turn"


async def test_a_lone_retry_is_shown_at_once(limited: World) -> None:
    limited.rates = {method: replace(rate, seconds=60) for method, rate in RATES.items()}
    async with limited.running(socket_mode=False):
        limited.allow()
        await limited.retried(limited.sift.add())
        await limited.until(lambda: len(limited.replies()) == 2)
        assert "*Finished*" in limited.replies()[0].text_shown(), "within its burst: nothing waited a minute"


async def test_a_channel_that_answered_429_is_left_alone_and_another_is_not(limited: World) -> None:
    async with limited.running(socket_mode=False):
        limited.allow()
        await turned_away(limited, 3)
        for channel_id in (DATA_IMPORTS, LAUNCH_OPS, LAUNCH_OPS):
            await limited.slack.command(OPERATOR, channel_id, limited.sift.add().job_id)
        await limited.until(lambda: len(limited.replies(DATA_IMPORTS)) == 2)
        await limited.until(lambda: len(limited.messages()) == 3 and len(limited.replies()) >= 3, timeout=8)
        refused, *others = [call.at for call in posts(limited)]
        assert min(others) - refused >= timedelta(seconds=3)
        assert posts(limited, DATA_IMPORTS)[0].at < min(others), "nobody else waits"


async def turned_away(world: World, seconds: int) -> None:
    """Somebody's command meets a channel that takes nothing for so long."""
    world.slack.fail("chat.postMessage", "ratelimited", status=429, retry_after=seconds, channel=LAUNCH_OPS)
    await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
    await world.until(lambda: posts(world))
    await asyncio.sleep(0.2)  # until the bot has read the answer

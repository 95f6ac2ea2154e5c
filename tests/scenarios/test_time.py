"""Expiry, cooldown and durations, with the machine's clock frozen and moved by hand."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from freezegun.api import FrozenDateTimeFactory

from bot.app.server import serving
from bot.base.clock import utc_now
from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, Sandbox
from tests.scenarios.conftest import World

pytestmark = pytest.mark.sqlite  # time stands still, and PostgreSQL goes by its own


@pytest.fixture
async def still(frozen: FrozenDateTimeFactory, tmp_path: Path) -> AsyncIterator[World]:
    """A world in which time stands still, with a cooldown of 30 s and jobs that run for 125 s."""
    sandbox = Sandbox(run_seconds=125)
    async with serving(sandbox.app) as url:
        world = World(sandbox, url, tmp_path)
        async with world.running(socket_mode=False, RETRY_COOLDOWN_SECONDS="30", SETTLE_SECONDS="120"):
            world.allow()
            yield world


async def test_a_grant_ends_to_the_second(still: World, frozen: FrozenDateTimeFactory) -> None:
    still.allow(SECOND_OPERATOR, expires_at=utc_now() + timedelta(hours=8))
    frozen.tick(timedelta(hours=8) - timedelta(seconds=1))
    await still.slack.command(SECOND_OPERATOR, LAUNCH_OPS, still.sift.add().job_id)
    await still.until_outcome("accepted")
    frozen.tick(timedelta(seconds=1))
    await still.slack.command(SECOND_OPERATOR, LAUNCH_OPS, still.sift.add().job_id)
    (said,) = await still.until(lambda: still.whispers(SECOND_OPERATOR))
    assert "your grant expired 0 s ago" in said


async def test_a_grant_ends_to_the_second_for_buttons_already_shown(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    still.allow(SECOND_OPERATOR, expires_at=utc_now() + timedelta(hours=8))
    job = still.sift.add(then=["fail at once", "fail at once"])
    frozen.tick(timedelta(seconds=1))
    await still.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    button = (await still.until(lambda: [message for message in still.replies() if message.buttons()]))[0]
    frozen.tick(timedelta(hours=8) - timedelta(seconds=1))
    await still.slack.click(SECOND_OPERATOR, LAUNCH_OPS, button.ts, "retry")
    (said,) = await still.until(lambda: still.whispers(SECOND_OPERATOR))
    assert "your grant expired 0 s ago" in said
    assert still.sift.count("retry") == 1


async def test_the_cooldown_ends_to_the_second(still: World, frozen: FrozenDateTimeFactory) -> None:
    job = still.sift.add(then=["fail at once"])
    frozen.tick(timedelta(seconds=1))
    await still.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await still.until_outcome("failed_again")
    frozen.tick(timedelta(seconds=29))
    await still.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    (said,) = await still.until(still.whispers)
    assert "Try again in 1 s" in said
    frozen.tick(timedelta(seconds=1))
    await still.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await still.until(lambda: still.sift.count("retry") == 2)


async def test_how_long_a_job_ran_is_said(still: World, frozen: FrozenDateTimeFactory) -> None:
    await still.slack.command(OPERATOR, LAUNCH_OPS, still.sift.add().job_id)
    await still.until_outcome("accepted")
    for _ in range(2):
        frozen.tick(timedelta(seconds=62.5))
    await still.until_outcome("finished")
    await still.until(lambda: any("finished after 1 min 52 s" in message.text for message in still.replies()))


async def test_an_unknown_outcome_is_settled_after_two_minutes(still: World, frozen: FrozenDateTimeFactory) -> None:
    still.sift.drop("retry", when="before")
    await still.slack.command(OPERATOR, LAUNCH_OPS, still.sift.add().job_id)
    await still.until_outcome("unknown")
    frozen.tick(timedelta(seconds=119))
    async with asyncio.timeout(5):
        while still.sift.count("list") < 2:
            await asyncio.sleep(0.01)
    assert still.outcomes()[-1] == "unknown"
    frozen.tick(timedelta(seconds=1))
    await still.until_outcome("not_applied")


async def test_a_job_that_never_ends_is_followed_for_a_week(still: World, frozen: FrozenDateTimeFactory) -> None:
    job = still.sift.add()
    still.sift.run_seconds = 10_000_000
    await still.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await still.until_outcome("accepted")
    frozen.tick(timedelta(days=7, seconds=1))
    await still.until_outcome("lost")
    await still.until(lambda: any("ran for too long" in message.text_shown() for message in still.replies()))

"""When Sift asks for a long wait: the request goes back to the queue, holds no place, and is sent when that is over."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from sqlalchemy import Row, select

from bot.access import grants
from bot.app.server import serving
from bot.base.clock import utc_now
from bot.db.tables import retries
from bot.sandbox import LAUNCH_OPS, OPERATOR, Sandbox
from bot.sandbox.sift.jobs import SandboxJob
from tests.scenarios.conftest import World
from tests.scenarios.test_alerts import OFFERED

pytestmark = pytest.mark.sqlite  # time stands still, and PostgreSQL goes by its own

LIMIT = "rate limit exceeded, retry after 600 s"


@pytest.fixture
async def still(frozen: FrozenDateTimeFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world in which time stands still, with jobs that run for ever and a bot that looks at its rows often."""
    monkeypatch.setattr("bot.app.schedule.SWEEP_SECONDS", 0.1)
    sandbox = Sandbox(run_seconds=1_000_000)
    async with serving(sandbox.app) as url:
        world = World(sandbox, url, tmp_path)
        async with world.running(socket_mode=False, ALERT_CHANNEL=LAUNCH_OPS, ALERT_POLL_SECONDS="0.1"):
            world.allow()
            yield world


async def ask(world: World, job: SandboxJob) -> None:
    await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)


async def row(world: World, job: SandboxJob) -> Row[Any]:
    assert world.bot is not None
    return await world.bot.database.run(
        lambda c: c.execute(select(retries).where(retries.c.job_id == job.job_id)).one()
    )


async def waiting(world: World, job: SandboxJob, seconds: float = 600) -> None:
    """Waits until a request is due again as late as Sift asks for."""
    async with asyncio.timeout(5):
        while (found := await row(world, job)).state != "requested" or found.due_at < utc_now() + timedelta(
            seconds=seconds - 5
        ):
            await asyncio.sleep(0.01)


async def test_a_retry_that_sift_puts_off_is_sent_when_the_wait_is_over(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    still.sift.fail("retry", 8, LIMIT)
    first, second = still.sift.add(), still.sift.add()
    await ask(still, first)
    await waiting(still, first)
    assert still.outcomes(job_id=first.job_id) == ["requested", "sending", "requested"]
    (said,) = await still.until(still.whispers)
    assert "asks to wait for 10 min" in said
    await ask(still, second)
    await waiting(still, second)
    assert still.outcomes(job_id=second.job_id) == ["requested"], "it is known already, so nothing is marked or sent"
    frozen.tick(timedelta(seconds=590))
    await asyncio.sleep(0.3)
    assert still.sift.count("retry") == 1
    frozen.tick(timedelta(seconds=12))
    await still.until_outcome("accepted", job_id=first.job_id)
    await still.until_outcome("accepted", job_id=second.job_id)
    assert still.outcomes(job_id=first.job_id) == ["requested", "sending", "requested", "sending", "accepted"]
    assert still.sift.count("retry") == 3
    assert len([said for said in still.whispers() if "asks to wait" in said]) == 2, "each is told once"


async def test_a_job_that_cannot_be_read_for_a_while_is_read_when_the_wait_is_over(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    job = still.sift.add()
    async with asyncio.timeout(5):
        while not still.sift.count("list"):
            await asyncio.sleep(0.01)
    still.sift.fail("list", 8, LIMIT, times=1)
    async with asyncio.timeout(5):
        while still.sift._faults:
            await asyncio.sleep(0.01)
    await ask(still, job)
    await waiting(still, job)
    assert still.outcomes() == ["requested"]
    frozen.tick(timedelta(seconds=602))
    await still.until_outcome("accepted")
    assert still.sift.count("retry") == 1


async def test_a_wait_without_end_comes_to_one(still: World, frozen: FrozenDateTimeFactory) -> None:
    still.sift.fail("retry", 8, LIMIT, times=99)
    job = still.sift.add()
    await ask(still, job)
    await waiting(still, job)
    for times in range(2, 37):  # the bot is there all the time, so nobody takes the request for a forgotten one
        frozen.tick(timedelta(seconds=601))
        await waiting(still, job)
        assert still.sift.count("retry") == times
    frozen.tick(timedelta(seconds=601))
    await still.until_outcome("failed")
    said = await still.until(lambda: len(still.whispers()) == 2 and still.whispers())
    assert "asks to wait" in said[0]
    assert "did not take the request" in said[1]


async def test_who_may_no_longer_when_the_wait_is_over_is_refused_and_the_alert_offers_the_retry_again(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    frozen.tick(timedelta(seconds=1))
    still.sift.fail("retry", 8, LIMIT)
    job = still.sift.add()
    (alert,) = await still.until(lambda: [m for m in still.messages() if job.job_id in m.text_shown()])
    await still.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await waiting(still, job)
    await still.until(lambda: "is retrying it" in alert.text_shown())
    assert [button["action_id"] for button in alert.buttons()] == ["mute_alert"]
    assert still.bot is not None
    with still.bot.database.transaction() as connection:
        grants.revoke(connection, OPERATOR, "cli:test", utc_now())
    frozen.tick(timedelta(seconds=602))
    await asyncio.sleep(0.3)
    frozen.tick(timedelta(seconds=61))  # a turn that was just ending may have kept the row for a lease more
    await still.until_outcome("denied")
    await still.until(lambda: [button["action_id"] for button in alert.buttons()] == OFFERED)
    assert still.sift.count("retry") == 1


async def test_a_wait_survives_a_restart(world: World) -> None:
    job = world.sift.add()
    world.sift.fail("retry", 8, LIMIT)
    async with world.running(socket_mode=False):
        world.allow()
        await ask(world, job)
        await waiting(world, job)
    async with world.running(socket_mode=False):
        await world.until_outcome("finished")
    assert world.outcomes() == ["requested", "sending", "requested", "sending", "accepted", "finished"]
    assert world.sift.count("retry") == 2

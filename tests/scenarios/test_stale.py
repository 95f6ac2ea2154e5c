"""Requests that were left alone: yesterday's click is not carried out today, and whoever clicked is told."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from sqlalchemy import select

from bot.access import grants
from bot.access.policy import Role
from bot.base.clock import utc_now
from bot.base.requester import Source
from bot.db.database import Database, migrate
from bot.db.tables import retries
from bot.retries import batches, store
from bot.retries.request import JobRef, Request
from bot.sandbox import LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack.directory import TEAM
from tests.scenarios.conftest import World


def left_behind(world: World, jobs: Sequence[SandboxJob], ago: timedelta, *, begun: bool = False) -> None:
    """Jobs that the operator asked for so long ago, recorded by a bot that went down then.

    Args:
        begun: whether the first of several are spelled out already.
    """
    database = Database(world.database_url, utc_now)
    migrate(database.engine)
    then = utc_now() - ago
    first = Request(
        id="leftbehind",
        delivery_key="command:1",
        job_id=jobs[0].job_id,
        team_id=TEAM,
        user_id=OPERATOR,
        source=Source.COMMAND,
        channel_id=LAUNCH_OPS,
    )
    with database.transaction() as connection:
        grants.grant(connection, grants.NewGrant(subject=OPERATOR, role=Role.OPERATOR, granted_by="cli:test"), then)
        if len(jobs) == 1:
            store.add(connection, first, then)
        else:
            batches.open_batch(connection, first, [JobRef(job.job_id) for job in jobs], then)
        if begun:
            batches.spell_out(connection, first.id, then, then)
    database.close()


async def test_yesterday_s_click_is_refused_and_offered_again(world: World) -> None:
    job = world.sift.add()
    left_behind(world, [job], timedelta(hours=3))
    async with world.running():
        (said,) = await world.until(world.whispers)
        assert f"Job `{job.job_id[:8]}` was asked for 3 h ago, and nobody carried it out" in said
        assert "Nothing was sent to Sift" in said
        assert world.outcomes() == ["requested", "refused"]
        assert '"why":"stale"' in world.entries()[-1].detail
        assert world.sift.count("retry") == 0
        (whisper,) = world.slack.ephemerals(OPERATOR)
        await world.slack.click(OPERATOR, LAUNCH_OPS, whisper.ts, "retry")
        await world.until_outcome("finished")
    assert world.sift.count("retry", job.job_id) == 1


async def test_what_was_asked_for_a_moment_ago_is_carried_out(world: World) -> None:
    job = world.sift.add()
    left_behind(world, [job], timedelta(minutes=14))
    async with world.running():
        await world.until_outcome("finished")
    assert world.sift.count("retry", job.job_id) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["not begun", "begun"])
async def test_yesterday_s_batch_is_counted_and_the_rest_offered(world: World, begun: bool) -> None:
    jobs = world.sift.outage(30)
    left_behind(world, jobs, timedelta(hours=2), begun=begun)
    async with world.running():
        await world.until(lambda: [one for one in world.whispers() if "30 of 30 jobs were not retried" in one])
        whisper = world.slack.ephemerals(OPERATOR)[-1]
        assert "asked for 2 h ago" in whisper.text_shown()
        assert world.outcomes().count("refused") == 30
        assert world.sift.count("retry") == 0
        assert [button["text"]["text"] for button in whisper.buttons()] == ["Retry the rest (30)"]
        await world.slack.click(OPERATOR, LAUNCH_OPS, whisper.ts, "retry_rest")
        await world.until(lambda: world.outcomes().count("finished") == 30, timeout=20)
    assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)


async def test_waiting_for_a_place_while_the_bot_runs_does_not_count(
    frozen: FrozenDateTimeFactory, world: World
) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1", SIFT_TIMEOUT_SECONDS="20") as bot:
        world.allow()
        held = world.sift.hold("retry")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await asyncio.wait_for(held.entered.wait(), 5)
        waiting = world.sift.add()
        await world.slack.command(OPERATOR, LAUNCH_OPS, waiting.job_id)
        frozen.tick(timedelta(hours=1))
        kept = select(retries.c.id).where(retries.c.state == "requested", retries.c.due_at > utc_now())
        async with asyncio.timeout(5):
            while not await bot.database.run(lambda connection: connection.scalar(kept)):
                await asyncio.sleep(0.05)
        assert world.outcomes(job_id=waiting.job_id) == ["requested"]
        held.release()
        await world.until(lambda: world.sift.count("retry", waiting.job_id) == 1)

"""Several identical bots on one PostgreSQL."""

import asyncio

from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World


async def test_two_replicas_share_the_work_and_repeat_none_of_it(world: World, postgres_url: str) -> None:
    jobs = world.sift.outage(10)
    async with world.running(DATABASE_URL=postgres_url), world.running(DATABASE_URL=postgres_url):
        world.allow()
        commands = [world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for job in jobs for _ in range(3)]
        delivered = await asyncio.gather(*commands)
        await asyncio.gather(*(world.slack.redeliver(one) for one in delivered))
        async with asyncio.timeout(15):
            while world.outcomes().count("finished") < 10:
                await asyncio.sleep(0.05)
        await world.until(lambda: len(world.replies()) == 20 and len(world.whispers()) == 20, timeout=10)
    assert len(world.messages()) == 10
    assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)


async def test_a_replica_takes_over_what_another_left(world: World, postgres_url: str) -> None:
    async with world.running(DATABASE_URL=postgres_url, FOLLOW_POLL_SECONDS="60"):
        world.allow()
        await world.retried(world.sift.add())
        async with world.running(DATABASE_URL=postgres_url):
            await world.until_outcome("finished")
    assert world.sift.count("retry") == 1

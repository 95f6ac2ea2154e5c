"""Several identical bots on one PostgreSQL."""

import asyncio
import copy
from typing import Any

from bot.sandbox import ADMIN, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR
from tests.scenarios.conftest import World
from tests.scenarios.test_alerts import mute


async def test_two_replicas_share_the_work_and_repeat_none_of_it(world: World, postgres_url: str) -> None:
    world.sift.run_seconds = 60  # until every request is decided: a job that has finished may be asked for again
    jobs = world.sift.outage(10)
    async with world.running(DATABASE_URL=postgres_url), world.running(DATABASE_URL=postgres_url):
        world.allow()
        commands = [world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for job in jobs for _ in range(3)]
        delivered = await asyncio.gather(*commands)
        await asyncio.gather(*(world.slack.redeliver(one) for one in delivered))
        await until_counted(world, "accepted", 10)
        await until_counted(world, "refused", 20)
        for job in jobs:
            assert job.execution is not None
            job.execution.seconds = 0
        await until_counted(world, "finished", 10)
        await world.until(lambda: len(world.replies()) == 20 and len(told_of_another(world)) == 20, timeout=10)
    assert len(world.messages()) == 10
    assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)


def told_of_another(world: World) -> list[str]:
    return [said for said in world.whispers() if "is already being retried" in said]


async def until_counted(world: World, outcome: str, wanted: int) -> None:
    async with asyncio.timeout(15):
        while (found := world.outcomes().count(outcome)) < wanted:
            await asyncio.sleep(0.05)
    assert found == wanted


async def test_a_replica_takes_over_what_another_left(world: World, postgres_url: str) -> None:
    async with world.running(DATABASE_URL=postgres_url, FOLLOW_POLL_SECONDS="60"):
        world.allow()
        await world.retried(world.sift.add())
        async with world.running(DATABASE_URL=postgres_url):
            await world.until_outcome("finished")
    assert world.sift.count("retry") == 1


async def test_what_fails_after_a_restart_is_alerted_at_once(world: World, postgres_url: str) -> None:
    settings: dict[str, Any] = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1", "DATABASE_URL": postgres_url}
    for times in (1, 2):
        async with world.running(**settings):
            world.sift.fail_one()
            await world.until(lambda: len(world.messages()) == times, timeout=15)  # noqa: B023  # waited for here


async def test_an_outage_on_postgresql_is_alerted_once_and_retried_whole(world: World, postgres_url: str) -> None:
    settings: dict[str, Any] = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1", "DATABASE_URL": postgres_url}
    async with world.running(socket_mode=True, **settings), world.running(socket_mode=True, **settings):
        world.allow()
        jobs = world.sift.outage(30)
        (storm,) = await world.until(world.messages, timeout=15)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await world.until(lambda: "All 30 are through" in storm.text_shown(), timeout=30)
        assert len(world.messages()) == 1
        assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)
        assert [row.event for row in world.entries()].count("alert") == 30
        alone = world.sift.fail_one()
        alert = (
            await world.until(lambda: [m for m in world.messages() if alone.job_id in m.text_shown()], timeout=10)
        )[0]
        await mute(world, alert, "known")
        await world.until(lambda: "Muted by" in alert.text_shown())


async def test_a_second_person_and_the_audit_on_postgresql(world: World, postgres_url: str) -> None:
    async with world.running(socket_mode=False, APPROVAL_AFTER="1", DATABASE_URL=postgres_url):
        world.allow()
        job = world.sift.add()
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        (message,) = await world.until(lambda: [m for m in world.replies() if "has to approve" in m.text_shown()])
        await world.slack.click(ADMIN, LAUNCH_OPS, message.ts, "approve_retry")
        await world.until_outcome("finished")
        await world.slack.command(ADMIN, LAUNCH_OPS, "audit")
        await world.until(lambda: "newest first" in world.whispers(ADMIN)[-1])
        await world.slack.command(ADMIN, LAUNCH_OPS, "stats")
        assert "helped in 1 of 1" in (await world.until(lambda: world.told(ADMIN), timeout=20))[0]
        await world.slack.home_opened(ADMIN)
        await world.until(lambda: world.slack.homes.get(ADMIN))


async def test_two_replicas_let_an_approved_batch_through_once(world: World, postgres_url: str) -> None:
    settings: dict[str, Any] = {"APPROVAL_AFTER": "1", "APPROVAL_COUNT": "2", "DATABASE_URL": postgres_url}
    async with world.running(**settings), world.running(**settings):
        world.allow()
        world.allow(SECOND_OPERATOR)
        jobs = [world.sift.add() for _ in range(5)]
        await world.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
        (message,) = await world.until(lambda: [m for m in world.replies() if "have to approve" in m.text_shown()], 10)
        pressed = await asyncio.gather(
            *(
                world.slack.click(who, LAUNCH_OPS, message.ts, "approve_retry", seen=copy.deepcopy(message))
                for who in (SECOND_OPERATOR, ADMIN, OPERATOR)
            )
        )
        await asyncio.gather(*(world.slack.redeliver(one) for one in pressed))
        async with asyncio.timeout(15):
            while world.outcomes().count("finished") < 5:
                await asyncio.sleep(0.05)
        given = [row.user_id for row in world.entries() if row.event == "approval" and row.outcome is None]
    assert sorted(given) == sorted([SECOND_OPERATOR, ADMIN] * 5)
    assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)

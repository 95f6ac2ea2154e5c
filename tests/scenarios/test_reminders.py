"""Whoever is on call is reminded of what nobody takes care of: in its thread, twice at most, once for an outage."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from bot.base.clock import utc_now
from bot.sandbox import LAUNCH_OPS, ON_CALL_GROUP, OPERATOR
from bot.sandbox.sift.jobs import EXPORT, IMPORT
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World

WATCHING: dict[str, Any] = {
    "ALERT_CHANNEL": LAUNCH_OPS,
    "ALERT_POLL_SECONDS": "0.1",
    "ONCALL_GROUP": ON_CALL_GROUP,
    "REMIND_AFTER": "1s",
}
UNSEEN = "nobody has taken, retried or snoozed"


def reminders(world: World) -> list[Message]:
    """The replies that remind somebody."""
    return [reply for reply in world.replies() if UNSEEN in reply.text_shown().replace("Nobody", "nobody")]


def reminded(world: World) -> int:
    """How often the audit says so; each time once."""
    numbers = [json.loads(row.detail)["number"] for row in world.entries() if row.event == "remind"]
    assert numbers in ([], [1], [1, 2])
    return len(numbers)


async def test_a_failure_that_nobody_takes_care_of_is_told_to_the_group_on_call_twice(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        job = world.sift.fail_one(IMPORT)
        (first,) = await world.until(lambda: reminders(world))
        (alert,) = world.messages()
        assert first.thread_ts == alert.ts
        assert first.text_shown().startswith(f":bell: <!subteam^{ON_CALL_GROUP}> Data import *hotfire-118*")
        assert first.text.startswith("Still waiting – Data import failed: hotfire-118 – ")
        await world.until(lambda: len(reminders(world)) == 2)
        await asyncio.sleep(1.5)
        assert len(reminders(world)) == reminded(world) == 2
        entries = [row for row in world.entries(job_id=job.job_id) if row.event == "remind"]
        assert [(row.channel_id, row.user_id, row.source) for row in entries] == [(LAUNCH_OPS, None, "alert")] * 2


async def test_without_a_group_nobody_is_mentioned(world: World) -> None:
    async with world.running(socket_mode=False, **{**WATCHING, "ONCALL_GROUP": ""}):
        world.sift.fail_one(IMPORT)
        (first,) = await world.until(lambda: reminders(world))
        assert first.text_shown().startswith(":bell: Data import *hotfire-118*")


async def test_an_outage_is_reminded_of_once_and_not_for_each_job(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.sift.outage(25)
        (first,) = await world.until(lambda: reminders(world), timeout=10)
        assert "what still waits of the 25 jobs that failed at once" in first.text_shown()
        await asyncio.sleep(1)
        assert len(reminders(world)) == reminded(world) == 1


@pytest.mark.parametrize("outcome", ["finish", "fail"])
async def test_nobody_is_reminded_of_what_is_retried_until_it_failed_again(world: World, outcome: str) -> None:
    world.sift.run_seconds = 1.5
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        job = world.sift.add(EXPORT, then=[outcome])
        (alert,) = await world.until(world.messages)
        await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
        await world.until_outcome("finished", "failed_again", job_id=job.job_id)
        assert reminders(world) == [], "the retry ran for longer than a failure may wait"
        await asyncio.sleep(0.5)
        assert reminders(world) == [], "it counts from the new failure"
        if outcome == "fail":
            await world.until(lambda: len(reminders(world)) == 1)
        else:
            await asyncio.sleep(1)
            assert reminders(world) == []


async def test_part_of_an_outage_that_failed_again_is_reminded_of_once_more(world: World) -> None:
    async with world.running(socket_mode=False, ALERT_STORM="2", **WATCHING):
        world.allow()
        for _ in range(4):
            world.sift.add(EXPORT, then=["fail", "fail"])
        (storm,) = await world.until(world.messages)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await world.until(lambda: "4 failed again" in storm.text_shown())
        assert reminders(world) == []
        await world.until(lambda: len(reminders(world)) == 1)


async def test_nobody_is_reminded_of_what_somebody_took_until_it_is_released(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        world.sift.fail_one(IMPORT)
        (alert,) = await world.until(world.messages)
        await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "take_failure")
        await asyncio.sleep(1.6)
        assert reminders(world) == []
        await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "release_failure")
        released = utc_now()
        await world.until(lambda: len(reminders(world)) == 1)
        assert utc_now() - released > timedelta(seconds=0.9), "it counts from the release"
        await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "take_failure")
        await asyncio.sleep(3.5)
        assert len(reminders(world)) == 1


async def test_nobody_is_reminded_of_an_outage_that_somebody_took(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        world.sift.outage(25)
        (storm,) = await world.until(world.messages)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "take_failure")
        await asyncio.sleep(1.6)
        assert reminders(world) == []


async def test_a_restart_repeats_no_reminder_and_forgets_none(world: World) -> None:
    async with world.running(**WATCHING):
        world.sift.fail_one(IMPORT)
        await world.until(world.messages)
    await asyncio.sleep(1.2)
    async with world.running(**WATCHING):
        await world.until(lambda: reminders(world))
    async with world.running(**WATCHING):
        await asyncio.sleep(0.6)
        await world.until(lambda: len(reminders(world)) == reminded(world))


async def test_whoever_switches_reminders_on_is_not_reminded_of_everything_at_once(world: World) -> None:
    async with world.running(**{**WATCHING, "REMIND_AFTER": ""}):
        old = world.sift.fail_one(IMPORT)
        await world.until(world.messages)
        await asyncio.sleep(1.2)
    async with world.running(**WATCHING):
        await asyncio.sleep(0.5)
        assert reminders(world) == []
        world.sift.fail_one(EXPORT)
        await world.until(lambda: len(reminders(world)) == 1)
        assert "Data export" in reminders(world)[0].text_shown()
    async with world.running(**{**WATCHING, "REMIND_AFTER": ""}):
        await asyncio.sleep(1)
    async with world.running(**WATCHING):
        await asyncio.sleep(0.6)
        assert old.job_id not in [row.job_id for row in world.entries() if row.event == "remind"]


async def test_two_replicas_remind_once(world: World, postgres_url: str) -> None:
    settings = {**WATCHING, "DATABASE_URL": postgres_url}
    async with world.running(**settings), world.running(**settings):
        world.sift.fail_one(IMPORT)
        await world.until(lambda: reminders(world), timeout=10)
        await asyncio.sleep(1)
        await world.until(lambda: len(reminders(world)) == reminded(world))

"""Hundreds of jobs fail at once: one message, every failure on record, all of it retried from there."""

import asyncio
import copy
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.alerts import storms
from bot.base.clock import utc_now
from bot.db.tables import alerts
from bot.retries.batches import CHUNK
from bot.retries.spelling import AHEAD
from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World

WATCHING = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.2"}


@pytest.fixture
async def alerting(world: World) -> Any:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        yield world


async def storm_of(world: World, count: int) -> Message:
    (message,) = await world.until(
        lambda: [m for m in world.messages() if f"{count:,} jobs failed" in m.text_shown()], timeout=30
    )
    assert isinstance(message, Message)
    return message


def labels(storm: Message) -> list[str]:
    """What is written on its buttons."""
    return [button["text"]["text"] for button in storm.buttons()]


def name_of(job: SandboxJob) -> str:
    """The file, the report or the run that a job is about; an export of everything has none but its ID."""
    details = job.details or {}
    nameless = "timeRange" in details.get("dataExport", {}).get("request", {})
    run, _, rest = job.subject.partition(" · ")
    return job.job_id[:8] if nameless else run if rest in ("", "uploaded file") else rest


def rows(world: World) -> int:
    assert world.bot is not None
    with world.bot.database.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(alerts)) or 0)


async def test_an_outage_is_handled_from_one_message(alerting: World) -> None:
    jobs = alerting.sift.outage(25)
    storm = await storm_of(alerting, 25)
    await alerting.until(lambda: "is not a number" in storm.text_shown())
    for fact in ("9 data imports", "8 rule evaluations", "8 data exports", "no data for channel", "is not a number"):
        assert fact in storm.text_shown()
    (listed,) = await alerting.until(alerting.replies)
    assert all(name_of(job) in listed.text_shown() for job in jobs)
    assert not any(job.job_id in listed.text_shown() for job in jobs)
    assert labels(storm)[-4:] == ["Retry all (25)", "Select…", "I'm on it", "Snooze…"]
    assert all("confirm" in button for button in storm.buttons()[:-3])
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
    await alerting.until(lambda: "All 25 are through" in storm.text_shown(), timeout=20)
    assert storm.buttons() == []
    assert len(alerting.messages()) == 1
    assert {m.thread_ts for m in alerting.replies()} == {storm.ts}
    for job in jobs:
        assert alerting.sift.count("retry", job.job_id) == 1
        events = [row.event for row in alerting.entries(job_id=job.job_id)]
        assert events == ["alert", "request", "request", "request", "request"]
    assert {row.source for row in alerting.entries() if row.event == "request"} == {"bulk"}


async def test_some_of_a_storm_are_selected(alerting: World) -> None:
    jobs = alerting.sift.outage(12)
    storm = await storm_of(alerting, 12)
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "select_storm")
    (view,) = await alerting.until(lambda: alerting.slack.modals[OPERATOR])
    picked = [job.job_id for job in jobs[:3]]
    await alerting.slack.submit(OPERATOR, view.id, {"jobs": picked, "reason": "just these"})
    await alerting.until(lambda: "9 failed, 3 through" in storm.text_shown(), timeout=15)
    assert labels(storm)[-4:-2] == ["Retry all (9)", "Select…"]
    assert len(alerting.messages()) == 1


async def test_what_fails_again_is_offered_again(alerting: World) -> None:
    for _ in range(11):
        alerting.sift.add(EXPORT, then=["fail"])
    storm = await storm_of(alerting, 11)
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
    await alerting.until(lambda: alerting.outcomes().count("failed_again") == 11, timeout=15)
    await alerting.until(lambda: "Retry all (11)" in labels(storm), timeout=10)
    assert len(alerting.messages()) == 1, "failures of our own retries are no second storm"
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
    await alerting.until(lambda: "All 11 are through" in storm.text_shown(), timeout=20)


async def test_who_may_not_floods_nothing_and_blocks_nobody(alerting: World) -> None:
    jobs = alerting.sift.outage(60)
    storm = await storm_of(alerting, 60)
    for _ in range(5):
        await alerting.slack.click(UNLISTED, LAUNCH_OPS, storm.ts, "retry_storm")
    said = await alerting.until(lambda: len(alerting.whispers(UNLISTED)) == 5 and alerting.whispers(UNLISTED))
    assert "60 of 60 jobs were not retried" in said[0]
    assert "not on the allow-list" in said[0]
    assert alerting.outcomes() == ["denied"] * 5
    assert [row.user_id for row in alerting.entries(outcome="denied")] == [UNLISTED] * 5
    assert alerting.sift.count("retry") == 0
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
    await alerting.until(lambda: "All 60 are through" in storm.text_shown(), timeout=20)
    assert all(alerting.sift.count("retry", job.job_id) == 1 for job in jobs)


async def test_a_batch_is_spelled_out_as_its_requests_get_their_turn(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1", SIFT_TIMEOUT_SECONDS="20", **WATCHING):
        world.allow()
        world.sift.outage(150)
        storm = await storm_of(world, 150)
        held = world.sift.hold("retry")
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await asyncio.wait_for(held.entered.wait(), 10)
        await world.until(lambda: world.outcomes().count("requested") >= AHEAD, timeout=10)
        await asyncio.sleep(0.5)
        assert world.outcomes().count("requested") < AHEAD + CHUNK
        held.release()
        await world.until(lambda: "All 150 are through" in storm.text_shown(), timeout=60)
    assert world.sift.count("retry") == 150


async def test_a_storm_is_retried_once_at_a_time(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1", SIFT_TIMEOUT_SECONDS="20", **WATCHING):
        world.allow()
        world.allow(SECOND_OPERATOR)
        jobs = world.sift.outage(30)
        storm = await storm_of(world, 30)
        held = world.sift.hold("retry")
        seen = copy.deepcopy(storm)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await asyncio.wait_for(held.entered.wait(), 5)
        await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm", seen=seen)
        (said,) = await world.until(lambda: world.whispers(SECOND_OPERATOR))
        assert f"already under way by <@{OPERATOR}>" in said
        assert [(row.outcome, row.job_id) for row in world.entries(user_id=SECOND_OPERATOR)] == [("refused", None)]
        held.release()
        await world.until(lambda: "All 30 are through" in storm.text_shown(), timeout=20)
        assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)


async def test_of_a_storm_that_is_all_queued_nothing_is_left_to_select(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1", SIFT_TIMEOUT_SECONDS="20", **WATCHING):
        world.allow()
        world.sift.outage(12)
        storm = await storm_of(world, 12)
        seen = copy.deepcopy(storm)
        held = world.sift.hold("retry")
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await asyncio.wait_for(held.entered.wait(), 5)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "select_storm", seen=seen)
        (view,) = await world.until(lambda: world.slack.modals[OPERATOR])
        (block,) = view.blocks
        said = (
            ":arrows_counterclockwise: All 11 jobs that are still failed are being retried already, or waiting to be."
        )
        assert block["text"]["text"] == said
        assert not view.as_slack(None).get("submit")
        held.release()


async def test_a_button_whose_group_changed_meanwhile_asks_to_look_again(alerting: World) -> None:
    alerting.sift.outage(25)
    alerting.sift.run_seconds = 30
    storm = await storm_of(alerting, 25)
    await alerting.until(lambda: largest(storm)[1] > 1)
    seen = copy.deepcopy(storm)
    value, count = largest(seen)
    storm_id, group_id, _ = value.split()
    assert alerting.bot is not None
    with alerting.bot.database.reading() as connection:
        job_id = storms.to_retry(connection, storm_id, group_id).jobs[0].job_id
    await alerting.slack.command(OPERATOR, LAUNCH_OPS, job_id)
    await alerting.until_outcome("accepted")
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_group", value=value, seen=seen)
    (said,) = await alerting.until(alerting.whispers)
    assert f"That button was for {count} jobs, and it is {count - 1} job" in said
    assert "Nothing was sent to Sift." in said
    assert alerting.sift.count("retry") == 1
    now = f"{storm_id} {group_id} {count - 1}"
    await alerting.until(lambda: now in [button["value"] for button in storm.buttons()])
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_group", value=now)
    await alerting.until(lambda: alerting.sift.count("retry") == count)


def largest(storm: Message) -> tuple[str, int]:
    """The value of the button for the largest group, and how many jobs that is."""
    values = [button["value"] for button in storm.buttons() if button["action_id"] == "retry_group"]
    value = max(values, key=lambda one: int(one.split()[2]))
    return value, int(value.split()[2])


async def test_few_failures_are_no_storm(alerting: World) -> None:
    alerting.sift.outage(10)
    await alerting.until(lambda: len(alerting.messages()) == 10, timeout=20)


@pytest.mark.parametrize("count", [60, 500, 5_000])
async def test_nothing_is_lost_or_doubled_whatever_their_number(world: World, count: int) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        moment = utc_now()
        jobs = world.sift.outage(count)
        for job in jobs:
            job.modified = job.completed = moment  # all in one poll
        await storm_of(world, count)
        assert rows(world) == count
        assert len(world.messages()) == 1
        assert len(world.slack.calls) < 40
        entries = [row.job_id for row in world.entries() if row.event == "alert"]
        assert sorted(entries) == sorted(job.job_id for job in jobs)
        await asyncio.sleep(0.5)
        assert rows(world) == count


async def test_a_large_storm_is_retried_whole_after_a_restart_in_the_middle(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        jobs = world.sift.outage(150)
        storm = await storm_of(world, 150)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await world.until(lambda: world.sift.count("retry") > 20, timeout=10)
    assert world.sift.count("retry") < 150
    async with world.running(socket_mode=False, **WATCHING):
        await world.until(lambda: "All 150 are through" in storm.text_shown(), timeout=40)
    assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)

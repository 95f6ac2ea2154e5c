"""Failures are found, alerted once, and their alerts stay true."""

import asyncio
import copy
import time
from datetime import timedelta
from typing import Any

import pytest

from bot.base.clock import utc_now
from bot.sandbox import DATA_IMPORTS, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, FAILED, FINISHED, IMPORT, OWNER, SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World

WATCHING: dict[str, Any] = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1"}

OFFERED = ["retry", "take_failure", "snooze_failure", "mute_alert"]
"""The buttons of an alert whose job is failed, and that nobody takes care of."""


async def alerted(world: World, job: SandboxJob, channel_id: str = LAUNCH_OPS) -> Message:
    """The one alert of a job."""
    (message,) = await world.until(lambda: [m for m in world.messages(channel_id) if job.job_id in m.text_shown()])
    assert isinstance(message, Message)
    return message


async def says(world: World, message: Message, words: str) -> None:
    await world.until(lambda: words in message.text_shown(), timeout=6)


def replies_with(world: World, *words: str) -> list[Message]:
    """The messages in threads that say any of this."""
    return [message for message in world.replies() if any(one in message.text_shown() for one in words)]


async def mute(world: World, alert: Message, reason: str, user_id: str = OPERATOR) -> None:
    """Somebody mutes an alert."""
    await world.slack.click(user_id, LAUNCH_OPS, alert.ts, "mute_alert")
    (view,) = await world.until(lambda: world.slack.modals[user_id])
    await world.slack.submit(user_id, view.id, {"reason": reason})


def actions(message: Message) -> list[str]:
    return [button["action_id"] for button in message.buttons()]


@pytest.fixture(params=["socket", "http"])
async def watching(request: pytest.FixtureRequest, world: World) -> Any:
    async with world.running(socket_mode=request.param == "socket", **WATCHING):
        world.allow()
        yield world


@pytest.fixture
async def alerting(world: World) -> Any:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        yield world


async def test_a_failure_is_alerted_with_its_reason_and_retried_by_button(watching: World) -> None:
    job = watching.sift.fail_one(IMPORT)
    alert = await alerted(watching, job)
    for fact in ("Data import *hotfire-118* · stand-2 · telemetry_0415.csv failed", "is not a number", "ran 14 min"):
        assert fact in alert.text_shown()
    assert actions(alert) == OFFERED
    await watching.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await says(watching, alert, f"<@{OPERATOR}> retried it: finished")
    assert actions(alert) == ["mute_alert"]
    assert {m.thread_ts for m in watching.replies()} == {alert.ts}
    assert len(watching.messages()) == 1
    assert watching.outcomes(job_id=job.job_id) == ["requested", "sending", "accepted", "finished"]
    assert watching.entries(job_id=job.job_id)[0].event == "alert"


async def test_an_alert_shows_who_is_retrying_and_offers_it_again_after_a_new_failure(alerting: World) -> None:
    alerting.sift.run_seconds = 0.6
    job = alerting.sift.add(EXPORT, then=["fail"])
    alert = await alerted(alerting, job)
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await says(alerting, alert, f"<@{OPERATOR}> is retrying it")
    assert actions(alert) == ["mute_alert"]
    await says(alerting, alert, "retried it: failed again")
    await alerting.until(lambda: actions(alert) == OFFERED)
    assert "· retry 1 ·" in alert.text_shown()
    await asyncio.sleep(0.5)
    assert len(alerting.messages()) == 1, "the new failure is told in the thread, not in the channel"
    await alerting.slack.click(SECOND_OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    assert "not on the allow-list" in (await alerting.until(lambda: alerting.whispers(SECOND_OPERATOR)))[0]
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await says(alerting, alert, "retried it: finished")
    assert alerting.sift.count("retry", job.job_id) == 2


@pytest.mark.parametrize("code", [7, 9])
async def test_an_alert_offers_the_retry_again_that_sift_did_not_take(alerting: World, code: int) -> None:
    job = alerting.sift.fail_one()
    alert = await alerted(alerting, job)
    alerting.sift.fail("retry", code)
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await says(alerting, alert, f"<@{OPERATOR}> retried it: Sift did not accept it")
    assert actions(alert) == OFFERED
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await says(alerting, alert, "retried it: finished")


async def test_two_people_click_and_the_job_is_retried_once(alerting: World) -> None:
    alerting.allow(SECOND_OPERATOR)
    alerting.sift.run_seconds = 1
    job = alerting.sift.fail_one()
    alert = await alerted(alerting, job)
    seen = copy.deepcopy(alert)
    await asyncio.gather(
        *(alerting.slack.click(who, LAUNCH_OPS, alert.ts, "retry", seen=seen) for who in (OPERATOR, SECOND_OPERATOR))
    )
    told = await alerting.until(lambda: alerting.whispers(OPERATOR) + alerting.whispers(SECOND_OPERATOR))
    assert "already being retried by" in told[0]
    assert alerting.sift.count("retry") == 1


async def test_alerts_go_to_the_channel_of_their_kind(world: World) -> None:
    channels = f"data_import={DATA_IMPORTS}"
    async with world.running(socket_mode=False, ALERT_CHANNELS=channels, ALERT_POLL_SECONDS="0.1"):
        imported, exported = world.sift.fail_one(IMPORT), world.sift.fail_one(EXPORT)
        await alerted(world, imported, DATA_IMPORTS)
        await asyncio.sleep(0.3)
        assert world.messages(LAUNCH_OPS) == [], "no channel is set for exports"
        assert not any(exported.job_id in m.text_shown() for m in world.messages(DATA_IMPORTS))


async def test_failures_from_before_the_first_start_are_not_alerted_those_while_down_are(world: World) -> None:
    world.sift.fail_one()
    async with world.running(**WATCHING):
        await asyncio.sleep(0.4)
        assert world.messages() == []
    missed = world.sift.fail_one()
    async with world.running(**WATCHING):
        await alerted(world, missed)
        await asyncio.sleep(0.3)
    async with world.running(**WATCHING):
        await asyncio.sleep(0.3)
        assert len(world.messages()) == 1, "a restart alerts nothing twice"


async def test_failures_longer_ago_than_the_look_back_are_left_alone(world: World) -> None:
    async with world.running(**WATCHING):
        await asyncio.sleep(0.2)
    old = world.sift.fail_one()
    old.modified -= timedelta(seconds=90)
    new = world.sift.fail_one()
    async with world.running(**WATCHING, ALERT_LOOKBACK_HOURS="0.001"):
        await alerted(world, new)
        assert len(world.messages()) == 1


async def test_without_a_channel_sift_is_not_watched(live: World) -> None:
    live.sift.fail_one()
    await asyncio.sleep(0.4)
    assert live.sift.calls == []


async def test_a_poll_costs_one_request_when_nothing_is_new(alerting: World) -> None:
    job = alerting.sift.fail_one()
    await alerted(alerting, job)
    await asyncio.sleep(0.3)
    alerting.sift.calls.clear()
    began = time.monotonic()
    await asyncio.sleep(1)
    async with asyncio.timeout(15):  # a busy machine takes longer
        while len(alerting.sift.calls) < 4:
            await asyncio.sleep(0.05)
    operations = [call.operation for call in alerting.sift.calls]
    assert set(operations) == {"list"}
    assert len(operations) <= 1 + 10 * (time.monotonic() - began)


async def test_a_retry_outside_the_bot_is_shown_and_audited_as_such(alerting: World) -> None:
    alerting.sift.run_seconds = 1
    job = alerting.sift.fail_one()
    alert = await alerted(alerting, job)
    seen = copy.deepcopy(alert)
    alerting.sift.retry_outside(job.job_id, OWNER)
    await says(alerting, alert, "Retried in Sift by somebody else")
    assert actions(alert) == ["mute_alert"]
    (outside,) = [row for row in alerting.entries(job_id=job.job_id) if row.event == "outside"]
    assert OWNER in outside.detail
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry", seen=seen)
    assert "There is nothing to retry" in (await alerting.until(alerting.whispers))[0]
    await says(alerting, alert, "No longer failed: it is finished now")
    assert alerting.sift.count("retry") == 0


async def test_a_job_that_fails_again_outside_is_told_in_the_thread(alerting: World) -> None:
    job = alerting.sift.add(IMPORT, then=["fail"])
    alert = await alerted(alerting, job)
    alerting.sift.retry_outside(job.job_id, OWNER)
    (reply,) = await alerting.until(lambda: replies_with(alerting, "failed again"), timeout=6)
    assert reply.thread_ts == alert.ts
    await alerting.until(lambda: actions(alert) == OFFERED)
    assert len(alerting.messages()) == 1
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await says(alerting, alert, "retried it: finished")


async def test_a_job_that_finished_meanwhile_closes_its_alert(alerting: World) -> None:
    job = alerting.sift.fail_one()
    alert = await alerted(alerting, job)
    job.rest, job.modified = FINISHED, utc_now()
    await says(alerting, alert, "No longer failed")
    assert actions(alert) == ["mute_alert"]


async def test_a_failed_retry_by_command_is_not_alerted_besides(alerting: World) -> None:
    job = alerting.sift.add(EXPORT, status="JOB_STATUS_CANCELLED", then=["fail"])
    await alerting.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await alerting.until_outcome("failed_again")
    await asyncio.sleep(0.5)
    assert len(alerting.messages()) == 1
    alerting.sift.retry_outside(job.job_id, OWNER)
    job.execution = None
    job.rest, job.completed, job.modified = FAILED, utc_now(), utc_now()
    await alerting.until(lambda: len(alerting.messages()) == 2, timeout=6)


async def test_a_muted_job_is_alerted_no_more(alerting: World) -> None:
    job = alerting.sift.add(IMPORT, then=["fail"])
    alert = await alerted(alerting, job)
    await alerting.slack.click(UNLISTED, LAUNCH_OPS, alert.ts, "mute_alert")
    assert "You may not mute alerts" in (await alerting.until(lambda: alerting.whispers(UNLISTED)))[0]
    await mute(alerting, alert, "the stand is being rebuilt")
    await says(alerting, alert, f"Muted by <@{OPERATOR}>")
    assert "Because: the stand is being rebuilt" in alert.text_shown()
    alerting.sift.retry_outside(job.job_id, OWNER)
    await asyncio.sleep(0.8)
    assert replies_with(alerting, "failed again") == []
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "unmute_alert")
    await alerting.until(lambda: "mute_alert" in actions(alert))
    muted = [(row.event, row.outcome, row.user_id) for row in alerting.entries() if "mute" in row.event]
    assert muted == [("mute", "denied", UNLISTED), ("mute", None, OPERATOR), ("unmute", None, OPERATOR)]
    assert [row.reason for row in alerting.entries() if row.event == "mute"] == [None, "the stand is being rebuilt"]


async def test_an_alert_that_can_no_longer_be_updated_goes_on_in_its_thread(alerting: World) -> None:
    job = alerting.sift.fail_one()
    alert = await alerted(alerting, job)
    await asyncio.sleep(0.2)
    alerting.slack.fail("chat.update", "edit_window_closed", times=1)
    alerting.sift.retry_outside(job.job_id, OWNER)
    (reply,) = await alerting.until(lambda: replies_with(alerting, "somebody else", "No longer failed"), timeout=6)
    assert reply.thread_ts == alert.ts
    await says(alerting, reply, "No longer failed")
    assert len(replies_with(alerting, "No longer failed")) == 1
    another = alerting.sift.fail_one()
    await alerted(alerting, another)


async def test_sift_down_is_said_by_readyz_and_caught_up_with(alerting: World) -> None:
    alerting.sift.fail("list", 14, times=1_000_000)
    bot = alerting.bot
    assert bot is not None
    async with asyncio.timeout(5):
        while "sift" not in bot.readiness.degraded():
            await asyncio.sleep(0.05)
    assert not await bot.readiness.not_ready()
    missed = [alerting.sift.fail_one() for _ in range(3)]
    alerting.sift._faults.clear()
    for job in missed:
        await alerted(alerting, job)
    assert "sift" not in bot.readiness.degraded()


async def test_metrics_tell_of_the_last_good_poll_and_of_what_could_not_be_read(alerting: World) -> None:
    assert alerting.bot is not None
    registry = alerting.bot.metrics.registry
    alerting.sift.add(more={"jobId": 7})
    await alerted(alerting, alerting.sift.fail_one())
    assert registry.get_sample_value("sift_retry_unreadable_jobs_total", {"why": "unreadable"})
    last = registry.get_sample_value("sift_retry_last_good_poll_timestamp_seconds")
    assert last is not None
    assert 0 <= utc_now().timestamp() - last < 5


async def test_alerts_wait_for_slack_and_arrive_once(alerting: World) -> None:
    alerting.slack.fail("chat.postMessage", "service_unavailable", times=2)
    job = alerting.sift.fail_one()
    await alerting.until(lambda: [m for m in alerting.messages() if job.job_id in m.text_shown()], timeout=10)
    await asyncio.sleep(0.3)
    assert len(alerting.messages()) == 1

"""Alerts say what failed and why, at once or a little later; whatever Sift does changes words alone."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import func, select, update
from starlette.responses import JSONResponse, PlainTextResponse

from bot.db.tables import alerts, job_runs, retries
from bot.sandbox import LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.jobs import EVALUATION, EXPORT, IMPORT, OWNER
from bot.sandbox.slack.messages import Message
from bot.sift.cause import normalised
from tests.scenarios.conftest import World
from tests.scenarios.test_alerts import alerted, replies_with, says
from tests.scenarios.test_storms import labels, storm_of

WATCHING: dict[str, Any] = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1"}
LOOK_UPS = ("data_imports", "import", "reports", "report", "runs", "assets", "rules", "user")


@pytest.fixture
async def alerting(world: World) -> Any:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        yield world


def looking_up(world: World) -> int:
    """How many failures are still looked up."""
    assert world.bot is not None
    with world.bot.database.reading() as connection:
        return int(connection.scalar(select(func.count()).where(alerts.c.look_up_until.is_not(None))) or 0)


async def ended(world: World, seconds: float = 10) -> None:
    """Waits until nothing is looked up any more."""
    async with asyncio.timeout(seconds):
        while looking_up(world):
            await asyncio.sleep(0.02)


async def test_an_alert_names_its_run_and_its_cause_at_once(alerting: World) -> None:
    job = alerting.sift.fail_one(IMPORT)
    began = time.monotonic()
    alert = await alerted(alerting, job)
    assert time.monotonic() - began < 2
    assert alert.text.startswith("Data import failed: hotfire-118 – column 'tank_pressure_kpa' is not a number")
    await ended(alerting)
    assert not any("update" in str(call) for call in alerting.slack.calls), "it was whole from the start"
    assert alerting.bot is not None
    with alerting.bot.database.reading() as connection:
        row = connection.execute(select(alerts.c.cause_key, alerts.c.topic)).one()
        run = connection.execute(select(job_runs.c.name, job_runs.c.job_id)).one()
    assert tuple(row) == ("column ‹name› is not a number in row ‹n›", "hotfire-118")
    assert tuple(run) == ("hotfire-118", job.job_id)


async def test_which_rules_failed_and_what_they_printed_stands_in_the_thread(alerting: World) -> None:
    for _ in range(5):
        job = alerting.sift.fail_one(EVALUATION)
        alert = await alerted(alerting, job)
        if "rules failed" in alert.text_shown() and "2 of 40" in alert.text_shown():
            break
    assert "2 of 40 rules failed: chamber_pressure_max – channel not found" in alert.text_shown()
    assert "Traceback" not in alert.text_shown()
    details = await alerting.until(lambda: [m for m in alerting.replies() if m.thread_ts == alert.ts])
    assert "injector_dp_min" in details[0].text_shown()
    assert "Traceback" in details[0].text_shown()


@pytest.mark.parametrize("slow", [4.0])
async def test_an_alert_waits_three_seconds_and_is_completed_later(alerting: World, slow: float) -> None:
    held = alerting.sift.hold("data_imports")
    job = alerting.sift.fail_one(IMPORT)
    began = time.monotonic()
    alert = await alerted(alerting, job)
    assert 2.5 < time.monotonic() - began < slow
    assert f"Data import `{job.job_id[:8]}` failed" in alert.text_shown()
    held.release()
    await says(alerting, alert, "Data import *hotfire-118* · stand-2")
    await says(alerting, alert, "is not a number")
    assert len(alerting.messages()) == 1


@pytest.mark.parametrize("trouble", ["errors", "rate limit", "nonsense", "html", "broken connections"])
async def test_a_sift_that_answers_no_look_up_changes_words_alone(alerting: World, trouble: str) -> None:
    for operation in LOOK_UPS:
        match trouble:
            case "errors":
                alerting.sift.fail(operation, 13, times=1_000)
            case "rate limit":
                alerting.sift.fail(operation, 8, "try again in 20 s", times=1_000)
            case "nonsense":
                nonsense = {
                    "dataImports": [7, {"dataImportId": {}}],
                    "reports": "no",
                    "runs": [None],
                    "nextPageToken": 1,
                }
                alerting.sift.answer(operation, JSONResponse(nonsense), times=1_000)
            case "html":
                alerting.sift.answer(operation, PlainTextResponse("<html>", 502), times=1_000)
            case _:
                alerting.sift.drop(operation, times=1_000)
    jobs = [alerting.sift.fail_one(kind) for kind in (IMPORT, EVALUATION, EXPORT)]
    began = time.monotonic()
    shown = [await alerted(alerting, job) for job in jobs]
    assert time.monotonic() - began < 4.5
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, shown[0].ts, "retry")
    await says(alerting, shown[0], "retried it: finished")
    assert len(alerting.messages()) == 3


async def test_a_look_up_that_fails_once_is_made_again(alerting: World) -> None:
    alerting.sift.fail("data_imports", 13, times=2)
    job = alerting.sift.fail_one(IMPORT)
    alert = await alerted(alerting, job)
    await alerting.until(lambda: "hotfire-118" in alert.text_shown(), timeout=12)
    await ended(alerting)


async def test_a_restart_goes_on_looking_up(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        await asyncio.sleep(0.2)
        held = world.sift.hold("data_imports")
        job = world.sift.fail_one(IMPORT)
        await asyncio.wait_for(held.entered.wait(), 5)
    held.release()
    async with world.running(socket_mode=False, **WATCHING):
        alert = await alerted(world, job)
        await world.until(lambda: "hotfire-118" in alert.text_shown(), timeout=12)


async def test_a_failure_outside_the_bot_names_its_cause_too(alerting: World) -> None:
    job = alerting.sift.add(IMPORT, then=["fail"])
    alert = await alerted(alerting, job)
    await says(alerting, alert, "is not a number")
    alerting.sift.retry_outside(job.job_id, OWNER)
    (reply,) = await alerting.until(lambda: replies_with(alerting, "failed again"), timeout=6)
    await says(alerting, reply, "Data import *hotfire-118*")
    await says(alerting, reply, "is not a number")


async def test_what_never_helped_asks_once_more(alerting: World) -> None:
    assert alerting.bot is not None
    first = alerting.sift.fail_one(IMPORT)
    alert = await alerted(alerting, first)
    assert "confirm" not in alert.buttons()[0]
    key = normalised(first.reason)
    for _ in range(3):
        job = alerting.sift.add(IMPORT, "JOB_STATUS_CANCELLED", then=["fail"])
        await alerting.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await alerting.until_outcome("failed_again", job_id=job.job_id)
    with alerting.bot.database.transaction() as connection:
        connection.execute(update(retries).values(cause_key=key))
    again = alerting.sift.add(IMPORT, reason=first.reason)
    shown = await alerted(alerting, again)
    assert "Retrying this cause never helped in 3 tries: the file needs fixing." in shown.text_shown()
    assert "confirm" in shown.buttons()[0]


async def storm(world: World) -> Message:
    """Twelve failures of two causes in two runs, looked up."""
    first, second = (world.sift.add_run(name) for name in ("hotfire-301", "hotfire-302"))
    for _ in range(7):
        world.sift.add(IMPORT, run=first, reason="column 'a' is no number")
    for _ in range(5):
        world.sift.add(IMPORT, run=second, reason="the file is cut off")
    shown = await storm_of(world, 12)
    await world.until(lambda: "in *hotfire-302*" in shown.text_shown(), timeout=6)
    return shown


async def test_a_group_is_retried_by_itself_and_nothing_twice(alerting: World) -> None:
    shown = await storm(alerting)
    assert "7 × ‘column 'a' is no number’ in *hotfire-301*" in shown.text_shown()
    assert labels(shown)[:4] == ["Retry these 7", "Retry these 5", "Retry all (12)", "Select…"]
    values = [button["value"] for button in shown.buttons()]
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_group", value=values[1])
    await says(alerting, shown, "7 failed, 5 through")
    assert labels(shown)[:3] == ["Retry these 7", "Retry all (7)", "Select…"]
    assert alerting.sift.count("retry") == 5
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_storm")
    await says(alerting, shown, f"All 12 are through, retried by <@{OPERATOR}>")
    assert alerting.sift.count("retry") == 12


async def test_what_is_queued_is_offered_no_more_and_two_presses_are_one(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1", SIFT_TIMEOUT_SECONDS="20", **WATCHING):
        world.allow()
        shown = await storm(world)
        values = [button["value"] for button in shown.buttons()]
        held = world.sift.hold("retry")
        await asyncio.gather(
            world.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_storm"),
            world.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_group", value=values[0]),
        )
        await asyncio.wait_for(held.entered.wait(), 5)
        await says(world, shown, f"queued by <@{OPERATOR}>")
        await world.until(lambda: shown.buttons() == [], timeout=6)
        held.release()
        await world.until(lambda: "All 12 are through" in shown.text_shown(), timeout=20)
        assert world.sift.count("retry") == 12


async def test_some_are_picked_by_name_and_cause(alerting: World) -> None:
    shown = await storm(alerting)
    await alerting.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "select_storm")
    (view,) = await alerting.until(lambda: alerting.slack.modals[OPERATOR])
    groups = view.blocks[0]["element"]["option_groups"]
    assert [group["label"]["text"] for group in groups] == [
        "hotfire-301 – column 'a' is no number",
        "hotfire-302 – the file is cut off",
    ]
    assert [len(group["options"]) for group in groups] == [7, 5]
    assert groups[1]["options"][0]["text"]["text"].endswith(": the file is cut off")

"""Cancelling a job, and evaluating reports again after late data: each path, once, through the real app."""

import asyncio
import json
import signal
from typing import Any

import pytest
from starlette.responses import HTMLResponse

from bot.audit.entry import Event
from bot.audit.verification import verify
from bot.base.clock import utc_now
from bot.retries import recovery
from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.cases import THIRD
from bot.sandbox.sift.jobs import EXPORT, IMPORT, SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import FAST, World
from tests.scenarios.test_crash import Process

LONG = 20.0
"""Seconds that a job runs which is to be cancelled."""


def outcomes(world: World, event: Event) -> list[str]:
    """The states that requests of a kind entered, oldest first."""
    return [row.outcome for row in world.entries() if row.event == event]


@pytest.fixture(autouse=True)
def rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late data is offered to be evaluated again, as by default."""
    monkeypatch.setitem(FAST, "RERUN", "on")


async def until(world: World, event: Event, *last: str, timeout: float = 8) -> None:
    """Waits until the newest outcome of a kind is one of these."""
    async with asyncio.timeout(timeout):
        while not (found := outcomes(world, event)) or found[-1] not in last:
            await asyncio.sleep(0.01)


async def reply(world: World, words: str, timeout: float = 8) -> Message:
    """The newest message in a thread that says something."""
    found = await world.until(lambda: [m for m in world.replies() if words in m.text_shown()], timeout)
    assert isinstance(found[-1], Message)
    return found[-1]


def actions(message: Message) -> list[str]:
    return [button["action_id"] for button in message.buttons()]


def unbroken(world: World) -> None:
    """Checks that log and tables agree."""
    assert world.bot is not None
    verify(world.bot.database, None, [], None, lambda _: lambda rows: rows)


# Cancelling


async def running(world: World, then: str = "finish", seconds: float = LONG) -> tuple[SandboxJob, Message]:
    """A job whose retry runs, and its summary."""
    world.sift.run_seconds = seconds
    job = world.sift.add(EXPORT, then=[then])
    await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await world.until(lambda: [m for m in world.replies() if job.job_id in m.text_shown()])
    (summary,) = [m for m in world.replies() if job.job_id in m.text_shown()]
    assert job.execution is not None
    job.execution.waits = 0
    await world.until(lambda: "since <!date" in summary.text_shown())
    return job, summary


async def ask(world: World, summary: Message, reason: str = "", user_id: str = OPERATOR) -> Any:
    """Presses Cancel…, and submits the modal."""
    await world.slack.click(user_id, LAUNCH_OPS, summary.ts, "cancel_job")
    view = (await world.until(lambda: world.slack.modals[user_id]))[-1]
    return await world.slack.submit(user_id, view.id, {"reason": reason})


async def test_a_running_job_is_cancelled_with_a_reason(both: World) -> None:
    both.sift.cancel_seconds = 0.5
    job, summary = await running(both)
    assert (await ask(both, summary, "wrong range")).acked
    told = await reply(both, "asked Sift to cancel")
    assert "Being cancelled; it may still finish." in told.text_shown()
    assert "Reason: wrong range" in told.text_shown()
    await both.until(lambda: "Being cancelled; it may still finish." in summary.text_shown())
    assert "cancel_job" not in actions(summary)
    await until(both, Event.CANCEL, "cancelled")
    await both.until_outcome("cancelled")
    ending = await reply(both, f"<@{OPERATOR}>, it was cancelled:")
    assert {m.thread_ts for m in both.replies()} == {both.messages()[0].ts} == {ending.thread_ts}
    assert outcomes(both, Event.CANCEL) == ["requested", "sending", "accepted", "cancelled"]
    assert both.sift.count("cancel", job.job_id) == both.sift.count("retry", job.job_id) == 1
    entries = [row for row in both.entries() if row.event == "cancel"]
    assert {(row.job_id, row.user_id, row.source, row.reason) for row in entries} == {
        (job.job_id, OPERATOR, "modal", "wrong range")
    }
    assert (entries[-1].status_before, entries[-1].status_after) == ("JOB_STATUS_RUNNING", "JOB_STATUS_CANCELLED")
    assert entries[-1].grant_id is not None
    unbroken(both)


@pytest.mark.parametrize(
    ("then", "ends", "words"),
    [("finish", "finished", "it finished before it could"), ("fail", "failed_again", "it failed before it could")],
)
async def test_a_job_may_be_faster(live: World, then: str, ends: str, words: str) -> None:
    live.sift.cancel_seconds = LONG
    _, summary = await running(live, then, seconds=1.0)
    await ask(live, summary)
    await until(live, Event.CANCEL, ends)
    await live.until_outcome(ends)
    await reply(live, f"{words} be cancelled")
    assert outcomes(live, Event.CANCEL) == ["requested", "sending", "accepted", ends]


async def test_who_may_not_is_refused_privately_and_audited(live: World) -> None:
    job, summary = await running(live)
    await ask(live, summary, user_id=UNLISTED)
    (said,) = await live.until(lambda: live.whispers(UNLISTED))
    assert "You may not cancel jobs: you are not on the allow-list." in said
    assert outcomes(live, Event.CANCEL) == ["requested", "denied"]
    assert live.sift.count("cancel", job.job_id) == 0
    assert len(live.replies()) == 1
    unbroken(live)


async def test_a_second_one_learns_of_the_first(live: World) -> None:
    live.sift.cancel_seconds = LONG
    job, summary = await running(live)
    live.allow(SECOND_OPERATOR)
    await live.slack.click(SECOND_OPERATOR, LAUNCH_OPS, summary.ts, "cancel_job")
    view = (await live.until(lambda: live.slack.modals[SECOND_OPERATOR]))[-1]
    await live.slack.redeliver(await ask(live, summary))
    await until(live, Event.CANCEL, "accepted")
    await live.slack.submit(SECOND_OPERATOR, view.id)
    (said,) = await live.until(lambda: live.whispers(SECOND_OPERATOR))
    assert f"Already being cancelled by <@{OPERATOR}>" in said
    assert outcomes(live, Event.CANCEL) == ["requested", "sending", "accepted", "requested", "refused"]
    assert live.sift.count("cancel", job.job_id) == 1


async def test_what_has_ended_is_not_cancelled(live: World) -> None:
    live.sift.run_seconds = 0.6
    job = live.sift.add(EXPORT)
    await live.retried(job)
    summary = live.replies()[0]
    await live.slack.click(OPERATOR, LAUNCH_OPS, summary.ts, "cancel_job")
    view = (await live.until(lambda: live.slack.modals[OPERATOR]))[-1]
    await live.until_outcome("finished")
    await live.slack.submit(OPERATOR, view.id)
    (said,) = await live.until(live.whispers)
    assert "There is nothing to cancel any more" in said
    assert "*finished*" in said
    assert live.sift.count("cancel") == 0


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_unknown_cancellation_is_settled_by_the_job(live: World, arrives: bool) -> None:
    live.sift.cancel_seconds = 1.0
    job, summary = await running(live)
    live.sift.answer("cancel", HTMLResponse("<h1>504</h1>", 504), carried_out=arrives)
    await ask(live, summary)
    await until(live, Event.CANCEL, "cancelled" if arrives else "not_applied")
    middle = ["accepted", "cancelled"] if arrives else ["not_applied"]
    assert outcomes(live, Event.CANCEL) == ["requested", "sending", "unknown", *middle]
    assert live.sift.count("cancel", job.job_id) == 1
    await reply(live, "it was cancelled" if arrives else "Sift never took it; the job goes on")
    unbroken(live)


async def test_an_unknown_cancellation_of_what_has_ended_ends_as_the_job_did(live: World) -> None:
    live.sift.run_seconds = 1.5
    await live.retried(live.sift.add(EXPORT))
    held = live.sift.hold("cancel")
    await ask(live, live.replies()[0])
    await asyncio.wait_for(held.entered.wait(), 5)
    await live.until_outcome("finished")
    await until(live, Event.CANCEL, "finished")
    assert outcomes(live, Event.CANCEL) == ["requested", "sending", "unknown", "finished"]
    held.release()
    unbroken(live)


# Late data


async def late(world: World, count: int = 4) -> tuple[SandboxJob, Message]:
    """An import that was retried and finished, and what is said of the reports that missed its data."""
    job = world.sift.add(IMPORT, run=world.sift.run_named(THIRD))
    await world.retried(job)
    await world.until_outcome("finished")
    return job, await reply(world, f"{count} reports of *{THIRD}* were evaluated before this data arrived")


def reports(world: World) -> list[Any]:
    """What was evaluated of the run, and not again."""
    return [one for one in world.sift.reports.values() if one.run.name == THIRD and one.rerun_from is None]


async def test_reports_that_missed_the_data_are_evaluated_again_one_by_one(both: World) -> None:
    _, offer = await late(both)
    assert actions(offer) == ["rerun_report"] * 4 + ["rerun_reports"]
    for report in reports(both):
        assert report.name in offer.text_shown()
    value = offer.buttons()[0]["value"]
    old = both.sift.reports[value.partition(" ")[2]]
    clicked = await both.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=value)
    await both.slack.redeliver(clicked)
    await until(both, Event.RERUN, "finished")
    assert outcomes(both, Event.RERUN) == ["requested", "sending", "accepted", "finished"]
    await reply(both, f"<@{OPERATOR}>, the rerun finished")
    await both.until(lambda: f"evaluated again by <@{OPERATOR}>" in offer.text_shown())
    assert actions(offer) == ["rerun_report"] * 3 + ["rerun_reports"]
    assert both.sift.count("rerun") == 1
    (new,) = [one for one in both.sift.reports.values() if one.rerun_from == old.report_id]
    entries = [row for row in both.entries() if row.event == "rerun"]
    assert {(row.job_id, row.user_id, row.source) for row in entries} == {(old.job.job_id, OPERATOR, "alert")}
    detail = json.loads(entries[-1].detail)
    assert (detail["report_id"], detail["new_job_id"]) == (old.report_id, new.job.job_id)
    assert json.loads(entries[-2].detail)["new_report_id"] == new.report_id
    assert len(both.messages()) == 1
    assert {m.thread_ts for m in both.replies()} == {both.messages()[0].ts}
    unbroken(both)


async def test_all_of_them_at_once_are_one_batch(live: World) -> None:
    live.sift.rerun_outcomes = ["finish", "fail", "finish", "finish"]
    _, offer = await late(live)
    await live.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_reports")
    ending = await reply(live, f"<@{OPERATOR}>, your 4 reports: 3 finished, 1 failed.")
    tally = await reply(live, f"<@{OPERATOR}> reran 4 reports")
    assert {ending.thread_ts, tally.thread_ts} == {live.messages()[0].ts}
    assert actions(tally) == ["retry"]
    await live.until(lambda: actions(offer) == [])
    assert live.sift.count("rerun") == 4
    await live.slack.click(OPERATOR, LAUNCH_OPS, tally.ts, "retry")
    await live.until_outcome("finished")
    unbroken(live)


async def test_what_was_rerun_already_is_left_out(live: World) -> None:
    first, *_ = reports(live)
    live.sift.rerun(first)
    await asyncio.sleep(0.01)
    _, offer = await late(live)
    values = [button["value"].partition(" ")[2] for button in offer.buttons() if button["action_id"] == "rerun_report"]
    assert first.report_id not in values
    assert len(values) == 4, "what evaluated it again missed the data just the same"


async def test_a_batch_says_it_once(live: World) -> None:
    run = live.sift.run_named(THIRD)
    jobs = [live.sift.add(IMPORT, run=run) for _ in range(4)]
    await live.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
    await reply(live, f"4 reports of *{THIRD}* were evaluated before this data arrived")
    await asyncio.sleep(0.3)
    offers = [m for m in live.replies() if "before this data arrived" in m.text_shown()]
    assert len(offers) == 1
    await live.slack.click(OPERATOR, LAUNCH_OPS, offers[0].ts, "rerun_reports")
    await reply(live, f"<@{OPERATOR}>, your 4 reports: 4 finished.")
    assert live.sift.count("rerun") == 4
    await live.until(lambda: actions(offers[0]) == [])
    unbroken(live)


async def test_who_may_not_rerun_is_refused_privately_and_audited(live: World) -> None:
    _, offer = await late(live)
    value = offer.buttons()[0]["value"]
    await live.slack.click(UNLISTED, LAUNCH_OPS, offer.ts, "rerun_report", value=value)
    (said,) = await live.until(lambda: live.whispers(UNLISTED))
    assert "You may not rerun reports: you are not on the allow-list." in said
    await live.slack.click(UNLISTED, LAUNCH_OPS, offer.ts, "rerun_reports")
    await live.until(lambda: len(live.whispers(UNLISTED)) == 2)
    assert outcomes(live, Event.RERUN) == ["requested", "denied", "denied"]
    assert live.sift.count("rerun") == 0
    assert len(actions(offer)) == 5
    unbroken(live)


async def test_a_second_click_while_it_is_under_way_is_answered(live: World) -> None:
    _, offer = await late(live)
    live.sift.run_seconds = LONG
    value = offer.buttons()[0]["value"]
    seen = Message(**vars(offer))
    await live.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=value)
    await until(live, Event.RERUN, "accepted")
    await live.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=value, seen=seen)
    (said,) = await live.until(live.whispers)
    assert "evaluated again since, or are being" in said
    assert live.sift.count("rerun") == 1


async def test_two_clicks_at_once_evaluate_a_report_again_once_and_it_stays_taken(live: World) -> None:
    _, offer = await late(live)
    live.allow(SECOND_OPERATOR)
    value = offer.buttons()[0]["value"]
    held = live.sift.hold("list")  # so that both are recorded before either is sent
    live.slack.delay("users.info", 2, user=SECOND_OPERATOR)  # so that one has ended before the other begins
    for user_id in (OPERATOR, SECOND_OPERATOR):
        await live.slack.click(user_id, LAUNCH_OPS, offer.ts, "rerun_report", value=value)
    held.release()
    await live.until(lambda: {"finished", "refused"} <= set(outcomes(live, Event.RERUN)), timeout=8)
    assert outcomes(live, Event.RERUN)[-2:] == ["finished", "refused"]
    await live.until(lambda: "evaluated again by" in offer.text_shown())
    assert live.sift.count("rerun") == 1
    assert actions(offer) == ["rerun_report"] * 3 + ["rerun_reports"]
    unbroken(live)


async def test_a_cancellation_stands_for_the_run_that_its_button_was_shown_for(live: World) -> None:
    job, summary = await running(live, "fail", seconds=1.0)
    await live.slack.click(OPERATOR, LAUNCH_OPS, summary.ts, "cancel_job")
    (view,) = await live.until(lambda: live.slack.modals[OPERATOR])
    await live.until_outcome("failed_again")
    live.sift.run_seconds = LONG
    await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await live.until_outcome("accepted")
    await live.slack.submit(OPERATOR, view.id, {"reason": ""})
    await until(live, Event.CANCEL, "refused")
    assert live.sift.count("cancel") == 0


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_unknown_rerun_is_settled_by_the_run_s_reports(live: World, arrives: bool) -> None:
    _, offer = await late(live)
    live.sift.answer("rerun", HTMLResponse("<h1>504</h1>", 504), carried_out=arrives)
    await live.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=offer.buttons()[0]["value"])
    await until(live, Event.RERUN, "finished" if arrives else "not_applied")
    middle = ["accepted", "finished"] if arrives else ["not_applied"]
    assert outcomes(live, Event.RERUN) == ["requested", "sending", "unknown", *middle]
    assert live.sift.count("rerun") == 1
    if not arrives:
        await reply(live, "Sift never took it; nothing was rerun")
        await live.until(lambda: len(actions(offer)) == 5)
        await live.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=offer.buttons()[0]["value"])
        await until(live, Event.RERUN, "finished")
        assert live.sift.count("rerun") == 2
    unbroken(live)


async def test_a_rerun_is_cancelled_like_a_retry(live: World) -> None:
    live.sift.cancel_seconds = 0.3
    _, offer = await late(live)
    live.sift.run_seconds = LONG
    await live.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=offer.buttons()[0]["value"])
    shown = await reply(live, "is rerunning")
    await ask(live, shown)
    await until(live, Event.CANCEL, "cancelled")
    await until(live, Event.RERUN, "cancelled")
    unbroken(live)


async def test_switched_off_nothing_is_offered_and_an_old_button_refused(world: World) -> None:
    async with world.running(socket_mode=False):
        world.allow()
        _, offer = await late(world)
    async with world.running(socket_mode=False, RERUN="off"):
        await world.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=offer.buttons()[0]["value"])
        (said,) = await world.until(world.whispers)
        assert "Rerunning reports is switched off here." in said
        assert outcomes(world, Event.RERUN) == ["requested", "refused"]
        await world.retried(world.sift.add(IMPORT, run=world.sift.run_named(THIRD)))
        await world.until_outcome("finished")
        await asyncio.sleep(0.3)
        assert len([m for m in world.replies() if "before this data arrived" in m.text_shown()]) == 1
    assert world.sift.count("rerun") == 0


async def test_a_look_up_that_fails_is_repeated(live: World) -> None:
    live.sift.fail("reports", 14, times=4)
    await late(live)


async def test_after_a_crash_late_data_is_still_found(world: World) -> None:
    async with world.running(socket_mode=False):
        world.allow()
        world.sift.fail("data_imports", 14, times=10_000)
        await world.retried(world.sift.add(IMPORT, run=world.sift.run_named(THIRD)))
        await world.until_outcome("finished")
    world.sift._faults.clear()
    async with world.running(socket_mode=False):
        await reply(world, "4 reports of")


async def test_retries_are_counted_and_limited_without_the_other_kinds(world: World) -> None:
    async with world.running(socket_mode=False, APPROVAL_AFTER="2"):
        world.allow()
        world.sift.cancel_seconds = 0.1
        _, summary = await running(world)
        await ask(world, summary)
        await until(world, Event.CANCEL, "cancelled")
        await world.slack.command(OPERATOR, LAUNCH_OPS, "stats")
        shown = await world.until(lambda: world.told() or world.whispers(), timeout=20)
        assert "Your 1 request in the last 30 days" in shown[0]
        unbroken(world)


# Crashes, restores, replicas


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("point", "posts", "middle"),
    [("after the mark", 0, ["not_applied"]), ("after the POST", 1, ["accepted", "cancelled"])],
)
async def test_a_cancellation_survives_a_crash(world: World, point: str, posts: int, middle: list[str]) -> None:
    process = Process(world)
    world.sift.run_seconds, world.sift.cancel_seconds = LONG, 0.2
    async with process.running("-m", "tests.scenarios.crashing", f"cancel {point}") as dying:
        job = world.sift.add(EXPORT)
        await world.retried(job)
        assert job.execution is not None
        job.execution.waits = 0
        await world.until(lambda: "since <!date" in world.replies()[0].text_shown())
        await ask(world, world.replies()[0])
        assert await asyncio.wait_for(dying.wait(), 5) == -signal.SIGKILL
    async with process.running():
        await process.until_last(Event.CANCEL, middle[-1])
    assert process.outcomes(Event.CANCEL) == ["requested", "sending", "unknown", *middle]
    assert world.sift.count("cancel") == posts


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("point", "posts", "middle"),
    [("after the mark", 0, ["not_applied"]), ("after the POST", 1, ["accepted", "finished"])],
)
async def test_a_rerun_survives_a_crash(world: World, point: str, posts: int, middle: list[str]) -> None:
    process = Process(world)
    async with process.running("-m", "tests.scenarios.crashing", f"rerun {point}") as dying:
        await world.retried(world.sift.add(IMPORT, run=world.sift.run_named(THIRD)))
        offer = await reply(world, "before this data arrived")
        await world.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=offer.buttons()[0]["value"])
        assert await asyncio.wait_for(dying.wait(), 5) == -signal.SIGKILL
    async with process.running():
        await process.until_last(Event.RERUN, middle[-1])
    assert process.outcomes(Event.RERUN) == ["requested", "sending", "unknown", *middle]
    assert world.sift.count("rerun") == posts


async def test_after_a_restore_neither_is_sent_again(world: World) -> None:
    async with world.running(socket_mode=False):
        world.allow()
        _, offer = await late(world)
        world.sift.run_seconds = LONG
        job, summary = await running(world)
        world.sift.cancel_seconds = LONG
        await world.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_report", value=offer.buttons()[0]["value"])
        await until(world, Event.RERUN, "accepted")
        await ask(world, summary)
        await until(world, Event.CANCEL, "accepted")
    async with world.running(socket_mode=False) as bot:
        with bot.database.transaction() as connection:
            found = recovery.recover(connection, "cli:test", utc_now())
        assert (found.unknown, found.refused) == (3, 0)
        await until(world, Event.CANCEL, "accepted")
        await until(world, Event.RERUN, "accepted")
        unbroken(world)
    assert (world.sift.count("rerun"), world.sift.count("cancel"), world.sift.count("retry", job.job_id)) == (1, 1, 1)


async def test_two_replicas_do_each_of_it_once(world: World, postgres_url: str) -> None:
    world.sift.cancel_seconds = 0.2
    async with world.running(DATABASE_URL=postgres_url), world.running(DATABASE_URL=postgres_url):
        world.allow()
        _, offer = await late(world)
        clicked = await world.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_reports")
        await world.slack.redeliver(clicked)
        await reply(world, f"<@{OPERATOR}>, your 4 reports: 4 finished.", timeout=15)
        assert len([m for m in world.replies() if "before this data arrived" in m.text_shown()]) == 1
        world.sift.run_seconds = LONG
        job = world.sift.add(EXPORT)
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        summary = await reply(world, "*Under way*\nData export")
        submitted = await ask(world, summary)
        await world.slack.redeliver(submitted)
        await until(world, Event.CANCEL, "cancelled")
        assert (world.sift.count("rerun"), world.sift.count("cancel")) == (4, 1)
        unbroken(world)

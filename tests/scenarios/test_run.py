"""What failed of a run: looked at privately by name, ID or link, and retried by one press."""

import asyncio
import json
import re

import pytest
from sqlalchemy import update

from bot.access.policy import Role
from bot.db.tables import retries
from bot.home.offers import MAX_KEPT
from bot.sandbox import AUDITOR, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EVALUATION, EXPORT, FINISHED, IMPORT, SandboxJob
from bot.sandbox.sift.records import SiftRun
from bot.sandbox.slack.messages import Message
from bot.sift.cause import normalised
from tests.scenarios.conftest import World

NAME = "vibration-7"


def failures(world: World, name: str = NAME, count: int = 3) -> tuple[SiftRun, list[SandboxJob]]:
    """A run of which imports and evaluations failed, and others that have nothing to do with it."""
    run = world.sift.add_run(name)
    for _ in range(3):
        world.sift.fail_one()
    world.sift.add(IMPORT, FINISHED, run=run)
    return run, [world.sift.add((IMPORT, EVALUATION)[number % 2], run=run) for number in range(count)]


async def asked(world: World, text: str, user_id: str = OPERATOR) -> Message:
    """What somebody is shown privately for what they typed."""
    before = len(world.slack.ephemerals(user_id))
    await world.slack.command(user_id, LAUNCH_OPS, text)
    shown = await world.until(lambda: world.slack.ephemerals(user_id)[before:])
    assert isinstance(shown[0], Message)
    return shown[0]


def export_of(run: SiftRun) -> dict[str, object]:
    """The details of an export of a run."""
    return {"dataExport": {"request": {"runsAndTimeRange": {"runIds": [run.run_id]}}, "storageKey": ""}}


def labels(message: Message) -> list[str]:
    return [button["text"]["text"] for button in message.buttons()]


async def test_what_failed_of_a_run_is_shown_and_retried_by_one_press(both: World) -> None:
    _, jobs = failures(both)
    shown = await asked(both, f"run {NAME.upper()} sensor was fixed")
    text = shown.text_shown()
    assert f"3 jobs of {NAME} failed" in text
    for fact in ("telemetry_", "Hot-fire limits", "Reason: sensor was fixed"):
        assert fact in text
    assert labels(shown) == ["Retry all (3)", "Select…"]
    assert both.sift.count("retry") == 0, "nothing is retried before the press"
    assert both.messages() == []
    assert len(both.sift.calls) <= 10

    await both.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await both.until(lambda: [m for m in both.messages() if "3 finished" in m.text_shown()], timeout=10)
    (tally,) = both.messages()
    assert "sensor was fixed" in tally.text_shown()
    assert [both.sift.count("retry", job.job_id) for job in jobs] == [1, 1, 1]
    assert both.sift.count("retry") == 3
    requests = [row for row in both.entries() if row.event == "request"]
    assert {(row.source, row.reason) for row in requests} == {("bulk", "sensor was fixed")}
    (left,) = both.slack.ephemerals(OPERATOR)
    assert "Asked for: 3 failed jobs" in left.text_shown(), "what was pressed is gone"


@pytest.mark.parametrize("form", ["{id}", "https://app.siftstack.com/run/{id}", "`{id}`"])
async def test_a_run_is_known_by_id_and_link(live: World, form: str) -> None:
    run, _ = failures(live, count=2)
    shown = await asked(live, "run " + form.format(id=run.run_id))
    assert f"2 jobs of {NAME} failed" in shown.text
    assert labels(shown) == ["Retry all (2)", "Select…"]


async def test_an_export_belongs_to_the_runs_it_names(live: World) -> None:
    run = live.sift.add_run(NAME)
    exports = [live.sift.add(EXPORT, run=run) for _ in range(3)]
    named = [job for job in exports if run.run_id in json.dumps(job.details)]
    assert f"{len(named)} job of {NAME}" in (await asked(live, f"run {NAME}")).text


async def test_one_failure_has_one_button(live: World) -> None:
    _, (job,) = failures(live, count=1)
    shown = await asked(live, f'run "{NAME}" because it rained')
    assert labels(shown) == ["Retry"]
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until_outcome("finished", job_id=job.job_id)
    assert [row.reason for row in live.entries(job_id=job.job_id)] == ["it rained"] * 4


async def test_a_run_in_a_thread_is_retried_in_that_thread(live: World) -> None:
    failures(live, count=2)
    root = live.slack.say(OPERATOR, LAUNCH_OPS, "what about vibration-7?")
    await live.slack.mention(OPERATOR, LAUNCH_OPS, f"run {NAME}", thread_ts=root.ts)
    (shown,) = await live.until(lambda: live.slack.ephemerals(OPERATOR))
    assert len(live.replies()) == 1, "nothing but the question"
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until(lambda: any("2 finished" in reply.text_shown() for reply in live.replies()), timeout=10)
    assert {reply.thread_ts for reply in live.replies()} == {root.ts}


async def test_some_of_a_run_are_selected_and_the_reason_is_there(live: World) -> None:
    _, jobs = failures(live)
    shown = await asked(live, f"run {NAME} sensor was fixed")
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "select_run")
    (view,) = await live.until(lambda: live.slack.modals[OPERATOR])
    assert "telemetry_" in json.dumps(view.blocks)
    await live.slack.submit(OPERATOR, view.id, {"jobs": [job.job_id for job in jobs[:2]]})
    await live.until(lambda: live.outcomes().count("finished") == 2, timeout=10)
    assert live.sift.count("retry", jobs[2].job_id) == 0
    assert {row.reason for row in live.entries() if row.event == "request"} == {"sensor was fixed"}


async def test_several_runs_of_a_name_are_offered_to_choose_from(live: World) -> None:
    failures(live, "vibration-71", 2)
    failures(live, "vibration-72", 1)
    shown = await asked(live, "run vibration-7 it rained")
    assert "Several runs are called" in shown.text_shown()
    assert labels(shown) == ["Show", "Show"]
    number = re.split(r"\W+", shown.text_shown()).index("71") < re.split(r"\W+", shown.text_shown()).index("72")
    value = shown.buttons()[0 if number else 1]["value"]
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "choose_run", value=value)
    await live.until(lambda: "2 jobs of" in live.slack.ephemerals(OPERATOR)[-1].text_shown())
    (chosen,) = live.slack.ephemerals(OPERATOR)
    assert labels(chosen) == ["Retry all (2)", "Select…"]
    assert "Reason: it rained" in chosen.text_shown()


async def test_the_only_run_that_begins_so_is_meant(live: World) -> None:
    failures(live, "vibration-71", 2)
    assert "2 jobs of vibration-71 failed" in (await asked(live, "run vibration")).text


async def test_an_exact_name_comes_before_a_longer_one(live: World) -> None:
    failures(live, "vibration-7", 1)
    failures(live, "vibration-71", 2)
    assert "1 job of vibration-7 failed" in (await asked(live, "run vibration-7")).text


async def test_what_stands_before_because_may_be_a_name_or_not(live: World) -> None:
    failures(live, "cold flow 3", 1)
    failures(live, "vibration-7", 2)
    assert "1 job of cold flow 3" in (await asked(live, "run cold flow 3 because it rained")).text
    shown = await asked(live, "run vibration-7 twice because it rained")
    assert "2 jobs of vibration-7" in shown.text
    assert "Reason: twice because it rained" in shown.text_shown()


async def test_a_run_that_does_not_exist_yet_is_called_as_its_uploader_did(live: World) -> None:
    for _ in range(12):
        live.sift.add(IMPORT)
    shown = await asked(live, "run HOTFIRE-120")
    assert "of hotfire-120 failed" in shown.text.lower()
    assert "Sift does not know this run yet" in shown.text_shown()
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until_outcome("finished")


async def test_a_run_that_nobody_knows_is_said_with_what_begins_alike(live: World) -> None:
    failures(live, "vibration-7", 2)
    shown = await asked(live, "run vibration-8")
    assert "Sift knows no run *vibration-8*" in shown.text_shown()
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "choose_run")
    await live.until(lambda: "2 jobs of" in live.slack.ephemerals(OPERATOR)[-1].text_shown())
    nobody = await asked(live, "run 11111111-2222-4333-8444-555555555555")
    assert labels(nobody) == []
    assert "Sift knows no run" in nobody.text_shown()


async def test_nothing_failed_is_said(live: World) -> None:
    failures(live, count=0)
    shown = await asked(live, f"run {NAME}")
    assert f"No job of {NAME} is failed" in shown.text
    assert labels(shown) == []


async def test_the_list_of_a_run_has_no_buttons(live: World) -> None:
    failures(live)
    shown = await asked(live, f"list run {NAME}")
    assert f"3 jobs of {NAME} failed" in shown.text
    assert labels(shown) == []


async def test_two_presses_are_one(live: World) -> None:
    _, jobs = failures(live, count=4)
    live.allow(SECOND_OPERATOR)
    first, second = await asked(live, f"run {NAME}"), await asked(live, f"run {NAME}", SECOND_OPERATOR)
    held = live.sift.hold("retry")
    await asyncio.gather(
        live.slack.click(OPERATOR, LAUNCH_OPS, first.ts, "retry_run"),
        live.slack.click(OPERATOR, LAUNCH_OPS, first.ts, "retry_run"),
        live.slack.click(SECOND_OPERATOR, LAUNCH_OPS, second.ts, "retry_run"),
    )
    await asyncio.wait_for(held.entered.wait(), 5)
    held.release()
    await live.until(lambda: live.outcomes().count("finished") == 4, timeout=10)
    assert [live.sift.count("retry", job.job_id) for job in jobs] == [1, 1, 1, 1]


async def test_what_is_under_way_is_not_offered_again(live: World) -> None:
    _, jobs = failures(live)
    live.sift.run_seconds = 5
    before = await asked(live, f"run {NAME}")
    held = live.sift.hold("retry")
    await live.slack.command(OPERATOR, LAUNCH_OPS, jobs[0].job_id)
    await asyncio.wait_for(held.entered.wait(), 5)
    shown = await asked(live, f"run {NAME}")
    assert labels(shown) == ["Retry all (2)", "Select…"]
    assert "1 failed job is being retried already" in shown.text_shown()
    await live.slack.click(OPERATOR, LAUNCH_OPS, before.ts, "retry_run")
    await live.until(lambda: any("retrying 2 jobs" in m.text_shown() for m in live.messages()), timeout=10)
    held.release()
    await live.until(lambda: live.sift.count("retry") == 3)


async def test_a_press_that_is_delivered_twice_counts_once(live: World) -> None:
    failures(live, count=2)
    shown = await asked(live, f"run {NAME}")
    delivered = await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until(lambda: live.outcomes().count("finished") == 2, timeout=10)
    whispered = len(live.whispers())
    await live.slack.redeliver(delivered)
    await asyncio.sleep(0.3)
    assert live.sift.count("retry") == 2
    assert len(live.whispers()) == whispered


async def test_who_is_not_listed_may_not_look_and_that_is_on_record(live: World) -> None:
    failures(live)
    said = (await asked(live, f"run {NAME}", UNLISTED)).text_shown()
    assert "You may not look at jobs: you are not on the allow-list" in said
    assert live.sift.calls == []
    assert [(row.event, row.outcome) for row in live.entries(user_id=UNLISTED)] == [("look", "denied")]


async def test_an_auditor_may_look_and_is_refused_the_retry(live: World) -> None:
    failures(live)
    live.allow(AUDITOR, Role.AUDITOR)
    shown = await asked(live, f"run {NAME}", AUDITOR)
    await live.slack.click(AUDITOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until_outcome("denied", user_id=AUDITOR)
    await live.until(lambda: any("were not retried" in said for said in live.whispers(AUDITOR)))
    assert live.sift.count("retry") == 0
    assert live.messages() == []


@pytest.mark.parametrize("broken", ["list", "runs"])
async def test_a_sift_that_cannot_be_read_is_said(live: World, broken: str) -> None:
    failures(live)
    live.sift.fail(broken, 13, times=20)
    assert "Sift could not be read" in (await asked(live, f"run {NAME}")).text_shown()


@pytest.mark.parametrize("broken", ["data_imports", "reports", "rules"])
async def test_what_cannot_be_looked_up_changes_the_words_alone(live: World, broken: str) -> None:
    failures(live)
    live.sift.fail(broken, 13, times=20)
    shown = await asked(live, f"run {NAME}")
    assert "Not everything could be looked at" in shown.text_shown()
    assert labels(shown)


async def test_a_slow_sift_does_not_hold_up_the_ack(live: World) -> None:
    failures(live)
    live.sift.delay("list", 0.8)
    delivered = await live.slack.command(OPERATOR, LAUNCH_OPS, f"run {NAME}")
    assert delivered.acked
    assert delivered.seconds < 0.5
    await live.until(lambda: live.slack.ephemerals(OPERATOR))


async def test_jobs_known_from_an_alert_are_found_without_the_import(live: World) -> None:
    _, jobs = failures(live)
    await asked(live, f"run {NAME}")  # which notes whose jobs they are
    live.sift.fail("data_imports", 13, times=20)
    shown = await asked(live, f"run {NAME}")
    assert f"3 jobs of {NAME}" in shown.text
    assert [row.job_id for row in live.entries(run=NAME)] == []
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until(lambda: live.outcomes(run=NAME.upper()).count("finished") == 3, timeout=10)
    assert {row.job_id for row in live.entries(run=NAME)} == {job.job_id for job in jobs}


async def test_what_retries_of_the_same_cause_did_before_is_said(live: World) -> None:
    run, _ = failures(live, count=0)
    for _ in range(3):
        job = live.sift.add(EXPORT, run=run, reason="no disk", then=["fail"], details=export_of(run))
        await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await live.until_outcome("failed_again", job_id=job.job_id)
    assert live.bot is not None
    with live.bot.database.transaction() as connection:  # as the look-up of causes leaves it
        connection.execute(update(retries).values(cause_key=normalised("no disk")))
    shown = await asked(live, f"run {NAME}")
    assert "3 × no disk" in shown.text_shown()
    assert "never helped in 3 tries" in shown.text_shown()


async def test_thousands_of_failures_and_long_names(world: World) -> None:
    async with world.running(socket_mode=False, SIFT_TIMEOUT_SECONDS="20"):
        world.allow()
        run = world.sift.add_run("x" * 5_000)
        world.sift.outage(1_000)
        jobs = [world.sift.add(IMPORT, run=run, reason="y" * 5_000) for _ in range(110)]
        await world.slack.command(OPERATOR, LAUNCH_OPS, f"run {run.run_id} because {'z' * 2_000}")
        (shown,) = await world.until(lambda: world.slack.ephemerals(OPERATOR), timeout=25)
        assert labels(shown) == ["Retry all (110)", "Select…"]
        assert "Not everything could be looked at" in shown.text_shown()
        assert len(world.sift.calls) <= 10
        await world.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "select_run")
        await world.until(lambda: world.slack.modals[OPERATOR], timeout=10)
        await world.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
        await world.until(lambda: world.sift.count("retry") == 110, timeout=60)
        assert all(world.sift.count("retry", job.job_id) == 1 for job in jobs)


async def test_an_old_list_says_so(live: World) -> None:
    _, jobs = failures(live)
    shown = await asked(live, f"run {NAME}")
    for _ in range(MAX_KEPT):
        await asked(live, f"run {NAME}")
    await live.slack.click(OPERATOR, LAUNCH_OPS, shown.ts, "retry_run")
    await live.until(lambda: any("That list is too old" in said for said in live.whispers()))
    assert live.sift.count("retry", jobs[0].job_id) == 0

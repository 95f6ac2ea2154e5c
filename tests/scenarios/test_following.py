"""Following: to every end, in few requests, through Sift's absence, and over restarts."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event, update
from starlette.responses import HTMLResponse

from bot.app.bot import Bot
from bot.base.clock import utc_now
from bot.db.tables import retries
from bot.sandbox import LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.jobs import EVALUATION, EXPORT, IMPORT, SandboxJob
from tests.scenarios.conftest import World


async def test_a_job_cancelled_in_sift_is_told_and_may_be_retried(live: World) -> None:
    live.sift.run_seconds = 30
    job = live.sift.add()
    await live.retried(job)
    job.cancel(live.slack.clock())
    await live.until_outcome("cancelled")
    ending = (await live.until(lambda: [m for m in live.replies() if m.text.startswith("<@")]))[0]
    assert "was cancelled" in ending.text_shown()
    assert ending.buttons()


async def two_followed(live: World) -> tuple[SandboxJob, SandboxJob]:
    """Two jobs that are retried, and run for two seconds."""
    live.sift.run_seconds = 2
    jobs = live.sift.add(), live.sift.add()
    for job in jobs:
        await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await live.until_outcome("accepted", job_id=job.job_id)
    return jobs


async def test_a_row_that_can_no_longer_be_read_holds_up_none_that_is_followed_beside_it(live: World) -> None:
    spoilt, sound = await two_followed(live)
    await asyncio.sleep(0.5)  # until both are followed by what their jobs show alone
    row = update(retries).where(retries.c.job_id == spoilt.job_id)
    assert live.bot is not None
    await live.bot.database.run(lambda connection: connection.execute(row.values(job_before="{")))
    await live.until_outcome("finished", job_id=sound.job_id)


async def test_a_row_that_cannot_be_written_holds_up_none_that_is_followed_beside_it(live: World) -> None:
    spoilt, sound = await two_followed(live)
    assert live.bot is not None
    database, ended = live.bot.database, f"state = 'finished' AND job_id = '{spoilt.job_id}'"
    refusing = (
        f"CREATE TRIGGER no BEFORE UPDATE ON retries WHEN NEW.{ended.replace('AND ', 'AND NEW.')} "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
        if database.is_sqlite
        else f"ALTER TABLE retries ADD CONSTRAINT no CHECK (NOT ({ended}))"
    )
    await database.run(lambda connection: connection.exec_driver_sql(refusing))
    await live.until_outcome("finished", job_id=sound.job_id)
    assert live.outcomes(job_id=spoilt.job_id)[-1] == "accepted"


async def test_an_unknown_outcome_whose_row_can_no_longer_be_read_holds_up_no_other(live: World) -> None:
    spoilt, sound = live.sift.add(), live.sift.add()
    live.sift.fail("retry", 14, times=2)
    for job in (spoilt, sound):
        await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await live.until_outcome("unknown", job_id=job.job_id)
    row = update(retries).where(retries.c.job_id == spoilt.job_id)
    assert live.bot is not None
    await live.bot.database.run(lambda connection: connection.execute(row.values(job_before="{")))
    await live.until_outcome("not_applied", job_id=sound.job_id)


async def test_a_job_that_is_gone_is_no_longer_followed(live: World) -> None:
    live.sift.run_seconds = 30
    job = live.sift.add()
    await live.retried(job)
    del live.sift.jobs[job.job_id]
    await live.until_outcome("lost")
    await live.until(lambda: any("no longer lists the job" in m.text_shown() for m in live.replies()))


@pytest.mark.parametrize(
    ("job_type", "facts"),
    [
        (IMPORT, ["Data import", "40 %", "4,000,000 of 10,000,000 points", "is not a number"]),
        (EVALUATION, ["Rule evaluation", "Hot-fire limits"]),
        (
            EXPORT,
            [
                "Data export",
                "Parquet",
                "3 channels",
                "1 calculated channel",
                "Time range",
                "no data for channel &lt;vehicle.tank &amp; valve&gt;",
            ],
        ),
    ],
)
async def test_the_summary_says_what_there_is_to_say_of_each_kind(live: World, job_type: str, facts: list[str]) -> None:
    job = live.sift.add(job_type, then=["fail"])
    await live.retried(job)
    await live.until_outcome("failed_again")
    always = [f"retry 1 by <@{OPERATOR}>", "ran ", "reference", job.job_id]
    await live.until(lambda: all(fact in live.replies()[0].text_shown() for fact in [*facts, *always]))


async def test_without_the_reason_the_retry_goes_on(live: World) -> None:
    live.sift.fail("data_imports", 14, times=9)
    await live.retried(live.sift.add())
    await live.until_outcome("finished")
    await live.until(lambda: len(live.replies()) == 2)


async def test_a_slow_reason_holds_up_nothing(live: World) -> None:
    live.sift.delay("data_imports", 0.6)
    live.sift.run_seconds = 3
    await live.retried(live.sift.add())
    assert "is not a number" not in live.replies()[0].text_shown()
    await live.until(lambda: "is not a number" in live.replies()[0].text_shown())


async def test_who_waits_for_a_slow_sift_is_told_so(live: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.retries.runner.HINT_SECONDS", 0.1)
    live.sift.delay("list", 0.4)
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    (said,) = await live.until(live.whispers)
    assert "Still at it" in said
    await live.until_outcome("finished")
    assert len(live.whispers()) == 1


async def test_what_had_ended_when_it_was_read_back_is_told_though_sift_cannot_be_read_just_then(live: World) -> None:
    live.sift.run_seconds = 0.01
    live.sift.answer("retry", HTMLResponse("<h1>504</h1>", 504), carried_out=True)
    live.sift.delay("list", 0.8, times=2)  # before the retry, and after it: by then it has failed again
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add(then=["fail"]).job_id)
    await live.until_outcome("accepted")
    live.sift.fail("list", times=6)  # for longer than a late read counts
    await live.until_outcome("failed_again", timeout=10)


async def test_many_jobs_are_followed_with_one_request(live: World) -> None:
    live.sift.run_seconds = 30
    jobs = live.sift.outage(40)
    await asyncio.gather(*(live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for job in jobs))
    async with asyncio.timeout(10):
        while live.outcomes().count("accepted") < 40:
            await asyncio.sleep(0.05)
        live.sift.calls.clear()
        while max((call.filter.count("'") // 2 for call in live.sift.calls), default=0) < 40:
            await asyncio.sleep(0.05)


async def test_with_nothing_to_follow_nobody_is_asked(live: World) -> None:
    await asyncio.sleep(0.3)
    calls = len(live.slack.calls)
    assert live.sift.calls == []
    await asyncio.sleep(0.5)
    assert len(live.slack.calls) == calls


async def test_what_ended_while_the_bot_was_down_is_told_when_it_is_back(world: World) -> None:
    job = world.sift.add(EXPORT, then=["fail"])
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="60"):
        world.allow()
        await world.retried(job)
    await asyncio.sleep(0.3)
    async with world.running(socket_mode=False):
        await world.until_outcome("failed_again")
        await world.until(lambda: len(world.replies()) == 2)
    assert world.sift.count("retry") == 1


async def test_slack_is_not_asked_for_its_identity_twice(live: World) -> None:
    for _ in range(3):
        await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until(lambda: len(live.replies()) == 6)
    methods = [call.method for call in live.slack.calls]
    assert methods.count("auth.test") == 1
    assert methods.count("users.info") == 1


async def test_a_clock_that_is_set_back_freezes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shift = [timedelta(0)]
    monkeypatch.setattr("bot.app.schedule.TIMEKEEPER_SECONDS", 0.05)
    monkeypatch.setattr("tests.scenarios.conftest.Bot", partial(Bot, clock=lambda: utc_now() + shift[0]))
    world.sift.run_seconds = 0.5
    async with world.running(socket_mode=False):
        world.allow()
        job = world.sift.add()
        await world.retried(job)
        shift[0] = -timedelta(hours=1)
        await world.until_outcome("finished")
    assert world.sift.count("retry", job.job_id) == 1


async def test_many_jobs_that_do_not_move_cost_one_request_a_poll_and_no_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.retries.followed.MANY", 2)
    monkeypatch.setattr("bot.retries.follower.CLAIM_EVERY", 10_000)
    world.sift.run_seconds = 3_600
    async with world.running(socket_mode=False) as bot:
        world.allow()
        jobs = [world.sift.add() for _ in range(4)]
        for job in jobs:
            await world.retried(job)
        await asyncio.sleep(1)  # for a few polls each read counts
        await world.until(lambda: all(message.text_shown() for message in world.replies()))
        looked: list[str] = []

        def notice(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
            values = parameters.values() if isinstance(parameters, Mapping) else parameters  # PostgreSQL's are named
            if "accepted" in str(values):
                looked.append(statement)

        for engine in bot.database.engines:
            event.listen(engine, "before_cursor_execute", notice)
        world.forget()
        before = world.sift.count("list")
        await asyncio.sleep(1)
        polls = world.sift.count("list") - before
        assert 1 < polls <= 1 / 0.05 + 1
        assert looked == []
        jobs[2].cancel(world.slack.clock())
        await world.until_outcome("cancelled", job_id=jobs[2].job_id)
        del world.sift.jobs[jobs[3].job_id]
        monkeypatch.setattr("bot.retries.followed.READ_EACH", timedelta(0))  # what no list of changes tells
        await world.until_outcome("lost", job_id=jobs[3].job_id)
    assert world.outcomes(job_id=jobs[0].job_id)[-1] == "accepted"

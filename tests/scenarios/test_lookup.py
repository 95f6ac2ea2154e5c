"""Looking without retrying: `list` and `status`, private and for people on the allow-list."""

from bot.access.policy import Role
from bot.sandbox import AUDITOR, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, FINISHED, IMPORT
from tests.scenarios.conftest import World


async def whispered(world: World, text: str, user_id: str = OPERATOR) -> str:
    await world.slack.command(user_id, LAUNCH_OPS, text)
    (said,) = await world.until(lambda: world.whispers(user_id))
    return str(said)


async def test_the_list_shows_what_failed_newest_first(both: World) -> None:
    older, newer = both.sift.add(EXPORT), both.sift.add(IMPORT)
    said = await whispered(both, "list")
    assert said.index(newer.job_id) < said.index(older.job_id)
    assert "no data for channel &lt;vehicle.tank" in said, "foreign text is escaped"
    assert both.sift.count("list") == 1
    assert both.entries() == both.entries(user_id="cli:test"), "looking is no request"


async def test_the_list_says_what_is_being_retried_already(world: World) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="3600"):
        world.allow()
        job = world.sift.add()
        world.sift.run_seconds = 5
        await world.retried(job)
        world.sift.fail_one()
        world.sift.jobs[job.job_id].execution = None  # as a read that is late would show it
        said = await whispered(world, "list")
    assert f"Already being retried by <@{OPERATOR}>" in said


async def test_a_button_of_the_list_retries(live: World) -> None:
    job = live.sift.add()
    await whispered(live, "list")
    (message,) = live.slack.ephemerals(OPERATOR)
    value = next(button["value"] for button in message.buttons() if job.job_id in button["value"])
    await live.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "retry", value=value)
    await live.until_outcome("finished")
    assert len(live.messages()) == 1


async def test_the_status_is_the_summary_without_a_retry(both: World) -> None:
    job = both.sift.add(IMPORT)
    said = await whispered(both, f"status {job.job_id}")
    for fact in ("Failed", "Data import *hotfire-118*", "40 %", "is not a number", "ran ", job.job_id):
        assert fact in said
    (message,) = both.slack.ephemerals(OPERATOR)
    assert [button["text"]["text"] for button in message.buttons()] == ["Retry"]
    assert both.sift.count("retry") == 0
    assert both.messages() == []


async def test_the_status_of_a_finished_job_offers_no_retry(live: World) -> None:
    said = await whispered(live, f"status {live.sift.add(status=FINISHED).job_id}")
    assert "Finished" in said
    assert not live.slack.ephemerals(OPERATOR)[0].buttons()


async def test_the_status_of_an_unknown_job_says_so(live: World) -> None:
    assert "knows no job" in await whispered(live, "status 11111111-2222-4333-8444-555555555555")


async def test_a_status_without_a_job_explains(live: World) -> None:
    assert "“everything” is not a Sift job ID" in await whispered(live, "status everything")


async def test_who_is_not_listed_may_not_look(live: World) -> None:
    for number, text in enumerate(("list", f"status {live.sift.add().job_id}"), start=1):
        await live.slack.command(UNLISTED, LAUNCH_OPS, text)
        said = (await live.until(lambda: len(live.whispers(UNLISTED)) == number and live.whispers(UNLISTED)))[-1]  # noqa: B023  # awaited at once
        assert "You may not look at jobs: you are not on the allow-list" in said
    assert live.sift.calls == []


async def test_an_auditor_may_look(live: World) -> None:
    live.allow(AUDITOR, Role.AUDITOR)
    assert "failed last" in await whispered(live, "list", AUDITOR)


async def test_a_sift_that_cannot_be_read_is_said(live: World) -> None:
    live.allow(SECOND_OPERATOR)
    live.sift.fail("list", 13, times=9)
    assert "Sift could not be read" in await whispered(live, "list", SECOND_OPERATOR)

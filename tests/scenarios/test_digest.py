"""Twice a day, or whenever it is set, a channel reads what failed, what waits and who has it; and picks from that."""

import asyncio
from typing import Any

import pytest

from bot.base.clock import utc_now
from bot.sandbox import ADMIN, AUDITOR, DATA_IMPORTS, LAUNCH_OPS, OPERATOR, PRIVATE, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, IMPORT, KEY_USER
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World

WATCHING: dict[str, Any] = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1"}
PICK = "pick_waiting"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.app.schedule.DIGEST_SECONDS", 0.1)


def now_due() -> dict[str, Any]:
    """Watching, with a digest that is due in this very minute."""
    return {**WATCHING, "DIGEST_AT": f"{utc_now():%H:%M}"}


def digests(world: World, channel_id: str = LAUNCH_OPS) -> list[Message]:
    """The digests of a channel."""
    return [message for message in world.messages(channel_id) if ":newspaper:" in message.text_shown()]


async def failed(world: World, count: int = 2, **settings: str) -> None:
    """Has imports fail, and be alerted, before any digest is due."""
    async with world.running(socket_mode=False, **{**WATCHING, **settings}):
        for _ in range(count):
            world.sift.fail_one(IMPORT)
        await world.until(lambda: len(world.messages()) == count, timeout=10)


async def test_it_tells_what_failed_what_waits_and_what_was_retried(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        jobs = [world.sift.fail_one(IMPORT, world.sift.run_named("hotfire-118")) for _ in range(4)]
        await world.until(lambda: len(world.messages()) == 4, timeout=10)
        alerts = {job.job_id: alert for job in jobs for alert in world.messages() if job.job_id in alert.text_shown()}
        await world.slack.click(OPERATOR, LAUNCH_OPS, alerts[jobs[0].job_id].ts, "retry")
        await world.until_outcome("finished")
        world.sift.retry_outside(jobs[1].job_id, KEY_USER)
        await world.until(lambda: "finished now, without the bot" in alerts[jobs[1].job_id].text_shown())
    async with world.running(socket_mode=False, **now_due()):
        (digest,) = await world.until(lambda: digests(world))
        text = digest.text_shown()
        for words in (
            "*4 jobs failed since ",
            ", 2 still wait*",
            "*hotfire-118* – 4 failed",
            ":rotating_light: 2 wait, and nobody has them",
            f"<@{OPERATOR}> retried 1, 1 helped · 1 retried outside the bot",
        ):
            assert words in text
        assert digest.text == "4 jobs failed, 2 still wait"


async def test_it_says_who_took_and_who_snoozed_what_waits(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        for _ in range(3):
            world.sift.fail_one(IMPORT, world.sift.run_named("hotfire-118"))
        first, second, _ = await world.until(lambda: len(world.messages()) == 3 and world.messages(), timeout=10)
        await world.slack.click(OPERATOR, LAUNCH_OPS, first.ts, "take_failure")
        await world.until(lambda: "is on it" in first.text_shown())
        await world.slack.click(ADMIN, LAUNCH_OPS, second.ts, "snooze_failure")
        (view,) = await world.until(lambda: world.slack.modals[ADMIN])
        await world.slack.submit(ADMIN, view.id)
        await world.until(lambda: "Snoozed until" in second.text_shown())
    async with world.running(socket_mode=False, **now_due()):
        (digest,) = await world.until(lambda: digests(world))
        waits = f"1 waits, and nobody has it · 1 taken by <@{OPERATOR}> · 1 snoozed by <@{ADMIN}>"
        assert waits in digest.text_shown()


@pytest.mark.sqlite
async def test_it_is_sent_once_across_restarts_and_nothing_to_say_is_no_message(world: World) -> None:
    async with world.running(**now_due()):
        await asyncio.sleep(0.5)
        assert world.messages() == []
    world.directory.joinpath("bot.db").unlink()
    await failed(world)
    due = now_due()
    for _ in range(3):
        async with world.running(**due):
            await world.until(lambda: digests(world))
            await asyncio.sleep(0.3)
    assert len(digests(world)) == 1


async def test_two_replicas_send_it_once(world: World, postgres_url: str) -> None:
    await failed(world, DATABASE_URL=postgres_url)
    settings = {**now_due(), "DATABASE_URL": postgres_url}
    async with world.running(**settings), world.running(**settings):
        await world.until(lambda: digests(world), timeout=10)
        await asyncio.sleep(0.6)
        assert len(digests(world)) == 1


async def test_a_channel_that_takes_no_posts_holds_up_no_other(world: World) -> None:
    channels = f"data_import={PRIVATE},data_export={DATA_IMPORTS}"
    async with world.running(**{**WATCHING, "ALERT_CHANNELS": channels}):
        world.sift.fail_one(IMPORT)
        world.sift.fail_one(EXPORT)
        await world.until(lambda: world.messages(DATA_IMPORTS))
        await asyncio.sleep(0.3)
    async with world.running(**{**now_due(), "ALERT_CHANNELS": channels}) as bot:
        await world.until(lambda: digests(world, DATA_IMPORTS))
        await world.until(lambda: f"channel:{PRIVATE}" in bot.readiness.degraded())


async def test_what_still_waits_is_picked_from_it_and_retried_in_its_thread(world: World) -> None:
    await failed(world, 3)
    async with world.running(socket_mode=False, **now_due()):
        world.allow()
        (digest,) = await world.until(lambda: digests(world))
        await world.slack.click(OPERATOR, LAUNCH_OPS, digest.ts, PICK)
        (view,) = await world.until(lambda: world.slack.modals[OPERATOR])
        jobs = [option["value"] for option in options_of(view.body)]
        assert len(jobs) == 3
        await world.slack.submit(OPERATOR, view.id, {"jobs": jobs[:2]})
        await world.until(lambda: [reply for reply in world.replies() if reply.thread_ts == digest.ts])
        async with asyncio.timeout(10):
            while world.outcomes().count("finished") < 2:
                await asyncio.sleep(0.05)
        await world.slack.click(OPERATOR, LAUNCH_OPS, digest.ts, PICK)
        view = (await world.until(lambda: world.slack.modals[OPERATOR]))[-1]
        assert [option["value"] for option in options_of(view.body)] == jobs[2:]


@pytest.mark.parametrize("who", [UNLISTED, AUDITOR])
async def test_who_may_not_retry_is_shown_why_and_it_is_on_record(world: World, who: str) -> None:
    await failed(world)
    async with world.running(socket_mode=False, **now_due()):
        (digest,) = await world.until(lambda: digests(world))
        await world.slack.click(who, LAUNCH_OPS, digest.ts, PICK)
        (view,) = await world.until(lambda: world.slack.modals[who])
        assert "not on the allow-list" in str(view.body)
        assert options_of(view.body) == []
        (entry,) = world.entries(user_id=who)
        assert (entry.event, entry.outcome) == ("look", "denied")


async def test_when_nothing_is_left_to_pick_it_says_so(world: World) -> None:
    await failed(world, 1)
    async with world.running(socket_mode=False, **now_due()):
        (digest,) = await world.until(lambda: digests(world))
        (job_id,) = [job_id for job_id in world.sift.jobs if job_id in alert_text(world)]
        world.sift.retry_outside(job_id, KEY_USER)
        await world.until(lambda: "without the bot" in alert_text(world))
        await world.slack.click(ADMIN, LAUNCH_OPS, digest.ts, PICK)
        (view,) = await world.until(lambda: world.slack.modals[ADMIN])
        assert "Nothing that was alerted in this channel waits any more" in str(view.body)


def alert_text(world: World) -> str:
    """What the first alert says."""
    return world.messages()[0].text_shown()


def options_of(view: dict[str, Any]) -> list[dict[str, Any]]:
    """What may be picked in a modal."""
    (element,) = [block["element"] for block in view["blocks"] if block["block_id"] == "jobs"] or [{}]
    groups = element.get("option_groups", [])
    return [*element.get("options", []), *(option for group in groups for option in group["options"])]

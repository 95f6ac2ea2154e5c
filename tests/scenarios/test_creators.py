"""Who created a job is told in its alert's thread, if Slack knows their e-mail address."""

import asyncio
from typing import Any

import pytest

from bot.alerts import creators
from bot.sandbox import LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.jobs import IMPORT, KEY_USER, OWNER
from bot.sandbox.sift.records import User
from tests.scenarios.conftest import World

WATCHING: dict[str, Any] = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1", "NOTIFY_CREATOR": "on"}
TOLD = f"<@{OPERATOR}>, you created this job in Sift, and it failed."


def told(world: World) -> list[str]:
    """What is said in threads to whoever created a job."""
    return [reply.text_shown() for reply in world.replies() if "you created this job" in reply.text_shown()]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.app.schedule.CREATORS_SECONDS", 0.1)


async def test_who_created_a_job_is_told_once_in_its_thread(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        job = world.sift.fail_one(IMPORT)
        (said,) = await world.until(lambda: told(world))
        assert TOLD in said
        (alert,) = world.messages()
        assert [reply.thread_ts for reply in world.replies() if TOLD in reply.text_shown()] == [alert.ts]
        assert job.job_id in alert.text_shown()
    async with world.running(socket_mode=False, **WATCHING):
        await asyncio.sleep(0.5)
        assert len(told(world)) == 1


@pytest.mark.parametrize(
    "name", ["Operator", "nobody@sandbox.example", "former-operator@sandbox.example", "<!here>@x.y"]
)
async def test_whom_slack_does_not_know_by_that_name_is_told_nothing(world: World, name: str) -> None:
    world.sift.users[OWNER] = User(OWNER, name)
    async with world.running(socket_mode=False, **WATCHING):
        world.sift.fail_one(IMPORT)
        await world.until(world.messages)
        await asyncio.sleep(0.6)
        assert told(world) == []
        asked = [call.method for call in world.slack.calls].count("users.lookupByEmail")
        assert asked == (0 if name in ("Operator", "<!here>@x.y") else 1), "nobody is looked up again and again"


async def test_without_the_optional_scope_everything_else_works(world: World) -> None:
    world.slack.scopes.discard("users:read.email")
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        world.sift.fail_one(IMPORT)
        (alert,) = await world.until(world.messages)
        await asyncio.sleep(0.5)
        assert [call.method for call in world.slack.calls].count("users.lookupByEmail") == 1
        await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
        await world.until_outcome("finished")
        assert told(world) == []


async def test_of_an_outage_nobody_is_told_and_off_means_off(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.sift.outage(25)
        await world.until(world.messages, timeout=10)
        await asyncio.sleep(0.5)
        assert told(world) == []
    async with world.running(socket_mode=False, **{**WATCHING, "NOTIFY_CREATOR": "off"}):
        world.sift.fail_one(IMPORT)
        await world.until(lambda: len(world.messages()) == 2)
        await asyncio.sleep(0.5)
        assert told(world) == []
    assert "users.lookupByEmail" not in [call.method for call in world.slack.calls]


async def test_it_is_found_out_as_soon_as_sift_and_slack_answer(world: World) -> None:
    del world.sift.users[OWNER]
    world.slack.fail("users.lookupByEmail", "internal_error", times=1)
    async with world.running(socket_mode=False, **WATCHING):
        world.sift.fail_one(IMPORT)
        await world.until(world.messages)
        world.sift.users[OWNER] = User(OWNER, "Operator@sandbox.example")
        assert TOLD in (await world.until(lambda: told(world)))[0]
    assert KEY_USER in world.sift.users


async def test_many_whom_sift_never_names_hold_up_nobody_else(world: World) -> None:
    async with world.running(socket_mode=False, **{**WATCHING, "ALERT_STORM": "100"}):
        for _ in range(creators.CHUNK + 2):
            world.sift.add(IMPORT, created_by="nobody-knows")
        while [row.event for row in world.entries()].count("alert") < creators.CHUNK + 2:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        job = world.sift.fail_one(IMPORT)
        (said,) = await world.until(lambda: told(world), timeout=30)
        assert TOLD in said
        (alert,) = [message for message in world.messages() if job.job_id in message.text_shown()]
        assert [reply.thread_ts for reply in world.replies() if TOLD in reply.text_shown()] == [alert.ts]

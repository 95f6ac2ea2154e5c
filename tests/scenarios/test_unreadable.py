"""Sift cannot be *read*: what happened, that nothing was sent, what to do; never that something may have been sent."""

from collections.abc import Callable

import pytest
from starlette.responses import HTMLResponse

from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World

LATER = "Try again in a few minutes."
KEY = "Whoever runs this bot has to mend its Sift key (`sift-retry doctor`)."
PERMISSION = "Whoever runs this bot has to give its Sift key's user the permission."
MANY = 50

Trouble = Callable[[World], None]
TROUBLES: dict[str, tuple[Trouble, str, str]] = {
    "500": (
        lambda world: world.sift.fail("list", 13, "boom", times=MANY),
        LATER,
        "Sift gave no clear answer. (Sift: boom)",
    ),
    "timeout": (
        lambda world: world.sift.delay("list", 3, times=MANY),
        LATER,
        "Sift gave no clear answer. (Sift: no answer in time)",
    ),
    "401": (
        lambda world: world.sift.fail("list", 16, "no key", times=MANY),
        KEY,
        "Sift does not accept the bot's API key. (Sift: no key)",
    ),
    "403": (
        lambda world: world.sift.fail("list", 7, "no", times=MANY),
        PERMISSION,
        "The user of the bot's Sift key may not read that. (Sift: no)",
    ),
    "garbage": (
        lambda world: world.sift.answer("list", HTMLResponse("<h1>hi</h1>"), MANY),
        LATER,
        "Sift gave no clear answer. (Sift: an unreadable answer)",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_whoever_looks_or_retries_is_told_what_is_true(world: World, trouble: str) -> None:
    break_it, following, said = TROUBLES[trouble]
    async with world.running(socket_mode=False):
        world.allow()
        job = world.sift.add(then=["fail at once"])
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await world.until_outcome("failed_again")
        summary = (await world.until(lambda: world.offering("retry")))[0]
        break_it(world)
        for text in ("list", f"status {job.job_id}", "run hotfire-118"):
            whisper = await _told(world, text)
            assert "Sift could not be read just now, so there is nothing to show. Nothing was retried" in whisper
            assert (following in whisper, said in whisper) == (True, True), whisper
            assert "Reference `" in whisper
        retrying: tuple[str | None, ...] = (job.job_id, None)
        for typed in retrying:
            whisper = await _told(world, typed, summary.ts)
            assert "was not retried. The job could not be read from Sift, so no retry was sent." in whisper
            assert (following in whisper, said in whisper) == (True, True), whisper
        assert not any("may or may not" in one for one in world.whispers())
        assert world.sift.count("retry") == 1
        assert world.outcomes()[-1] == "failed"


async def _told(world: World, text: str | None, ts: str = "") -> str:
    """What somebody is told privately of a command, or of a press of a message's Retry button."""
    before = len(world.whispers())
    if text is None:
        await world.slack.click(OPERATOR, LAUNCH_OPS, ts, "retry")
    else:
        await world.slack.command(OPERATOR, LAUNCH_OPS, text)
    await world.until(lambda: len(world.whispers()) > before, timeout=10)
    return world.whispers()[-1]

"""Somebody of another workspace presses everything there is in a shared channel, though they were granted all of it."""

from typing import Any

import pytest

from bot.access.policy import Role
from bot.sandbox import OPERATOR, SECOND_OPERATOR, SHARED, STRANGER
from bot.sandbox.sift.jobs import IMPORT
from tests.scenarios.conftest import World
from tests.scenarios.test_storms import WATCHING

REFUSED = "only people of this workspace"


@pytest.fixture
async def shared(world: World) -> Any:
    """A world in which a shared channel gets alerts, and a stranger has a grant for everything."""
    async with world.running(socket_mode=False, **{**WATCHING, "ALERT_CHANNEL": SHARED}, APPROVAL_AFTER="2"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        world.allow(STRANGER, Role.ADMIN)
        yield world


def of_theirs(world: World) -> list[tuple[str, str | None]]:
    return [(row.event, row.outcome) for row in world.entries() if row.user_id == STRANGER]


async def refused(world: World, presses: int) -> list[tuple[str, str | None]]:
    """Waits until they were refused so often, privately or in a modal; returns what is on record of it."""

    def said() -> bool:
        views = [str(view.body) for view in world.slack.modals[STRANGER]]
        return [REFUSED in one for one in (*world.whispers(STRANGER), *views)] == [True] * presses

    await world.until(said)
    return of_theirs(world)


async def test_on_an_alert(shared: World) -> None:
    shared.sift.fail_one(IMPORT)
    (alert,) = await shared.until(lambda: shared.messages(SHARED))
    actions = ("retry", "take_failure", "snooze_failure", "mute_alert")
    for action in actions:
        await shared.slack.click(STRANGER, SHARED, alert.ts, action)
    events = ("request", "take", "snooze", "mute")
    await shared.until(lambda: len([one for one in of_theirs(shared) if one[1] == "denied"]) == len(events))
    assert {one for one in await refused(shared, 4) if one[1] == "denied"} == {(one, "denied") for one in events}
    assert shared.sift.count("retry") == 0


@pytest.mark.parametrize("action", ["approve_retry", "approve_some", "decline_retry", "override_retry"])
async def test_on_what_waits_for_a_second_person(shared: World, action: str) -> None:
    jobs = [shared.sift.add(then=["fail at once"]) for _ in range(2)]
    for _ in range(2):
        await shared.slack.command(OPERATOR, SHARED, " ".join(job.job_id for job in jobs))
        await shared.until(lambda: shared.sift.count("retry") == 2 and shared.outcomes().count("failed_again") == 2, 10)
    (message,) = await shared.until(lambda: shared.offering("approve_retry", SHARED), 10)
    await shared.slack.click(STRANGER, SHARED, message.ts, action)
    assert [outcome for _, outcome in await refused(shared, 1)] == ["denied"]
    assert shared.sift.count("retry") == 2


async def test_on_a_storm(shared: World) -> None:
    shared.sift.outage(25)
    (storm,) = await shared.until(lambda: [m for m in shared.messages(SHARED) if "25 jobs" in m.text_shown()], 30)
    await shared.slack.click(STRANGER, SHARED, storm.ts, "select_storm")
    assert await refused(shared, 1) == [("look", "denied")]

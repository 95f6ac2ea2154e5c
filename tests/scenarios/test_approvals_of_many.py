"""A second person for many: a batch asks once, for all of it that takes one; the others go ahead at once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from bot.access.policy import Role
from bot.audit import verification
from bot.base.clock import utc_now
from bot.db.tables import retries
from bot.sandbox import ADMIN, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, IMPORT, SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World


async def failed_twice(world: World, count: int, job_type: str = IMPORT) -> list[SandboxJob]:
    """Jobs that were retried once and failed again."""
    jobs = [world.sift.add(job_type, then=["fail"]) for _ in range(count)]
    for job in jobs:
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    async with asyncio.timeout(15):
        while world.outcomes().count("failed_again") < count:
            await asyncio.sleep(0.02)
    return jobs


async def asked(world: World, jobs: list[SandboxJob]) -> Message:
    """The message that asks for a second person for several jobs."""
    await world.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
    (message,) = await world.until(
        lambda: [m for m in world.replies() if "take" in m.text_shown() and "has to approve" in m.text_shown()], 10
    )
    return message  # type: ignore[no-any-return]  # one of the sandbox's


async def until_sent(world: World, jobs: list[SandboxJob], times: int) -> None:
    await world.until(lambda: all(world.sift.count("retry", job.job_id) == times for job in jobs), timeout=10)


async def test_a_batch_asks_once_and_the_others_go_ahead(strict: World) -> None:
    again = await failed_twice(strict, 3)
    fresh = [strict.sift.add() for _ in range(2)]
    message = await asked(strict, [*again, *fresh])
    await until_sent(strict, fresh, 1)
    said = message.text_shown()
    assert "3 of these 5 jobs take a second person: somebody other than" in said
    assert all(f"`{job.job_id[:8]}` – retry 2" in said for job in again)
    assert f"May approve: <@{SECOND_OPERATOR}> and <@{ADMIN}>" in said
    tally = await strict.until(lambda: [m for m in strict.messages() if "2 finished" in m.text_shown()], timeout=10)
    assert "3 waiting for a second person" in tally[0].text_shown()
    (listed,) = await strict.until(lambda: [m for m in strict.replies() if "All 5 jobs" in m.text_shown()])
    await strict.until(lambda: listed.text_shown().count("waiting for a second person") == 3, timeout=10)
    assert all(strict.sift.count("retry", job.job_id) == 1 for job in again)
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    await until_sent(strict, again, 2)
    await strict.until(lambda: f"3 jobs approved by <@{SECOND_OPERATOR}>" in message.text_shown(), timeout=10)
    assert message.buttons() == []
    await strict.until(lambda: [m for m in strict.replies() if "your 5 jobs" in m.text_shown()], timeout=10)
    assert len([m for m in strict.replies() if "has to approve" in m.text_shown()]) == 0
    assert [row.user_id for row in strict.entries() if row.event == "approval"] == [SECOND_OPERATOR] * 3
    assert strict.whispers() == [], "nothing was refused"


async def test_some_are_approved_and_the_rest_declined(strict: World) -> None:
    jobs = await failed_twice(strict, 3)
    message = await asked(strict, jobs)
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_some")
    (view,) = await strict.until(lambda: strict.slack.modals[SECOND_OPERATOR])
    options = view.body["blocks"][0]["element"]["options"]
    shown = {option["text"]["text"]: option["value"] for option in options}
    assert len(shown) == len(jobs)
    assert all(any(part in text for text in shown) for job in jobs for part in job.subject.split(" · "))
    picked = [value for text, value in shown.items() if text.startswith(jobs[0].subject.split(" · ")[-1])]
    assert len(picked) == 1
    await strict.slack.submit(SECOND_OPERATOR, view.id, {"jobs": picked})
    await until_sent(strict, jobs[:1], 2)
    await strict.until(lambda: "2 of these 3 jobs take a second person" in message.text_shown(), timeout=10)
    assert f"1 job approved by <@{SECOND_OPERATOR}>" in message.text_shown()
    await strict.slack.click(ADMIN, LAUNCH_OPS, message.ts, "decline_retry")
    (view,) = await strict.until(lambda: strict.slack.modals[ADMIN])
    await strict.slack.submit(ADMIN, view.id, {"reason": "not today"})
    await strict.until(lambda: f"2 jobs declined by <@{ADMIN}>" in message.text_shown(), timeout=10)
    assert "Because: not today" in message.text_shown()
    (told,) = await strict.until(strict.whispers, timeout=10)
    assert "2 of 3 jobs were not retried" in told
    assert f"<@{ADMIN}> declined it" in told
    assert [strict.sift.count("retry", job.job_id) for job in jobs] == [2, 1, 1]


async def test_who_may_not_is_refused_with_one_entry(strict: World) -> None:
    jobs = await failed_twice(strict, 2)
    message = await asked(strict, jobs)
    await strict.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    assert "Somebody else has to approve" in (await strict.until(strict.whispers))[-1]
    await strict.slack.click(UNLISTED, LAUNCH_OPS, message.ts, "approve_some")
    (view,) = await strict.until(lambda: strict.slack.modals[UNLISTED])
    assert "You may not approve this" in str(view.body)
    denied = [(row.user_id, row.outcome, row.job_id) for row in strict.entries() if row.event == "approval"]
    assert denied == [(OPERATOR, "denied", None), (UNLISTED, "denied", None)]
    assert strict.sift.count("retry") == 2


async def test_what_somebody_may_not_approve_goes_on_waiting(strict: World) -> None:
    strict.allow(UNLISTED, job_types=frozenset({"data_export"}))
    imports, exports = await failed_twice(strict, 1), [strict.sift.add(EXPORT, then=["fail"])]
    await strict.slack.command(OPERATOR, LAUNCH_OPS, exports[0].job_id)
    await strict.until_outcome("failed_again", job_id=exports[0].job_id)
    message = await asked(strict, [*imports, *exports])
    await strict.slack.click(UNLISTED, LAUNCH_OPS, message.ts, "approve_retry")
    await until_sent(strict, exports, 2)
    (told,) = await strict.until(lambda: strict.whispers(UNLISTED))
    assert "Done for 1 job; 1 other still waits." in told
    assert "only for data exports" in told
    assert strict.sift.count("retry", imports[0].job_id) == 1


async def test_an_admin_lets_all_of_it_through_and_everybody_is_told(strict: World) -> None:
    jobs = await failed_twice(strict, 2)
    message = await asked(strict, jobs)
    await strict.slack.click(ADMIN, LAUNCH_OPS, message.ts, "override_retry")
    (view,) = await strict.until(lambda: strict.slack.modals[ADMIN])
    await strict.slack.submit(ADMIN, view.id, {"reason": "launch in 10 minutes"})
    await until_sent(strict, jobs, 2)
    (loud,) = await strict.until(lambda: [m for m in strict.messages() if "overrode" in m.text_shown()], timeout=10)
    assert f"<@{ADMIN}> overrode the second person for the retry of 2 jobs." in loud.text_shown()
    assert "launch in 10 minutes" in loud.text_shown()


async def test_a_batch_is_one_entry_of_the_home_tab(strict: World) -> None:
    strict.allow(UNLISTED, Role.OPERATOR)
    jobs = await failed_twice(strict, 2)
    await asked(strict, jobs)
    await strict.slack.home_opened(UNLISTED)
    homes = strict.slack.homes
    await strict.until(lambda: UNLISTED in homes and "Approve all (2)" in str(homes[UNLISTED].body))
    await strict.slack.click_home(UNLISTED, "approve_waiting")
    await until_sent(strict, jobs, 2)


@pytest.mark.parametrize("at_home", [True, False])
async def test_what_came_to_wait_since_is_not_approved_with_what_was_counted(strict: World, at_home: bool) -> None:
    strict.allow(UNLISTED, Role.OPERATOR)
    jobs = await failed_twice(strict, 3)
    message = await asked(strict, jobs)
    await strict.until(lambda: "Approve all (3)" in str(message.buttons()))
    await strict.slack.home_opened(UNLISTED)
    homes = strict.slack.homes
    await strict.until(lambda: UNLISTED in homes and "Approve all (3)" in str(homes[UNLISTED].body))
    assert strict.bot is not None
    later = update(retries).where(retries.c.job_id == jobs[1].job_id, retries.c.approval_until.is_not(None))
    with strict.bot.database.transaction() as connection:
        connection.execute(later.values(approval_until=utc_now() + timedelta(hours=1, minutes=5)))
    if at_home:
        await strict.slack.click_home(UNLISTED, "approve_waiting")
    else:
        await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    await until_sent(strict, [jobs[0], jobs[2]], 2)
    await strict.until(lambda: "1 of these 3 jobs takes" in message.text_shown(), timeout=10)
    assert strict.sift.count("retry", jobs[1].job_id) == 1
    await strict.slack.click(ADMIN, LAUNCH_OPS, message.ts, "approve_retry")
    await until_sent(strict, jobs, 2)


async def test_two_approve_a_batch_at_once(strict: World) -> None:
    jobs = await failed_twice(strict, 2)
    message = await asked(strict, jobs)
    await asyncio.gather(
        *(strict.slack.click(who, LAUNCH_OPS, message.ts, "approve_retry") for who in (SECOND_OPERATOR, ADMIN))
    )
    await until_sent(strict, jobs, 2)
    (told,) = await strict.until(lambda: strict.whispers(SECOND_OPERATOR) + strict.whispers(ADMIN))
    assert "waits for nobody any more" in told
    assert [row.event for row in strict.entries()].count("approval") == 2


async def test_more_than_are_taken_at_once_and_two_people(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever presses once more approves the next of them, and is not held up by those that wait for others."""
    monkeypatch.setattr("bot.retries.approvals.MAX_AT_ONCE", 1)
    async with world.running(socket_mode=False, APPROVAL_AFTER="2", APPROVAL_COUNT="2"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        jobs = await failed_twice(world, 2)
        await world.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
        (message,) = await world.until(lambda: world.offering("approve_retry"), 10)
        await world.until(lambda: "All of these 2 jobs" in message.text_shown())
        for _ in jobs:
            await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
        assert {row.job_id for row in world.entries() if row.event == "approval"} == {job.job_id for job in jobs}
        assert world.whispers(SECOND_OPERATOR) == []
        await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
        (told,) = await world.until(lambda: world.whispers(SECOND_OPERATOR))
        assert "approved" in told
        for _ in jobs:
            await world.slack.click(ADMIN, LAUNCH_OPS, message.ts, "approve_retry")
        await until_sent(world, jobs, 2)
        assert world.bot is not None
        verification.verify(world.bot.database, None, (), None, lambda _: iter)


async def test_an_outage_says_of_all_of_it_that_it_waits(world: World) -> None:
    watching = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.05", "ALERT_STORM": "2"}
    async with world.running(socket_mode=False, APPROVAL_AFTER="1", **watching):
        world.allow()
        world.allow(SECOND_OPERATOR)
        world.sift.outage(12)
        (storm,) = await world.until(lambda: [m for m in world.messages() if "12 jobs failed" in m.text_shown()], 10)
        await world.slack.click(OPERATOR, LAUNCH_OPS, storm.ts, "retry_storm")
        await world.until(
            lambda: f"12 waiting for a second person, asked for by <@{OPERATOR}>" in storm.text_shown(), timeout=10
        )
        assert world.sift.count("retry") == 0

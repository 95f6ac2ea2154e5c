"""A second person: asked from the N-th retry of a job on, given by somebody else, expiring, overridden loudly."""

import asyncio
import copy
import json
from datetime import timedelta

from sqlalchemy import update

from bot.access import grants
from bot.access.policy import Role
from bot.base.clock import utc_now
from bot.db.tables import retries
from bot.sandbox import ADMIN, AUDITOR, LAUNCH_OPS, OPERATOR, PRIVATE, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import IMPORT, SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World


async def asked(world: World) -> tuple[SandboxJob, Message]:
    """A job that was retried once and failed again, and the message that asks for a second person."""
    job = world.sift.add(then=["fail"])
    await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await world.until_outcome("failed_again", job_id=job.job_id)
    await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    (message,) = await world.until(lambda: [m for m in world.replies() if "has to approve" in m.text_shown()])
    return job, message


def events(world: World, job: SandboxJob) -> list[tuple[str, str | None, str | None]]:
    return [(row.event, row.outcome, row.user_id) for row in world.entries(job_id=job.job_id)][4:]


async def test_somebody_else_approves(strict: World) -> None:
    job, message = await asked(strict)
    assert strict.sift.count("retry") == 1
    (announcement,) = [m for m in strict.messages() if "waiting for a second person" in m.text_shown()]
    assert message.thread_ts == announcement.ts
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    await strict.until_outcome("finished", job_id=job.job_id)
    await strict.until(lambda: f"Approved by <@{SECOND_OPERATOR}>" in message.text_shown())
    assert message.buttons() == []
    assert strict.sift.count("retry") == 2
    assert events(strict, job) == [
        ("request", "requested", OPERATOR),
        ("approval_asked", None, OPERATOR),
        ("approval", None, SECOND_OPERATOR),
        ("request", "sending", OPERATOR),
        ("request", "accepted", OPERATOR),
        ("request", "finished", OPERATOR),
    ]
    assert SECOND_OPERATOR in strict.entries(job_id=job.job_id, outcome="finished")[-1].detail


async def test_one_s_own_word_does_not_count_nor_that_of_who_may_not(strict: World) -> None:
    job, message = await asked(strict)
    await strict.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    assert "Somebody else has to approve" in (await strict.until(strict.whispers))[-1]
    await strict.slack.click(UNLISTED, LAUNCH_OPS, message.ts, "approve_retry")
    assert "You may not approve this" in (await strict.until(lambda: strict.whispers(UNLISTED)))[-1]
    assert strict.sift.count("retry") == 1
    assert events(strict, job)[2:] == [("approval", "denied", OPERATOR), ("approval", "denied", UNLISTED)]


async def test_two_approve_at_once_and_it_is_sent_once(strict: World) -> None:
    strict.allow("U0ENGINEER2")
    job, message = await asked(strict)
    seen = copy.deepcopy(message)
    await asyncio.gather(
        *(
            strict.slack.click(who, LAUNCH_OPS, message.ts, "approve_retry", seen=seen)
            for who in (SECOND_OPERATOR, ADMIN)
        )
    )
    await strict.until_outcome("finished", job_id=job.job_id)
    assert strict.sift.count("retry") == 2
    (told,) = await strict.until(lambda: strict.whispers(SECOND_OPERATOR) + strict.whispers(ADMIN))
    (won,) = [row.user_id for row in strict.entries(job_id=job.job_id) if row.event == "approval"]
    assert f"waits for nobody any more: <@{won}> approved it." in told


async def test_nobody_approves_in_time(strict: World) -> None:
    job, message = await asked(strict)
    seen = copy.deepcopy(message)
    assert strict.bot is not None
    past = utc_now() - timedelta(seconds=1)
    with strict.bot.database.transaction() as connection:
        over = update(retries).where(retries.c.job_id == job.job_id, retries.c.state == "requested")
        connection.execute(over.values(approval_until=past, due_at=past))
    await strict.until_outcome("denied", job_id=job.job_id)
    assert "Nobody else approved your retry in time" in (await strict.until(strict.whispers))[-1]
    await strict.until(lambda: "Nobody else approved this in time" in message.text_shown())
    await strict.until(lambda: [m for m in strict.messages() if "nobody else approved it in time" in m.text_shown()])
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry", seen=seen)
    assert "waits for nobody any more" in (await strict.until(lambda: strict.whispers(SECOND_OPERATOR)))[-1]
    assert strict.sift.count("retry") == 1


async def test_a_restart_goes_on_waiting(world: World) -> None:
    async with world.running(socket_mode=False, APPROVAL_AFTER="2"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        job, message = await asked(world)
    async with world.running(socket_mode=False, APPROVAL_AFTER="2"):
        await asyncio.sleep(0.5)
        assert [event for event, _, _ in events(world, job)] == ["request", "approval_asked"]
        await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
        await world.until_outcome("finished", job_id=job.job_id)
    assert world.sift.count("retry") == 2


async def test_an_admin_breaks_the_glass_and_everybody_is_told(strict: World) -> None:
    job, message = await asked(strict)
    await strict.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "override_retry")
    (refused,) = await strict.until(lambda: strict.slack.modals[OPERATOR])
    assert "You may not override a second person as operator" in str(refused.body)
    assert refused.body["title"]["text"] == "Override"
    await strict.slack.click(ADMIN, LAUNCH_OPS, message.ts, "override_retry")
    (view,) = await strict.until(lambda: strict.slack.modals[ADMIN])
    await strict.slack.submit(ADMIN, view.id, {"reason": "launch in 10 minutes"})
    await strict.until_outcome("finished", job_id=job.job_id)
    (loud,) = await strict.until(lambda: [m for m in strict.messages() if "overrode" in m.text_shown()])
    assert f"<@{ADMIN}>" in loud.text_shown()
    assert "launch in 10 minutes" in loud.text_shown()
    broken = [row for row in strict.entries(job_id=job.job_id) if row.event == "break_glass"]
    assert [(row.user_id, row.source, row.reason, row.outcome) for row in broken] == [
        (OPERATOR, "alert", None, "denied"),
        (ADMIN, "modal", "launch in 10 minutes", None),
    ]


async def test_where_nobody_else_can_see_it_the_requester_is_told(strict: World) -> None:
    job = strict.sift.add(then=["fail"])
    await strict.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await strict.until_outcome("failed_again", job_id=job.job_id)
    await strict.slack.command(OPERATOR, PRIVATE, job.job_id)
    assert "nobody else sees this" in (await strict.until(strict.whispers))[-1]
    assert f"May approve: <@{SECOND_OPERATOR}>" in strict.whispers()[-1]
    assert strict.sift.count("retry") == 1
    await strict.slack.home_opened(SECOND_OPERATOR)
    await strict.until(lambda: SECOND_OPERATOR in strict.slack.homes)
    await strict.slack.click_home(SECOND_OPERATOR, "approve_waiting")
    await strict.until_outcome("finished", job_id=job.job_id)


async def test_a_second_request_for_a_job_that_waits_is_refused_with_a_link(strict: World) -> None:
    job, message = await asked(strict)
    await strict.slack.command(SECOND_OPERATOR, LAUNCH_OPS, job.job_id)
    (said,) = await strict.until(lambda: strict.whispers(SECOND_OPERATOR))
    assert f"already waiting for a second person, asked by <@{OPERATOR}>. See it <" in said
    assert strict.outcomes(job_id=job.job_id)[-1] == "refused"
    await strict.slack.command(OPERATOR, LAUNCH_OPS, f"{job.job_id} {strict.sift.add().job_id}")
    await strict.until(lambda: [one for one in strict.whispers() if "already waiting" in one], timeout=8)
    assert len([m for m in strict.replies() if "has to approve" in m.text_shown()]) == 1
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    await strict.until(lambda: strict.sift.count("retry", job.job_id) == 2)


async def test_who_could_approve_is_named(strict: World) -> None:
    _, message = await asked(strict)
    assert f"May approve: <@{SECOND_OPERATOR}> and <@{ADMIN}>" in message.text_shown()
    (entry,) = [row for row in strict.entries() if row.event == "approval_asked"]
    assert f'"may_approve":["{SECOND_OPERATOR}","{ADMIN}"]' in entry.detail


async def test_somebody_declines_and_the_requester_is_told_why(strict: World) -> None:
    job, message = await asked(strict)
    seen = copy.deepcopy(message)
    await strict.slack.click(UNLISTED, LAUNCH_OPS, message.ts, "decline_retry")
    (refused,) = await strict.until(lambda: strict.slack.modals[UNLISTED])
    assert "You may not decline this" in str(refused.body)
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "decline_retry")
    (view,) = await strict.until(lambda: strict.slack.modals[SECOND_OPERATOR])
    await strict.slack.submit(SECOND_OPERATOR, view.id, {"reason": "the customer watches"})
    (said,) = await strict.until(strict.whispers)
    assert f"was not retried: <@{SECOND_OPERATOR}> declined it. Nothing was sent to Sift." in said
    assert "the customer watches" in said
    await strict.until(lambda: f"Declined by <@{SECOND_OPERATOR}>" in message.text_shown())
    assert message.buttons() == []
    assert events(strict, job)[2:] == [
        ("decline", "denied", UNLISTED),
        ("decline", None, SECOND_OPERATOR),
        ("request", "denied", OPERATOR),
    ]
    await strict.slack.click(ADMIN, LAUNCH_OPS, message.ts, "approve_retry", seen=seen)
    (late,) = await strict.until(lambda: strict.whispers(ADMIN))
    assert f"waits for nobody any more: <@{SECOND_OPERATOR}> declined it." in late
    assert strict.sift.count("retry") == 1


async def test_an_alert_says_what_waits_for_a_second_person_and_offers_no_other_retry(world: World) -> None:
    watching = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1"}
    async with world.running(socket_mode=False, APPROVAL_AFTER="1", **watching):
        world.allow()
        world.allow(SECOND_OPERATOR)
        world.sift.fail_one(IMPORT)
        (alert,) = await world.until(world.messages)

        def offers() -> bool:
            return "retry" in [button["action_id"] for button in alert.buttons()]

        async def waits(press: str) -> Message:
            await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
            said = f"<@{OPERATOR}> wants to retry it: waiting for a second person."
            await world.until(lambda: said in alert.text_shown())
            assert not offers()
            asking = [one for one in world.replies() if press in str(one.buttons())]
            return asking[-1]

        asks = await waits("decline_retry")
        await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, asks.ts, "decline_retry")
        (view,) = await world.until(lambda: world.slack.modals[SECOND_OPERATOR])
        await world.slack.submit(SECOND_OPERATOR, view.id, {"reason": "not now"})
        await world.until(offers)
        asks = await waits("approve_retry")
        await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, asks.ts, "approve_retry")
        await world.until(lambda: f"<@{OPERATOR}> is retrying it" in alert.text_shown())
        await world.until_outcome("finished")


async def test_what_moves_on_ends_by_itself(world: World) -> None:
    async with world.running(socket_mode=False, APPROVAL_AFTER="2", ALERT_POLL_SECONDS="0.1"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        job, message = await asked(world)
        world.sift.retry_outside(job.job_id, "somebody-in-sift")
        await world.until_outcome("refused", job_id=job.job_id)
        await world.until(lambda: "Over: the job moved on meanwhile" in message.text_shown())
        assert message.buttons() == []
        assert "moved on while your retry waited for a second person" in (await world.until(world.whispers))[-1]
    assert world.sift.count("retry") == 1


async def test_what_moved_on_is_noticed_at_the_press(strict: World) -> None:
    job, message = await asked(strict)
    strict.sift.retry_outside(job.job_id, "somebody-in-sift")
    await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    await strict.until_outcome("refused", job_id=job.job_id)
    words = f"Approved by <@{SECOND_OPERATOR}>. But nothing was sent to Sift: the job moved on meanwhile"
    await strict.until(lambda: words in message.text_shown())
    assert strict.sift.count("retry") == 1


async def test_two_people_have_to_approve(world: World) -> None:
    async with world.running(socket_mode=False, APPROVAL_AFTER="2", APPROVAL_COUNT="2"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        job = world.sift.add(then=["fail"])
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await world.until_outcome("failed_again", job_id=job.job_id)
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        (message,) = await world.until(lambda: [m for m in world.replies() if "have to approve" in m.text_shown()])
        first = await world.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
        await world.until(lambda: f"1 of 2 approved: <@{SECOND_OPERATOR}>" in message.text_shown())
        assert world.sift.count("retry") == 1
        await world.slack.redeliver(first)
        (told,) = await world.until(lambda: world.whispers(SECOND_OPERATOR))
        assert "You have approved this already; one more person has to." in told
        await world.slack.click(ADMIN, LAUNCH_OPS, message.ts, "approve_retry")
        await world.until_outcome("finished", job_id=job.job_id)
        await world.until(lambda: f"Approved by <@{SECOND_OPERATOR}> and <@{ADMIN}>" in message.text_shown())
        given = [(row.outcome, row.user_id) for row in world.entries(job_id=job.job_id) if row.event == "approval"]
        assert given == [(None, SECOND_OPERATOR), (None, ADMIN)]
    assert world.sift.count("retry") == 2


async def test_an_approval_that_is_delivered_twice_sends_once(strict: World) -> None:
    job, message = await asked(strict)
    pressed = await strict.slack.click(SECOND_OPERATOR, LAUNCH_OPS, message.ts, "approve_retry")
    await strict.slack.redeliver(pressed)
    await strict.until_outcome("finished", job_id=job.job_id)
    assert strict.sift.count("retry") == 2
    assert [row.event for row in strict.entries(job_id=job.job_id)].count("approval") == 1


def home(world: World, user_id: str) -> str:
    """What somebody's Home tab shows."""
    shown = world.slack.homes.get(user_id)
    return json.dumps(shown.body) if shown else ""


async def test_what_waits_stands_on_the_home_tab_of_who_may_approve(strict: World) -> None:
    strict.allow(AUDITOR, Role.AUDITOR)
    strict.allow(UNLISTED, channels=frozenset({PRIVATE}))
    job, message = await asked(strict)
    for user_id in (OPERATOR, SECOND_OPERATOR, AUDITOR, UNLISTED):
        await strict.slack.home_opened(user_id)
        await strict.until(lambda who=user_id: home(strict, who))  # type: ignore[misc]  # its default names it
    waits = "Waiting for your approval"
    assert [waits in home(strict, who) for who in (OPERATOR, AUDITOR, UNLISTED)] == [False] * 3
    assert waits in home(strict, SECOND_OPERATOR)
    await strict.slack.click_home(SECOND_OPERATOR, "approve_waiting")
    await strict.until_outcome("finished", job_id=job.job_id)
    await strict.until(lambda: f"Approved by <@{SECOND_OPERATOR}>" in message.text_shown())
    await strict.until(lambda: waits not in home(strict, SECOND_OPERATOR), timeout=9)
    (given,) = [row for row in strict.entries(job_id=job.job_id) if row.event == "approval"]
    assert (given.user_id, given.source) == (SECOND_OPERATOR, "home")


async def test_the_list_says_what_waits_for_a_second_person_and_offers_no_other_retry(strict: World) -> None:
    job, _ = await asked(strict)
    await strict.slack.command(SECOND_OPERATOR, LAUNCH_OPS, "list")
    said = (await strict.until(lambda: strict.whispers(SECOND_OPERATOR)))[-1]
    assert f"<@{OPERATOR}> wants to retry it: waiting for a second person." in said
    line = said[said.index(job.job_id) :]
    assert "Retry" not in line.split("\n")[1]


async def test_a_press_on_the_home_tab_is_decided_anew(strict: World) -> None:
    job, message = await asked(strict)
    await strict.slack.home_opened(SECOND_OPERATOR)
    await strict.until(lambda: home(strict, SECOND_OPERATOR))
    assert strict.bot is not None
    with strict.bot.database.transaction() as connection:
        grants.revoke(connection, SECOND_OPERATOR, "cli:test", utc_now())
    await strict.slack.click_home(SECOND_OPERATOR, "approve_waiting")
    assert "You may not approve this" in (await strict.until(lambda: strict.told(SECOND_OPERATOR)))[-1]
    assert events(strict, job)[-1] == ("approval", "denied", SECOND_OPERATOR)
    await strict.slack.home_opened(ADMIN)
    await strict.until(lambda: home(strict, ADMIN))
    await strict.slack.click_home(ADMIN, "decline_waiting")
    (view,) = await strict.until(lambda: strict.slack.modals[ADMIN])
    await strict.slack.submit(ADMIN, view.id, {})
    await strict.until_outcome("denied", job_id=job.job_id)
    await strict.until(lambda: f"Declined by <@{ADMIN}>" in message.text_shown())
    assert strict.sift.count("retry") == 1

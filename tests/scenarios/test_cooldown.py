"""Buttons that are pressed during the cooldown: the retry waits until its end, can be taken back, and goes out once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from sqlalchemy import select

from bot.access import grants
from bot.app.server import serving
from bot.audit import verification
from bot.audit.entry import Event
from bot.base.clock import utc_now
from bot.db.tables import retries
from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, Sandbox
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World

pytestmark = pytest.mark.sqlite  # time stands still, and PostgreSQL goes by its own

FROM_WHEN = "works from"
COOLDOWN = {"RETRY_COOLDOWN_SECONDS": "600", "ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1"}


@pytest.fixture
async def stopped(
    frozen: FrozenDateTimeFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A world in which time stands still; the bot, which looks at its rows often, is not running yet."""
    for module in ("build", "schedule"):
        monkeypatch.setattr(f"bot.app.{module}.SWEEP_SECONDS", 0.1)
    monkeypatch.setattr("bot.alerts.store.EXPLAIN_WITHIN", timedelta(0))
    sandbox = Sandbox(run_seconds=1_000_000)
    async with serving(sandbox.app) as url:
        yield World(sandbox, url, tmp_path)


@pytest.fixture
async def still(stopped: World) -> AsyncIterator[World]:
    """The same, with the bot and a cooldown of ten minutes."""
    async with stopped.running(socket_mode=False, **COOLDOWN):
        stopped.allow()
        stopped.allow(SECOND_OPERATOR)
        yield stopped


async def failed_again(world: World, frozen: FrozenDateTimeFactory) -> tuple[SandboxJob, Message, Message]:
    """A job whose retry failed a moment ago: with its alert, and its summary in the alert's thread."""
    frozen.tick(timedelta(seconds=1))
    job = world.sift.add(then=["fail at once", "finish"])
    (alert,) = await world.until(lambda: [one for one in world.messages() if job.job_id in one.text_shown()])
    frozen.tick(timedelta(seconds=1))
    await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await world.until_outcome("failed_again", job_id=job.job_id)
    (summary, *_) = await world.until(lambda: len(world.offering("retry")) > 1 and world.offering("retry"))
    await world.until(lambda: FROM_WHEN in alert.text_shown())
    frozen.tick(timedelta(seconds=1))
    return job, alert, summary


async def pressed(world: World, message: Message, user_id: str = OPERATOR) -> Message:
    """Presses Retry, and returns the private answer."""
    before = len(world.slack.ephemerals(user_id))
    await world.slack.click(user_id, LAUNCH_OPS, message.ts, "retry")
    await world.until(lambda: len(world.slack.ephemerals(user_id)) > before)
    await written_down(world)
    return world.slack.ephemerals(user_id)[-1]


async def later(frozen: FrozenDateTimeFactory, predicate: Callable[[], Any]) -> Any:
    """Lets time pass, a few seconds at a time, until something is true: a batch is shown only so often."""
    async with asyncio.timeout(5):
        while not (found := predicate()):
            frozen.tick(timedelta(seconds=3))
            await asyncio.sleep(0.1)
    return found


async def written_down(world: World) -> None:
    """Waits until the bot has noted what it posted: a clock that jumps before would end its lease."""
    assert world.bot is not None
    showing = select(retries.c.id).where(retries.c.showing)
    async with asyncio.timeout(5):
        while True:
            with world.bot.database.reading() as connection:
                if connection.scalar(showing) is None:
                    return
            await asyncio.sleep(0.01)


def unbroken(world: World) -> None:
    assert world.bot is not None
    assert verification.verify(world.bot.database, None, (), None, lambda _: iter).head.count == len(world.entries())


async def test_what_offers_a_retry_says_from_when_and_later_does_not(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    _, alert, summary = await failed_again(still, frozen)
    ends = int((utc_now() + timedelta(minutes=10)).timestamp()) - 1
    said = f"*Retry* works from <!date^{ends}^{{time_secs}}|12:10:02 UTC>; pressed earlier, it waits until then."
    for message in (alert, summary):
        assert said in message.text_shown()
    frozen.tick(timedelta(seconds=598))
    await asyncio.sleep(0.4)
    assert said in alert.text_shown()
    frozen.tick(timedelta(seconds=1))
    shown = [alert, *still.offering("retry")]
    await still.until(lambda: not any(FROM_WHEN in message.text_shown() for message in shown))
    assert len(shown) == 3  # the alert, the summary, the ending
    assert all("retry" in [button["action_id"] for button in message.buttons()] for message in shown)


@pytest.mark.parametrize("where", ["alert", "summary"])
async def test_a_press_during_the_cooldown_waits_until_its_end_and_goes_out_once(
    still: World, frozen: FrozenDateTimeFactory, where: str
) -> None:
    job, alert, summary = await failed_again(still, frozen)
    said = await pressed(still, alert if where == "alert" else summary)
    assert "was retried a moment ago. Your retry waits until" in said.text_shown()
    assert [button["text"]["text"] for button in said.buttons()] == ["Don't retry"]
    assert still.outcomes(job_id=job.job_id)[-1] == "requested"
    frozen.tick(timedelta(seconds=598))
    await asyncio.sleep(0.4)
    assert still.sift.count("retry", job.job_id) == 1
    frozen.tick(timedelta(seconds=1))
    await still.until_outcome("accepted", job_id=job.job_id)
    assert still.sift.count("retry", job.job_id) == 2
    assert [one for one in still.whispers() if "waits until" not in one] == []
    assert len(still.whispers()) == 1
    unbroken(still)


async def test_two_press_at_once_one_waits_and_the_other_is_told_by_whom(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    job, alert, _ = await failed_again(still, frozen)
    people = (OPERATOR, SECOND_OPERATOR)
    await asyncio.gather(*(still.slack.click(one, LAUNCH_OPS, alert.ts, "retry") for one in people))
    await still.until(lambda: all(still.whispers(one) for one in people))
    await written_down(still)
    texts = {one: still.whispers(one)[0] for one in people}
    (winner,) = [one for one in people if "Your retry waits until" in texts[one]]
    (loser,) = [one for one in people if one != winner]
    assert f"is already going to be retried, by <@{winner}> in 9 min 59 s" in texts[loser]
    assert f"archives/{LAUNCH_OPS}/p{alert.ts.replace('.', '')}|in its thread" in texts[loser]
    assert sorted(still.outcomes(job_id=job.job_id)[-2:]) in (["refused", "requested"], ["requested", "refused"])
    frozen.tick(timedelta(seconds=600))
    await still.until_outcome("accepted", job_id=job.job_id)
    assert still.sift.count("retry", job.job_id) == 2
    again = await pressed(still, alert, loser) if "retry" in [b["action_id"] for b in alert.buttons()] else None
    assert again is None or "already being retried" in again.text_shown()


async def test_it_can_be_taken_back_by_whoever_asked_alone(still: World, frozen: FrozenDateTimeFactory) -> None:
    job, alert, _ = await failed_again(still, frozen)
    said = await pressed(still, alert)
    value = said.buttons()[0]["value"]
    seen = Message(**{**vars(said), "visible_to": None})  # as nobody else can see it
    await still.slack.click(SECOND_OPERATOR, LAUNCH_OPS, said.ts, "withdraw_retry", seen=seen)
    await still.until(lambda: "Only whoever asked" in "".join(still.whispers(SECOND_OPERATOR)))
    denied = [row for row in still.entries() if row.outcome == "denied"]
    assert [(row.event, row.user_id, row.job_id) for row in denied] == [(Event.REQUEST, SECOND_OPERATOR, job.job_id)]
    await still.slack.click(OPERATOR, LAUNCH_OPS, said.ts, "withdraw_retry")
    await still.until(lambda: "Taken back" in "".join(still.whispers()))
    assert len(still.whispers()) == 1, "it takes the place of what said that it waits"
    (last,) = still.entries(request_id=value)[-1:]
    assert (last.outcome, '"why":"withdrawn"' in last.detail) == ("refused", True)
    frozen.tick(timedelta(seconds=601))
    await asyncio.sleep(0.4)
    assert still.sift.count("retry", job.job_id) == 1
    await still.slack.click(OPERATOR, LAUNCH_OPS, said.ts, "withdraw_retry", seen=seen)
    await still.until(lambda: "That no longer waits" in "".join(still.whispers()))
    await still.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
    await still.until_outcome("accepted", job_id=job.job_id)
    unbroken(still)


async def test_what_was_typed_during_the_cooldown_is_refused(still: World, frozen: FrozenDateTimeFactory) -> None:
    job, alert, _ = await failed_again(still, frozen)
    await pressed(still, alert)
    await still.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await still.until(lambda: "Try again in 9 min 59 s" in "".join(still.whispers()))
    assert still.outcomes(job_id=job.job_id)[-1] == "refused"


async def test_who_may_no_longer_at_its_end_is_refused(still: World, frozen: FrozenDateTimeFactory) -> None:
    job, alert, _ = await failed_again(still, frozen)
    await pressed(still, alert)
    assert still.bot is not None
    with still.bot.database.transaction() as connection:
        grants.revoke(connection, OPERATOR, "cli:test", utc_now())
    frozen.tick(timedelta(seconds=600))
    await still.until_outcome("denied", job_id=job.job_id)
    await still.until(lambda: len(still.whispers()) == 2)
    assert still.sift.count("retry", job.job_id) == 1


async def test_a_job_that_moved_on_meanwhile_is_left_alone_and_that_is_told(
    still: World, frozen: FrozenDateTimeFactory
) -> None:
    job, alert, _ = await failed_again(still, frozen)
    await pressed(still, alert)
    still.sift.retry_outside(job.job_id, "somebody")
    frozen.tick(timedelta(seconds=600))
    await still.until_outcome("refused", job_id=job.job_id)
    told = await still.until(lambda: still.whispers()[1:])
    assert "There is nothing to retry" in told[0]


async def test_a_restart_while_it_waits_forgets_nothing(stopped: World, frozen: FrozenDateTimeFactory) -> None:
    async with stopped.running(socket_mode=False, **{**COOLDOWN, "RETRY_COOLDOWN_SECONDS": "3000"}):
        stopped.allow()
        job, alert, _ = await failed_again(stopped, frozen)
        await pressed(stopped, alert)
    frozen.tick(timedelta(minutes=20))
    stopped.forget()
    async with stopped.running(socket_mode=False, **{**COOLDOWN, "RETRY_COOLDOWN_SECONDS": "3000"}):
        await asyncio.sleep(0.4)
        assert stopped.outcomes(job_id=job.job_id)[-1] == "requested", "the waiting does not make it too old"
        frozen.tick(timedelta(minutes=30))
        await stopped.until_outcome("accepted", job_id=job.job_id)
        assert stopped.sift.count("retry", job.job_id) == 2
        assert len(stopped.whispers()) == 1, "that it waits is said once"


async def test_an_end_while_nobody_is_there_for_long_makes_it_too_old(
    stopped: World, frozen: FrozenDateTimeFactory
) -> None:
    async with stopped.running(socket_mode=False, **COOLDOWN):
        stopped.allow()
        job, alert, _ = await failed_again(stopped, frozen)
        await pressed(stopped, alert)
    frozen.tick(timedelta(minutes=26))
    async with stopped.running(socket_mode=False, **COOLDOWN):
        await stopped.until_outcome("refused", job_id=job.job_id)
        assert stopped.sift.count("retry", job.job_id) == 1


async def test_several_pressed_at_once_wait_together_and_are_taken_back_together(
    still: World, frozen: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.retries.cooldown.WITHDRAWN_AT_ONCE", 2)  # the third is taken back after the ack
    frozen.tick(timedelta(seconds=1))
    jobs = [still.sift.add(then=["fail at once"]) for _ in range(3)]
    frozen.tick(timedelta(seconds=1))
    await still.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
    (ending,) = await later(frozen, lambda: still.offering("retry_batch"))
    assert "*Retry again* works from" in ending.text_shown()
    await still.slack.click(OPERATOR, LAUNCH_OPS, ending.ts, "retry_batch")
    (said,) = await later(frozen, lambda: still.slack.ephemerals(OPERATOR))
    assert "3 of your 3 jobs were retried a moment ago. That part waits until" in said.text_shown()
    await written_down(still)
    await still.slack.click(OPERATOR, LAUNCH_OPS, said.ts, "withdraw_retry")
    await still.until(lambda: "Taken back: 3 jobs are not retried" in "".join(still.whispers()))
    frozen.tick(timedelta(seconds=601))
    await later(frozen, lambda: FROM_WHEN not in ending.text_shown())
    assert still.sift.count("retry") == 3
    assert len(still.whispers()) == 1
    unbroken(still)


async def test_without_a_cooldown_nothing_of_it_is_shown(stopped: World, frozen: FrozenDateTimeFactory) -> None:
    async with stopped.running(socket_mode=False, **{**COOLDOWN, "RETRY_COOLDOWN_SECONDS": "0"}):
        stopped.allow()
        frozen.tick(timedelta(seconds=1))
        job = stopped.sift.add(then=["fail at once", "finish"])
        (alert,) = await stopped.until(stopped.messages)
        frozen.tick(timedelta(seconds=1))
        await stopped.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
        await stopped.until(lambda: len(stopped.offering("retry")) > 1)
        await stopped.until(lambda: "failed again" in alert.text_shown())
        assert not any(FROM_WHEN in one.text_shown() for one in [alert, *stopped.replies()])
        frozen.tick(timedelta(seconds=1))
        await stopped.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
        await stopped.until_outcome("accepted", job_id=job.job_id)
        assert stopped.whispers() == []

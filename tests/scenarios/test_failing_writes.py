"""When the database does not take the outcome of a retry at once: it is written again, and told once."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, update
from sqlalchemy.exc import OperationalError
from structlog.testing import CapturingLogger

from bot.app.bot import Bot
from bot.db.tables import retries
from bot.retries import claims, store
from bot.retries.state import State
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World

Said = Callable[[str], list[Any]]
"""Answers the states that log lines of this name tell of."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    logger = CapturingLogger()
    for module in ("retries.runner", "retries.recorder", "retries.follower", "base.loops"):
        monkeypatch.setattr(f"bot.{module}.log", logger)
    return lambda name: [call.kwargs.get("state") for call in logger.calls if call.args == (name,)]


def away() -> OperationalError:
    return OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))


def failing(bot: Bot, state: str, *, times: int = 1, after_commit: bool = False) -> Callable[[], int]:
    """Has the transactions in which a retry enters a state fail, before or just after they are committed.

    Returns:
        How many did so far.
    """
    failed = 0

    def notice(connection: Connection, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        values = parameters.values() if isinstance(parameters, Mapping) else parameters  # PostgreSQL's are named
        if statement.startswith("UPDATE retries") and state in tuple(values):
            connection.info["entering"] = True  # of this one alone: others commit meanwhile

    def commit(connection: Connection) -> None:
        nonlocal failed
        if connection.info.pop("entering", False) and failed < times:
            failed += 1
            if after_commit:
                connection.exec_driver_sql("COMMIT")
            raise away()

    for engine in bot.database.engines:
        event.listen(engine, "before_cursor_execute", notice)
        event.listen(engine, "commit", commit)
    return lambda: failed


def counted(bot: Bot, state: str) -> float | None:
    return bot.metrics.registry.get_sample_value("sift_retry_outcomes_total", {"state": state})


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("times", [1, 3])
async def test_the_outcome_of_a_retry_is_written_until_the_database_takes_it(
    world: World, times: int, after_commit: bool, said: Said
) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="3600") as bot:
        world.allow()
        failed = failing(bot, "accepted", times=times, after_commit=after_commit)
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await world.until(lambda: failed() == times and world.replies())
        await world.until_outcome("accepted")
        assert world.outcomes() == ["requested", "sending", "accepted"]
        assert world.sift.count("retry") == 1
        assert counted(bot, "accepted") == 1
    assert said("retry.outcome") == ["accepted"]
    assert not said("task.failed")


@pytest.mark.sqlite
async def test_a_database_locked_for_longer_than_anybody_waits_costs_no_outcome(world: World) -> None:
    async with world.running(socket_mode=False) as bot:
        world.allow()
        held = world.sift.hold("retry")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await held.entered.wait()
        await bot.database.run(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=20") and None)
        other = sqlite3.connect(world.directory / "bot.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        held.release()
        await asyncio.sleep(0.3)
        other.execute("ROLLBACK")
        other.close()
        await world.until_outcome("finished")
        assert world.outcomes() == ["requested", "sending", "accepted", "finished"]
        assert world.sift.count("retry") == 1


@pytest.mark.parametrize("after_commit", [False, True])
async def test_how_a_job_ended_is_counted_and_said_once_and_when_it_is_true(
    world: World, after_commit: bool, said: Said
) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="0.5") as bot:
        world.allow()
        failed = failing(bot, "finished", times=2, after_commit=after_commit)
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await world.until(lambda: len(world.replies()) == 2, timeout=10)
        assert failed() == 2
        assert world.outcomes() == ["requested", "sending", "accepted", "finished"]
        assert counted(bot, "finished") == 1
    assert said("retry.outcome") == ["accepted", "finished"]


async def test_why_a_job_failed_again_is_told_though_its_write_failed_at_first(world: World) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="0.5") as bot:
        world.allow()
        failing(bot, "failed_again", after_commit=True)
        job = world.sift.add(then=["fail"])
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await world.until(lambda: any("is not a number" in m.text_shown() for m in world.replies()[1:]), timeout=10)


async def taken_over(bot: Bot, state: State, then: State) -> None:
    """Another replica finds the lease over and moves the row."""

    def work(connection: Connection) -> None:
        now = bot.clock()
        (retry,) = claims.claim(connection, (state,), now + timedelta(hours=1))
        store.transition(connection, retry, then, now, detail={}, due_at=None)

    await bot.database.run(work)


async def test_a_runner_that_was_overtaken_counts_and_says_nothing(world: World, said: Said) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="3600") as bot:
        world.allow()
        held = world.sift.hold("retry")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await held.entered.wait()
        await taken_over(bot, State.SENDING, State.UNKNOWN)
        held.release()
        await world.until(world.replies)
        assert world.outcomes() == ["requested", "sending", "unknown"]
        assert counted(bot, "accepted") is None
    assert said("retry.overtaken") == ["accepted"]
    assert not said("retry.outcome")
    assert not said("task.failed")


async def test_a_follower_that_was_overtaken_counts_and_says_nothing(world: World, said: Said) -> None:
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="0.2") as bot:
        world.allow()
        await world.retried(world.sift.add())
        held = world.sift.hold("list")
        await held.entered.wait()
        await asyncio.sleep(0.2)
        await taken_over(bot, State.ACCEPTED, State.LOST)
        held.release()
        await world.until(lambda: len(world.replies()) == 2)
        await asyncio.sleep(0.2)
        assert world.outcomes()[-1] == "lost"
        assert counted(bot, "finished") is None
    assert said("retry.outcome") == ["accepted"]


def forget_what_is_under_way(bot: Bot) -> None:
    """As if another process had begun it, which is gone."""
    loops: Any = bot.readiness._loops
    next(loop for loop in loops if loop.name == "runner")._step.__self__._at_work.clear()


async def test_what_is_being_sent_is_not_interrupted_whatever_the_clock_says(
    world: World, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.schedule.SWEEP_SECONDS", 0.05)
    async with world.running(socket_mode=False) as bot:
        world.allow()
        held = world.sift.hold("retry")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await held.entered.wait()
        with bot.database.transaction() as connection:  # as after a jump
            connection.execute(update(retries).values(due_at=bot.clock()))
        await asyncio.sleep(0.3)  # for a few sweeps
        held.release()
        await world.until_outcome("finished")
    assert world.outcomes() == ["requested", "sending", "accepted", "finished"]
    assert said("retry.unknown") == []


def due_at(bot: Bot) -> datetime:
    with bot.database.reading() as connection:
        moment: datetime = connection.scalars(select(retries.c.due_at)).one()
    return moment


async def test_a_turn_that_failed_is_taken_up_again_soon_though_it_was_kept_from_other_replicas(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.schedule.SWEEP_SECONDS", 0.05)
    monkeypatch.setattr("bot.retries.runner.FAILED_AGAIN", timedelta(seconds=0.2))
    monkeypatch.setattr("bot.retries.runner.KEEP_EVERY", timedelta())
    async with world.running(socket_mode=False) as bot:
        world.allow()
        failed = failing(bot, "refused")
        held = world.sift.hold("list")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add(status="JOB_STATUS_RUNNING").job_id)
        await held.entered.wait()
        async with asyncio.timeout(5):
            while due_at(bot) < bot.clock() + timedelta(seconds=30):
                await asyncio.sleep(0.01)
        held.release()
        await world.until_outcome("refused")
        assert failed() == 1


async def test_what_was_interrupted_is_counted_and_said_once_and_when_it_is_true(
    world: World, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.schedule.SWEEP_SECONDS", 0.05)
    async with world.running(socket_mode=False, FOLLOW_POLL_SECONDS="3600") as bot:
        world.allow()
        held = world.sift.hold("retry")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await held.entered.wait()
        forget_what_is_under_way(bot)
        failed = failing(bot, "unknown", times=2)
        with bot.database.transaction() as connection:  # its lease is over
            connection.execute(update(retries).values(due_at=bot.clock()))
        await world.until(lambda: world.outcomes()[-1] == "unknown")
        held.release()
        await world.until(lambda: counted(bot, "unknown"))
        assert failed() == 2
        assert counted(bot, "unknown") == 1
    assert said("retry.unknown") == [None]

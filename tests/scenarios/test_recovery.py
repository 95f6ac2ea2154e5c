"""A backup is restored: what was open in it may have been sent since, and is never sent again."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from bot.audit import verification
from bot.base.clock import utc_now
from bot.base.requester import Source
from bot.db.database import Database
from bot.retries import batches, claims, known, queries, recovery, store
from bot.retries import request as retries_request
from bot.retries.messages.answers import why_not
from bot.retries.request import Request
from bot.retries.state import State
from bot.sandbox import ADMIN, LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack.messages import Message
from bot.slack.links import Place, Workspace
from tests.conftest import NOW
from tests.scenarios.conftest import World

pytestmark = pytest.mark.sqlite


class Restored:
    """A world whose bot is put back to an earlier moment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.file, self.copy = world.directory / "bot.db", world.directory / "copy.db"

    def back_up(self) -> None:
        with (
            contextlib.closing(sqlite3.connect(self.file)) as source,
            contextlib.closing(sqlite3.connect(self.copy)) as copy,
        ):
            source.backup(copy)

    def restore(self) -> recovery.Recovered:
        """Puts the copy in place of the bot's file, and recovers; what was done stands in an unbroken log."""
        for left in self.world.directory.glob("bot.db*"):
            left.unlink()
        shutil.copy(self.copy, self.file)
        database = Database(f"sqlite:///{self.file}", utc_now)
        with database.transaction() as connection:
            done = recovery.recover(connection, "cli:test", utc_now())
        verification.verify(database, None, (), None, lambda _: iter)
        database.close()
        return done


@contextlib.asynccontextmanager
async def backed_up(world: World, *jobs: SandboxJob, lost: bool = False) -> AsyncIterator[Restored]:
    """A bot that is backed up while Sift lets it wait for a job to be read, and then goes on.

    Args:
        lost: Sift then does not find the jobs, so that nothing is sent.
    """
    restored = Restored(world)
    async with world.running(socket_mode=False):
        world.allow()
        held = world.sift.hold("list")
        await world.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
        await asyncio.wait_for(held.entered.wait(), 5)
        restored.back_up()
        if lost:
            for job in jobs:
                del world.sift.jobs[job.job_id]
        held.release()
        yield restored
    world.sift.jobs.update({job.job_id: job for job in jobs})


async def shown(world: World, text: str) -> Message:
    """The first message in a thread that says something."""
    await world.until(lambda: any(text in one.text_shown() for one in world.replies()))
    return next(one for one in world.replies() if text in one.text_shown())


async def test_what_was_sent_after_the_backup_is_found_and_not_sent_again(world: World) -> None:
    job = world.sift.add()
    async with backed_up(world, job) as restored:
        await world.until_outcome("finished")
    assert world.sift.count("retry") == 1
    assert restored.restore() == recovery.Recovered(unknown=1, refused=0)
    async with world.running(socket_mode=False):
        await world.until_outcome("finished")
        assert world.outcomes() == ["requested", "unknown", "accepted", "finished"]
        assert [row.event for row in world.entries() if row.source == "cli"] == ["grant", "recover"]
    assert world.sift.count("retry") == 1


async def test_what_was_never_sent_is_said_to_be_so_and_offered_again(world: World) -> None:
    job = world.sift.add()
    async with backed_up(world, job, lost=True) as restored:
        await world.until_outcome("refused")
    restored.restore()
    async with world.running(socket_mode=False):
        await world.until_outcome("not_applied")
        assert world.outcomes() == ["requested", "unknown", "not_applied"]
        summary = (await world.until(lambda: [one for one in world.replies() if "has not moved" in one.text_shown()]))[
            0
        ]
        assert world.sift.count("retry") == 0
        await world.slack.click(OPERATOR, LAUNCH_OPS, summary.ts, "retry")
        await world.until_outcome("finished")
    assert world.sift.count("retry") == 1


async def test_a_job_that_somebody_else_moved_since_tells_nothing(world: World) -> None:
    job = world.sift.add()
    async with backed_up(world, job) as restored:
        await world.until_outcome("finished")
    job.retry(utc_now(), 0.1, "somebody-else")
    restored.restore()
    async with world.running(socket_mode=False):
        await world.until_outcome("not_applied")
        shown = await world.until(
            lambda: [one for one in world.replies() if "nothing says by whose" in one.text_shown()]
        )
        assert "whether this was sent is not known" in shown[0].text_shown()
    assert world.sift.count("retry") == 1


async def test_what_sift_had_taken_is_followed_to_its_end(world: World) -> None:
    job = world.sift.add()
    world.sift.run_seconds = 1
    restored = Restored(world)
    async with world.running(socket_mode=False):
        world.allow()
        await world.retried(job)
        await world.until_outcome("accepted")
        restored.back_up()
    job.modified_by = "somebody-else"  # it is known to have been ours
    restored.restore()
    async with world.running(socket_mode=False):
        await world.until_outcome("finished")
        assert world.outcomes() == ["requested", "sending", "accepted", "unknown", "accepted", "finished"]
    assert world.sift.count("retry") == 1


async def test_whether_somebody_approved_it_is_not_known_either(world: World) -> None:
    job = world.sift.add()
    restored = Restored(world)
    async with world.running(socket_mode=False, APPROVAL_AFTER="1") as bot:
        world.allow()
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        asked = await shown(world, "has to approve")
        async with asyncio.timeout(5):
            while "approval" not in (await bot.database.run(lambda found: known.latest_of(found, OPERATOR)))[0].shown:
                await asyncio.sleep(0.01)
        restored.back_up()
        await world.slack.click(ADMIN, LAUNCH_OPS, asked.ts, "approve_retry")
        await world.until_outcome("finished")
    restored.restore()
    async with world.running(socket_mode=False, APPROVAL_AFTER="1"):
        await world.until_outcome("finished")
        await shown(world, "not known whether somebody approved this")
    assert world.sift.count("retry") == 1


def ask(connection: Connection, number: int, job_id: str, state: State = State.REQUESTED) -> Request:
    request = Request(
        id=f"r{number}",
        delivery_key=f"k{number}",
        job_id=job_id,
        team_id="T1",
        user_id=f"U{number}",
        source=Source.COMMAND,
    )
    at = NOW + timedelta(seconds=number)
    store.add(connection, request, at)
    if state != "requested":
        (retry,) = claims.claim(connection, (State.REQUESTED,), at, only=request.id)
        retry = store.transition(connection, retry, State.SENDING, at, due_at=at, sent_at=at, attempt=1)
        if state != "sending":
            store.transition(connection, retry, state, at, due_at=at)
    return request


def test_nothing_that_was_open_is_left_to_be_sent(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    with database.transaction() as connection:
        for number, (job_id, state) in enumerate(
            [
                ("j1", State.REQUESTED),
                ("j1", State.REQUESTED),
                ("j2", State.REQUESTED),
                ("j2", State.ACCEPTED),
                ("j3", State.SENDING),
                ("j4", State.UNKNOWN),
                ("j4", State.REQUESTED),
            ]
        ):
            ask(connection, number, job_id, state)
        first = Request(id="b1", delivery_key="b", job_id="j5", team_id="T1", user_id="U9", source=Source.BULK)
        wanted = [retries_request.JobRef(job_id, "failure") for job_id in ("j5", "j6", "j1")]
        batches.open_batch(connection, first, wanted, NOW)
        done = recovery.recover(connection, "cli:test", later)
        assert done == recovery.Recovered(unknown=6, refused=4)
        assert claims.due(connection, (State.REQUESTED, State.SENDING), later + timedelta(days=365)) == []
        assert batches.spell_out(connection, "b1", later, later) == batches.Spelled()
        found = {retry.id: (retry.job_id, retry.state) for retry in queries.open_requests(connection)}
    assert sorted(found.values()) == [(f"j{number}", "unknown") for number in range(1, 7)]
    assert found["r0"] == ("j1", "unknown"), "the first who asked"
    assert found["r3"] == ("j2", "unknown"), "what may have been sent comes before what was not"
    verification.verify(database, None, (), None, lambda _: iter)
    with database.transaction() as connection:
        assert recovery.recover(connection, "cli:test", later) == recovery.Recovered(unknown=6, refused=0), "once more"


def test_whose_request_gives_way_is_told_so(database: Database) -> None:
    with database.transaction() as connection:
        ask(connection, 1, "j1")
        second = ask(connection, 2, "j1")
        recovery.recover(connection, "cli:test", NOW + timedelta(hours=1))
        (refused,) = [one for one in known.latest_of(connection, "U2") if one.id == second.id]
    workspace = Workspace(team_id="T1", url="https://x.slack.com/", bot_user_id="U0", bot_id="B0", scopes=frozenset())
    said = why_not(refused, Place(workspace, None), "The job")
    assert "restored from a backup" in said.what
    assert said.done == "Yours is not sent again."

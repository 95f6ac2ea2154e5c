"""The bot as a process, killed at each point of a retry and started again.

What Slack saw acknowledged is finished or reported, and the POST left at most once.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.access import grants
from bot.access.policy import Role
from bot.audit import entry
from bot.audit import log as audit
from bot.audit.entry import Event, Filters
from bot.base.clock import utc_now
from bot.db.database import Database, migrate
from bot.sandbox import ADMIN, LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import FAST, World

# After a crash, PostgreSQL's rows are left alone for the minute of a lease, since others may be at work on them:
# `make chaos` has the time for that.
pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parent.parent.parent


class Process:
    """The bot as a process of its own, over HTTP."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.url = world.database_url
        self.settings: dict[str, str] = {}
        database = Database(self.url, utc_now)
        migrate(database.engine)
        with database.transaction() as connection:
            new = grants.NewGrant(subject=OPERATOR, role=Role.OPERATOR, granted_by="cli:test")
            grants.grant(connection, new, utc_now())
        database.close()

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Runs it until the block ends; it may die before."""
        port = free_port()
        environment = {
            **os.environ,
            **self.world.sandbox.environment(self.world.url, socket_mode=False),
            **FAST,
            "DATABASE_URL": self.url,
            "PORT": str(port),
            **self.settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(arguments or ("-m", "bot", "run")),
            env=environment,
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.world.slack.request_url = f"http://127.0.0.1:{port}/slack/events"
        try:
            await until_ready(f"http://127.0.0.1:{port}/readyz")
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def outcomes(self, event: Event = Event.REQUEST) -> list[str]:
        database = Database(self.url, utc_now)
        with database.reading() as connection:
            found = [row.outcome for row in audit.export(connection, Filters()) if row.event == event]
            assert isinstance(audit.verify(connection), entry.Head)
        database.close()
        return found

    async def until_last(self, event: Event, outcome: str) -> None:
        """Waits until the newest outcome of a kind of request is this one."""
        async with asyncio.timeout(10):
            while self.outcomes(event)[-1:] != [outcome]:
                await asyncio.sleep(0.05)

    async def until_final(self) -> list[str]:
        async with asyncio.timeout(30):  # on a busy machine
            while (found := self.outcomes())[-1] not in ("finished", "not_applied"):
                await asyncio.sleep(0.05)
        return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(30):  # on a busy machine
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.02)


@pytest.fixture
def process(world: World) -> Process:
    return Process(world)


@pytest.fixture
def job(world: World) -> SandboxJob:
    return world.sift.add()


async def settled(process: Process, posts: int) -> list[str]:
    """Starts the bot again; returns how the request went, once the thread says so too."""
    world = process.world
    async with process.running():
        found = await process.until_final()
        await world.until(lambda: len([m for m in world.replies() if m.text.startswith("<@")]) == 1, timeout=8)
    assert world.sift.count("retry") == posts
    assert len(world.messages()) == 1
    assert len(world.replies()) == 2
    return found


@pytest.mark.parametrize(
    ("point", "posts", "expected"),
    [
        ("before the mark", 1, ["requested", "sending", "accepted", "finished"]),
        ("in the mark", 1, ["requested", "sending", "accepted", "finished"]),
        ("after the mark", 0, ["requested", "sending", "unknown", "not_applied"]),
        ("after the POST", 1, ["requested", "sending", "unknown", "accepted", "finished"]),
        ("in the outcome", 1, ["requested", "sending", "unknown", "accepted", "finished"]),
        ("before the summary", 1, ["requested", "sending", "accepted", "finished"]),
        ("after the summary", 1, ["requested", "sending", "accepted", "finished"]),
    ],
)
async def test_a_crash_loses_nothing_and_repeats_nothing(
    process: Process, job: SandboxJob, point: str, posts: int, expected: list[str]
) -> None:
    async with process.running("-m", "tests.scenarios.crashing", point) as dying:
        assert (await process.world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked
        assert await asyncio.wait_for(dying.wait(), 5) == -signal.SIGKILL
    assert await settled(process, posts) == expected


@pytest.mark.parametrize(("point", "lost"), [("in a batch", True), ("while spelling out", False)])
async def test_an_interrupted_batch_is_finished_each_job_once(process: Process, point: str, lost: bool) -> None:
    world = process.world
    jobs = world.sift.outage(60)
    async with process.running("-m", "tests.scenarios.crashing", point) as dying:
        assert (await world.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))).acked
        assert await asyncio.wait_for(dying.wait(), 5) == -signal.SIGKILL
    async with process.running():
        async with asyncio.timeout(20):
            while len([one for one in process.outcomes() if one in ("finished", "not_applied")]) < len(jobs):
                await asyncio.sleep(0.1)
        await world.until(lambda: [m for m in world.replies() if "your 60 jobs" in m.text_shown()], timeout=8)
    assert all(world.sift.count("retry", job.job_id) <= 1 for job in jobs)
    assert ("not_applied" in process.outcomes()) == lost, "what was marked and perhaps not sent is not sent again"
    assert len(world.messages()) == 1


@pytest.mark.parametrize("point", ["in the asking", "in the approval", "after the approval"])
async def test_a_second_person_s_word_is_neither_lost_nor_counted_twice(
    process: Process, job: SandboxJob, point: str
) -> None:
    world = process.world
    process.settings["APPROVAL_AFTER"] = "1"

    async def asked() -> Message:
        (found,) = await world.until(lambda: [m for m in world.replies() if "has to approve" in m.text_shown()], 10)
        return found  # type: ignore[no-any-return]  # one of the sandbox's

    async with process.running("-m", "tests.scenarios.crashing", point) as dying:
        assert (await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked
        if point != "in the asking":
            pressed = await world.slack.click(ADMIN, LAUNCH_OPS, (await asked()).ts, "approve_retry")
            assert not pressed.acked
        assert await asyncio.wait_for(dying.wait(), 10) == -signal.SIGKILL
    async with process.running():
        if point != "after the approval":  # which nobody has to press again
            await world.slack.click(ADMIN, LAUNCH_OPS, (await asked()).ts, "approve_retry")
        assert await process.until_final() == ["requested", "sending", "accepted", "finished"]
        await world.until(lambda: [m for m in world.replies() if f"Approved by <@{ADMIN}>" in m.text_shown()], 10)
    assert world.sift.count("retry") == 1
    assert process.outcomes(Event.APPROVAL) == [None]


async def test_killed_right_after_the_record(process: Process, job: SandboxJob) -> None:
    process.world.slack.delay("users.info", 5)
    async with process.running() as running:
        assert (await process.world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked
        running.kill()
    process.world.slack.faults.clear()  # if it had not come as far as asking
    assert process.outcomes() == ["requested"]
    assert await settled(process, 1) == ["requested", "sending", "accepted", "finished"]


@pytest.mark.parametrize("arrives", [True, False])
async def test_killed_with_the_post_in_flight(process: Process, job: SandboxJob, arrives: bool) -> None:
    held = process.world.sift.hold("retry")
    async with process.running() as running:
        assert (await process.world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked
        await asyncio.wait_for(held.entered.wait(), 5)
        running.kill()
        await running.wait()
    if arrives:
        held.release()
        assert await settled(process, 1) == ["requested", "sending", "unknown", "accepted", "finished"]
    else:
        assert await settled(process, 1) == ["requested", "sending", "unknown", "not_applied"]


async def test_a_stop_lets_the_call_under_way_finish(process: Process, job: SandboxJob) -> None:
    process.world.sift.delay("retry", 0.5)
    async with process.running() as running:
        assert (await process.world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked
        while not process.world.sift.count("retry"):
            await asyncio.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 10) == 0
    assert process.outcomes()[:3] == ["requested", "sending", "accepted"]
    assert process.world.replies(), "and what came of it is shown"

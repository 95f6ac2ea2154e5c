"""SIGTERM while Slack, Sift and the database hang: not ready at once, gone within ten seconds, nothing lost."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from bot.access import grants
from bot.access.policy import Role
from bot.audit import log as audit
from bot.audit import verification
from bot.audit.entry import Filters
from bot.base.clock import utc_now
from bot.base.errors import DatabaseUnavailable
from bot.db.database import Database
from bot.retries.state import FACTS, State
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.relay import relayed
from tests.scenarios.conftest import FAST, World
from tests.scenarios.test_crash import ROOT, free_port, until_ready

HANGS = 60.0
SLACK = ("auth.test", "chat.postMessage", "chat.update", "chat.postEphemeral", "users.info", "conversations.replies")


@contextlib.asynccontextmanager
async def process(world: World, url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Runs the bot over HTTP until the block ends; it may end before."""
    port = free_port()
    environment = {
        **os.environ,
        **world.sandbox.environment(world.url, socket_mode=False),
        **FAST,
        "SIFT_TIMEOUT_SECONDS": "10",
        "DATABASE_URL": url,
        "PORT": str(port),
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "run", env=environment, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    base = f"http://127.0.0.1:{port}"
    world.slack.request_url = f"{base}/slack/events"
    try:
        await until_ready(f"{base}/readyz")
        yield running, base
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()


def stories(url: str) -> dict[str, list[str]]:
    """What the audit tells of each job's requests; all of it is as it was written."""
    database = Database(url, utc_now)
    found: dict[str, list[str]] = {}
    with database.reading() as connection:
        for row in audit.export(connection, Filters()):
            if row.event == "request":
                found.setdefault(row.job_id, []).append(row.outcome)
    verification.verify(database, None, (), None, lambda _: iter)
    database.close()
    return found


def allow(url: str) -> None:
    database = Database(url, utc_now)
    with database.transaction() as connection:
        grants.grant(
            connection, grants.NewGrant(subject=OPERATOR, role=Role.OPERATOR, granted_by="cli:test"), utc_now()
        )
    database.close()


def let_leases_run_out(url: str) -> None:
    """Lets the minute pass for which what the stopped bot had claimed is left to it."""
    with contextlib.closing(Database(url, utc_now)) as database:
        for _ in range(10):  # PostgreSQL may not have noticed yet that the stopped bot's connections are gone
            with contextlib.suppress(DatabaseUnavailable, OperationalError), database.transaction() as connection:
                connection.exec_driver_sql("UPDATE retries SET due_at = now() WHERE due_at IS NOT NULL")
                return
    raise AssertionError("the stopped bot's transaction is still there")


async def stopped(running: asyncio.subprocess.Process, base: str) -> None:
    """Ends it, and checks what is promised of that."""
    began = time.monotonic()
    running.send_signal(signal.SIGTERM)
    async with httpx.AsyncClient(timeout=1) as client:
        while (answer := await client.get(f"{base}/readyz")).status_code != 503 or "stopping" not in answer.text:
            assert time.monotonic() - began < 1, answer.text
    assert await asyncio.wait_for(running.wait(), 10) == 0
    assert (took := time.monotonic() - began) < 10, took


@pytest.mark.parametrize("silent", [True, False], ids=["database silent", "database well"])
async def test_a_stop_with_every_peer_hanging_is_in_time_and_loses_nothing(
    world: World, postgres_url: str, silent: bool
) -> None:
    jobs = world.sift.outage(20)
    allow(postgres_url)
    with relayed(postgres_url) as (relay, url):
        async with process(world, url) as (running, base):
            world.sift.delay("retry", HANGS, times=1_000)
            asked = await asyncio.gather(*(world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for job in jobs))
            assert all(one.acked for one in asked)
            async with asyncio.timeout(10):
                while not world.sift.count("retry"):
                    await asyncio.sleep(0.01)
            world.sift.delay("list", HANGS, times=1_000)
            for method in SLACK:
                world.slack.delay(method, HANGS, times=1_000)
            if silent:
                relay.silence()
            await stopped(running, base)
        relay.forget()
        let_leases_run_out(postgres_url)
        world.sift.recover()
        world.slack.faults.clear()
        async with process(world, url), asyncio.timeout(30):
            while any(FACTS[State(told[-1])].next for told in stories(postgres_url).values()):
                await asyncio.sleep(0.1)
    told = stories(postgres_url)
    assert told.keys() == {job.job_id for job in jobs}
    assert {outcomes[-1] for outcomes in told.values()} <= {"finished", "not_applied"}
    assert "finished" in {outcomes[-1] for outcomes in told.values()}
    assert all(world.sift.count("retry", job.job_id) <= 1 for job in jobs)

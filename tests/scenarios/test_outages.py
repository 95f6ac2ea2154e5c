"""One hour without Slack, Sift or the database, by a clock that is moved: nothing lost, nothing doubled."""

import asyncio
import contextlib
import resource
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg  # noqa: F401  # before time is frozen: its C part compares the size of `date`
import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory
from sqlalchemy import select

from bot.app import build, readiness, schedule
from bot.app import listeners as app_listeners
from bot.app.server import serving
from bot.audit import log as audit
from bot.audit.entry import Head
from bot.base import loops
from bot.db.database import Database
from bot.db.tables import alerts, batches, retries, storms
from bot.retries.state import ACTIVE
from bot.sandbox import LAUNCH_OPS, OPERATOR, Sandbox
from bot.sandbox.sift.jobs import SandboxJob
from bot.slack.web import CALL_SECONDS
from tests.relay import relayed
from tests.scenarios.conftest import World

STEP = timedelta(minutes=5)
IDLE_SECONDS = 20
"""Nothing may stand still for so long, while the clock goes on."""

PEERS = {"slack": (503, ["slack"], []), "sift": (200, [], ["sift"]), "database": (503, ["database"], [])}
"""What `/readyz` says without each of them."""


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[FrozenDateTimeFactory]:
    """A clock that stands still, which leases are reckoned by on PostgreSQL too; loops that look often."""
    monkeypatch.setattr(Database, "now", lambda database, _: database.clock())
    monkeypatch.setattr(Database, "present", lambda database: database.clock())
    monkeypatch.setattr(loops, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(readiness, "ASK_SLACK_SECONDS", 0.1)
    for module in (build, schedule):
        monkeypatch.setattr(module, "SWEEP_SECONDS", 0.1)
    with freeze_time("2026-11-20T12:00:00Z", real_asyncio=True) as frozen:
        assert isinstance(frozen, FrozenDateTimeFactory)
        yield frozen


@pytest.fixture(params=["sqlite", "postgresql"])
def relay_and_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    if request.param == "sqlite":
        yield None, f"sqlite:///{tmp_path}/bot.db"
    else:
        with relayed(request.getfixturevalue("postgres_url")) as through:
            yield through


@pytest.fixture
async def still(frozen: FrozenDateTimeFactory, relay_and_url: tuple[Any, str], tmp_path: Path) -> AsyncIterator["Hour"]:
    sandbox = Sandbox(run_seconds=1_500)
    relay, database_url = relay_and_url
    async with serving(sandbox.app) as url, httpx.AsyncClient(base_url=url) as http:
        world = World(sandbox, url, tmp_path)
        settings = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.2", "DATABASE_URL": database_url}
        async with world.running(socket_mode=False, **settings) as bot:
            world.allow()
            if relay is None:
                await bot.database.run(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout = 50"))
            yield Hour(world, frozen, relay, http)


class Hour:
    """What is asked for in it, and what `/readyz` says."""

    def __init__(self, world: World, frozen: FrozenDateTimeFactory, relay: Any, http: httpx.AsyncClient) -> None:
        self.world = world
        self.frozen = frozen
        self.relay = relay
        self.acked: list[SandboxJob] = []
        self.failed: list[SandboxJob] = []
        self._http = http

    async def ask(self, count: int = 1) -> None:
        """Somebody asks for so many jobs that failed before anybody watched; what was not recorded is said at once."""
        jobs = self.world.sift.outage(count)
        for job in jobs:
            job.modified -= timedelta(days=2)
        delivered = await self.world.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
        assert delivered.acked
        if "could not be recorded" in str(delivered.body):
            return
        assert not delivered.body, delivered.body
        self.acked += jobs

    def fail(self) -> None:
        """One more job fails."""
        self.frozen.tick(timedelta(seconds=1))
        self.failed.append(self.world.sift.fail_one())

    async def ready(self, status: int, not_ready: list[str], degraded: list[str]) -> None:
        """Waits until `/readyz` says so; the loops' own pauses are a hundredth of what they are in earnest."""
        async with asyncio.timeout(15):
            while True:
                answer = await self._http.get("/readyz")
                body = answer.json()
                if (answer.status_code, body["not_ready"], body["degraded"]) == (status, not_ready, degraded):
                    return
                await asyncio.sleep(0.02)

    @contextlib.contextmanager
    def without(self, peer: str) -> Iterator[None]:
        """Takes away one of the three."""
        world, other = self.world, None
        hasty = pytest.MonkeyPatch()
        if peer == "slack":
            world.slack.offline = True
        elif peer == "sift":
            for operation in ("list", "retry", "data_imports", "reports", "report", "runs", "me"):
                world.sift.fail(operation, 14, times=1_000_000)
        else:
            assert world.bot is not None
            hasty.setattr(world.bot.database, "patience", 0.4)
            hasty.setattr(app_listeners, "ACK_SECONDS", 1.0)  # leaves a busy machine two of the three seconds
            if self.relay is not None:
                self.relay.silence()
            else:
                other = sqlite3.connect(world.directory / "bot.db", isolation_level=None, timeout=5)
                other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            hasty.undo()
            world.slack.offline = False
            world.sift._faults.clear()
            if self.relay is not None:
                self.relay.speak()
            if other is not None:
                other.execute("ROLLBACK")
                other.close()

    def unfinished(self) -> list[str]:
        """What is not at its end, or not shown, by any table."""
        assert self.world.bot is not None
        open_rows = [
            select(retries.c.id).where(retries.c.state.in_(("requested", *ACTIVE))),
            select(batches.c.id).where(batches.c.due_at.is_not(None)),
            *(select(table.c.id).where(table.c.show_at.is_not(None)) for table in (retries, batches, alerts, storms)),
        ]
        with self.world.bot.database.reading() as connection:
            return [found for query in open_rows for found in connection.scalars(query)]

    async def until(self, done: Callable[[], Any], pause: float = 1.0) -> None:
        """Waits for as long as anything moves, however slowly the machine works.

        What a busy machine lets run into a limit is due again by the clock, which stands still: a minute passes
        whenever nothing has moved for `pause` seconds.
        """
        loop = asyncio.get_running_loop()
        seen, ticked = self._moved(), loop.time()
        moved_at = ticked
        while not done():
            await asyncio.sleep(0.05)
            now = loop.time()
            if (moved := self._moved()) != seen:
                seen, moved_at, ticked = moved, now, now
            elif now - ticked > pause:
                assert now - moved_at < IDLE_SECONDS, f"{Counter(self.world.outcomes())}; {self.world.slack.describe()}"
                self.frozen.tick(timedelta(seconds=60))
                ticked = now

    def _moved(self) -> tuple[int, int, int]:
        """What grows when something is done."""
        return self.world.sift.count("retry"), len(self.alerts()), len(self.world.entries())

    async def until_quiet(self) -> None:
        """Lets time pass until everything is at its end and shown."""
        await self.until(lambda: not self.unfinished() and len(self.alerts()) >= len(self.failed), pause=0.1)

    def alerts(self) -> list[str]:
        """Whose failure is told in the channel, by its ID, or in the list in the thread of a storm's message."""
        told = [message.text_shown() for message in [*self.world.messages(), *self.world.replies()]]
        listed = self._listed()
        times = {job.job_id: listed[job.job_id] + sum(job.job_id in text for text in told) for job in self.failed}
        return [job.job_id for job in self.failed for _ in range(times[job.job_id])]

    def _listed(self) -> Counter[str]:
        """The failures in storms whose lists have as many lines as there are failures."""
        assert self.world.bot is not None
        members = select(alerts.c.job_id, storms.c.id).join(storms, storms.c.id == alerts.c.storm_id)
        with self.world.bot.database.reading() as connection:
            found = connection.execute(members).all()
        lines: Counter[str] = Counter()
        for message in self.world.replies():
            owner, _, kind = message.blocks[0]["block_id"].partition(":")
            if kind.startswith("list-"):
                lines[owner] += sum(line.startswith(":") for line in message.text_shown().splitlines())
        total = Counter(row.id for row in found)
        return Counter(row.job_id for row in found if lines[row.id] == total[row.id])

    def shown(self) -> Counter[str]:
        """How many messages there are of each piece of each row, as their block IDs name them."""
        messages = self.world.slack.channel(LAUNCH_OPS).messages
        return Counter(message.blocks[0]["block_id"].rsplit(":", 2)[0] for message in messages if message.blocks)


@pytest.mark.parametrize("peer", PEERS)
async def test_an_hour_without_it_loses_nothing_and_doubles_nothing(still: Hour, peer: str) -> None:
    world = still.world
    await still.ready(200, [], [])
    await still.ask()
    await still.ask(30)
    still.fail()
    assert len(still.acked) == 31
    await still.until(lambda: world.sift.count("retry") == 31 and still.alerts())
    held = world.sift.hold("retry")
    await still.ask()
    await still.until(held.entered.is_set)
    world.slack.lose_answer("chat.postMessage")
    await still.ask()
    with still.without(peer):
        await still.ready(*PEERS[peer])
        held_at: list[tuple[int, int]] = []
        for step in range(12):
            still.frozen.tick(STEP)
            await still.ask(30 if step == 4 else 1)
            still.fail()
            if step == 6:
                held.release()
            await asyncio.sleep(0.1)
            if step in (3, 11):
                held_at.append((len(asyncio.all_tasks()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
        status, not_ready, _ = PEERS[peer]
        await still.ready(status, not_ready, [] if peer == "slack" else ["sift"])  # not read for an hour, either
    await still.ready(200, [], [])
    await still.ask()
    await still.ask(3)
    await still.until_quiet()
    (tasks, size), (tasks_later, size_later) = held_at
    assert tasks_later < tasks + 100  # forty more requests wait, some with a look-up of their own; no more than that
    assert size_later < size + 30_000  # kilobytes
    _assert_nothing_lost(still)
    _assert_nothing_doubled(still)


def _assert_nothing_lost(still: Hour) -> None:
    world = still.world
    assert world.bot is not None
    refused_whole = [row for row in world.entries() if row.event == "request" and row.request_id is None]
    ended = {row.job_id: row.outcome for row in world.entries() if row.event == "request" and row.job_id}
    assert not {"requested", "sending", "unknown", "accepted"} & set(ended.values())
    missing = [job for job in still.acked if job.job_id not in ended]
    assert bool(missing) == bool(refused_whole), "a batch as a whole may be refused"
    assert still.alerts() == [job.job_id for job in still.failed]
    with world.bot.database.reading() as connection:
        assert isinstance(audit.verify(connection), Head)


def _assert_nothing_doubled(still: Hour) -> None:
    assert all(still.world.sift.count("retry", job.job_id) <= 1 for job in still.acked)
    assert {name: count for name, count in still.shown().items() if count > 1} == {}


def test_the_pauses_in_earnest_let_ready_be_right_within_a_minute() -> None:
    poll_of_alerts = 15.0  # the default
    for interval in (readiness.ASK_SLACK_SECONDS, poll_of_alerts):
        assert max(loops.LONGEST_PAUSE, interval) + 2 * CALL_SECONDS < 60

"""The whole bot, in a world of its own: the sandbox over loopback, a real database, real requests."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Row
from sqlalchemy.exc import OperationalError

from bot.access import grants
from bot.access.policy import Role
from bot.app.bot import Bot
from bot.app.server import serving
from bot.audit import log as audit
from bot.audit.entry import Filters
from bot.base.clock import utc_now
from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, Sandbox
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack.messages import Message
from bot.settings import Settings, load
from bot.slack.pace import Rate
from tests.conftest import ON_POSTGRESQL
from tests.plans import looked_over

FAST = {
    "FOLLOW_POLL_SECONDS": "0.05",
    "REQUESTS_PER_MINUTE": "0",
    "RERUN": "off",  # so that nothing follows a retry that finished, but where a test is about that
    "RETRY_COOLDOWN_SECONDS": "0",
    "SETTLE_SECONDS": "0.5",
    "SIFT_TIMEOUT_SECONDS": "1",
}


class World:
    """A sandbox and, while it runs, the bot in it; an SQLite file is its database unless it is given another."""

    def __init__(self, sandbox: Sandbox, url: str, directory: Path, database_url: str | None = None) -> None:
        self.sandbox = sandbox
        self.slack = sandbox.slack
        self.sift = sandbox.sift
        self.url = url
        self.directory = directory
        self.database_url = database_url or f"sqlite:///{directory}/bot.db"
        self.bot: Bot | None = None
        self.rates: Mapping[str, Rate] = {}
        """How fast the bot calls Slack at most; no limit but where a test is about that."""
        self._skipped = 0.0

    @contextlib.asynccontextmanager
    async def running(self, *, socket_mode: bool = True, **settings: str) -> AsyncIterator[Bot]:
        """Runs the bot until the block ends, and ends it as SIGTERM would."""
        environment: dict[str, Any] = {
            **self.sandbox.environment(self.url, socket_mode=socket_mode),
            **FAST,
            "DATABASE_URL": self.database_url,
            **settings,
        }
        stop = asyncio.Event()
        with Bot(load(Settings, environment), timer=self._timer, rates=self.rates) as bot, looked_over(bot.database):
            self.sandbox.fallback = bot.http
            self.slack.request_url = None if socket_mode else f"{self.url}/slack/events"
            working = asyncio.create_task(bot.work(stop))
            try:
                await self._ready(bot, working)
                self.bot = bot
                yield bot
            finally:
                stop.set()
                await asyncio.wait_for(working, 10)
            assert not self.leaks(), "a secret turned up"

    def _timer(self) -> float:
        return time.monotonic() + self._skipped

    async def _ready(self, bot: Bot, working: "asyncio.Task[None]") -> None:
        async with asyncio.timeout(5):
            while await bot.readiness.not_ready():
                if working.done():
                    working.result()
                await asyncio.sleep(0.01)

    @property
    def canaries(self) -> tuple[str, ...]:
        """The secrets, which must turn up nowhere."""
        return (self.slack.bot_token, self.slack.app_token, self.slack.signing_secret, self.sift.api_key)

    def leaks(self) -> list[str]:
        """Where secrets turned up: in whatever the bot told Slack, in the database's files."""
        slack, files = self.slack, sorted(self.directory.glob("bot.db*"))
        told = repr((slack.channels, slack.homes, slack.modals, slack.files, slack.calls)).encode()
        places = {"Slack": told, **{file.name: file.read_bytes() for file in files}}
        return [f"{name}: {it}" for name, held in places.items() for it in self.canaries if it.encode() in held]

    def allow(self, user_id: str = OPERATOR, role: Role = Role.OPERATOR, **more: Any) -> None:
        """Adds somebody to the allow-list."""
        assert self.bot is not None
        new = grants.NewGrant(subject=user_id, role=role, granted_by="cli:test", **more)
        for left in reversed(range(5)):
            try:
                with self.bot.database.transaction() as connection:
                    grants.grant(connection, new, utc_now())
            except OperationalError as error:  # other writers had their turn for longer than it waits: nothing was done
                if not (left and isinstance(error.orig, LockNotAvailable)):
                    raise
            else:
                return

    def forget(self) -> None:
        """Lets the time pass for which the bot may remember what Slack said of people and groups."""
        self._skipped += 120

    def entries(self, **filters: Any) -> list[Row[Any]]:
        """The audit, oldest first."""
        assert self.bot is not None
        with self.bot.database.reading() as connection:
            return list(audit.export(connection, Filters(**filters)))

    def outcomes(self, **filters: Any) -> list[str]:
        """The states that requests entered, oldest first."""
        return [row.outcome for row in self.entries(**filters) if row.event == "request"]

    def messages(self, channel_id: str = LAUNCH_OPS) -> list[Message]:
        """What stands in a channel, threads left out."""
        return [message for message in self.slack.channel(channel_id).messages if message.thread_ts is None]

    def replies(self, channel_id: str = LAUNCH_OPS) -> list[Message]:
        """What stands in the threads of a channel."""
        return [message for message in self.slack.channel(channel_id).messages if message.thread_ts is not None]

    def offering(self, action_id: str, channel_id: str = LAUNCH_OPS) -> list[Message]:
        """The replies that have a certain button."""
        replies = self.replies(channel_id)
        return [reply for reply in replies if action_id in [button["action_id"] for button in reply.buttons()]]

    def whispers(self, user_id: str = OPERATOR) -> list[str]:
        """What only this person sees, anywhere."""
        return [message.text_shown() for message in self.slack.ephemerals(user_id)]

    def told(self, user_id: str = OPERATOR) -> list[str]:
        """What the bot wrote to somebody directly."""
        return [message.text_shown() for message in self.slack.dm(user_id).messages]

    async def until(self, predicate: Callable[[], Any], timeout: float = 5) -> Any:
        """Waits until something is true in Slack."""
        return await self.slack.until(predicate, timeout)

    async def until_outcome(self, *outcomes: str, timeout: float = 5, **filters: Any) -> None:
        """Waits until the audit's newest outcome is one of these."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := self.outcomes(**filters)) or found[-1] not in outcomes:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{found} and not {outcomes}; {self.slack.describe()}") from None

    async def retried(self, job: SandboxJob, user_id: str = OPERATOR, channel_id: str = LAUNCH_OPS) -> None:
        """Somebody retries a job by command, and it is shown to be under way."""
        await self.slack.command(user_id, channel_id, job.job_id)
        await self.until(lambda: self.replies(channel_id))


@pytest.fixture
def world_url(request: pytest.FixtureRequest) -> str | None:
    """The URL of a PostgreSQL database, where the scenarios run on one."""
    return str(request.getfixturevalue("postgres_url")) if ON_POSTGRESQL else None


@pytest.fixture
async def world(tmp_path: Path, world_url: str | None) -> AsyncIterator[World]:
    """A sandbox whose retried jobs run for a fifth of a second; the bot is not running yet."""
    sandbox = Sandbox(run_seconds=0.2)
    async with serving(sandbox.app) as url:
        yield World(sandbox, url, tmp_path, world_url)


@pytest.fixture(params=["socket", "http"])
async def both(request: pytest.FixtureRequest, world: World) -> AsyncIterator[World]:
    """A world in which the bot runs and the operator is allowed; once in Socket Mode, once over HTTP."""
    async with world.running(socket_mode=request.param == "socket"):
        world.allow()
        yield world


@pytest.fixture
async def live(world: World) -> AsyncIterator[World]:
    """A world in which the bot runs over HTTP and the operator is allowed."""
    async with world.running(socket_mode=False):
        world.allow()
        yield world


@pytest.fixture(params=["socket", "http"])
async def strict(request: pytest.FixtureRequest, world: World) -> AsyncIterator[World]:
    """A world in which two people are allowed, and a job's second retry takes the other's word."""
    async with world.running(socket_mode=request.param == "socket", APPROVAL_AFTER="2"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        yield world


@pytest.fixture
def frozen() -> Iterator[FrozenDateTimeFactory]:
    """Time stands still, but for what a test says, and for asyncio's own."""
    with freeze_time("2026-11-20T12:00:00Z", real_asyncio=True) as frozen:
        assert isinstance(frozen, FrozenDateTimeFactory)
        yield frozen

"""What the processes live in: the embedded Slack and Sift, one database, and whatever the invariants ask of a world."""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from starlette.applications import Starlette
from starlette.routing import Mount

from bot.app.bot import Bot
from bot.app.server import serving
from bot.base.clock import utc_now
from bot.sandbox.connection import Droppable
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import SandboxJob
from bot.sandbox.slack.delivery import Answer, Request, SignedHttp, Transport
from bot.sandbox.slack.directory import ADMIN, LAUNCH_OPS
from bot.sandbox.slack.workspace import Delivered, SlackWorkspace
from bot.settings import Settings, load
from tests.chaos.cluster import Cluster
from tests.chaos.processes import Replica
from tests.simulation import invariants
from tests.simulation.people import People

SETTINGS = {
    "ALERT_CHANNEL": LAUNCH_OPS,
    "ALERT_POLL_SECONDS": "1",
    "FOLLOW_POLL_SECONDS": "0.5",
    "LOG_LEVEL": "error",
    "REQUESTS_PER_MINUTE": "0",
    "RERUN": "off",
    "RETRY_COOLDOWN_SECONDS": "0",
    "SETTLE_SECONDS": "5",
    "SIFT_TIMEOUT_SECONDS": "5",
}

REST_SECONDS = 300.0
"""In peace, everything comes to rest within so many seconds: leases of 60 among them."""


@dataclass(frozen=True)
class Plan:
    """What kind of world it is.

    Args:
        database: `postgresql` or `sqlite`.
        socket_mode: whether the bot opens connections, or is sent requests.
        replicas: how many processes there are.
    """

    database: str
    socket_mode: bool
    replicas: int


@dataclass
class Figures:
    """What was done, and what came of it."""

    rounds: int = 0
    kills: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    clicks: int = 0
    acked: int = 0
    requests: int = 0
    posts: int = 0
    doubled: int = 0
    lost: int = 0
    seconds: float = 0


class World:
    """Everything of one run.

    Args:
        seed: what it is drawn from; what the processes do with it differs each time.
        directory: where SQLite's file and the logs are.
        cluster: the database and its URL, where it is PostgreSQL.
    """

    def __init__(self, seed: str, plan: Plan, directory: Path, cluster: tuple[Cluster, str] | None) -> None:
        self.random = Random(f"{seed} people")
        self.troubles = Random(f"{seed} troubles")
        self.plan = plan
        self.directory = directory
        self.cluster = cluster[0] if cluster else None
        self.database_url = cluster[1] if cluster else f"sqlite:///{directory}/bot.db"
        self.slack = _Slack(self)
        self.sift = EmbeddedSift(run_seconds=1.0)
        self.sift.on_change.append(self.slack.changed)
        self.processes: list[Replica] = []
        self.people = People(cast(Any, self))
        self.figures = Figures()
        # What the invariants and the people of the simulation ask for; what real processes have under way, they keep:
        self.loop = SimpleNamespace(tasks=())
        self.added: list[SandboxJob] = []
        self.violations: list[str] = []
        self.leaving: list[Callable[..., None]] = []
        self.replicas: list[Any] = []
        self.far_ahead = False
        self.now: Callable[[], datetime] = utc_now

    def note(self, who: str, what: str) -> None:
        """Nobody reads it: what processes do is not the same twice."""

    def people_changed(self) -> None:
        """Who was there when is not looked at."""

    def violated(self, name: str, what: str) -> None:
        """Notes that an invariant does not hold."""
        self.violations.append(f"{name}: {what}")

    def rows(self, query: str, *values: object) -> Sequence[Any]:
        """What a query finds in the database as it is committed, beside the bots."""
        if self.cluster is not None:
            return self.cluster.rows(query.replace("?", "%s"), values)
        with contextlib.closing(sqlite3.connect(self.directory / "bot.db", timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, values).fetchall()

    def contents(self) -> dict[str, bytes]:
        """What the bots write into files, their logs among them."""
        return {file.name: file.read_bytes() for file in sorted(self.directory.glob("bot*"))}

    def environment(self, url: str) -> dict[str, str]:
        """The settings of every process."""
        slack = self.slack
        entrance = (
            {"SLACK_APP_TOKEN": slack.app_token}
            if self.plan.socket_mode
            else {"SLACK_SIGNING_SECRET": slack.signing_secret}
        )
        return {
            **SETTINGS,
            **entrance,
            "ADMINS": ADMIN,
            "DATABASE_URL": self.database_url,
            "SIFT_API_KEY": self.sift.api_key,
            "SIFT_REST_URI": f"{url}/sift",
            "SLACK_API_URL": f"{url}/slack/api/",
            "SLACK_BOT_TOKEN": slack.bot_token,
        }

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[dict[str, str]]:
        """Serves Slack and Sift, and keeps the processes running; yields their settings."""
        peers = Droppable(Starlette(routes=[Mount("/slack", self.slack.app), Mount("/sift", self.sift.app)]))
        async with serving(peers) as url:
            environment = self.environment(url)
            self.processes = [
                Replica(environment, self.directory / f"bot-{number}.log") for number in range(self.plan.replicas)
            ]
            try:
                for process in self.processes:
                    process.start()
                yield environment
            finally:
                await asyncio.gather(*(process.end() for process in self.processes))

    async def rest(self) -> bool:
        """Waits until nothing more is to be done; False if that takes too long."""
        until = asyncio.get_running_loop().time() + REST_SECONDS
        while stirring := invariants.stirring(cast(Any, self)):
            if asyncio.get_running_loop().time() > until:
                self.violated("nothing waits for ever", f"after {REST_SECONDS} s in peace there is still {stirring}")
                return False
            await asyncio.sleep(0.5)
        return True

    async def look(self, environment: dict[str, str], delivered: list[Delivered]) -> None:
        """Has one more bot join, in this process, to look at everything through its eyes."""
        stop = asyncio.Event()
        with Bot(load(Settings, environment), rates={}) as bot:
            working = asyncio.create_task(bot.work(stop))
            try:
                async with asyncio.timeout(30):
                    while await bot.readiness.not_ready():
                        await asyncio.sleep(0.05)
                self.replicas = [SimpleNamespace(number=0, works=True, bot=bot, process=SimpleNamespace(name="bot"))]
                if await self.rest():
                    invariants.Watch(cast(Any, self)).at_rest(delivered)
                self._no_request_was_sent_twice()
            finally:
                stop.set()
                await asyncio.wait_for(working, 15)
                self.replicas = []

    def _no_request_was_sent_twice(self) -> None:
        """Of a job, Sift saw no more calls than requests that were marked to be sent."""
        marked = Counter(
            row["job_id"]
            for row in self.rows("SELECT job_id FROM audit WHERE event = 'request' AND outcome = 'sending'")
        )
        posts = Counter(call.target for call in self.sift.calls if call.operation == "retry")
        self.figures.doubled = 0
        for job_id, times in posts.items():
            if times > marked[job_id or ""]:
                self.figures.doubled += times - marked[job_id or ""]
                self.violated("no request is sent twice", f"{job_id}: {times} calls, {marked[job_id or '']} requests")
        self.figures.posts = posts.total()


class _Slack(SlackWorkspace):
    """A workspace whose requests reach one of the processes that are ready."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    @property
    def _transport(self) -> Transport:
        return self.sockets if self._world.plan.socket_mode else _ToSomeReplica(self._world)


class _ToSomeReplica:
    def __init__(self, world: World) -> None:
        self._world = world

    async def deliver(self, request: Request, seconds: float) -> Answer:
        """Posts a request to a process, as a load balancer does that looks at `/readyz`, though not all the time."""
        ready = [process for process in self._world.processes if process.ready]
        if not ready:
            return Answer()
        process = self._world.random.choice(ready)
        return await SignedHttp(process.request_url, self._world.slack.signing_secret).deliver(request, seconds)

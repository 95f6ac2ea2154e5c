"""The sandbox as everybody's peer, and the contenders beside it."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter

from bench.like_real import LikeReal
from bench.load import BIN, Running, Typists, up
from bench.people import PEOPLE
from bot.access import grants
from bot.access.policy import Role
from bot.base.clock import utc_now
from bot.base.values import DatabaseUrl
from bot.db.database import Database, migrate
from bot.sandbox import LAUNCH_OPS, OPERATOR, Sandbox
from bot.sandbox.slack.directory import User
from bot.sandbox.slack.state import ApiCall

urls = TypeAdapter[SecretStr](DatabaseUrl)


class Arena:
    """The sandbox as everybody's peer, and the contenders beside it."""

    def __init__(self, sandbox: Sandbox, slow: LikeReal, url: str, directory: Path, typists: Typists) -> None:
        self.sandbox = sandbox
        self.slow = slow
        self.typists = typists
        self.directory = directory
        self._tables: tuple[dict[str, Any], ...] = sandbox.sift.jobs, sandbox.sift.data_imports, sandbox.sift.reports
        self._story = [set(there) for there in self._tables]
        for person in PEOPLE:
            sandbox.slack.users[person] = User(person, person.lower(), "Typist", "Types in the bench")
            sandbox.slack.channel(LAUNCH_OPS).members.add(person)
        self.environment = {
            **sandbox.environment(url, socket_mode=False),
            "REQUESTS_PER_MINUTE": "0",
            "RETRY_COOLDOWN_SECONDS": "0",
            "RETRY_CONCURRENCY": "16",  # as many calls at a time as the usual bot has threads
            "LOG_LEVEL": "warning",
        }

    @contextlib.asynccontextmanager
    async def ours(
        self,
        *,
        counted: Path | None = None,
        url: str | None = None,
        paced: bool = False,
        seed: Callable[[Database], None] | None = None,
        **settings: str,
    ) -> AsyncIterator[Running]:
        """`sift-retry run` over HTTP, on a fresh SQLite file; Slack's limits apply to none of the contenders.

        Args:
            counted: where its transactions are counted; None: they are not.
            url: another database, empty, instead of the file.
            paced: whether it keeps to Slack's limits, as it does outside the bench.
            seed: writes what the database holds before the start, beside the grant.
        """
        url = url or f"sqlite:///{tempfile.mktemp(dir=self.directory, suffix='.db')}"  # in a directory of our own
        prepare(url, seed)
        command = [sys.executable, "-m", *(("bot", "run") if paced else ("bench.unpaced",))]
        if counted is not None:
            command = [sys.executable, "-m", "bench.counted", str(counted)]
        environment = {**self.environment, "DATABASE_URL": url, **settings}
        async with up(*command, path="/readyz", **environment) as running:
            yield running

    @contextlib.asynccontextmanager
    async def another(self, url: str, **settings: str) -> AsyncIterator[Running]:
        """One more replica on a database that is prepared."""
        environment = {**self.environment, "DATABASE_URL": url, **settings}
        async with up(sys.executable, "-m", "bench.unpaced", path="/readyz", **environment) as running:
            yield running

    @contextlib.asynccontextmanager
    async def usual(self) -> AsyncIterator[Running]:
        """The bot most people would write, with gunicorn's threads."""
        database = f"sqlite:///{self.directory}/usual.db"
        command = (
            str(BIN / "gunicorn"),
            "--preload",
            "-w",
            "2",
            "--threads",
            "8",
            "-b",
            "127.0.0.1:{port}",
            "bench.usual_bot:flask_app",
        )
        async with up(*command, path="/healthz", **self.environment, USUAL_DATABASE_URL=database) as running:
            yield running

    @contextlib.asynccontextmanager
    async def peer(self, name: str) -> AsyncIterator[Running]:
        """One of `bench.peers`."""
        command = (sys.executable, "-m", "bench.peers", name, "{port}")
        async with up(*command, path="/slack/events", **self.environment) as running:
            yield running

    def job_ids(self, count: int) -> list[str]:
        """So many failed jobs that end at once when they are retried."""
        return [job.job_id for job in self.sandbox.sift.outage(count)]

    async def shown(self, count: int) -> list[datetime]:
        """When so many retries were announced in the channel, since `clear`; waits until all are."""
        found: list[datetime] = []
        async with asyncio.timeout(240):
            while len(found) < count:
                await asyncio.sleep(0.02)
                found = [call.at for call in self.sandbox.slack.calls if _announces(call)]
        return found

    async def click_to_message(self, url: str, job_ids: list[str]) -> list[float]:
        """As many people type a command each; how many seconds it took until each job's first post left."""
        began = utc_now()
        await self.typists.type(url, [[job_id] for job_id in job_ids])
        return [(at - began).total_seconds() for at in await self.shown(len(job_ids))]

    def forget(self) -> None:
        """Has Slack and Sift forget all messages, and all jobs but those of the story: they are slow with many."""
        for channel in self.sandbox.slack.channels.values():
            channel.messages.clear()
            channel.ephemerals.clear()
        for kept, there in zip(self._story, self._tables, strict=True):
            for identifier in there.keys() - kept:
                del there[identifier]
        self.clear()

    def clear(self) -> None:
        """Forgets what was called, so that looking through it stays quick."""
        self.sandbox.slack.calls.clear()
        self.sandbox.sift.calls.clear()


def prepare(url: str, seed: Callable[[Database], None] | None = None) -> None:
    """Makes an empty database one that an operator may use the bot on."""
    database = Database(urls.validate_python(url).get_secret_value(), utc_now)
    migrate(database.engine)
    if seed is not None:
        seed(database)
    with database.transaction() as connection:
        for person in (OPERATOR, *PEOPLE):
            grant = grants.NewGrant(subject=person, role=Role.OPERATOR, granted_by="cli:bench")
            grants.grant(connection, grant, utc_now())
    database.close()


def _announces(call: ApiCall) -> bool:
    """Whether a call posts a message into the channel itself: the first one about a retry, of every contender."""
    arguments = call.arguments
    return call.method == "chat.postMessage" and arguments["channel"] == LAUNCH_OPS and "thread_ts" not in arguments


Contender = Callable[[], "contextlib.AbstractAsyncContextManager[Running]"]

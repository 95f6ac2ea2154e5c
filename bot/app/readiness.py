"""Whether requests can be taken, and what does not work as it should: what `/readyz` says, and the log tells why."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from bot.alerts.watcher import Watcher
from bot.app.socket_mode import SocketMode
from bot.base.clock import Clock
from bot.base.errors import DatabaseUnavailable
from bot.base.loops import Loop
from bot.db.database import Database, require_schema
from bot.sift.client import Sift
from bot.slack.channels import Channels
from bot.slack.client import Slack
from bot.slack.publisher import Publisher

log = structlog.get_logger(__name__)

ASK_SLACK_SECONDS = 20.0
"""How often Slack is asked whether it still knows the token."""

ASK_SIFT_SECONDS = 30.0
"""How often Sift is read where nothing else reads it; sooner when a call fails."""

UNREADABLE = frozenset({"unreachable", "unknown", "unauthenticated"})
"""How calls to Sift end after which it is worth a look whether it can be read at all."""

DATABASE_SECONDS = 2.0
"""How long the database may take to answer."""


class Readiness:
    """Looks at everything that requests go through; a process starts unready, and is ready after `watch`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._asking: Loop | None = None
        self._socket: SocketMode | None = None
        self._loops: Iterable[Loop] = ()
        self._publishers: Iterable[Publisher[Any]] = ()
        self._watcher: Watcher | None = None
        self._channels: Channels | None = None
        self._told: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """Says that nothing is taken any more; from now on nobody is asked for it."""
        self._stopping = True

    def watch(
        self,
        *,
        asking: Loop,
        socket: SocketMode | None,
        loops: Iterable[Loop],
        publishers: Iterable[Publisher[Any]],
        watcher: Watcher | None,
        channels: Channels,
    ) -> None:
        """Says that everything has begun, and what to look at from now on.

        Args:
            asking: the loop that asks Slack, as `asking_slack` makes it.
            socket: the Socket Mode connection; None over HTTP.
            loops: what repeats, some of it with a name for what is degraded while it fails.
            publishers: each knows the channels that take no posts.
            watcher: knows when Sift was last read for new failures.
            channels: knows what is wrong with those that the settings name.
        """
        self._asking, self._socket = asking, socket
        self._loops, self._publishers, self._watcher = loops, publishers, watcher
        self._channels = channels

    async def not_ready(self) -> Mapping[str, str]:
        """Looks now; what changed since the last look goes to the log.

        Returns:
            Why requests cannot be taken, by name: `database`, `slack`, `socket`, `stopping`. Empty when they can.
        """
        if self._stopping:
            return {"stopping": "the bot finishes what is under way"}
        found = {**await self._database_problem(), **await self._slack_problems()}
        self._tell(found, self.degraded())
        return found

    def degraded(self) -> Mapping[str, str]:
        """Returns why what does not work as it should, by name, though requests can be taken.

        The names are `sift`, `audit`, `audit_stream`, and `channel:C…` for a channel of ours that takes no posts.
        """
        blind = self._watcher is not None and self._watcher.degraded(self._clock())
        found = {"sift": "the last good poll was too long ago"} if blind else {}
        for loop in self._loops:
            # A database that is away is named as such; nothing is wrong with Sift then, or with a channel.
            if loop.degrades and loop.failing is not None and not isinstance(loop.cause, DatabaseUnavailable):
                found[loop.degrades] = loop.failing
        if self._channels is not None:
            found |= {f"channel:{channel_id}": problem for channel_id, problem in self._channels.problems.items()}
        for publisher in self._publishers:
            found |= {f"channel:{channel_id}": error for channel_id, error in publisher.unpostable.items()}
        return found

    async def _database_problem(self) -> dict[str, str]:
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                await self._database.run(require_schema)
        except Exception as error:  # noqa: BLE001  # whatever it is, the database is not ready
            return {"database": str(error) or type(error).__name__}
        return {}

    async def _slack_problems(self) -> dict[str, str]:
        if self._asking is None:
            return {"slack": "auth.test has not answered yet"}
        found = {"slack": self._asking.failing} if self._asking.failing is not None else {}
        if self._socket is not None and not await self._socket.hears():
            found["socket"] = "the Socket Mode connection is not up"
        return found

    def _tell(self, not_ready: Mapping[str, str], degraded: Mapping[str, str]) -> None:
        """Says in the log why, when something else is wrong than before: `/readyz` gives names alone."""
        if self._told != (now := {*not_ready, *degraded}):
            self._told = now
            say = log.warning if now else log.info
            say("readiness.changed", ready=not not_ready, not_ready=not_ready, degraded=degraded)


def asking_slack(slack: Slack) -> Loop:
    """Makes the loop that asks whether Slack still knows the token; not at once, since that was just asked."""
    just_asked = True

    async def ask() -> None:
        nonlocal just_asked
        if not just_asked:
            await slack.identify()
        just_asked = False

    return Loop("slack", ASK_SLACK_SECONDS, ask)


def asking_sift(sift: Sift, watcher: Watcher | None) -> Loop:
    """Makes the loop that asks whether Sift can be read; not at once, and not while this process watches it anyway."""
    begun = False

    async def ask() -> None:
        nonlocal begun
        if begun and (watcher is None or not watcher.watching):
            await sift.failed_lately(1)
        begun = True

    return Loop("sift", ASK_SIFT_SECONDS, ask, "sift")

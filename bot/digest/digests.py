"""Makes the digest of each alert channel at the times that are set, once, whichever process does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from bot.access.authorizer import Authorizer
from bot.access.policy import Permission
from bot.alerts.storm_messages import selection
from bot.base.requester import Requester
from bot.base.text import new_id
from bot.db import marks
from bot.digest import messages, store
from bot.digest.digest import LATE, covered_since, due
from bot.retries.messages.modals import TITLE
from bot.slack.blocks import MAX_OPTIONS, message_view
from bot.slack.message import View

log = structlog.get_logger(__name__)

DIGEST_SECONDS = 10.0
"""How often it is looked at whether a digest is due."""

MARK = "digest:"
"""With a channel's ID behind it, the mark that says when its last digest was made."""


@dataclass(frozen=True)
class Digests:
    """Digests, and what is picked from what they say waits.

    Args:
        channels: that get alerts.
        times: of day at which a digest is due, in the zone.
        changed: told when there is something to show.
    """

    authorizer: Authorizer
    channels: Sequence[str]
    times: Sequence[time]
    zone: ZoneInfo
    changed: Callable[[], None]

    async def step(self) -> None:
        """Makes what is due by now, channel by channel."""
        at = self.authorizer.clock()
        for channel_id in self.channels:
            if await self.authorizer.database.run(lambda connection: self._make(connection, channel_id, at)):  # noqa: B023  # awaited at once
                self.changed()

    def _make(self, connection: Connection, channel_id: str, at: datetime) -> bool:
        """Writes a channel's digest, if one is due and there is anything to say; returns whether it did."""
        name = f"{MARK}{channel_id}"
        last = marks.moment(connection, name)
        if last is not None and last > at + LATE:  # by a clock that was ahead
            marks.write(connection, name, at, at)
            return False
        if due(at, self.times, self.zone, last) is None:
            return False
        news = store.news(connection, channel_id, covered_since(at, last))
        marks.write(connection, name, at, at)
        log.info("digest.made", channel_id=channel_id, runs=len(news.runs), failed=news.failed, waits=news.waits)
        if not news.runs:
            return False
        digest_id = new_id()
        store.keep(connection, digest_id, channel_id, messages.digest(news, digest_id), at)
        return True

    async def pick(self, requester: Requester) -> View:
        """Returns the modal to pick from what waits in the channel, or what to say instead, for who may not."""
        asked = await self.authorizer.decide_in_time(requester, Permission.RETRY)
        refusal = await self.authorizer.refusal(asked, "retry jobs")
        if refusal is not None:
            return message_view(refusal, TITLE)
        channel_id = requester.channel_id or ""
        alerts, total = await self.authorizer.database.run(
            lambda connection: store.to_pick(connection, channel_id, MAX_OPTIONS)
        )
        if not alerts:
            return messages.nothing_waits()
        origin = {"source": requester.source, "channel_id": requester.channel_id, "thread_ts": requester.thread_ts}
        return selection(alerts, total, origin)

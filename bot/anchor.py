"""Posts the audit's head to a channel once a day, where whoever owns the database cannot change it."""

from datetime import datetime

import structlog
from sqlalchemy import Connection, insert, select, update

from bot import audit
from bot.audit import Entry, Head
from bot.clock import Clock
from bot.database import Database
from bot.presenter.anchors import anchored
from bot.slack import Slack, SlackError
from bot.tables import marks

log = structlog.get_logger(__name__)

MARK = "anchored"


class Anchor:
    """Anchors the audit: one process a day, whichever is first.

    Args:
        channel_id: where the head is posted.
    """

    def __init__(self, database: Database, slack: Slack, channel_id: str, clock: Clock) -> None:
        self._database = database
        self._slack = slack
        self._channel_id = channel_id
        self._clock = clock

    async def step(self) -> None:
        """Posts today's head, unless that was done.

        Raises:
            SlackError: it could not be posted; the next step tries again.
        """
        at = self._clock()
        head = await self._database.run(lambda connection: self._claim(connection, at))
        if head is None:
            return
        try:
            await self._slack.post(self._channel_id, anchored(head, at))
        except SlackError:
            await self._database.run(lambda connection: _set(connection, "", at))
            raise
        log.info("audit.anchored", count=head.count)

    def _claim(self, connection: Connection, at: datetime) -> Head | None:
        """Makes today's anchoring ours, with its audit entry; None if it is done, or there is nothing to anchor."""
        today = f"{at:%Y-%m-%d}"
        done = connection.scalar(select(marks.c.value).where(marks.c.name == MARK))
        head = audit.head(connection)
        if done == today or head.count == 0:
            return None
        _set(connection, today, at)
        detail = {"count": head.count, "head": head.hash}
        audit.append(connection, Entry(event="anchor", channel_id=self._channel_id, detail=detail), at)
        return head


def _set(connection: Connection, value: str, at: datetime) -> None:
    values = {"value": value, "updated_at": at}
    if connection.execute(update(marks).where(marks.c.name == MARK).values(values)).rowcount == 0:
        connection.execute(insert(marks).values(name=MARK, **values))

"""Notices a clock that was set back: what is due by that clock would lie in a future that is an hour away again.

Only for a process that is alone on its database; on PostgreSQL the server's clock decides.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, update

from bot.alerts import oncall
from bot.alerts.watcher import WATCHING_SINCE
from bot.base.clock import Clock
from bot.db import marks
from bot.db.database import Database
from bot.db.tables import batches
from bot.retries import approval_rows, claims, late_rows
from bot.slack.outbox import Outbox

log = structlog.get_logger(__name__)

TOLERATED = timedelta(seconds=5)
"""Less than this is waited for."""

TIMEKEEPER_SECONDS = 1.0
"""How often it is looked at whether the clock was set back."""


class Timekeeper:
    """Compares the clock to one that only ever goes forward.

    Args:
        timer: monotonic seconds.
        outboxes: what is shown in Slack, and waits for its time.
        noticed: told when rows became due.
        since: what both clocks said at the last look, which was at the start of the process.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        timer: Callable[[], float],
        outboxes: Sequence[Outbox[Any]],
        noticed: Callable[[], None],
        since: tuple[datetime, float],
    ) -> None:
        self._database = database
        self._clock = clock
        self._timer = timer
        self._outboxes = outboxes
        self._noticed = noticed
        self._seen = since

    async def step(self) -> None:
        """One look at both clocks."""
        now = self._clock(), self._timer()
        back = timedelta(seconds=now[1] - self._seen[1]) - (now[0] - self._seen[0])
        if back > TOLERATED:
            log.warning("clock.set_back", seconds=round(back.total_seconds()))
            await self._database.run(lambda connection: not_later(connection, now[0], self._outboxes))
            self._noticed()
        self._seen = now


def not_later(connection: Connection, at: datetime, outboxes: Sequence[Outbox[Any]]) -> None:
    """Brings back what a clock wrote that was ahead of the present one; what may be under way keeps its lease."""
    claims.not_later(connection, at)
    approval_rows.not_later(connection, at)
    late_rows.not_later(connection, at)
    oncall.not_later(connection, at)
    connection.execute(update(batches).where(batches.c.due_at > at).values(due_at=at))
    for outbox in outboxes:
        outbox.not_later(connection, at)
    began = marks.moment(connection, WATCHING_SINCE)
    if began is not None and began > at:
        marks.write(connection, WATCHING_SINCE, at, at)

"""Statistics that are not counted anew for everybody who looks."""

import asyncio
from collections.abc import Callable, Hashable
from datetime import datetime

from cachetools import TTLCache

from bot.base.deadline import nobody_waits
from bot.db.database import Database
from bot.records.stats import Stats
from bot.records.store import counted

REMEMBERED_SECONDS = 60
"""Counting a hundred thousand requests takes a second or more; nobody needs it anew each time."""

MAX_REMEMBERED = 200


class Counts:
    """Statistics, counted beside the writer and remembered for a minute; who asks meanwhile waits for the same count.

    Args:
        timer: monotonic seconds.
    """

    def __init__(self, database: Database, timer: Callable[[], float]) -> None:
        self._database = database
        self._counting: TTLCache[Hashable, asyncio.Task[Stats]] = TTLCache(MAX_REMEMBERED, REMEMBERED_SECONDS, timer)

    async def since(self, since: datetime, user_id: str | None, span: Hashable) -> Stats:
        """Counts since a moment, everybody's requests or one person's; at most a minute old.

        Args:
            span: what makes two such moments the same question, such as “30 days ago”.

        Raises:
            DatabaseBusy: others were reading all the time.
        """
        key = (span, user_id)
        task = self._counting.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            reading = self._database.read(lambda connection: counted(connection, since, user_id))
            task = self._counting[key] = asyncio.create_task(reading, context=nobody_waits())
        return await asyncio.shield(task)  # it goes on for whoever else waits for it

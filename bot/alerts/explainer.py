"""Finds out what failures are about, beside everything else: an alert waits three seconds for it, and no longer.

What is to be looked up stands in the rows, so a restart or another replica goes on where one process stopped.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from bot.alerts import subjects as rows
from bot.alerts.subjects import LOOK_UP, Unexplained
from bot.base.clock import Clock
from bot.base.loops import Tasks
from bot.base.text import new_id
from bot.db import marks
from bot.db.database import Database
from bot.sift.subject import About
from bot.sift.subjects import Subjects

T = TypeVar("T")

CHUNK = 100
"""Failures read in one transaction, so that nobody else waits for long."""

WRITTEN = 25
"""Failures of which it is written in one transaction what was found out."""

LOOKING_UP = "looking_up"
"""The mark of the process that looks failures up, renewed at each step for as long as it has any."""

LEFT_BEHIND = timedelta(seconds=8)
"""Whoever found a failure has this much time to begin, and to renew its mark; then another process takes over."""

PAUSES = (timedelta(seconds=3), timedelta(seconds=6), timedelta(seconds=12))
"""Between two look-ups of one failure; there are no more of them."""


class Explainer:
    """Has failures say what they are about and why they happened.

    Args:
        watching: whether this process is the one that finds failures.
        changed: told when there is something to show.
    """

    def __init__(
        self,
        *,
        database: Database,
        subjects: Subjects,
        clock: Clock,
        watching: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._subjects = subjects
        self._clock = clock
        self._watching = watching
        self._changed = changed
        self._me = new_id()
        self._tasks = Tasks()
        self._at_work: set[str] = set()
        self._again: dict[str, tuple[int, datetime]] = {}  # how often each was looked up, and when it is again

    async def step(self) -> None:
        """Begins to look up the failures that nobody is looking up, all of them at once."""
        now = self._clock()
        waiting = await self._database.run(lambda connection: self._waiting(connection, now))
        self._again = {one: self._again[one] for one in waiting if one in self._again}
        ready = [one for one in waiting if one not in self._at_work and self._is_due(one, now)]
        if ready:
            self._at_work.update(ready)
            self._tasks.start(self._explain(ready))

    def _waiting(self, connection: Connection, now: datetime) -> list[str]:
        """The failures that this process is to look up: none while another one is at it."""
        watching, at = self._watching(), self._database.now(connection)
        if not watching:
            held = marks.find(connection, LOOKING_UP, lock=True)
            if held is not None and held.value != self._me and held.updated_at > at - LEFT_BEHIND:
                return []
        waiting = rows.waiting(connection, now, now + LOOK_UP if watching else now + LOOK_UP - LEFT_BEHIND)
        if waiting:
            marks.write(connection, LOOKING_UP, self._me, at)
        return waiting

    async def stop(self) -> None:
        """Ends the look-ups; what they leave is found by the next start."""
        await self._tasks.drain(0)

    def _is_due(self, alert_id: str, now: datetime) -> bool:
        return alert_id not in self._again or self._again[alert_id][1] <= now

    async def _explain(self, ids: Sequence[str]) -> None:
        """One look-up, from the rows to the rows."""
        try:
            failures = [one for some in _some_at_a_time(ids) for one in await self._load(some)]
            await self._end(failures, await self._look_up(failures))
        finally:
            self._at_work.difference_update(ids)

    async def _load(self, ids: Sequence[str]) -> list[Unexplained]:
        return await self._database.run(lambda connection: rows.load(connection, ids, self._database.now(connection)))

    async def _look_up(self, failures: Sequence[Unexplained]) -> Mapping[str, About]:
        """Writes what becomes known as it does; returns all of it, by job."""
        by_job: dict[str, list[Unexplained]] = {}
        for one in failures:
            by_job.setdefault(one.job.job_id, []).append(one)
        jobs = [same[0].job for same in by_job.values()]
        news: asyncio.Queue[Mapping[str, About] | None] = asyncio.Queue()
        looking = asyncio.create_task(self._subjects.about(jobs, news.put_nowait, LOOK_UP.total_seconds()))
        looking.add_done_callback(lambda _: news.put_nowait(None))
        written: dict[str, About] = {}
        try:
            while (newest := await _newest(news)) is not None:
                told = {job_id: about for job_id, about in newest.items() if about != written.get(job_id, About())}
                await self._write([(one, about) for job_id, about in told.items() for one in by_job[job_id]])
                written |= told
            return await looking
        finally:
            looking.cancel()

    async def _write(self, told: Sequence[tuple[Unexplained, About]]) -> None:
        for some in _some_at_a_time(told, WRITTEN):
            await self._explain_some(some)
            self._changed()

    async def _explain_some(self, some: Sequence[tuple[Unexplained, About]]) -> None:
        await self._database.run(lambda connection: rows.explain(connection, some, self._database.now(connection)))

    async def _end(self, failures: Sequence[Unexplained], known: Mapping[str, About]) -> None:
        """Ends the look-up of what is known, and of what was asked for often enough; the rest is asked for again."""
        told = [(one, known.get(one.job.job_id, About())) for one in failures]
        left = {one.id for one, about in told if rows.is_lacking(one.job, about) and self._put_off(one.id)}
        for some in _some_at_a_time([(one, about) for one, about in told if one.id not in left]):
            await self._end_some(some)
        waiting = {one.storm_id for one in failures if one.id in left}
        over = [one.storm_id for one in failures if one.storm_id is not None and one.storm_id not in waiting]
        await self._show(list(dict.fromkeys(over)))
        self._changed()

    async def _end_some(self, some: Sequence[tuple[Unexplained, About]]) -> None:
        await self._database.run(lambda connection: rows.end(connection, some, self._database.now(connection)))

    async def _show(self, storm_ids: Sequence[str]) -> None:
        await self._database.run(lambda connection: rows.show(connection, storm_ids, self._database.now(connection)))

    def _put_off(self, alert_id: str) -> bool:
        """Has a failure looked up again after a while; False if that was done often enough."""
        tries = self._again.get(alert_id, (0, None))[0]
        if tries >= len(PAUSES):
            return False
        self._again[alert_id] = (tries + 1, self._clock() + PAUSES[tries])
        return True


def _some_at_a_time(listed: Sequence[T], most: int = CHUNK) -> Iterator[Sequence[T]]:
    return (listed[start : start + most] for start in range(0, len(listed), most))


async def _newest(news: "asyncio.Queue[Mapping[str, About] | None]") -> Mapping[str, About] | None:
    """The newest that was told of each job since; None once everything is told, and was returned."""
    newest: dict[str, About] = {}
    more = await news.get()
    while more is not None:
        newest |= more
        if news.empty():
            return newest
        more = news.get_nowait()
    if not newest:
        return None
    news.put_nowait(None)
    return newest

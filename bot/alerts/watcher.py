"""Watches Sift for failures: one request per poll when nothing is new, whatever the number of jobs.

Sift pushes nothing for jobs. Each poll asks for what was modified since the watermark – the newest `modifiedDate` seen,
so Sift's clock and not ours – less an overlap, since what was modified last may be listed late. While alerts wait for
their jobs to move, jobs of any status are asked for, in the same request: what changed, not what exists.

No job blinds the watch for the others: the watermark does not pass Sift's present, whatever date a job claims, and a
job that the database refuses is left out.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from cachetools import LRUCache
from sqlalchemy import Connection

from bot.alerts import store
from bot.base.clock import Clock, rfc3339
from bot.base.text import new_id
from bot.db import marks
from bot.db.database import Database
from bot.db.writing import PASSING
from bot.sift.client import Sift
from bot.sift.job import FAILED, Job

log = structlog.get_logger(__name__)

WATCHING_SINCE = "watching_since"
"""The mark of the first start ever: what failed before is nobody's news."""

WATERMARK = "watermark"
"""The mark of the newest change seen, by Sift's clock."""

LAST_GOOD_POLL = "last_good_poll"
"""The mark of when Sift was last read to the end, by whichever process."""

WATCHER = "watcher"
"""The mark of the process that watches, renewed at each poll."""

OVERLAP = timedelta(seconds=60)
AHEAD = timedelta(seconds=5)
"""So far the watermark may be ahead of Sift's clock, whose answers tell it to the second."""

CHUNK = 100
"""Jobs recorded in one transaction, so that nobody else waits for long."""


class Watcher:
    """Finds failures and keeps their rows true.

    Args:
        route: the channel for a job type such as `data_import`; None: no alerts for it.
        poll: how often Sift is asked.
        most: more new failures than this for one channel become one storm.
        look_back: how far back failures are looked for after the bot was down.
        found: told when there are new failures, so that it is looked up what they are about.
        changed: told when there is something to show.
        polled: told when the last good poll was.
        left_out: told why, for each job that cannot be recorded.
    """

    def __init__(
        self,
        *,
        database: Database,
        sift: Sift,
        clock: Clock,
        route: Callable[[str], str | None],
        poll: timedelta,
        most: int,
        look_back: timedelta,
        found: Callable[[], None],
        changed: Callable[[], None],
        polled: Callable[[datetime], None],
        left_out: Callable[[str], None],
    ) -> None:
        self._database = database
        self._sift = sift
        self._clock = clock
        self._route = route
        self._most = most
        self._look_back = look_back
        self._found = found
        self._changed = changed
        self._polled = polled
        self._left_out = left_out
        self._known_bad: LRUCache[str, bool] = LRUCache(1_000)
        self._me = new_id()
        self._unfinished = True  # whether something may be noted that is not announced
        self._lease = max(poll * 4, timedelta(seconds=60))
        self._begun = clock()
        self._stopping = False
        self.last_good_poll: datetime | None = None
        self.watching = False
        """Whether this process is the one that finds failures, by its last look."""

    def begin(self, connection: Connection) -> None:
        """Has the watch begin now, at the very first start: failures that exist already are nobody's news."""
        if self._database.is_sqlite:  # whoever watched before is gone: one file serves one bot
            marks.forget(connection, WATCHER)
        now = self._clock()
        for name in (WATCHING_SINCE, WATERMARK):
            marks.add(connection, name, now, now)

    def degraded(self, now: datetime) -> bool:
        """Whether the last good poll, of whichever process watches, was too long ago."""
        return now - (self.last_good_poll or self._begun) > self._lease

    async def stop(self) -> None:
        """Leaves the watch to another process, at once."""
        self._stopping = True
        await self._database.run_lazily(lambda connection: marks.give_up(connection, WATCHER, self._me))

    async def step(self) -> None:
        """One poll.

        Raises:
            SiftError: Sift could not be read; the next poll asks for the same again.
        """
        asked = await self._database.run(self.what_to_ask)
        self.watching = asked is not None
        if asked is None:
            return
        since, only_failed = asked
        async with contextlib.aclosing(self._sift.changed_since(since, only_failed=only_failed)) as pages:
            async for jobs in pages:
                news = await self._note_page(jobs)
                if not news and self._all_ahead(jobs):
                    break  # they come last, and in each poll until their day; one page of what is known is enough
        if self._unfinished:
            await self._announce()
            self._unfinished = False
        self._good(await self._database.run(self._note_poll))

    def _good(self, moment: datetime | None) -> None:
        if moment is not None:
            self.last_good_poll = moment
            self._polled(moment)

    def _note_poll(self, connection: Connection) -> datetime:
        at = self._clock()
        marks.write(connection, LAST_GOOD_POLL, at, at)
        return at

    def _all_ahead(self, jobs: Sequence[Job]) -> bool:
        limit = self._limit()
        return bool(jobs) and all(job.modified_date is not None and job.modified_date > limit for job in jobs)

    def _limit(self) -> datetime:
        """The latest moment at which a job can have been modified, by Sift's own clock."""
        return self._sift.now(self._clock()) + AHEAD

    def what_to_ask(self, connection: Connection) -> tuple[datetime, bool] | None:
        """From when on to ask, and whether for failures alone; None while another process watches."""
        now = self._database.now(connection)
        self._good(marks.moment(connection, LAST_GOOD_POLL))
        if self._stopping or not self._is_mine(connection, now):
            return None
        watermark = self._watermark(connection)
        since = max(watermark, self._clock() - self._look_back) - OVERLAP
        return since, not store.any_waiting(connection)

    def _watermark(self, connection: Connection) -> datetime:
        """How far Sift was read, by Sift's clock.

        A mark in the future counts from when it was set, since what came after that was never read. By our clock that
        may be in Sift's future, too, where ours is ahead.
        """
        mark, at = marks.find(connection, WATERMARK), self._clock()
        if mark is None:
            return at
        watermark = datetime.fromisoformat(mark.value)
        if watermark <= self._limit():
            return watermark
        ahead = max(at - self._sift.now(at), timedelta(0))
        mended = min(mark.updated_at, at) - ahead
        log.warning("watermark.mended", was=mark.value, to=rfc3339(mended))
        marks.write(connection, WATERMARK, mended, at)
        return mended

    def _is_mine(self, connection: Connection, now: datetime) -> bool:
        """Whether this process is the one that watches; another one takes over when it stops renewing its lease."""
        held = marks.find(connection, WATCHER, lock=True)
        if held is not None and held.value != self._me and held.updated_at > now - self._lease:
            return False
        if held is None or held.value != self._me:
            self._unfinished = True  # whoever watched may have ended between noting and announcing
        if held is None:
            return marks.add(connection, WATCHER, self._me, now) == self._me
        marks.write(connection, WATCHER, self._me, now)
        return True

    async def _note_page(self, jobs: Sequence[Job]) -> bool:
        """Records a page, some jobs at a time; returns whether there was anything new in it."""
        news = False
        for start in range(0, len(jobs), CHUNK):
            some = jobs[start : start + CHUNK]
            try:
                news = await self._run_note(some) or news
            except PASSING:
                raise  # the database's trouble, and no job's
            except Exception:  # noqa: BLE001  # whatever one of them has that cannot be written
                news = await self._note_each(some) or news
        return news

    async def _run_note(self, jobs: Sequence[Job]) -> bool:
        unfinished, self._unfinished = self._unfinished, True  # should it be recorded, and nobody learn of it
        news = await self._database.run(lambda connection: self._note(connection, jobs))
        self._unfinished = unfinished or news
        return news

    async def _note_each(self, jobs: Sequence[Job]) -> bool:
        """Records jobs one by one; what cannot be written is counted, said once, and left behind."""
        news = False
        for job in jobs:
            try:
                news = await self._run_note([job]) or news
            except PASSING:
                raise
            except Exception as error:  # noqa: BLE001  # as above
                self._left_out("not_written")
                if job.job_id not in self._known_bad:
                    log.error("watcher.job_left_out", job_id=job.job_id, error=type(error).__name__)
                self._known_bad[job.job_id] = True
                await self._database.run(lambda connection: self._advance(connection, [job], self._clock()))  # noqa: B023  # awaited at once
        return news

    def _note(self, connection: Connection, jobs: Sequence[Job]) -> bool:
        """Records some jobs: their failures, their moves, and how far Sift was read; whether there was anything new."""
        at = self._clock()
        started = marks.moment(connection, WATCHING_SINCE) or at
        fresh = [job for job in jobs if job.modified_date is None or job.modified_date > started]
        moves = store.note_moves(connection, fresh, at)
        count = store.note_failures(connection, self._routed(fresh), at)
        self._advance(connection, jobs, at)
        if count:
            log.info("failures.found", count=count)
        return bool(count or moves)

    def _advance(self, connection: Connection, jobs: Sequence[Job], at: datetime) -> None:
        """Moves the watermark to the newest change; what claims to be from the future moves nothing."""
        limit, watermark = self._limit(), marks.moment(connection, WATERMARK)
        newest = max(
            (job.modified_date for job in jobs if job.modified_date and job.modified_date <= limit), default=None
        )
        if newest is not None and (watermark is None or newest > watermark):
            marks.write(connection, WATERMARK, newest, at)

    def _routed(self, jobs: Sequence[Job]) -> Mapping[str, Sequence[Job]]:
        routed: dict[str, list[Job]] = {}
        for job in jobs:
            channel_id = self._route(job.kind) if job.job_status == FAILED else None
            if channel_id is not None:
                routed.setdefault(channel_id, []).append(job)
        return routed

    async def _announce(self) -> None:
        """Decides how what is new is shown, and has it explained; shown it is when its time comes, explained or not."""
        at = self._clock()
        await self._database.run(lambda connection: store.fold(connection, self._most, at))
        self._found()
        self._changed()
        asyncio.get_running_loop().call_later(store.EXPLAIN_WITHIN.total_seconds(), self._changed)

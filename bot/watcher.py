"""Watches Sift for failures: one request per poll when nothing is new, whatever the number of jobs.

Sift pushes nothing for jobs. Each poll asks for what was modified since the watermark – the newest `modifiedDate` seen,
so Sift's clock and not ours – less an overlap, since what was modified last may be listed late. While alerts wait for
their jobs to move, jobs of any status are asked for, in the same request: what changed, not what exists.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, delete, insert, select, update

from bot import alerts
from bot.alerts import Alert
from bot.clock import Clock, rfc3339
from bot.database import Database
from bot.models import Job
from bot.record import new_id
from bot.sift import Sift
from bot.tables import marks

log = structlog.get_logger(__name__)

OVERLAP = timedelta(seconds=60)
AT_A_TIME = 100
"""Jobs recorded in one transaction, so that nobody else waits for long."""

LOOK_UPS = 4
"""Reasons that are looked up at a time."""


class Watcher:
    """Finds failures and keeps their rows true.

    Args:
        route: the channel for a job type as Sift names it; None: no alerts for it.
        poll: how often Sift is asked.
        most: more new failures than this for one channel become one storm.
        look_back: how far back failures are looked for after the bot was down.
        changed: told when there is something to show.
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
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._sift = sift
        self._clock = clock
        self._route = route
        self._most = most
        self._look_back = look_back
        self._changed = changed
        self._me = new_id()
        self._unfinished = True  # what a process noted that ended before it could announce it
        self._lease = max(poll * 4, timedelta(seconds=60))

    def begin(self, connection: Connection) -> None:
        """Has the watch begin now, at the very first start: failures that exist already are nobody's news."""
        if self._database.is_sqlite:  # whoever watched before is gone: one file serves one bot
            connection.execute(delete(marks).where(marks.c.name == "watcher"))
        if _mark(connection, "watching_since") is None:
            now = self._clock()
            for name in ("watching_since", "watermark"):
                row = {"name": name, "value": rfc3339(now), "updated_at": now}
                connection.execute(insert(marks).values(row))

    async def step(self) -> None:
        """One poll.

        Raises:
            SiftError: Sift could not be read; the next poll asks for the same again.
        """
        asked = await self._database.run(self._ask)
        if asked is None:
            return
        since, only_failed = asked
        moved, self._unfinished = self._unfinished, False
        async for jobs in self._sift.changed_since(since, only_failed=only_failed):
            for start in range(0, len(jobs), AT_A_TIME):
                some = jobs[start : start + AT_A_TIME]
                moved = await self._database.run(lambda connection: self._note(connection, some)) or moved  # noqa: B023  # awaited at once
        if moved:
            await self._announce()

    def _ask(self, connection: Connection) -> tuple[datetime, bool] | None:
        """From when on to ask, and whether for failures alone; None while another process watches."""
        now = self._database.now(connection)
        if not self._is_mine(connection, now):
            return None
        watermark = _mark(connection, "watermark") or self._clock()
        since = max(watermark, self._clock() - self._look_back) - OVERLAP
        return since, not alerts.any_waiting(connection)

    def _is_mine(self, connection: Connection, now: datetime) -> bool:
        """Whether this process is the one that watches; another one takes over when it stops renewing its lease."""
        row = connection.execute(select(marks).where(marks.c.name == "watcher").with_for_update()).first()
        if row is None:
            connection.execute(insert(marks).values(name="watcher", value=self._me, updated_at=now))
        elif row.value != self._me and row.updated_at > now - self._lease:
            return False
        else:
            renewed = update(marks).where(marks.c.name == "watcher").values(value=self._me, updated_at=now)
            connection.execute(renewed)
        return True

    def _note(self, connection: Connection, jobs: Sequence[Job]) -> bool:
        """Records a page: its failures, its moves, and how far Sift was read."""
        at = self._clock()
        started = _mark(connection, "watching_since") or at
        fresh = [job for job in jobs if job.modified_date is None or job.modified_date > started]
        alerts.note_moves(connection, fresh, at)
        count = alerts.note_failures(connection, self._routed(fresh), at)
        newest = max((job.modified_date for job in jobs if job.modified_date), default=None)
        watermark = _mark(connection, "watermark")
        if newest is not None and (watermark is None or newest > watermark):
            values = {"value": rfc3339(newest), "updated_at": at}
            connection.execute(update(marks).where(marks.c.name == "watermark").values(values))
        if count:
            log.info("failures.found", count=count)
        return bool(fresh)

    def _routed(self, jobs: Sequence[Job]) -> Mapping[str, Sequence[Job]]:
        routed: dict[str, list[Job]] = {}
        for job in jobs:
            channel_id = self._route(job.job_type) if job.job_status == "JOB_STATUS_FAILED" else None
            if channel_id is not None:
                routed.setdefault(channel_id, []).append(job)
        return routed

    async def _announce(self) -> None:
        """Decides how what is new is shown, looks up why it failed, and has it shown."""
        at = self._clock()
        wanted = await self._database.run(lambda connection: alerts.fold(connection, self._most, at))
        if wanted:
            causes = await self._causes(wanted)
            await self._database.run(
                lambda connection: alerts.add_causes(connection, causes, self._database.now(connection))
            )
        self._changed()

    async def _causes(self, wanted: Sequence[Alert]) -> dict[str, str | None]:
        """Why jobs failed, by alert; best effort, a few at a time, and not for long."""
        slots = asyncio.Semaphore(LOOK_UPS)
        found: dict[str, str | None] = {alert.id: alert.cause for alert in wanted}

        async def look_up(alert: Alert) -> None:
            async with slots:
                found[alert.id] = (await self._sift.why_failed(alert.job)).error_message or None

        look_ups = [asyncio.create_task(look_up(alert)) for alert in wanted if alert.cause is None]
        if look_ups:
            _, late = await asyncio.wait(look_ups, timeout=alerts.ENRICH_WITHIN.total_seconds() * 0.8)
            for task in late:
                task.cancel()
        return found


def _mark(connection: Connection, name: str) -> datetime | None:
    value = connection.scalar(select(marks.c.value).where(marks.c.name == name))
    return datetime.fromisoformat(value) if value else None

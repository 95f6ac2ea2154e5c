"""Finds which reports were evaluated before an import's data arrived, once its retry has finished.

Level-triggered: a row that finished says until when its reports are looked for, whatever happens to this process. What
Sift does not say within that time is not offered.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.db.database import Database
from bot.retries import late, late_rows, store
from bot.retries.late import Late
from bot.retries.request import Retry
from bot.sift.client import Sift
from bot.sift.data_import import DataImport
from bot.sift.errors import SiftError
from bot.sift.report import Report
from bot.sift.subject import Named

log = structlog.get_logger(__name__)

LOOK_SECONDS = 20.0
"""How long one look may take."""

RUNS_AT_A_TIME = 20
"""So many runs are asked about in one look; the others in the next one."""


@dataclass(frozen=True)
class LateData:
    """Looks for late reports.

    Args:
        changed: told when messages are to be shown again.
    """

    database: Database
    sift: Sift
    clock: Clock
    changed: Callable[[], None]

    async def step(self) -> None:
        """Looks once for everything that is looked for, and writes what was found."""
        rows = await self.database.run_lazily(late_rows.looking)
        if not rows:
            return
        found: dict[str, Late] = {}
        skipped: set[str] = set()
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._look(rows, found, skipped)
        except (SiftError, TimeoutError) as error:
            log.info("late.unreadable", error=type(error).__name__)
        at = self.clock()
        over = {row.id for row in rows if row.id in found or (row.id not in skipped and _given_up(row, at))}

        def work(connection: Connection) -> bool:
            news = False
            for row in rows:
                if row.id in over and late_rows.note(connection, row.id, found.get(row.id, Late()), at):
                    news = True
                    if row.batch_id is not None:
                        store.touch(connection, row.batch_id, at)
            return news

        to_be_shown = await self.database.run_lazily(work) if over else False
        if to_be_shown:
            self.changed()

    async def _look(self, rows: Sequence[Retry], found: dict[str, Late], skipped: set[str]) -> None:
        """Asks which imports they are, of which runs, and which reports those have; notes it run by run.

        Args:
            skipped: gets the rows whose runs are not asked about this time.

        Raises:
            SiftError: the imports cannot be read.
        """
        wanted = {row.id: _import_of(row) for row in rows}
        imports: dict[str, DataImport] = {}
        async for some in self.sift.lookups.data_imports(set(filter(None, wanted.values()))):
            imports |= some
        by_run: dict[str, list[Retry]] = {}
        for row in rows:
            if (one := wanted[row.id]) in imports and imports[one].run_id:
                by_run.setdefault(imports[one].run_id, []).append(row)
        run_ids = list(by_run)[:RUNS_AT_A_TIME]
        skipped |= {row.id for run_id in by_run.keys() - set(run_ids) for row in by_run[run_id]}
        names = await self._names(run_ids)

        async def note(run_id: str) -> None:
            listed = await self._reports(run_id)
            for row in by_run[run_id] if listed is not None else ():
                if row.job_after is not None and row.job_after.completed_date is not None:
                    called = names.get(run_id) or imports[wanted[row.id]].uploader_run
                    found[row.id] = late.before(Named(run_id, called), listed or [], row.job_after.completed_date)

        await asyncio.gather(*map(note, run_ids))

    async def _reports(self, run_id: str) -> list[Report] | None:
        """The reports of a run; None if Sift does not say."""
        try:
            return await self.sift.lookups.reports_of_run(run_id)
        except SiftError:
            return None

    async def _names(self, run_ids: Sequence[str]) -> Mapping[str, str]:
        """What the runs are called, as far as Sift says."""
        names: dict[str, str] = {}
        try:
            async for some in self.sift.lookups.runs(run_ids):
                names |= {run_id: run.name for run_id, run in some.items()}
        except SiftError:
            pass
        return names


def _import_of(row: Retry) -> str:
    details = row.job_after.job_details if row.job_after else None
    return details.data_import.data_import_id if details and details.data_import else ""


def _given_up(row: Retry, at: datetime) -> bool:
    """Whether it was looked for long enough."""
    return row.late_until is None or at >= row.late_until

"""Finds out what jobs are about and why they failed: in few requests, never in anybody's way, never an error."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial

import structlog
from cachetools import TTLCache

from bot.sift.about import Known, of_import, of_job, of_report, rules_of
from bot.sift.data_import import DataImport
from bot.sift.errors import SiftError
from bot.sift.job import Job
from bot.sift.lists import Allowance
from bot.sift.lookups import Lookups
from bot.sift.names import MAX_REMEMBERED, REMEMBERED_SECONDS, Catalog
from bot.sift.report import Report
from bot.sift.subject import About

log = structlog.get_logger(__name__)

LOOK_UP_SECONDS = 30.0
"""A look-up ends after this with what it has."""

MAX_LISTS = 32
"""Requests of one look-up for imports and reports."""

MAX_NAMES = 8
"""Requests of one look-up for names: with the others 40, for 5,000 jobs."""

MAX_REPORTS_ALONE = 20
"""Reports that are asked for one by one where lists come without their rules: those of the jobs that stand first."""

BEFORE = timedelta(days=1)
"""A report is not older than its job by more than this."""

CHUNK = 250
"""Jobs that are told of at a time: others get their turn in between."""

Found = Callable[[Mapping[str, About]], None]
"""Told of what is known, or better known, of jobs, by their IDs."""


class Subjects:
    """What jobs are about.

    Args:
        lookups: reads Sift.
        timer: monotonic seconds, for how long names are remembered.
    """

    def __init__(self, lookups: Lookups, timer: Callable[[], float] = time.monotonic) -> None:
        self._lookups = lookups
        self._catalog = Catalog(lookups, timer)
        self._users: TTLCache[str, str] = TTLCache(MAX_REMEMBERED, REMEMBERED_SECONDS, timer)

    async def about(
        self, jobs: Sequence[Job], found: Found = lambda _more: None, within: float = LOOK_UP_SECONDS
    ) -> dict[str, About]:
        """What jobs are about and why they failed, by their IDs, as far as that can be known now; never an error.

        Args:
            jobs: those that are shown first stand first.
            found: told of everything as it becomes known, so that nobody has to wait for the rest: who waits three
                seconds and no longer passes `known.update`, and uses what is in `known` by then.
            within: seconds, after which what is known is returned.
        """
        known: dict[str, About] = {}

        def tell(more: Mapping[str, About]) -> None:
            known.update(more)
            found(more)

        look_up = _LookUp(self._lookups, self._catalog, jobs, tell)
        try:
            async with asyncio.timeout(within):
                await look_up.carry_out()
        except TimeoutError:
            log.info("sift.look_up_ended", jobs=len(jobs), seconds=within)
        return known

    async def user_name(self, user_id: str) -> str:
        """What Sift calls a user, often an e-mail address; empty where that cannot be known."""
        if user_id and user_id not in self._users:
            try:
                self._users[user_id] = (await self._lookups.user(user_id)).user_name
            except SiftError:
                return ""
        return self._users.get(user_id, "")


class _LookUp:
    """One look-up: its jobs, and the requests that it may still make."""

    def __init__(self, lookups: Lookups, catalog: Catalog, jobs: Sequence[Job], tell: Found) -> None:
        self._lookups = lookups
        self._catalog = catalog
        self._jobs = jobs
        self._tell = tell
        self._lists = Allowance(MAX_LISTS)
        self._names = Allowance(MAX_NAMES)

    async def carry_out(self) -> None:
        """Tells what the jobs say themselves, then what the rest of Sift says, in whatever order it comes."""
        await self._of_jobs(self._jobs, self._catalog.known(*_of_exports(self._jobs)))
        parts = (self._exports, self._imports, self._evaluations)
        await asyncio.gather(*map(_best_effort, parts))

    async def _exports(self) -> None:
        """Exports say themselves what they are about: only the names are missing."""
        exports = [job for job in self._jobs if job.run_ids or job.asset_ids]
        if exports:
            await self._of_jobs(exports, await self._catalog.find(self._names, *_of_exports(exports)))

    async def _of_jobs(self, jobs: Sequence[Job], known: Known) -> None:
        await self._told((job.job_id, of_job(job, known)) for job in jobs)

    async def _imports(self) -> None:
        """Imports are listed, then their runs and assets named."""
        jobs = _by(self._jobs, _import_id)
        found: dict[str, DataImport] = {}

        async def tell(page: Mapping[str, DataImport], known: Known) -> None:
            await self._told((job_id, of_import(one, known)) for key, one in page.items() for job_id in jobs[key])

        async def read() -> None:
            async with aclosing(self._lookups.data_imports(jobs, self._lists)) as pages:
                async for page in pages:
                    found.update(page)
                    await tell(page, self._catalog.known(*_of_imports(page.values())))

        await _best_effort(read)
        if found:
            await tell(found, await self._catalog.find(self._names, *_of_imports(found.values())))

    async def _evaluations(self) -> None:
        """Reports are listed, and their runs named; those that come without rules are read by themselves."""
        jobs = _by(self._jobs, _report_id)
        found: dict[str, Report] = {}

        async def tell(page: Mapping[str, Report], known: Known) -> None:
            await self._told((job_id, of_report(one, known)) for key, one in page.items() for job_id in jobs[key])

        async def add(page: Mapping[str, Report]) -> None:
            found.update(page)
            await tell(page, self._catalog.known(*_of_reports(page.values())))

        await _best_effort(lambda: self._list_reports(jobs, add))
        bare = [key for key in jobs if key in found and not found[key].rules_total][:MAX_REPORTS_ALONE]
        runs = self._catalog.find(self._names, *_of_reports(found.values()))
        await asyncio.gather(runs, *(_best_effort(partial(self._read_report, key, add)) for key in bare))
        if found:
            await tell(found, await self._catalog.find(self._names, *_of_reports(found.values())))

    async def _list_reports(
        self, jobs: Collection[str], add: Callable[[Mapping[str, Report]], Awaitable[None]]
    ) -> None:
        created = [job.created_date for job in self._jobs if job.created_date and _report_id(job)]
        since = min(created) - BEFORE if created else None
        async with aclosing(self._lookups.reports(jobs, self._lists, since)) as pages:
            async for page in pages:
                await add(page)

    async def _read_report(self, key: str, add: Callable[[Mapping[str, Report]], Awaitable[None]]) -> None:
        if self._lists.take():
            await add({key: await self._lookups.report(key)})

    async def _told(self, known: Iterable[tuple[str, About]]) -> None:
        """Tells some at a time: making thousands in one go would keep everybody else waiting."""
        rest = iter(known)
        while some := dict(itertools.islice(rest, CHUNK)):
            self._tell(some)
            await asyncio.sleep(0)


async def _best_effort(part: Callable[[], Awaitable[None]]) -> None:
    """What cannot be looked up is left out, whatever the reason: it must change nothing but the words."""
    try:
        await part()
    except SiftError as error:
        log.info("sift.look_up_failed", error=error.name)
    except Exception:  # what jobs are about may have any shape, and nobody's alert may wait for it
        log.exception("sift.look_up_broke")


def _by(jobs: Sequence[Job], identifier: Callable[[Job], str]) -> dict[str, list[str]]:
    """Jobs' IDs by the ID of what they are about."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        if key := identifier(job):
            found.setdefault(key, []).append(job.job_id)
    return found


def _import_id(job: Job) -> str:
    details = job.job_details
    return details.data_import.data_import_id if details and details.data_import else ""


def _report_id(job: Job) -> str:
    details = job.job_details
    return details.rule_evaluation.report_id if details and details.rule_evaluation else ""


Identifiers = tuple[list[str], list[str], list[str]]
"""Of runs, assets and rules."""


def _of_exports(jobs: Iterable[Job]) -> Identifiers:
    listed = list(jobs)
    return [one for job in listed for one in job.run_ids], [one for job in listed for one in job.asset_ids], []


def _of_imports(imports: Iterable[DataImport]) -> Identifiers:
    listed = list(imports)
    return [one.run_id for one in listed], [one.asset_id for one in listed], []


def _of_reports(reports: Iterable[Report]) -> Identifiers:
    listed = list(reports)
    assets = [summary.asset_id for report in listed for summary in report.rules_failed]
    return [report.run_id for report in listed], assets, [one for report in listed for one in rules_of(report)]

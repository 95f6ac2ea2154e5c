"""What failed of a run, in few requests: the failed jobs, and what tells which run each of them belongs to."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import structlog

from bot.sift.about import Known, of_import, of_job, of_report, rules_of
from bot.sift.client import Sift
from bot.sift.data_import import DataImport
from bot.sift.errors import AnswerTooLarge, SiftError
from bot.sift.job import FAILED, Job
from bot.sift.lists import Allowance
from bot.sift.lookups import LARGE_ITEMS_PAGE, MAX_REPORTS
from bot.sift.report import Report
from bot.sift.resources import Run
from bot.sift.subject import About

T = TypeVar("T")

log = structlog.get_logger(__name__)

MAX_REQUESTS = 10
"""Requests of one question."""

MAX_FAILED = 1_000
"""Failed jobs that are looked through, the newest first."""

FEWER_FAILED = 100
"""So many, where a thousand are too large an answer."""

MAX_BY_ID = 150
"""Jobs that are known to belong to a run and are asked for by ID."""

PART_SECONDS = 8.0
"""How long each part may take without which there is still something to say."""


@dataclass(frozen=True)
class Failures:
    """What failed of a run.

    Args:
        jobs: the newest first.
        about: what they are about and why they failed, by their IDs, as far as that was found out.
        complete: whether everything could be looked at.
    """

    jobs: tuple[Job, ...]
    about: Mapping[str, About]
    complete: bool


class RunSearch:
    """One question: which run is meant, and what failed of it.

    Args:
        sift: is asked, `MAX_REQUESTS` times at most.
    """

    def __init__(self, sift: Sift) -> None:
        self._sift = sift
        self._allowance = Allowance(MAX_REQUESTS)
        self._jobs: list[Job] = []
        self._imports: dict[str, DataImport] = {}
        self._complete = True
        self._more = False

    async def begin(self) -> None:
        """Reads what is failed just now.

        Raises:
            SiftError: the jobs could not be read.
        """
        jobs, imports = await asyncio.gather(self._failed(), self._part(self._sift.lookups.failed_imports))
        self._jobs = jobs
        self._imports = {one.data_import_id: one for one in imports or ()}

    async def runs_named(self, name: str) -> list[Run]:
        """The runs whose name is, or starts with, a text; letter case apart, those of just that name first.

        Raises:
            SiftError: they could not be read.
        """
        if not (self._allowance.take() and self._allowance.take()):
            return []
        return await self._sift.lookups.runs_named(name)

    async def run(self, run_id: str) -> Run | None:
        """A run by its ID; None if Sift lists none.

        Raises:
            SiftError: it could not be read.
        """
        async with aclosing(self._sift.lookups.runs([run_id], self._allowance)) as pages:
            async for found in pages:
                return found.get(run_id)
        return None

    def uploaded_as(self, start: str) -> list[str]:
        """What uploaders called runs that do not exist yet, of failed imports, where it starts with a text."""
        names = {one.uploader_run for one in self._imports.values() if not one.run_id}
        return sorted(name for name in names if name and name.casefold().startswith(start.casefold()))

    async def failures_of(self, run: Run, noted: Collection[str]) -> Failures:
        """What failed of a run.

        Args:
            run: without an ID where it does not exist yet.
            noted: jobs that are known to belong to it.

        Raises:
            SiftError: the jobs could not be read.
        """
        reports = await self._reports_of(run)
        await self._add_imports_of(run)
        await self._add_missing({*noted, *(one.job_id for one in reports if one.job_id)})
        evaluated = _by_job(self._jobs, reports)
        known = await self._known_of(run, evaluated.values())
        about = {
            job.job_id: found
            for job in self._jobs
            if (found := self._about(job, run, evaluated.get(job.job_id), known, noted)) is not None
        }
        return Failures(tuple(job for job in self._jobs if job.job_id in about), about, self._complete)

    def _about(self, job: Job, run: Run, report: Report | None, known: Known, noted: Collection[str]) -> About | None:
        """What a job is about; None if that is not the run."""
        details = job.job_details
        data_import = self._imports.get(details.data_import.data_import_id) if details and details.data_import else None
        if data_import is not None:
            return of_import(data_import, known) if _belongs(data_import, run) else None
        if report is not None:
            return of_report(report, known)
        return of_job(job, known) if run.run_id in job.run_ids or job.job_id in noted else None

    async def _failed(self) -> list[Job]:
        """The failed jobs, the newest first."""
        for most in (MAX_FAILED, FEWER_FAILED):
            self._allowance.take()
            try:
                jobs = await self._sift.failed_lately(most)
            except AnswerTooLarge:
                continue
            self._more = len(jobs) >= most
            self._complete = self._complete and not self._more
            return jobs
        raise AnswerTooLarge

    async def _reports_of(self, run: Run) -> list[Report]:
        """A run's reports, the newest first."""
        if not run.run_id:
            return []
        found = await self._part(lambda: self._sift.lookups.reports_of_run(run.run_id)) or []
        if len(found) >= MAX_REPORTS:
            self._complete = False
        return found

    async def _add_imports_of(self, run: Run) -> None:
        """Reads a run's failed imports, where there are more failed ones than were read."""
        if len(self._imports) < LARGE_ITEMS_PAGE:
            return
        found: list[DataImport] = []
        if run.run_id:
            found = await self._part(lambda: self._sift.lookups.failed_imports(run.run_id)) or []
        self._imports |= {one.data_import_id: one for one in found}
        if not run.run_id or len(found) >= LARGE_ITEMS_PAGE:
            self._complete = False

    async def _add_missing(self, job_ids: Collection[str]) -> None:
        """Reads jobs that belong to the run, where there are more failed ones than were read."""
        missing = sorted(set(job_ids) - {job.job_id for job in self._jobs})
        if self._more and missing:
            found = await self._part(lambda: self._sift.jobs(missing[:MAX_BY_ID])) or {}
            self._jobs += [job for job in found.values() if job.job_status == FAILED]

    async def _known_of(self, run: Run, reports: Collection[Report]) -> Known:
        """What Sift calls the run, and the rules of reports that could not be evaluated."""
        runs = {run.run_id: run} if run.run_id else {}
        rule_ids = [rule_id for report in reports for rule_id in rules_of(report)]
        if not rule_ids:
            return Known(runs)
        return Known(runs, rules=await self._part(lambda: self._sift.lookups.rules(rule_ids)) or {})

    async def _part(self, read: Callable[[], Awaitable[T]]) -> T | None:
        """What may be missing: then the answer is not complete, and says so."""
        try:
            if self._allowance.take():
                async with asyncio.timeout(PART_SECONDS):
                    return await read()
        except (SiftError, TimeoutError) as error:
            log.info("sift.search_incomplete", error=str(error) or "timeout")
        self._complete = False
        return None


def _belongs(data_import: DataImport, run: Run) -> bool:
    """Whether an import is of a run: by its ID, or, while it has none, by what the uploader called the run."""
    if data_import.run_id:
        return data_import.run_id == run.run_id
    return bool(data_import.uploader_run) and data_import.uploader_run.casefold() == run.name.casefold()


def _by_job(jobs: Collection[Job], reports: Collection[Report]) -> dict[str, Report]:
    """The reports that jobs fill, by the jobs' IDs."""
    by_id, by_job = {one.report_id: one for one in reports}, {one.job_id: one for one in reports}
    found = {job.job_id: by_id.get(_report_id(job)) or by_job.get(job.job_id) for job in jobs}
    return {job_id: report for job_id, report in found.items() if report is not None}


def _report_id(job: Job) -> str:
    details = job.job_details
    return details.rule_evaluation.report_id if details and details.rule_evaluation else ""

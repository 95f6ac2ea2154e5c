"""Which reports were evaluated before an import's data arrived, as it is kept in the import's row. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from bot.retries.kind import Kind
from bot.retries.state import State
from bot.sift.job import Job
from bot.sift.report import Report
from bot.sift.subject import MAX_ID, Named, line
from bot.sift.value import Count, Moment, Name, Text, each

LOOK_FOR = timedelta(seconds=30)
"""For so long after an import's end its late reports are looked for, where Sift does not say at once."""

MAX_REPORTS = 20
"""So many reports are offered to be evaluated again."""

MAX_CHARACTERS = 150
"""Characters of a name that are kept."""


@dataclass(frozen=True)
class LateReport:
    """A report that was evaluated too early.

    Args:
        job_id: the job that filled it.
        rerun_by: who has it evaluated again, or had; empty: nobody.
        created_at: when it was evaluated; None in rows of old.
    """

    id: Text = ""
    name: Name = ""
    job_id: Text = ""
    rerun_by: Text = ""
    created_at: Moment = None


@dataclass(frozen=True)
class Late:
    """The reports of a run that were evaluated before some of its data arrived.

    Args:
        reports: the newest of them, of different jobs; `more` counts the others.
    """

    run: Named = field(default_factory=Named)
    reports: Annotated[tuple[LateReport, ...], each(LateReport, MAX_REPORTS)] = ()
    more: Count = 0

    def to_json(self) -> dict[str, Any]:
        """What is kept in the row."""
        kept: dict[str, Any] = _ADAPTER.dump_python(self, mode="json", exclude_defaults=True)
        return kept

    @classmethod
    def from_json(cls, kept: object) -> "Late":
        """Reads what was kept; nothing of what cannot be read."""
        try:
            return _ADAPTER.validate_python(kept)
        except ValidationError:
            return cls()

    @property
    def open(self) -> tuple[LateReport, ...]:
        """The reports that nobody has evaluated again."""
        return tuple(report for report in self.reports if not report.rerun_by)

    def marked(self, report_id: str, rerun_by: str) -> "Late":
        """The same, with who has a report evaluated again."""
        told = (replace(one, rerun_by=rerun_by) if one.id == report_id else one for one in self.reports)
        return replace(self, reports=tuple(told))


_ADAPTER = TypeAdapter(Late)


def may_have_come_late(kind: Kind, state: State, job: Job | None) -> bool:
    """Whether the state that a request enters means that data arrived which reports may have missed."""
    details = job.job_details if job else None
    return kind is Kind.RETRY and state is State.FINISHED and bool(details and details.data_import)


def before(run: Named, reports: Sequence[Report], ended_at: datetime) -> Late:
    """The reports of a run that were evaluated before its data arrived, and have not been evaluated again.

    Args:
        reports: all that are known of the run, the newest first.
        ended_at: when the import's job ended, by Sift's clock.
    """
    again = {report.rerun_from_report_id for report in reports}
    late = [
        report
        for report in reports
        if report.created_date is not None
        and report.created_date < ended_at
        and report.report_id not in again
        and 0 < len(report.report_id) <= MAX_ID
        and 0 < len(report.job_id) <= MAX_ID
    ]
    kept = list({report.job_id: report for report in reversed(late)}.values())[::-1]
    named = Named(run.id, line(run.name, MAX_CHARACTERS))
    told = (
        LateReport(one.report_id, line(one.name, MAX_CHARACTERS), one.job_id, created_at=one.created_date)
        for one in kept[:MAX_REPORTS]
    )
    return Late(named, tuple(told), len(kept[MAX_REPORTS:]))


def together(some: Iterable[Late]) -> Late:
    """What several imports have in common: each report once."""
    found = [one for one in some if one.reports]
    if not found:
        return Late()
    reports: dict[str, LateReport] = {}
    for one in found:
        for report in one.reports:
            if report.id not in reports or report.rerun_by:
                reports[report.id] = report
    runs = {one.run.id: one.run for one in found}
    run = next(iter(runs.values())) if len(runs) == 1 else Named()
    kept = list(reports.values())
    return Late(run, tuple(kept[:MAX_REPORTS]), max(one.more for one in found) + len(kept[MAX_REPORTS:]))


def taken_up(rerun: Report, report_id: str, since: datetime, known: Iterable[str]) -> bool:
    """Whether a report is the one that evaluating another again made, as far as can be told.

    Args:
        report_id: the one that was to be evaluated again.
        since: the moment, by Sift's clock, before which it was not asked for.
        known: the jobs of what was evaluated again by other requests.
    """
    made = rerun.rerun_from_report_id == report_id and bool(rerun.job_id) and rerun.job_id not in set(known)
    return made and rerun.created_date is not None and rerun.created_date >= since

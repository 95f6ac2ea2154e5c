"""What one Sift organization holds on a day of hot-fire tests, and what happens in it; knows nothing of HTTP."""

import itertools
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.base.clock import Clock
from bot.sandbox.payload import Payload
from bot.sandbox.sift import cases
from bot.sandbox.sift.jobs import (
    CANCELLED,
    CANCELLING,
    CREATED,
    EVALUATION,
    EXPORT,
    FAILED,
    FINISHED,
    IMPORT,
    KEY_USER,
    OWNER,
    RUNNING,
    SandboxJob,
    stamp,
)
from bot.sandbox.sift.records import Asset, DataImport, Report, Rule, RuleFailure, SiftRun, User

_NAMESPACE = uuid.UUID("5d0c1f0e-6f0b-4c43-9f0d-2a7e1c9b8d10")

_RUNS = {
    cases.COLD_FLOW: ("stand-2", 420, 22),
    cases.FIRST: ("stand-1", 345, 4),
    cases.SECOND: ("stand-2", 250, 6),
    cases.THIRD: ("stand-2", 95, 15),
    cases.FOURTH: ("stand-1", 40, 9),
    cases.PLANNED: ("stand-1", 12, 5),
    cases.PLANNED_COLD_FLOW: ("stand-2", 10, 8),
}
"""Name → asset, how many minutes ago it began, how many minutes it took."""

_KNOWN_IDS = {f"run {cases.THIRD}": "8d5f0c1a-1111-4222-8333-944455566677"}
_PLANNED = (cases.PLANNED, cases.PLANNED_COLD_FLOW)

_REPORTS = (
    (cases.COLD_FLOW, "Chill-down", cases.CHILL_DOWN, 5),
    (cases.FIRST, "Hot-fire limits", cases.LIMITS, 4),
    (cases.SECOND, "Hot-fire limits", cases.LIMITS, 4),
    (cases.SECOND, "Start sequence", cases.SEQUENCE, 6),
    (cases.THIRD, "Hot-fire limits", cases.LIMITS, 4),
    (cases.THIRD, "Start sequence", cases.SEQUENCE, 6),
    (cases.THIRD, "Chill-down", cases.CHILL_DOWN, 9),
    (cases.FOURTH, "Hot-fire limits", cases.LIMITS, 4),
)
"""What was evaluated so far: run, report, rules, minutes after the end of the run."""


class Organization:
    """Runs, assets, users, rules, reports, imports and jobs, by their IDs. All IDs are the same each time.

    Args:
        clock: the present moment.
        run_seconds: how long a retried job runs.
    """

    def __init__(self, clock: Clock, run_seconds: float) -> None:
        self.clock = clock
        self.run_seconds = run_seconds
        self.rerun_outcomes: list[str] = []
        self.jobs: dict[str, SandboxJob] = {}
        self.data_imports: dict[str, DataImport] = {}
        self.reports: dict[str, Report] = {}
        self.runs: dict[str, SiftRun] = {}
        self.assets: dict[str, Asset] = {}
        self.rules: dict[str, Rule] = {}
        self.users = {
            user_id: User(user_id, name)
            for user_id, name in ((OWNER, "operator@sandbox.example"), (KEY_USER, "sift-retry@sandbox.example"))
        }
        self.on_change: list[Callable[[], None]] = []
        self._checked: dict[tuple[str, ...], list[Rule]] = {}
        self._kinds = itertools.cycle((IMPORT, EVALUATION, EXPORT))
        self._numbers = {kind: itertools.count() for kind in ("job", IMPORT, EVALUATION, EXPORT, "report")}
        self._prepare(clock())

    def add(
        self,
        job_type: str = IMPORT,
        status: str = FAILED,
        *,
        job_id: str | None = None,
        run: SiftRun | None = None,
        **more: Any,
    ) -> SandboxJob:
        """Puts a job there that was created a quarter of an hour ago and got its status just now.

        Args:
            run: what it is about; by default, what the story has next.
            more: `then`, `reason`, `points`, `details` and `more` of the job.
        """
        now = self.clock()
        created = now - timedelta(minutes=15)
        started = None if status == CREATED else created + timedelta(seconds=2)
        completed = now if status in (FINISHED, FAILED, CANCELLED) else None
        job_id = job_id or _identity("job", next(self._numbers["job"]))
        job = SandboxJob(job_id, job_type, status, created, now, started=started, completed=completed, **more)
        if job.details is None:
            self._give_it_a_subject(job, run)
        self.jobs[job.job_id] = job
        self._changed()
        return job

    def add_run(self, name: str, asset: str = "stand-1", *, minutes_ago: float = 60, minutes: float = 10) -> SiftRun:
        """Puts one more run there."""
        start = self.clock() - timedelta(minutes=minutes_ago)
        stop = start + timedelta(minutes=minutes)
        run = SiftRun(_identity("run", name), name, (self._asset(asset),), start, stop, planned=name in _PLANNED)
        self.runs[run.run_id] = run
        return run

    def run_named(self, name: str) -> SiftRun:
        """The run of that name, whether it exists yet or not."""
        return next(run for run in self.runs.values() if run.name == name)

    def fail_one(self, job_type: str | None = None, run: SiftRun | None = None) -> SandboxJob:
        """Has one more job fail now."""
        return self.add(job_type or next(self._kinds), run=run)

    def outage(self, count: int, runs: Sequence[SiftRun] = ()) -> list[SandboxJob]:
        """Has many jobs fail at once.

        Args:
            runs: which runs they are about, in turn; by default, those of the story.
        """
        return [self.fail_one(run=runs[number % len(runs)] if runs else None) for number in range(count)]

    def retry_outside(self, job_id: str, user_id: str) -> None:
        """Somebody retries a job in Sift itself."""
        self.jobs[job_id].retry(self.clock(), self.run_seconds, user_id)
        self._changed()

    def rerun(self, report: Report) -> Report:
        """Evaluates a report's rules once more, in a new report; `rerun_outcomes` says how, as `then` of a job does."""
        now = self.clock()
        outcome = self.rerun_outcomes.pop(0) if self.rerun_outcomes else "finish"
        job = SandboxJob(
            _identity("job", next(self._numbers["job"])),
            EVALUATION,
            FAILED,
            now,
            now,
            created_by=KEY_USER,
            then=[outcome],
        )
        job.retry(now, self.run_seconds, KEY_USER)
        new = self._report(job, report.run, report.name, report.rules, report.failures, rerun_from=report.report_id)
        self.jobs[job.job_id] = job
        self._changed()
        return new

    # The story

    def _prepare(self, now: datetime) -> None:
        for name, (asset, minutes_ago, minutes) in _RUNS.items():
            self.add_run(name, asset, minutes_ago=minutes_ago, minutes=minutes)
        for name, report, rules, later in _REPORTS:
            self._evaluated(self.run_named(name), report, rules, timedelta(minutes=later))
        for job_id, job_type, status, more in _seeds():
            self.add(job_type, status, job_id=job_id, **more)

    def _evaluated(self, run: SiftRun, name: str, rules: tuple[str, ...], later: timedelta) -> None:
        """Puts a report there that was evaluated after its run, before whatever data came late."""
        created = run.stop + later
        job = SandboxJob(_identity("evaluation", f"{run.name} {name}"), EVALUATION, FINISHED, created, created)
        job.started, job.completed = created + timedelta(seconds=2), created + timedelta(seconds=50)
        job.modified = job.completed
        self._report(job, run, name, self._rules(rules), {}, is_automated=True)
        self.jobs[job.job_id] = job

    def _give_it_a_subject(self, job: SandboxJob, run: SiftRun | None) -> None:
        if job.job_type == IMPORT:
            self._import(job, run, next(self._numbers[IMPORT]))
        elif job.job_type == EVALUATION:
            self._evaluation(job, run, next(self._numbers[EVALUATION]))
        elif job.job_type == EXPORT:
            self._export(job, run, next(self._numbers[EXPORT]))

    def _import(self, job: SandboxJob, run: SiftRun | None, number: int) -> None:
        case = cases.IMPORTS[number % len(cases.IMPORTS)]
        run = run or self.run_named(case.run)
        data_import_id = _identity("import", number)
        source = case.source.format(number=412 + number)
        job.reason = job.reason or case.error.format(row=4_512 + 1_337 * (number // len(cases.IMPORTS)))
        job.details = {"dataImport": {"dataImportId": data_import_id}}
        job.subject = f"{run.name} · {source.partition('?')[0].rpartition('/')[2] or 'uploaded file'}"
        run.imports.append(job)
        self.data_imports[data_import_id] = DataImport(data_import_id, job, source, case.config, run, case.warnings)

    def _evaluation(self, job: SandboxJob, run: SiftRun | None, number: int) -> None:
        case = cases.EVALUATIONS[number % len(cases.EVALUATIONS)]
        failures = {name: RuleFailure(job.reason) for name in case.failures} if job.reason else case.failures
        self._report(job, run or self.run_named(case.run), case.report, self._rules(case.rules), failures)

    def _report(
        self,
        job: SandboxJob,
        run: SiftRun,
        name: str,
        rules: Sequence[Rule],
        failures: dict[str, RuleFailure],
        **more: Any,
    ) -> Report:
        report_id = _identity("report", next(self._numbers["report"]))
        job.details, job.subject = {"ruleEvaluation": {"reportId": report_id}}, f"{run.name} · {name}"
        report = self.reports[report_id] = Report(report_id, name, run, job, rules, failures, **more)
        return report

    def _export(self, job: SandboxJob, run: SiftRun | None, number: int) -> None:
        case = cases.EXPORTS[number % len(cases.EXPORTS)]
        run = run or self.run_named(case.run)
        selection: Payload = {"startTime": stamp(run.start), "stopTime": stamp(run.stop)}
        if case.selection == "runsAndTimeRange":
            selection["runIds"] = [run.run_id]
        elif case.selection == "assetsAndTimeRange":
            selection["assetIds"] = [asset.asset_id for asset in run.assets]
        request = {case.selection: selection, "channelIds": case.channels, "outputFormat": case.form}
        job.reason, job.subject = job.reason or case.error, run.name
        job.details = {"dataExport": {"request": {**request, **cases.EXPORT_DETAILS}, "storageKey": ""}}

    def _rules(self, names: tuple[str, ...]) -> list[Rule]:
        if names not in self._checked:
            made = self.clock() - timedelta(days=90)
            rules = [Rule(_identity("rule", name), name, made) for name in names]
            self.rules |= {rule.rule_id: rule for rule in rules}
            self._checked[names] = rules
        return self._checked[names]

    def _asset(self, name: str) -> Asset:
        asset_id = _identity("asset", name)
        return self.assets.setdefault(asset_id, Asset(asset_id, name, self.clock() - timedelta(days=400)))

    def _changed(self) -> None:
        for tell in self.on_change:
            tell()


def _identity(kind: str, name: str | int) -> str:
    """The ID of a thing: looks like any other, and is the same each time."""
    return _KNOWN_IDS.get(f"{kind} {name}") or str(uuid.uuid5(_NAMESPACE, f"{kind} {name}"))


def _seeds() -> list[tuple[str, str, str, Payload]]:
    """A handful of jobs, of every type and status, and one from a newer Sift."""
    newer = {"more": {"priority": 7}}
    return [
        ("0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10", IMPORT, FAILED, {}),
        ("6b0a7c1e-95b5-4b53-9a3e-0b8f3a8d2c11", EVALUATION, FAILED, {}),
        ("d2c3b4a5-f6e7-4809-9a1b-2c3d4e5f6a12", EXPORT, FAILED, {"then": ["fail"]}),
        ("3e4f5a6b-7c8d-4e9f-8a0b-1c2d3e4f5a13", EXPORT, CANCELLED, {}),
        ("4f5a6b7c-8d9e-4f0a-9b1c-2d3e4f5a6b14", EXPORT, FINISHED, {}),
        ("5a6b7c8d-9e0f-4a1b-8c2d-3e4f5a6b7c15", IMPORT, CREATED, {}),
        ("6b7c8d9e-0f1a-4b2c-9d3e-4f5a6b7c8d16", IMPORT, RUNNING, {"points": 9_007_199_254_740_993}),
        ("7c8d9e0f-1a2b-4c3d-8e4f-5a6b7c8d9e17", EVALUATION, CANCELLING, {}),
        ("8d9e0f1a-2b3c-4d4e-9f5a-6b7c8d9e0f18", "JOB_TYPE_CANVAS_EXECUTION", "JOB_STATUS_PAUSED", newer),
    ]

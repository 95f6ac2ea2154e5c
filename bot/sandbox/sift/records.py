"""What the embedded Sift's jobs are about: runs, assets, users, rules, data imports and reports, as it prints them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from bot.sandbox.payload import Payload
from bot.sandbox.sift.jobs import (
    CANCELLED,
    CANCELLING,
    CREATED,
    FAILED,
    FINISHED,
    ORGANIZATION,
    OWNER,
    RUNNING,
    SandboxJob,
    stamp,
)

APP_URL = "https://sift.sandbox.example"
"""The web app of this Sift; nothing is there."""

_IMPORT_STATUS = {
    CREATED: "PENDING",
    RUNNING: "IN_PROGRESS",
    CANCELLING: "IN_PROGRESS",
    FINISHED: "SUCCEEDED",
    FAILED: "FAILED",
    CANCELLED: "FAILED",
}


@dataclass(frozen=True)
class User:
    """Somebody who uses this Sift. `name` is often an e-mail address."""

    user_id: str
    name: str

    def as_sift(self) -> Payload:
        """The user in protobuf's JSON."""
        organizations = [{"organizationId": ORGANIZATION, "organizationName": "Test stands"}]
        return {"userId": self.user_id, "userName": self.name, "organizations": organizations}


@dataclass(frozen=True)
class Asset:
    """What telemetry is of: a test stand, a vehicle."""

    asset_id: str
    name: str
    created: datetime

    def as_sift(self) -> Payload:
        """The asset in protobuf's JSON."""
        return {"assetId": self.asset_id, "name": self.name, "tags": [], **_made(self.created, self.created)}


@dataclass
class SiftRun:
    """One test: a stretch of time, with the assets it was done on.

    Args:
        imports: the jobs that bring its data. A `planned` run exists as soon as one of them finished.
    """

    run_id: str
    name: str
    assets: tuple[Asset, ...]
    start: datetime
    stop: datetime
    description: str = ""
    planned: bool = False
    imports: list[SandboxJob] = field(default_factory=list)

    def exists(self, now: datetime) -> bool:
        """Whether Sift knows it yet."""
        return not self.planned or any(job.status(now) == FINISHED for job in self.imports)

    def as_sift(self) -> Payload:
        """The run in protobuf's JSON."""
        return {
            "runId": self.run_id,
            "name": self.name,
            "description": self.description,
            "startTime": stamp(self.start),
            "stopTime": stamp(self.stop),
            "assetIds": [asset.asset_id for asset in self.assets],
            "tags": [],
            "isStopped": True,
            **_made(self.start, self.stop),
        }


@dataclass(frozen=True)
class Rule:
    """Something that is checked in a run's data."""

    rule_id: str
    name: str
    created: datetime

    def as_sift(self) -> Payload:
        """The rule in protobuf's JSON."""
        made = _made(self.created, self.created)
        return {"ruleId": self.rule_id, "name": self.name, "description": "", "isEnabled": True, **made}


@dataclass
class DataImport:
    """One file that was sent to Sift, and the job that reads it.

    Args:
        config: the name of the configuration that is set, such as `csvConfig`.
        run: what the uploader called the run, whether it exists yet or not.
    """

    data_import_id: str
    job: SandboxJob
    source_url: str
    config: str
    run: SiftRun
    warnings: tuple[str, ...] = ()

    def as_sift(self, now: datetime) -> Payload:
        """The import in protobuf's JSON; of a run that does not exist yet there are only the uploader's names."""
        job, status = self.job.as_sift(now), self.job.status(now)
        tried = status in (FAILED, CANCELLED) or self.job.execution  # what went wrong is said until it is overwritten
        asset = self.run.assets[0]
        known = {
            "runId": self.run.run_id,
            "assetId": asset.asset_id,
            "dataStartTime": stamp(self.run.start),
            "dataStopTime": stamp(self.run.stop),
        }
        return {
            "dataImportId": self.data_import_id,
            "sourceUrl": self.source_url,
            "status": f"DATA_IMPORT_STATUS_{_IMPORT_STATUS.get(status, 'UNSPECIFIED')}",
            "errorMessage": self.job.reason if tried else "",
            "warningMessages": list(self.warnings),
            "createdDate": stamp(self.job.created),
            "modifiedDate": job["modifiedDate"],
            self.config: {"assetName": asset.name, "runName": self.run.name},
            **(known if self.run.exists(now) else {}),
        }


@dataclass(frozen=True)
class RuleFailure:
    """Why a rule could not be evaluated.

    Args:
        status: `FAILED` or `ERROR`.
    """

    message: str
    status: str = "FAILED"
    exit_code: int | None = 1
    stdout: str = ""
    stderr: str = ""

    def as_sift(self) -> Payload:
        """The details of the rule's status in protobuf's JSON."""
        optional = {"exitCode": self.exit_code, "stdout": self.stdout or None, "stderr": self.stderr or None}
        given = {name: value for name, value in optional.items() if value is not None}
        return {self.status.lower(): {"errorMessage": self.message, **given}}


@dataclass
class Report:
    """The evaluation of some rules over a run's data, and the job that does it.

    Args:
        failures: what goes wrong with some of the rules, by their name, whenever the job fails.
        rerun_from: the report that this one is the repetition of.
    """

    report_id: str
    name: str
    run: SiftRun
    job: SandboxJob
    rules: Sequence[Rule]
    failures: dict[str, RuleFailure] = field(default_factory=dict)
    rerun_from: str | None = None
    is_automated: bool = False

    def as_sift(self, now: datetime, *, summaries: bool) -> Payload:
        """The report in protobuf's JSON.

        Args:
            summaries: whether it says how each rule stands.
        """
        rerun = {"rerunFromReportId": self.rerun_from} if self.rerun_from else {}
        return {
            "reportId": self.report_id,
            "reportTemplateId": "",
            "runId": self.run.run_id,
            "name": self.name,
            "jobId": self.job.job_id,
            "isAutomated": self.is_automated,
            "reportType": "REPORT_TYPE_RULE_EVALUATION",
            "summaries": self._summaries(now) if summaries else [],
            **rerun,
            **_made(self.job.created, self.job.created),
        }

    def _summaries(self, now: datetime) -> list[Payload]:
        job_status = self.job.status(now)
        return [self._summary(number, rule, job_status) for number, rule in enumerate(self.rules, start=1)]

    def _summary(self, number: int, rule: Rule, job_status: str) -> Payload:
        failure = self.failures.get(rule.name) if job_status == FAILED else None
        ended = {FINISHED: "FINISHED", FAILED: "FINISHED", CANCELLED: "CANCELED"}.get(job_status, "CREATED")
        passed = 0 if failure or ended != "FINISHED" else 1
        return {
            "ruleId": rule.rule_id,
            "assetId": self.run.assets[0].asset_id,
            "displayOrder": number,
            "status": f"REPORT_RULE_STATUS_{failure.status if failure else ended}",
            "statusDetails": failure.as_sift() if failure else {ended.lower(): {}},
            "numOpen": 0,
            "numFailed": 0,
            "numPassed": passed,
            "exploreFullLink": self._explore_link(),
        }

    def _explore_link(self) -> str:
        window = {"startTime": stamp(self.run.start), "endTime": stamp(self.run.stop)}
        return f"{APP_URL}/explore?" + urlencode({"method": "single", "runs": self.run.run_id, **window})


def _made(created: datetime, modified: datetime) -> Payload:
    """Who made something, and when."""
    return {
        "organizationId": ORGANIZATION,
        "createdByUserId": OWNER,
        "modifiedByUserId": OWNER,
        "createdDate": stamp(created),
        "modifiedDate": stamp(modified),
    }

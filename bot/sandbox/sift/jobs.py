"""The embedded Sift's jobs: what each is at a moment is a function of the clock, so nothing has to run."""

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

ORGANIZATION = "7a1de5b2-6a0f-4d0e-9a25-5f3d4f6f1f01"
OWNER = "1f0c8f1e-7a55-4a7c-8a0b-3d0f6b6f9a02"
KEY_USER = "9d2b7c40-1c2f-4a58-b6a1-0e6f3c5a7d21"

IMPORT, EVALUATION, EXPORT = "JOB_TYPE_DATA_IMPORT", "JOB_TYPE_RULE_EVALUATION", "JOB_TYPE_DATA_EXPORT"
CREATED, RUNNING, FINISHED = "JOB_STATUS_CREATED", "JOB_STATUS_RUNNING", "JOB_STATUS_FINISHED"
FAILED, CANCELLED, CANCELLING = "JOB_STATUS_FAILED", "JOB_STATUS_CANCELLED", "JOB_STATUS_CANCEL_REQUESTED"

_REASONS = {
    IMPORT: "row 88124: column 'tank_pressure_kpa' is not a number",
    EVALUATION: "",
    EXPORT: "run 8d5f has no data for channel <vehicle.tank & valve>.pressure",
}


@dataclass
class Run:
    """A job's current run: queued, running, then over."""

    began: datetime
    seconds: float
    ends: str

    def status(self, now: datetime) -> str:
        """How the run stands: a tenth of it is spent waiting."""
        elapsed = (now - self.began).total_seconds()
        if elapsed >= self.seconds:
            return self.ends
        return RUNNING if elapsed >= self.seconds / 10 else CREATED

    def fraction(self, now: datetime) -> float:
        """How much of the work is done, in twentieths."""
        if self.seconds <= 0:
            return 1.0
        done = min(1.0, max(0.0, (now - self.began).total_seconds() / self.seconds))
        return int(done * 20) / 20

    def moved(self, now: datetime) -> datetime:
        """When the status last changed."""
        elapsed = (now - self.began).total_seconds()
        if elapsed >= self.seconds:
            return self.began + timedelta(seconds=self.seconds)
        return self.began + timedelta(seconds=self.seconds / 10 if elapsed >= self.seconds / 10 else 0)


@dataclass
class SandboxJob:
    """One job.

    Args:
        then: what the next retries lead to, in order: `finish`, `fail`, or `fail at once`; after that they finish.
        reason: why it failed, as Sift tells it.
    """

    job_id: str
    job_type: str
    rest: str
    created: datetime
    modified: datetime
    started: datetime | None = None
    completed: datetime | None = None
    modified_by: str = OWNER
    then: list[str] = field(default_factory=list)
    reason: str = ""
    points: int = 10_000_000
    details: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    run: Run | None = None

    def status(self, now: datetime) -> str:
        """Its status as it is at a moment."""
        return self.run.status(now) if self.run else self.rest

    def retryable(self, now: datetime) -> bool:
        """Whether Sift would retry it."""
        return self.status(now) in (FAILED, CANCELLED)

    def retry(self, now: datetime, seconds: float, by: str) -> None:
        """Runs it again."""
        outcome = self.then.pop(0) if self.then else "finish"
        ends = FINISHED if outcome == "finish" else FAILED
        self.run = Run(now, 0 if outcome == "fail at once" else seconds, ends)
        self.modified_by = by

    def cancel(self, now: datetime) -> None:
        """Stops it where it is."""
        self.rest, self.run, self.modified = CANCELLED, None, now
        self.completed = now

    def as_sift(self, now: datetime) -> dict[str, Any]:
        """The job in protobuf's JSON, as Sift prints it."""
        status = self.status(now)
        run = self.run
        started = run.began + timedelta(seconds=run.seconds / 10) if run and status != CREATED else None
        over = run is None or status == run.ends
        answer = {
            "jobId": self.job_id,
            "organizationId": ORGANIZATION,
            "createdByUserId": OWNER,
            "modifiedByUserId": self.modified_by,
            "createdDate": stamp(self.created),
            "modifiedDate": stamp(run.moved(now) if run else self.modified),
            "startedDate": stamp(started if run else self.started),
            "completedDate": stamp(run.moved(now) if run and over else self.completed if not run else None),
            "jobType": self.job_type,
            "jobStatus": status,
            "jobStatusDetails": self._status_details(now, status),
            "jobDetails": self.details,
            **self.more,
        }
        return {name: value for name, value in answer.items() if value is not None}

    def _status_details(self, now: datetime, status: str) -> dict[str, Any] | None:
        if self.job_type == IMPORT:
            part = self.run.fraction(now) if self.run else 1.0 if status == FINISHED else 0.4
            if status == FAILED:
                part = 0.4
            processed = self.points if part >= 1 else int(self.points * part)
            return {"dataImport": {"pointsProcessed": str(processed), "pointsTotal": str(self.points)}}
        if self.job_type == EVALUATION:
            return {"ruleEvaluation": {}}
        if self.job_type == EXPORT:
            return {"dataExport": {"errorMessage": self.reason if status == FAILED else ""}}
        return None


def stamp(moment: datetime | None) -> str | None:
    """A timestamp as protobuf's JSON prints it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def new_job(now: datetime, job_type: str, status: str, *, job_id: str | None = None, **more: Any) -> SandboxJob:
    """A job that was created a quarter of an hour ago and has its status since just now."""
    created = now - timedelta(minutes=15)
    started = None if status == CREATED else created + timedelta(seconds=2)
    completed = now if status in (FINISHED, FAILED, CANCELLED) else None
    more.setdefault("details", _details(job_type))
    more.setdefault("reason", _REASONS.get(job_type, ""))
    return SandboxJob(
        job_id or str(uuid.uuid4()), job_type, status, created, now, started=started, completed=completed, **more
    )


def _details(job_type: str) -> dict[str, Any] | None:
    if job_type == IMPORT:
        return {"dataImport": {"dataImportId": str(uuid.uuid4())}}
    if job_type == EVALUATION:
        return {"ruleEvaluation": {"reportId": str(uuid.uuid4())}}
    if job_type == EXPORT:
        selection = next(_SELECTIONS)
        return {"dataExport": {"request": {**selection, **_EXPORT}, "storageKey": ""}}
    return None


_RANGE: dict[str, str] = {"startTime": "2026-11-19T00:00:00Z", "stopTime": "2026-11-19T06:00:00Z"}
_SELECTIONS: Iterator[dict[str, Any]] = itertools.cycle(
    (
        {"runsAndTimeRange": {"runIds": ["8d5f0c1a-1111-4222-8333-944455566677"], **_RANGE}},
        {"assetsAndTimeRange": {"assetIds": ["as-1", "as-2"], **_RANGE}},
        {"timeRange": _RANGE},
    )
)
_EXPORT: dict[str, Any] = {
    "channelIds": ["a1", "a2", "a3"],
    "calculatedChannelConfigs": [
        {
            "name": "margin",
            "expression": "$1 - $2",
            "channelReferences": [
                {"channelReference": "$1", "channelIdentifier": "tank.pressure"},
                {"channelReference": "$2", "channelIdentifier": "tank.limit"},
            ],
            "units": "kPa",
        }
    ],
    "outputFormat": "EXPORT_OUTPUT_FORMAT_PARQUET",
    "exportOptions": {
        "useLegacyFormat": False,
        "simplifyChannelNames": False,
        "combineRuns": True,
        "splitExportByAsset": True,
        "splitExportByRun": False,
    },
}


def seeded(now: datetime) -> list[SandboxJob]:
    """A handful of jobs, of every type and status, and one from a newer Sift."""
    huge = 9_007_199_254_740_993
    export = {"then": ["fail"]}
    return [
        new_job(now, IMPORT, FAILED, job_id="0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"),
        new_job(now, EVALUATION, FAILED, job_id="6b0a7c1e-95b5-4b53-9a3e-0b8f3a8d2c11"),
        new_job(now, EXPORT, FAILED, job_id="d2c3b4a5-f6e7-4809-9a1b-2c3d4e5f6a12", **export),
        new_job(now, EXPORT, CANCELLED, job_id="3e4f5a6b-7c8d-4e9f-8a0b-1c2d3e4f5a13"),
        new_job(now, EXPORT, FINISHED, job_id="4f5a6b7c-8d9e-4f0a-9b1c-2d3e4f5a6b14"),
        new_job(now, IMPORT, CREATED, job_id="5a6b7c8d-9e0f-4a1b-8c2d-3e4f5a6b7c15"),
        new_job(now, IMPORT, RUNNING, job_id="6b7c8d9e-0f1a-4b2c-9d3e-4f5a6b7c8d16", points=huge),
        new_job(now, EVALUATION, CANCELLING, job_id="7c8d9e0f-1a2b-4c3d-8e4f-5a6b7c8d9e17"),
        new_job(
            now,
            "JOB_TYPE_CANVAS_EXECUTION",
            "JOB_STATUS_PAUSED",
            job_id="8d9e0f1a-2b3c-4d4e-9f5a-6b7c8d9e0f18",
            more={"priority": 7},
        ),
    ]

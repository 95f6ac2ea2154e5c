"""The embedded Sift's jobs: what each is at a moment is a function of the clock, so nothing has to run."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.sandbox.payload import Payload

ORGANIZATION = "7a1de5b2-6a0f-4d0e-9a25-5f3d4f6f1f01"
OWNER = "1f0c8f1e-7a55-4a7c-8a0b-3d0f6b6f9a02"
KEY_USER = "9d2b7c40-1c2f-4a58-b6a1-0e6f3c5a7d21"

IMPORT, EVALUATION, EXPORT = "JOB_TYPE_DATA_IMPORT", "JOB_TYPE_RULE_EVALUATION", "JOB_TYPE_DATA_EXPORT"
CREATED, RUNNING, FINISHED = "JOB_STATUS_CREATED", "JOB_STATUS_RUNNING", "JOB_STATUS_FINISHED"
FAILED, CANCELLED, CANCELLING = "JOB_STATUS_FAILED", "JOB_STATUS_CANCELLED", "JOB_STATUS_CANCEL_REQUESTED"

STUCK_AT = 0.4
"""How much of the work is done in a job that failed, or that rests where it is."""

_FOREVER = 10 * 365 * 86_400.0


@dataclass
class Execution:
    """A job while it is carried out: queued, running, then over.

    Args:
        began: when it was queued.
        seconds: from then to its end.
        ends: the status it ends with, unless it is cancelled before.
        waits: seconds of them that it spends in the queue.
    """

    began: datetime
    seconds: float
    ends: str
    waits: float
    _cancel: tuple[datetime, datetime] | None = None

    @property
    def started(self) -> datetime:
        """When it leaves the queue."""
        return self.began + timedelta(seconds=self.waits)

    @property
    def over(self) -> datetime:
        """When it ends."""
        own = self.began + timedelta(seconds=self.seconds)
        return min(own, self._cancel[1]) if self._cancel else own

    def cancel(self, now: datetime, seconds: float) -> None:
        """Asks it to stop, which takes so many seconds; if it is through before that, it simply ends."""
        self._cancel = self._cancel or (now, now + timedelta(seconds=seconds))

    def status(self, now: datetime) -> str:
        """How it stands."""
        if now >= self.over:
            return CANCELLED if self._cancel and self.over == self._cancel[1] else self.ends
        if self._cancel:
            return CANCELLING
        return RUNNING if now >= self.started else CREATED

    def fraction(self, now: datetime) -> float:
        """How much of the work is done, in twentieths."""
        if self.seconds >= _FOREVER:
            return STUCK_AT
        if self.seconds <= 0:
            return 1.0
        done = min(1.0, max(0.0, (min(now, self.over) - self.began).total_seconds() / self.seconds))
        return int(done * 20) / 20

    def moved(self, now: datetime) -> datetime:
        """When the status last changed."""
        if now >= self.over:
            return self.over
        if self._cancel:
            return self._cancel[0]
        return self.started if now >= self.started else self.began


@dataclass
class SandboxJob:
    """One job.

    Args:
        rest: its status before it is first retried.
        then: what the next retries lead to, in order: `finish`, `fail`, or `fail at once`; after that they finish.
        reason: why it failed, as Sift tells it.
        more: fields that a newer Sift sends, or sends otherwise.
        subject: what it is about, for the demo's page.
    """

    job_id: str
    job_type: str
    rest: str
    created: datetime
    modified: datetime
    started: datetime | None = None
    completed: datetime | None = None
    created_by: str = OWNER
    modified_by: str = OWNER
    then: list[str] = field(default_factory=list)
    reason: str = ""
    points: int = 10_000_000
    details: Payload | None = None
    more: Payload = field(default_factory=dict)
    execution: Execution | None = None
    subject: str = ""

    def status(self, now: datetime) -> str:
        """Its status as it is at a moment."""
        return self.execution.status(now) if self.execution else self.rest

    def retryable(self, now: datetime) -> bool:
        """Whether Sift would retry it."""
        return self.status(now) in (FAILED, CANCELLED)

    def retry(self, now: datetime, seconds: float, by: str) -> None:
        """Runs it again."""
        outcome = self.then.pop(0) if self.then else "finish"
        takes = 0 if outcome == "fail at once" else seconds
        self.execution = Execution(now, takes, FINISHED if outcome == "finish" else FAILED, takes / 10)
        self.modified_by = by

    def cancel(self, now: datetime) -> None:
        """Stops it where it is."""
        self.rest, self.execution, self.modified = CANCELLED, None, now
        self.completed = now

    def ask_to_cancel(self, now: datetime, seconds: float, by: str) -> None:
        """Cancels it as Sift does: at once if it waits, after some seconds if it runs, not at all if it is over."""
        status = self.status(now)
        if status == CREATED:
            self.cancel(now)
        elif status == RUNNING:
            self.execution = self.execution or Execution(self.started or now, _FOREVER, FINISHED, 0)
            self.execution.cancel(now, seconds)
        if status in (CREATED, RUNNING):
            self.modified_by = by

    def as_sift(self, now: datetime) -> Payload:
        """The job in protobuf's JSON, as Sift prints it."""
        status = self.status(now)
        answer = {
            "jobId": self.job_id,
            "organizationId": ORGANIZATION,
            "createdByUserId": self.created_by,
            "modifiedByUserId": self.modified_by,
            "createdDate": stamp(self.created),
            **self._moments(now, status),
            "jobType": self.job_type,
            "jobStatus": status,
            "jobStatusDetails": self._status_details(now, status),
            "jobDetails": self.details,
            **self.more,
        }
        return {name: value for name, value in answer.items() if value is not None}

    def _moments(self, now: datetime, status: str) -> dict[str, str | None]:
        execution = self.execution
        if execution is None:
            moments = (self.modified, self.started, self.completed)
        else:
            started = None if status == CREATED else execution.started
            moments = (execution.moved(now), started, execution.over if now >= execution.over else None)
        return dict(zip(("modifiedDate", "startedDate", "completedDate"), map(stamp, moments), strict=True))

    def _status_details(self, now: datetime, status: str) -> Payload | None:
        if self.job_type == IMPORT:
            part = self.execution.fraction(now) if self.execution else 1.0 if status == FINISHED else STUCK_AT
            if status == FAILED:
                part = STUCK_AT
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

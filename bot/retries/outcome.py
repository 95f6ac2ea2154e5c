"""What became of a retry, read off the job: pure functions over the job before and the job now."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.state import OutcomeReason, RefusalReason, State
from bot.sift.job import Job

FOLLOW_LIMIT = timedelta(days=7)
"""A job that runs longer than this after its retry is followed no further."""

MISSES = 3
"""So many reads in a row without the job mean that it is gone."""


class Moved(Enum):
    """How a job stands against what was read before the retry was sent."""

    NOT_AT_ALL = auto()
    BY_US = auto()
    BY_ANOTHER = auto()


@dataclass(frozen=True)
class Outcome:
    """The state a retry enters, and why."""

    state: State
    detail: dict[str, Any] = field(default_factory=dict)


def moved(before: Job | None, now: Job, key_user: str | None) -> Moved:
    """Compares a job with what it was.

    Args:
        key_user: whose Sift key the bot uses; a job that the bot retried names it in `modifiedByUserId`
            (`GET /api/v2/me`). None if that is not known: then any move counts as ours.
    """
    if before is not None and _mark(before) == _mark(now):
        return Moved.NOT_AT_ALL
    someone_else = bool(key_user and now.modified_by_user_id and now.modified_by_user_id != key_user)
    return Moved.BY_ANOTHER if someone_else else Moved.BY_US


def answered(before: Job | None, answer: Job, key_user: str | None) -> Outcome:
    """The outcome when Sift answered the retry with a job.

    Sift documents that a job which is finished, in progress or being cancelled is answered unchanged; and a retried
    job may have failed again at once.
    """
    how = moved(before, answer, key_user)
    if answer.job_status in ("JOB_STATUS_CREATED", "JOB_STATUS_RUNNING") or how is Moved.BY_US:
        return Outcome(State.ACCEPTED)
    if answer.retryable:
        return Outcome(State.UNKNOWN, {"why": OutcomeReason.UNCHANGED_ANSWER})
    return Outcome(State.REFUSED, {"why": RefusalReason.NOT_RETRYABLE, "stage": "post"})


def settled(retry: Retry, job: Job | None, at: datetime, settle: timedelta, key_user: str | None) -> Outcome | None:
    """The outcome of an unknown retry as far as the job shows it; None while it is too early to say.

    Args:
        settle: for so long after our side gave up, a request may still arrive.
    """
    overdue = is_overdue(retry, at, settle)
    if retry.kind is Kind.CANCEL:
        return _settled_cancel(retry, job, overdue)
    if retry.detail.get("why") == OutcomeReason.RESTORED:
        return _settled_after_restore(retry, job, overdue, key_user)
    if job is None:
        return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.GONE}) if overdue else None
    how = moved(retry.job_before, job, key_user)
    if how is Moved.BY_US:
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.READ_BACK})
    if how is Moved.BY_ANOTHER:
        return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.OUTSIDE, "modified_by": job.modified_by_user_id})
    return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.UNCHANGED}) if overdue else None


def is_overdue(retry: Retry, at: datetime, settle: timedelta) -> bool:
    """Whether an unknown outcome has been read back for long enough."""
    return at - (retry.unknown_at or retry.created_at) >= settle


def _settled_cancel(retry: Retry, job: Job | None, overdue: bool) -> Outcome | None:
    """The outcome of a cancellation that may have arrived: whoever asked for it, the job stops, or has ended."""
    restored = retry.detail.get("why") == OutcomeReason.RESTORED
    if restored and retry.detail.get("was") == State.ACCEPTED:
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.RESTORED}) if job is not None or overdue else None
    if job is None:
        return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.GONE}) if overdue else None
    if job.being_cancelled or job.job_status == "JOB_STATUS_CANCELLED":
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.READ_BACK})
    if job.ended:
        return Outcome(_ENDS[job.job_status], {"why": OutcomeReason.READ_BACK})
    return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.UNCHANGED}) if overdue else None


@dataclass(frozen=True)
class NewJob:
    """What evaluating a report again made, as it was read back."""

    job_id: str
    report_id: str


def settled_rerun(retry: Retry, found: NewJob | None, overdue: bool) -> Outcome | None:
    """The outcome of a rerun that may have arrived, by whether there is a report that it made.

    Args:
        found: that report; None: there is none yet.
    """
    if retry.new_job_id is not None:
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.RESTORED})
    if found is not None:
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.READ_BACK, "new_report_id": found.report_id})
    if not overdue:
        return None
    restored = retry.detail.get("why") == OutcomeReason.RESTORED
    return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.RESTORED if restored else OutcomeReason.UNCHANGED})


def _settled_after_restore(retry: Retry, job: Job | None, overdue: bool, key_user: str | None) -> Outcome | None:
    """The outcome of a request that was open in a backup; a job moved by anybody but the bot's key tells nothing."""
    if retry.detail.get("was") == State.ACCEPTED:
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.RESTORED}) if job is not None or overdue else None
    if job is None:
        return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.GONE}) if overdue else None
    if _as_it_was(retry, job):
        return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.UNCHANGED}) if overdue else None
    if key_user and job.modified_by_user_id == key_user:
        return Outcome(State.ACCEPTED, {"why": OutcomeReason.READ_BACK})
    return Outcome(State.NOT_APPLIED, {"why": OutcomeReason.RESTORED, "modified_by": job.modified_by_user_id})


def _as_it_was(retry: Retry, job: Job) -> bool:
    """Whether a job has not moved since it was read or, where it never was, since it was asked for."""
    if retry.job_before is not None:
        return _mark(retry.job_before) == _mark(job)
    return job.modified_date is not None and job.modified_date <= retry.created_at


_ENDS = {
    "JOB_STATUS_FINISHED": State.FINISHED,
    "JOB_STATUS_FAILED": State.FAILED_AGAIN,
    "JOB_STATUS_CANCELLED": State.CANCELLED,
}


def followed(retry: Retry, job: Job | None, at: datetime, grace: timedelta) -> Outcome | None:
    """How an accepted retry ended; None while it goes on.

    Args:
        grace: how long a read that shows the job as it was before the retry is taken for a late one.
    """
    since = at - (retry.accepted_at or retry.created_at)
    if job is None:
        return Outcome(State.LOST, {"why": OutcomeReason.GONE}) if retry.missed + 1 >= MISSES else None
    if is_late(retry, job) and since < grace:
        return None
    if job.job_status in _ENDS:
        return Outcome(_ENDS[job.job_status])
    return Outcome(State.LOST, {"why": OutcomeReason.TOO_LONG}) if since >= FOLLOW_LIMIT else None


def is_late(retry: Retry, job: Job) -> bool:
    """Whether a read shows the job as it was before what is already known of it."""
    known = retry.job_after.modified_date if retry.job_after else None
    latest = (retry.accepted_at or retry.created_at) + FOLLOW_LIMIT  # a date beyond that says nothing
    older = bool(known and job.modified_date and job.modified_date < known <= latest)
    return older or (retry.job_before is not None and _mark(retry.job_before) == _mark(job))


def _mark(job: Job) -> tuple[Any, ...]:
    return job.job_id, job.job_status, job.modified_date, job.completed_date

"""What the state of a job and of its earlier retries allows; who may is `access.policy`. Pure.

Nothing here raises: a rule returns why not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple, assert_never

from bot.retries.kind import Kind
from bot.retries.request import Request, Retry
from bot.retries.state import ACTIVE, ApprovalReason, RefusalReason, State
from bot.sift.job import Job


@dataclass(frozen=True)
class Limits:
    """What the settings limit.

    Args:
        cooldown: the least time between two retries of one job.
        approval_after: from this retry of one job on, a second person must approve; None: never.
        approval_count: so many different people.
        rerun: whether reports are evaluated again from here.
    """

    cooldown: timedelta
    approval_after: int | None = None
    approval_count: int = 1
    rerun: bool = True


class Earlier(NamedTuple):
    """The requests of one kind for one job that were sent so far.

    Args:
        newest: the one that was sent last.
        accepted_at: when Sift last accepted one.
        accepted: how many Sift accepted.
    """

    newest: Retry | None = None
    accepted_at: datetime | None = None
    accepted: int = 0


@dataclass(frozen=True)
class Wait:
    """A button was pressed during the cooldown: the request waits by itself.

    Args:
        until: the end of the cooldown.
    """

    until: datetime


class Next(Enum):
    """What is to be done with a request that nothing speaks against."""

    SEND = auto()
    """Send it."""

    ASK = auto()
    """Ask for a second person's word first."""


@dataclass(frozen=True)
class Refusal:
    """Why nothing is sent.

    Args:
        state: the one that the request enters.
        detail: what the row, the audit and the person are told: `why`, and the facts that go with it.
    """

    state: State
    detail: Mapping[str, object]


UNKNOWN_JOB = Refusal(State.REFUSED, {"why": RefusalReason.UNKNOWN_JOB})
"""Sift has no such job."""


OUTDATED = Refusal(State.REFUSED, {"why": RefusalReason.OUTDATED})
"""What the clicked button stood for is over."""


def refusal(request: Request, job: Job, newest: Retry | None, limits: Limits) -> Refusal | None:
    """Why the job as it is now, or the settings, leave nothing to be sent; None if there is something.

    Args:
        newest: the newest request of the same kind for the job that was sent; of a retry, see `job_refusal`.
    """
    match request.kind:
        case Kind.RETRY:
            return retry_refusal(request, job, newest)
        case Kind.CANCEL:
            return _cancel_refusal(job, newest)
        case Kind.RERUN:
            return None if limits.rerun else Refusal(State.REFUSED, {"why": RefusalReason.RERUN_OFF})
        case unreachable:
            assert_never(unreachable)


def _cancel_refusal(job: Job, newest: Retry | None) -> Refusal | None:
    """Why a job cannot be cancelled as it is."""
    if job.ended:
        return Refusal(State.REFUSED, {"why": RefusalReason.ENDED})
    if job.being_cancelled:
        if newest is not None and newest.state in ACTIVE:
            return _because_of(newest, RefusalReason.UNDER_WAY)
        return Refusal(State.REFUSED, {"why": RefusalReason.BEING_CANCELLED})
    return None


def job_refusal(job: Job, offered: str | None, newest: Retry | None) -> Refusal | None:
    """Why a job cannot be retried as it is; None if it can.

    Args:
        job: as Sift has it now.
        offered: the failure that the clicked button stood for; None if it was no button.
        newest: the newest retry of the job that was sent, needed only of a job that is not retryable.
    """
    if not job.retryable:
        if newest is not None and newest.state in ACTIVE:
            return _because_of(newest, RefusalReason.UNDER_WAY)
        return Refusal(State.REFUSED, {"why": RefusalReason.NOT_RETRYABLE})
    if offered is not None and offered != job.failure:
        return Refusal(State.REFUSED, {"why": RefusalReason.OUTDATED})
    return None


def retry_refusal(request: Request, job: Job, newest: Retry | None) -> Refusal | None:
    """Why a job cannot be retried as it is, or as it became while the request waited; None if it can."""
    refused = job_refusal(job, request.offered, newest)
    if not isinstance(request, Retry) or (refused and refused.detail["why"] == RefusalReason.UNDER_WAY):
        return refused
    return moved_on(request, job) or refused


def moved_on(retry: Retry, job: Job) -> Refusal | None:
    """Why a request that waits, or waited, for a second person is over: its job is not as it was when they were asked.

    A read that is older than what was known then tells nothing.
    """
    before = retry.job_before
    if retry.approval_until is None or before is None or (job.retryable and job.failure == before.failure):
        return None
    if job.modified_date and before.modified_date and job.modified_date < before.modified_date:
        return None
    return Refusal(State.REFUSED, {"why": RefusalReason.MOVED_ON})


def awaited(other: Retry) -> Refusal:
    """Why nobody is asked for a second person twice: another request for the job waits for one, or is about to go."""
    return _because_of(other, RefusalReason.AWAITED if other.waits_for_approval else RefusalReason.UNDER_WAY)


def next_step(
    retry: Retry, earlier: Earlier, *, read_at: datetime, at: datetime, limits: Limits
) -> Next | Wait | Refusal:
    """What the requests of this kind for a job so far allow of one more.

    Cooldown and second person are for retries alone. During the cooldown, what was offered waits, and what was typed is
    refused.

    Args:
        retry: the request, claimed.
        read_at: when its job was read.
        at: now.
    """
    refusal = _earlier_refusal(earlier, read_at)
    if refusal is not None or retry.kind is not Kind.RETRY:
        return refusal or Next.SEND
    return _cooldown(retry, earlier, at, limits.cooldown) or _approval(
        retry, earlier.accepted + 1, at, limits.approval_after
    )


def queued_behind(waiting: Retry, at: datetime) -> Refusal:
    """Why a request does not wait for the end of the cooldown: another one does."""
    left = (waiting.waits_until or at) - at
    return _because_of(waiting, RefusalReason.QUEUED, seconds=_seconds(left))


def _earlier_refusal(earlier: Earlier, read_at: datetime) -> Refusal | None:
    newest = earlier.newest
    if newest is None or newest.sent_at is None:
        return None
    if newest.state in ACTIVE:
        return _because_of(newest, RefusalReason.UNDER_WAY)
    queued_again = newest.state is State.REQUESTED  # it was about to be sent
    if newest.sent_at >= read_at and not queued_again:  # what was read is older than that retry
        return _because_of(newest, RefusalReason.JUST_RETRIED)
    return None


def _cooldown(retry: Retry, earlier: Earlier, at: datetime, cooldown: timedelta) -> Wait | Refusal | None:
    if earlier.newest is None or earlier.accepted_at is None:
        return None
    until = earlier.accepted_at + cooldown
    if until <= at:
        return None
    if retry.offered is not None:
        return Wait(until)
    return _because_of(earlier.newest, RefusalReason.COOLDOWN, seconds=_seconds(until - at))


def _seconds(left: timedelta) -> int:
    """Whole seconds, rounded up, and at least one."""
    return max(1, -(-left // timedelta(seconds=1)))


def _approval(retry: Retry, attempt: int, at: datetime, approval_after: int | None) -> Next | Refusal:
    """Whether a second person has to speak first; nobody is asked twice."""
    if approval_after is None or attempt < approval_after or retry.approved_by is not None:
        return Next.SEND
    if retry.approval_until is not None and retry.approval_until <= at:
        return Refusal(State.DENIED, {"why": ApprovalReason.EXPIRED})
    return Next.ASK


def _because_of(other: Retry, why: RefusalReason, **facts: int) -> Refusal:
    """A refusal that names another retry of the job: whose it is, and where it is shown."""
    told = {"by": other.user_id, "channel_id": other.channel_id, "ts": other.root_ts, "request": other.id}
    return Refusal(State.REFUSED, {"why": why, **facts, **told})

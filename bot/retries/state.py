"""The states of a request, what belongs to each, and why a request is in one: said once, here. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a request stands; one column of its row."""

    REQUESTED = "requested"
    """Recorded, not decided yet; also while it waits for a second person."""

    DENIED = "denied"
    """The allow-list, or the lack of a second person, said no."""

    REFUSED = "refused"
    """Allowed, but there is nothing to retry, or it is too late."""

    SENDING = "sending"
    """Committed before the POST leaves; found after a crash it means *unknown*."""

    UNKNOWN = "unknown"
    """The POST may or may not have arrived; only reading the job settles it."""

    NOT_APPLIED = "not_applied"
    """Read back: Sift never took it, or somebody else moved the job."""

    FAILED = "failed"
    """Sift said no for good, or the job could not even be read."""

    ACCEPTED = "accepted"
    """Sift took it; the job is being followed."""

    FINISHED = "finished"
    """The job finished."""

    FAILED_AGAIN = "failed_again"
    """The job failed once more."""

    CANCELLED = "cancelled"
    """The job was cancelled."""

    LOST = "lost"
    """The job is gone, or ran for too long to be followed."""


class AlertState(StrEnum):
    """How the job of an alert stands."""

    OPEN = "open"
    """Failed, and nobody is retrying it."""

    RETRYING = "retrying"
    """The bot is retrying it."""

    OUTSIDE = "outside"
    """Somebody else moved it in Sift."""

    CLOSED = "closed"
    """No longer failed."""


MAY_MOVE = (AlertState.OPEN, AlertState.OUTSIDE)
"""The states of an alert in which its job may move without the bot, as `ix_alerts_waiting` names them."""


class RefusalReason(StrEnum):
    """Why a request was refused: the `why` in its detail."""

    UNKNOWN_JOB = "unknown_job"
    """Sift knows no such job, or its key may not see it."""

    NOT_RETRYABLE = "not_retryable"
    """The job neither failed nor was cancelled."""

    OUTDATED = "outdated"
    """The button stood for an earlier failure of the job."""

    UNDER_WAY = "under_way"
    """The job, or all of the storm or batch, is being retried already."""

    JUST_RETRIED = "just_retried"
    """The job was retried after it was read for this request."""

    COOLDOWN = "cooldown"
    """The job was retried a moment ago."""

    QUEUED = "queued"
    """Somebody's retry of the job waits for the end of the cooldown already."""

    WITHDRAWN = "withdrawn"
    """Whoever asked took it back while it waited."""

    AWAITED = "awaited"
    """Another request for the job waits for a second person."""

    MOVED_ON = "moved_on"
    """The job moved on while the request waited for a second person."""

    STALE = "stale"
    """Nobody carried the request out in time."""

    RESTORED = "restored"
    """It was open in a restored backup, beside another request of the same job."""

    ENDED = "ended"
    """There is nothing to cancel: the job has ended."""

    BEING_CANCELLED = "being_cancelled"
    """The job is being cancelled already, in Sift."""

    RERUN_OFF = "rerun_off"
    """The settings say that no report is evaluated again from here."""


class ApprovalReason(StrEnum):
    """Why a second person's word is missing: the `why` of a denied request, or of a denied approval."""

    NEEDED = "approval_needed"
    """One of many was not asked for: in rows of version 2 and before."""

    EXPIRED = "approval_expired"
    """Nobody approved in time."""

    DECLINED = "approval_declined"
    """Somebody declined."""

    BY_ONESELF = "self_approval"
    """Whoever asks cannot approve it themselves."""


class OutcomeReason(StrEnum):
    """What told the outcome of a request that may have been sent, or why nothing does yet: the `why` in its detail.

    Where Sift answered with an error, the `why` is the error's name instead; see `sift.errors`.
    """

    INTERRUPTED = "interrupted"
    """Unknown: whoever was sending it ended before an answer was recorded."""

    NOT_YET = "not_yet"
    """Requested again: it was about to be sent, and no call to Sift became free in time."""

    UNCHANGED_ANSWER = "unchanged_answer"
    """Unknown: Sift answered with the job as it was."""

    RESTORED = "restored"
    """It was open in a restored backup: it may have been sent since the backup was made."""

    READ_BACK = "read_back"
    """Accepted: the job was read, and has moved."""

    UNCHANGED = "unchanged"
    """Not applied: the job was read for long enough, and has not moved."""

    OUTSIDE = "outside"
    """Not applied: somebody else moved the job."""

    GONE = "gone"
    """Not applied, or lost: Sift no longer lists the job."""

    TOO_LONG = "too_long"
    """Lost: the job runs for longer than it is followed."""


@dataclass(frozen=True)
class Facts:
    """What belongs to a state.

    Args:
        emoji: what stands before it.
        words: how a person reads it.
        next: the states that may follow; none: the request has ended.
        active: whether its job counts as being retried; one request per job may be in such a state.
        offering: whether the person is offered the Retry button again.
        unsent: whether nothing was retried, so that only the requester is told.
        alert: how the alert of the job stands once a sent request is in this state; None: as it did.
    """

    emoji: str
    words: str
    next: frozenset[State] = frozenset()
    active: bool = False
    offering: bool = False
    unsent: bool = False
    alert: AlertState | None = None


S = State
FACTS: dict[State, Facts] = {
    S.REQUESTED: Facts(
        ":busts_in_silhouette:",
        "waiting for a second person",
        frozenset({S.DENIED, S.REFUSED, S.FAILED, S.SENDING, S.UNKNOWN}),
    ),
    S.DENIED: Facts(":no_entry:", "not allowed; nothing was retried", unsent=True, alert=AlertState.OPEN),
    S.REFUSED: Facts(":information_source:", "there was nothing to retry", unsent=True, alert=AlertState.OPEN),
    S.SENDING: Facts(
        ":arrows_counterclockwise:",
        "being sent",
        frozenset({S.ACCEPTED, S.REFUSED, S.FAILED, S.UNKNOWN, S.REQUESTED}),
        active=True,
        alert=AlertState.RETRYING,
    ),
    S.UNKNOWN: Facts(
        ":grey_question:",
        "Sift did not answer; checking whether it took the retry",
        frozenset({S.ACCEPTED, S.NOT_APPLIED, S.FINISHED, S.FAILED_AGAIN}),
        active=True,
        alert=AlertState.RETRYING,
    ),
    S.NOT_APPLIED: Facts(":warning:", "Sift never took it; nothing was retried", offering=True, alert=AlertState.OPEN),
    S.FAILED: Facts(":x:", "Sift did not accept it", unsent=True, alert=AlertState.OPEN),
    S.ACCEPTED: Facts(
        ":arrows_counterclockwise:",
        "under way",
        frozenset({S.FINISHED, S.FAILED_AGAIN, S.CANCELLED, S.LOST, S.UNKNOWN}),
        active=True,
        alert=AlertState.RETRYING,
    ),
    S.FINISHED: Facts(":white_check_mark:", "finished", alert=AlertState.CLOSED),
    S.FAILED_AGAIN: Facts(":x:", "failed again", offering=True, alert=AlertState.OPEN),
    S.CANCELLED: Facts(":no_entry_sign:", "was cancelled", offering=True, alert=AlertState.OPEN),
    S.LOST: Facts(":grey_question:", "no longer followed", alert=AlertState.OPEN),
}
"""The one table of what belongs to a state."""

ACTIVE = tuple(state for state in State if FACTS[state].active)
FINAL = tuple(state for state in State if not FACTS[state].next)
OFFERING = tuple(state for state in State if FACTS[state].offering)
UNSENT = tuple(state for state in State if FACTS[state].unsent)

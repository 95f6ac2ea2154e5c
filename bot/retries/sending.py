"""What is asked of Sift for a request, once, and what its answer means."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import assert_never

from bot.retries import outcome
from bot.retries.kind import Kind
from bot.retries.limiter import NotYet
from bot.retries.outcome import Outcome
from bot.retries.recorder import Claimed, said
from bot.retries.request import Retry
from bot.retries.state import OutcomeReason, State
from bot.retries.store import Changes
from bot.sift.client import Sift
from bot.sift.errors import MustWait, OutcomeUnknown, SiftError


@dataclass(frozen=True)
class Sent:
    """What came of a call.

    Args:
        found: the outcome, which may be that it is queued again; or Sift asks to wait, and did nothing.
        changes: what else is known of the row.
    """

    claimed: Claimed
    found: Outcome | MustWait
    changes: Changes = field(default_factory=Changes)


async def send(sift: Sift, retry: Retry, key_user: str | None, may_begin: Callable[[], Awaitable[None]]) -> Sent:
    """Asks Sift, at most once, for what a request is that was marked just now.

    Args:
        key_user: see `outcome.moved`.
        may_begin: waits until the call may be made; raises `NotYet` if it is to be queued again instead.
    """
    claimed = Claimed.now(retry)
    try:
        await may_begin()
        return Sent(claimed, *await _call(sift, retry, key_user))
    except NotYet:
        return Sent(claimed, Outcome(State.REQUESTED, {"why": OutcomeReason.NOT_YET}), {"grant_id": None})
    except OutcomeUnknown as error:
        return Sent(claimed, Outcome(State.UNKNOWN, said(error, "post")))
    except MustWait as limit:
        return Sent(claimed, limit)
    except SiftError as error:
        return Sent(claimed, Outcome(State.FAILED, said(error, "post")))


async def _call(sift: Sift, retry: Retry, key_user: str | None) -> tuple[Outcome, Changes]:
    match retry.kind:
        case Kind.RETRY:
            job = await sift.retry(retry.job_id)
            return outcome.answered(retry.job_before, job, key_user), {"job_after": job}
        case Kind.RERUN:
            new = await sift.rerun_report(retry.report_id or "")
            return Outcome(State.ACCEPTED, {"new_report_id": new.report_id}), {"new_job_id": new.job_id}
        case Kind.CANCEL:
            await sift.cancel(retry.job_id)  # answered in the same way whatever the job makes of it
            return Outcome(State.ACCEPTED), {}
        case unreachable:
            assert_never(unreachable)

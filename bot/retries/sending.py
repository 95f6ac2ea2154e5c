"""What is asked of Sift for a request, once, and what its answer means."""

from typing import assert_never

from bot.retries import outcome
from bot.retries.kind import Kind
from bot.retries.outcome import Outcome
from bot.retries.request import Retry
from bot.retries.state import State
from bot.retries.store import Changes
from bot.sift.client import Sift


async def send(sift: Sift, retry: Retry, key_user: str | None) -> tuple[Outcome, Changes]:
    """Asks Sift, at most once, for what a marked request is.

    Args:
        key_user: see `outcome.moved`.

    Returns:
        The outcome, and what else is known of it.

    Raises:
        OutcomeUnknown: it may have been done.
        SiftError: it was not.
    """
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

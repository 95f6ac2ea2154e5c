"""After a restore from a backup: whatever was open then may have been sent since, so none of it is sent again.

Every open request becomes `unknown`, and is settled by reading its job. A job has one request of a kind under way at
most, so further ones are refused.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.requester import Source
from bot.retries import batches, queries, store
from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.state import OutcomeReason, RefusalReason, State
from bot.retries.store import Changes


@dataclass(frozen=True)
class Recovered:
    """How many requests are read back, and how many are refused because another one of the same job is."""

    unknown: int
    refused: int


def recover(connection: Connection, by: str, at: datetime) -> Recovered:
    """Closes what was open, each with its audit entry, in the running transaction; no bot may be at work.

    Args:
        by: who does it.
    """
    batches.spell_out_rest(connection, at)
    kept: dict[tuple[str, Kind], Retry] = {}
    refused = 0
    for retry in queries.open_requests(connection):
        other = kept.setdefault((retry.job_id, retry.kind), retry)
        if other is not retry:
            refused += 1
            store.transition(
                connection, retry, State.REFUSED, at, detail={"why": RefusalReason.RESTORED, "request": other.id}
            )
        elif retry.state is not State.UNKNOWN:
            _doubt(connection, retry, at)
    detail = {"unknown": len(kept), "refused": refused}
    audit.append(connection, Entry(event=Event.RECOVER, user_id=by, source=Source.CLI, detail=detail), at)
    return Recovered(**detail)


def _doubt(connection: Connection, retry: Retry, at: datetime) -> None:
    """Has a request be read back, as one that may have been sent."""
    detail = {"why": OutcomeReason.RESTORED, "was": retry.state}
    changes: Changes = {"detail": detail, "due_at": at, "sent_at": retry.sent_at or at}
    if retry.attempt is None and retry.kind is Kind.RETRY:
        changes["attempt"] = queries.last_attempts(connection, retry.job_id).accepted + 1
    store.transition(connection, retry, State.UNKNOWN, at, **changes)

"""What somebody was shown of a run, kept for the press of its buttons: the failures, and the reason that goes along.

Every function runs inside one transaction of the caller's.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, insert, select

from bot.base.text import new_id
from bot.db.job_runs import jobs_of_one
from bot.db.tables import offers, retries
from bot.home.offer import Choice, Offer, Offered
from bot.retries.state import ACTIVE, State

KEPT = timedelta(hours=12)
"""For so long the buttons of what was shown work."""

MAX_KEPT = 20
"""So many of one person are kept, the newest."""

CHUNK = 500
"""IDs in one query."""

_ROW = offers.c
_OLD = delete(offers).where(_ROW.created_at < bindparam("b_before"))
_NEWEST = (
    select(_ROW.id)
    .where(_ROW.user_id == bindparam("b_user"))
    .order_by(_ROW.created_at.desc(), _ROW.id)
    .limit(MAX_KEPT)
    .scalar_subquery()
)
_BEYOND = delete(offers).where(_ROW.user_id == bindparam("b_user"), _ROW.id.not_in(_NEWEST))
_ONE = select(offers).where(_ROW.id == bindparam("b_id"), _ROW.user_id == bindparam("b_user"))
_UNDER_WAY = select(retries.c.job_id).where(
    retries.c.job_id.in_(bindparam("b_jobs", expanding=True)),
    retries.c.state.in_([State.REQUESTED, *ACTIVE]),
    retries.c.kind == "retry",
)


def keep(connection: Connection, user_id: str, offer: Offer, at: datetime) -> str:
    """Keeps what somebody was shown, and drops what is too old or too much; returns its ID."""
    offer_id = new_id()
    row = {"id": offer_id, "user_id": user_id, "created_at": at, "content": offer.to_json()}
    connection.execute(insert(offers).values(row))
    connection.execute(_OLD, {"b_before": at - KEPT})
    connection.execute(_BEYOND, {"b_user": user_id})
    return offer_id


def kept(connection: Connection, user_id: str, offer_id: str, at: datetime) -> Offer | None:
    """Returns what somebody was shown; None once it is too old."""
    row = connection.execute(_ONE, {"b_id": offer_id, "b_user": user_id}).first()
    return Offer.from_json(row.content) if row is not None and row.created_at >= at - KEPT else None


def still_open(connection: Connection, offer: Offer) -> list[Offered]:
    """Returns the failures of an offer that nobody asked to retry since."""
    busy = under_way(connection, [one.job_id for one in offer.jobs])
    return [one for one in offer.jobs if one.job_id not in busy]


def under_way(connection: Connection, job_ids: Collection[str]) -> set[str]:
    """Returns those jobs that are being retried, or are about to be."""
    asked, found = list(job_ids), set[str]()
    for start in range(0, len(asked), CHUNK):
        found |= set(connection.scalars(_UNDER_WAY, {"b_jobs": asked[start : start + CHUNK]}))
    return found


def noted(connection: Connection, run: Choice, limit: int = 1_000) -> set[str]:
    """Returns jobs that are known to belong to a run from earlier."""
    return set(connection.scalars(jobs_of_one(run.run_id, run.name).limit(limit)))

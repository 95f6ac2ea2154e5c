"""What other rows tell of a retry's job and of its failure: for rows that are shown.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice

from sqlalchemy import Connection, bindparam, select

from bot.db.tables import alerts, approvals, retries
from bot.retries import causes, queries
from bot.retries.kept import about_of
from bot.retries.kind import Kind
from bot.retries.messages.job import why_now
from bot.retries.record import Record
from bot.retries.request import Retry
from bot.retries.state import ACTIVE, OFFERING, State
from bot.sift.cause import normalised
from bot.sift.subject import About, Subject

MAX_ROWS = 1_000
"""So many rows tell of the jobs of one message, the newest."""

MAX_CAUSES = 20
"""So many causes in one message are looked up."""

_OF_RETRIES, _OF_ALERTS = (
    select(table.c.job_id, table.c.about)
    .where(table.c.job_id.in_(bindparam("b_jobs", expanding=True)), table.c.about.is_not(None))
    .order_by(table.c.created_at.desc())
    .limit(MAX_ROWS)
    for table in (retries, alerts)
)
_OPEN = select(retries).where(
    retries.c.job_id.in_(bindparam("b_jobs", expanding=True)),
    retries.c.state.in_([*ACTIVE, State.REQUESTED]),
    retries.c.kind == Kind.RETRY,
)
_APPROVALS = (
    select(approvals.c.retry_id, approvals.c.user_id)
    .where(approvals.c.retry_id.in_(bindparam("b_ids", expanding=True)))
    .order_by(approvals.c.at, approvals.c.user_id)
)
_OF_FAILURE = select(alerts.c.about).where(
    alerts.c.job_id == bindparam("b_job"), alerts.c.failure == bindparam("b_failure"), alerts.c.about.is_not(None)
)


def open_retries(connection: Connection, job_ids: Collection[str]) -> dict[str, Retry]:
    """Returns the retries of jobs that are under way, by job; else those that were asked for and not sent yet."""
    rows = connection.execute(_OPEN, {"b_jobs": list(job_ids)}) if job_ids else ()
    found = sorted(map(queries.as_far_as_readable, rows), key=lambda retry: retry.state in ACTIVE)
    return {retry.job_id: retry for retry in found}


def subjects(connection: Connection, job_ids: Collection[str]) -> dict[str, Subject]:
    """Returns what jobs are about, by ID: the newest row that names one tells."""
    found: dict[str, Subject] = {}
    for query in (_OF_RETRIES, _OF_ALERTS):
        nameless = [job_id for job_id in job_ids if job_id not in found]
        for row in connection.execute(query, {"b_jobs": nameless}) if nameless else ():
            about, _ = about_of(row.about)
            if row.job_id not in found and about.subject.title_parts():
                found[row.job_id] = about.subject
    return found


def failure(connection: Connection, job_id: str, failed: str) -> About:
    """Returns what is known of one failure of a job, because it was alerted.

    Args:
        failed: what tells this failure from the next, see `Job.failure`.
    """
    kept = connection.scalar(_OF_FAILURE, {"b_job": job_id, "b_failure": failed})
    return About.from_json(json.loads(kept)) if kept else About()


def completed(connection: Connection, found: Sequence[Retry]) -> list[Retry]:
    """Returns rows as they are shown: what their jobs are called, whether retrying helped before, who approved them."""
    nameless = {retry.job_id for retry in found if not retry.about.subject.title_parts()}
    known = subjects(connection, nameless)
    named = [
        replace(retry, about=replace(retry.about, subject=known[retry.job_id]))
        if retry.job_id in known and retry.job_id in nameless
        else retry
        for retry in found
    ]
    named = with_approvers(connection, named)
    told = records(connection, [key for retry in named if (key := _offered(retry))])
    return [replace(retry, record=told.get(_offered(retry), Record())) for retry in named]


def shown(connection: Connection, request_id: str) -> Retry:
    """One row as it is shown."""
    row = connection.execute(select(retries).where(retries.c.id == request_id)).one()
    return as_shown(connection, Retry.of(row._mapping))


def as_shown(connection: Connection, retry: Retry) -> Retry:
    """Returns a row with what other rows tell of it, as it is shown."""
    return completed(connection, [retry])[0]


def latest_of(connection: Connection, user_id: str, limit: int = 5) -> list[Retry]:
    """Somebody's newest requests to retry something."""
    query = select(retries).where(retries.c.user_id == user_id, retries.c.kind == Kind.RETRY)
    newest = query.order_by(retries.c.created_at.desc()).limit(limit)
    return completed(connection, queries.readable(connection.execute(newest)))


def with_approvers(connection: Connection, found: Sequence[Retry]) -> list[Retry]:
    """Returns rows with who approved each so far, of those that take somebody else's word."""
    given = approvers(connection, [retry.id for retry in found if retry.approval_until is not None])
    return [replace(one, approvers=given[one.id]) if one.id in given else one for one in found]


def approvers(connection: Connection, ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Returns who approved each request so far, of those that somebody did."""
    given: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(_APPROVALS, {"b_ids": list(ids)}) if ids else ():
        given[row.retry_id] = (*given.get(row.retry_id, ()), row.user_id)
    return given


def records(connection: Connection, cause_keys: Sequence[str]) -> dict[str, Record]:
    """Returns how retries after each cause ended, for the first few causes."""
    return causes.records_of(connection, list(islice(dict.fromkeys(cause_keys), MAX_CAUSES)))


def _offered(retry: Retry) -> str:
    """The cause that a Retry button in its message stands for; empty where there is neither."""
    if retry.state not in OFFERING or retry.superseded_by is not None:
        return ""
    if retry.again.cause:
        return retry.again.cause
    return normalised(why_now(retry.job) or "") or retry.about.why.cause

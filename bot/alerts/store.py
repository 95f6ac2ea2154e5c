"""The rows of alerts: one per failure of a job, folded into storms where there are many, kept true as the job moves.

What is read of them for people is in `queries`.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Row, bindparam, case, func, insert, null, select, update

from bot.alerts import oncall
from bot.alerts.subjects import LOOK_UP
from bot.audit import entry
from bot.audit import log as audit
from bot.audit.entry import Event
from bot.base.requester import Source
from bot.base.text import new_id
from bot.db.columns import equal, not_ahead, within
from bot.db.once import insert_once
from bot.db.tables import alerts, retries, storms
from bot.retries.alert_rows import remind_of_storm, touch_storm
from bot.retries.messages.job import why_now
from bot.retries.queries import as_far_as_readable
from bot.retries.request import Retry
from bot.retries.state import ACTIVE, MAY_MOVE, AlertState
from bot.sift.cause import normalised
from bot.sift.job import FAILED, Job
from bot.sift.subject import About, Why
from bot.slack.outbox import soon

EXPLAIN_WITHIN = timedelta(seconds=3)
"""For so long at most an alert waits until it is known what the job is about."""

BELIEVED = timedelta(days=1)
"""No clock is further ahead of ours than this."""

_ROW = alerts.c
_insert = insert_once(alerts, "job_id", "failure")
_KNOWN = select(_ROW.job_id, _ROW.failure).where(_ROW.job_id.in_(bindparam("b_jobs", expanding=True)))
_FIRST = select(alerts).where(_ROW.job_id.in_(bindparam("b_jobs", expanding=True)), _ROW.parent_id.is_(None))
_WAITING = _FIRST.where(_ROW.state.in_(MAY_MOVE))
_ANY_WAITING = select(_ROW.id).where(within(_ROW.state, MAY_MOVE), _ROW.parent_id.is_(None)).limit(1)
_SENT = select(retries).where(
    retries.c.job_id.in_(bindparam("b_jobs", expanding=True)), retries.c.sent_at.is_not(None), retries.c.kind == "retry"
)
_CHANGE = (
    update(alerts)
    .where(_ROW.id == bindparam("b_id"))
    .values(version=_ROW.version + 1, show_at=case((_ROW.manner == "alone", soon(alerts)), else_=null()))
    .returning(*_ROW)
)
_IS_NEW = equal(_ROW.manner, "new")
_NEW_BY_CHANNEL = select(_ROW.channel_id, func.count()).where(_IS_NEW).group_by(_ROW.channel_id)
_NEW = _IS_NEW & (_ROW.channel_id == bindparam("b_channel"))
_ALONE = update(alerts).where(_NEW).values(manner="alone", version=1)
_TOGETHER = update(alerts).where(_NEW).values(manner="storm")


class _Changes(TypedDict, total=False):
    """What may change of a job's first alert; `job` and `about` are JSON."""

    state: AlertState
    offered: str
    job: str
    about: str
    cause: str | None
    cause_key: str | None
    manner: str
    remind_at: datetime | None
    reminded: int
    reminded_at: datetime | None


def note_failures(connection: Connection, failed: Mapping[str, Sequence[Job]], at: datetime) -> int:
    """Writes a row and an audit entry for each failure that is new; returns how many are.

    Args:
        failed: the jobs that are failed now, by the channel that their alerts go to.
    """
    channels = {job.job_id: channel_id for channel_id, jobs in failed.items() for job in jobs}
    jobs = {job.job_id: job for some in failed.values() for job in some}
    if not jobs:
        return 0
    named = {"b_jobs": list(jobs)}
    known = {(row.job_id, row.failure) for row in connection.execute(_KNOWN, named)}
    fresh = [job for job in jobs.values() if (job.job_id, job.failure) not in known]
    if not fresh:
        return 0
    named = {"b_jobs": [job.job_id for job in fresh]}
    first = {row.job_id: row for row in connection.execute(_FIRST, named)}
    sent = _newest_sent(connection, named)
    noted: list[entry.Entry] = []
    for job in fresh:
        row = _row(job, channels[job.job_id], first.get(job.job_id), sent.get(job.job_id), at)
        if _insert(connection, row):
            noted.append(_entry(Event.ALERT, row["id"], job, row["channel_id"]))
            if row["parent_id"] is not None:
                _failed_again(connection, first[job.job_id], job, row["manner"], at)
    audit.append_all(connection, noted, at)
    return len(noted)


def _newest_sent(connection: Connection, named: Mapping[str, Any]) -> dict[str, Retry]:
    newest = {row.job_id: row for row in connection.execute(_SENT.order_by(retries.c.sent_at), dict(named))}
    return {job_id: as_far_as_readable(row) for job_id, row in newest.items()}


def _row(job: Job, channel_id: str, first: Row[Any] | None, sent: Retry | None, at: datetime) -> dict[str, Any]:
    ours = sent is not None and (
        sent.state in ACTIVE or (sent.job_after is not None and sent.job_after.failure == job.failure)
    )
    if first is None:
        manner = "silent" if ours else "new"
    else:
        manner = "silent" if ours or first.muted_by is not None else "repeat"  # said in the first one's thread
    return {
        "id": new_id(),
        "job_id": job.job_id,
        "failure": job.failure,
        "offered": job.failure,
        "job_type": job.job_type,
        "job": job.to_json(),
        **_cause(job),
        "channel_id": first.channel_id if first is not None else channel_id,
        "parent_id": first.id if first is not None else None,
        "storm_id": first.storm_id if first is not None else None,
        "manner": manner,
        "state": AlertState.OPEN,
        "created_at": at,
        "look_up_until": at + LOOK_UP if first is not None and first.muted_by is None else None,
    }


def _cause(job: Job) -> dict[str, str | None]:
    """Why a job failed, where it says so itself."""
    said = why_now(job) or ""
    return {"cause": said or None, "cause_key": normalised(said) or None}


def _failed_again(connection: Connection, first: Row[Any], job: Job, manner: str, at: datetime) -> None:
    """Has the job's first alert offer the Retry button for the new failure; what the bot retries, its retry moves."""
    if manner == "repeat" or first.muted_by is not None:
        changes: _Changes = {"state": AlertState.OPEN, "offered": job.failure, "job": job.to_json()}
        about, why = About.from_json(json.loads(first.about or "{}")), _cause(job)
        changes["about"] = json.dumps(replace(about, why=Why(message=why["cause"] or "")).to_json())
        changes["cause"], changes["cause_key"] = why["cause"], why["cause_key"]
        if first.manner == "silent":
            changes["manner"] = "new"  # it has no message in whose thread to say so
        elif first.manner == "alone":
            changes["remind_at"], changes["reminded"], changes["reminded_at"] = at, 0, None
        elif first.storm_id is not None:
            remind_of_storm(connection, first.storm_id, at)
        _change(connection, first.id, at, **changes)
        if first.state == AlertState.CLOSED:
            oncall.begin_anew(connection, first.id, first.storm_id)


def _change(connection: Connection, alert_id: str, at: datetime, **columns: Unpack[_Changes]) -> None:
    """Changes a job's first alert and has it, or the storm it belongs to, shown again."""
    row = connection.execute(_CHANGE, {"b_id": alert_id, "b_at": at, **columns}).first()
    if row is not None and row.storm_id is not None:
        touch_storm(connection, row.storm_id, at)


def fold(connection: Connection, most: int, at: datetime) -> None:
    """Decides how the new failures of each channel are shown, soon, and has it looked up what they are about.

    Args:
        most: more than so many for one channel become a storm.
    """
    for channel_id, count in connection.execute(_NEW_BY_CHANNEL).all():
        here = {"b_channel": channel_id, "look_up_until": not_ahead(connection, at) + LOOK_UP}
        if count > most:
            connection.execute(_TOGETHER, {**here, "storm_id": _make_storm(connection, channel_id, at)})
        else:
            connection.execute(_ALONE, {**here, "show_at": not_ahead(connection, at) + EXPLAIN_WITHIN, "remind_at": at})


def _make_storm(connection: Connection, channel_id: str, at: datetime) -> str:
    storm_id = new_id()
    row = {"id": storm_id, "channel_id": channel_id, "created_at": at, "version": 1, "remind_at": at}
    connection.execute(insert(storms).values(row | {"show_at": not_ahead(connection, at) + EXPLAIN_WITHIN}))
    return storm_id


def note_moves(connection: Connection, jobs: Sequence[Job], at: datetime) -> int:
    """Closes the alerts of jobs that moved on without the bot, and audits each as `outside`; returns how many moved."""
    moved = [job for job in jobs if job.job_status != FAILED]  # what fails anew has a row of its own
    first = {row.job_id: row for row in connection.execute(_WAITING, {"b_jobs": [job.job_id for job in moved]})}
    if not first:
        return 0
    sent = _newest_sent(connection, {"b_jobs": list(first)})
    moves = 0
    for job in moved:
        row, retry = first.get(job.job_id), sent.get(job.job_id)
        if row is None or _same(known := Job.from_json(row.job), job) or _is_late(known, job, at):
            continue
        if retry is not None and retry.state in ACTIVE:
            continue  # the bot's own retry; the follower tells how it goes
        _note_move(connection, row, job, at)
        moves += 1
    return moves


def _same(known: Job, job: Job) -> bool:
    return (known.job_status, known.failure) == (job.job_status, job.failure)


def _is_late(known: Job, job: Job, at: datetime) -> bool:
    """Whether a job was read before what is known of it: by the follower, while this answer was on its way."""
    if known.modified_date is None or job.modified_date is None:
        return False
    return job.modified_date < known.modified_date <= at + BELIEVED  # a date beyond that says nothing


def _note_move(connection: Connection, row: Row[Any], job: Job, at: datetime) -> None:
    state = AlertState.CLOSED if job.ended and not job.retryable else AlertState.OUTSIDE
    _change(connection, row.id, at, state=state, job=job.to_json(), remind_at=None)
    if row.state == AlertState.OPEN:
        audit.append(connection, _entry(Event.OUTSIDE, row.id, job, row.channel_id), at)


def any_waiting(connection: Connection) -> bool:
    """Whether there are alerts whose jobs may move without the bot."""
    return connection.execute(_ANY_WAITING).first() is not None


def _entry(event: Event, alert_id: str, job: Job, channel_id: str) -> entry.Entry:
    detail: dict[str, Any] = {"alert": alert_id, "failure": job.failure}
    if event is Event.OUTSIDE:
        detail["modified_by"] = job.modified_by_user_id
    return entry.Entry(
        event=event,
        job_id=job.job_id,
        status_before=FAILED if event is Event.OUTSIDE else None,
        status_after=job.job_status,
        channel_id=channel_id,
        source=Source.ALERT,
        detail=detail,
    )

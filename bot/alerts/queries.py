"""What is read of alerts: as Slack shows them, and what waits to be retried; `storms` reads many of them at once.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from bot.alerts.alert import Alert, OnCall
from bot.db.columns import within
from bot.db.tables import alerts, retries, storms
from bot.retries.approval_rows import awaiting
from bot.retries.causes import record_of
from bot.retries.queries import as_far_as_readable, each_readable, placed
from bot.retries.record import Record
from bot.retries.state import MAY_MOVE, AlertState
from bot.sift.job import Job
from bot.slack.outbox import Outbox

MAX_REPEATS = 20
"""So many later failures are told in the thread of a job's alert."""

_ROW = alerts.c
_FIRST = select(alerts).where(_ROW.job_id == bindparam("b_job"), _ROW.parent_id.is_(None))
_OPEN = within(_ROW.state, MAY_MOVE) & (_ROW.state == AlertState.OPEN)
WAITING = select(alerts).where(_OPEN, _ROW.parent_id.is_(None), _ROW.muted_by.is_(None))
"""The query for the failures that nobody has retried yet."""

_REPEATS = (
    select(alerts).where(_ROW.parent_id == bindparam("b_id"), _ROW.manner == "repeat").order_by(_ROW.created_at)
).limit(MAX_REPEATS)

_ON_CALL_NAMES = tuple(field.name for field in fields(OnCall))
_ON_CALL: Select[Any] = (
    select(
        _ROW.job_id,
        *(func.coalesce(_ROW[name], storms.c[name]).label(name) for name in _ON_CALL_NAMES if name in storms.c),
        _ROW.muted_by,
    )
    .select_from(alerts.outerjoin(storms, storms.c.id == _ROW.storm_id))
    .where(_ROW.job_id.in_(bindparam("b_jobs", expanding=True)), _ROW.parent_id.is_(None))
    .where(_ROW.state == AlertState.OPEN)
)


def job_of(connection: Connection, alert_id: str) -> str | None:
    """Returns the ID of the job that an alert is about."""
    return connection.scalar(select(_ROW.job_id).where(_ROW.id == alert_id))


def place_of(connection: Connection, job_id: str) -> tuple[str | None, str | None]:
    """Returns the channel and the `ts` of the thread in which a job's failure was alerted, if it was."""
    row = connection.execute(_FIRST, {"b_job": job_id}).first()
    if row is None:
        return None, None
    shown = row.shown
    if row.storm_id is not None:
        shown = connection.scalar(select(storms.c.shown).where(storms.c.id == row.storm_id))
    ts = json.loads(shown or "{}").get("announcement", {}).get("ts")
    return row.channel_id, ts


def waiting(connection: Connection, limit: int = 10) -> list[Job]:
    """Returns the newest failures that nobody has retried yet."""
    newest = WAITING.order_by(_ROW.created_at.desc()).limit(limit)
    return [alert.job for alert in readable(connection.execute(newest))]


def readable(rows: Iterable[Row[Any]]) -> list[Alert]:
    """Returns the rows that can be read, so that one that cannot spoils nothing but itself."""
    return each_readable(rows, Alert.of, "alert")


def on_call(connection: Connection, job_ids: Sequence[str]) -> dict[str, OnCall]:
    """Returns who takes care of jobs, by ID: of a job that was alerted in a storm, its storm says so."""
    rows = connection.execute(_ON_CALL, {"b_jobs": list(job_ids)}) if job_ids else ()
    return {row.job_id: OnCall(**{name: row._mapping[name] for name in _ON_CALL_NAMES}) for row in rows}


def _load_alert(connection: Connection, row: Row[Any], interrupted: bool) -> Alert:
    retry = connection.execute(select(retries).where(retries.c.id == row.retry_id)).first() if row.retry_id else None
    repeats = readable(connection.execute(_REPEATS, {"b_id": row.id}))
    sent = placed(connection, as_far_as_readable(retry)) if retry else None
    failed = row.state == AlertState.OPEN
    more = {
        "record": record_of(connection, row.cause_key) if failed and row.cause_key else Record(),
        "awaiting": awaiting(connection, row.job_id) if failed else None,
    }
    return Alert.of(row._mapping, retry=sent, repeats=repeats, interrupted=interrupted, **more)


outbox = Outbox(alerts, _load_alert)
"""The alerts that have a message of their own."""

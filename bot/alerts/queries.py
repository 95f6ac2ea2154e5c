"""What is read of alerts and storms: as Slack shows them, and what waits to be retried.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from bot.alerts.alert import Alert, Storm
from bot.db.tables import alerts, retries, storms
from bot.retries.request import JobRef, Retry
from bot.retries.state import AlertState
from bot.sift.job import Job
from bot.slack.outbox import Outbox
from bot.slack.piece import values_of

MAX_LISTED = 300
"""So many failures of a storm are listed in its thread; the counts are of all of them."""

MAX_REPEATS = 20
"""So many later failures are told in the thread of a job's alert, or of a storm."""

_ROW = alerts.c
_FIRST = select(alerts).where(_ROW.job_id == bindparam("b_job"), _ROW.parent_id.is_(None))
_REPEATS = (
    select(alerts).where(_ROW.parent_id == bindparam("b_id"), _ROW.manner == "repeat").order_by(_ROW.created_at)
).limit(MAX_REPEATS)
_STORM = _ROW.storm_id == bindparam("b_storm")
_STANDING = select(_ROW.state, func.count()).where(_STORM, _ROW.parent_id.is_(None)).group_by(_ROW.state)
_KINDS = select(_ROW.job_type, func.count()).where(_STORM, _ROW.parent_id.is_(None)).group_by(_ROW.job_type)
_CAUSES = (
    select(_ROW.cause, func.count())
    .where(_STORM, _ROW.parent_id.is_(None), _ROW.cause.is_not(None))
    .group_by(_ROW.cause)
    .order_by(func.count().desc())
    .limit(5)
)
_MEMBERS = select(alerts).where(_STORM, _ROW.parent_id.is_(None)).order_by(_ROW.created_at, _ROW.id)
_STORM_REPEATS = (
    select(alerts).where(_STORM, _ROW.parent_id.is_not(None), _ROW.manner == "repeat").order_by(_ROW.created_at)
).limit(MAX_REPEATS)
_OPEN = select(_ROW.job_id, _ROW.offered).where(_STORM, _ROW.parent_id.is_(None), _ROW.state == AlertState.OPEN)


def job_of(connection: Connection, alert_id: str) -> str | None:
    """Returns the ID of the job that an alert is about."""
    return connection.scalar(select(_ROW.job_id).where(_ROW.id == alert_id))


def open_in_storm(connection: Connection, storm_id: str) -> list[JobRef]:
    """Returns the jobs of a storm that may be retried now."""
    return [JobRef(row.job_id, row.offered) for row in connection.execute(_OPEN, {"b_storm": storm_id})]


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


def to_pick(connection: Connection, storm_id: str, limit: int) -> list[Job]:
    """Returns the first jobs of a storm that may be retried now."""
    query = _MEMBERS.where(_ROW.state == AlertState.OPEN).limit(limit)
    return [Alert.of(row._mapping).job for row in connection.execute(query, {"b_storm": storm_id})]


def waiting(connection: Connection, limit: int = 10) -> list[Job]:
    """Returns the newest failures that nobody has retried yet."""
    query = select(alerts).where(_ROW.state == AlertState.OPEN, _ROW.parent_id.is_(None), _ROW.muted_by.is_(None))
    newest = query.order_by(_ROW.created_at.desc()).limit(limit)
    return [Alert.of(row._mapping).job for row in connection.execute(newest)]


def _load_alert(connection: Connection, row: Row[Any], interrupted: bool) -> Alert:
    retry = connection.execute(select(retries).where(retries.c.id == row.retry_id)).first() if row.retry_id else None
    repeats = [Alert.of(found._mapping) for found in connection.execute(_REPEATS, {"b_id": row.id})]
    sent = Retry.of(retry._mapping) if retry else None
    return Alert.of(row._mapping, retry=sent, repeats=repeats, interrupted=interrupted)


def _load_storm(connection: Connection, row: Row[Any], interrupted: bool) -> Storm:
    named = {"b_storm": row.id}
    return Storm(
        **values_of(Storm, row._mapping),
        states={AlertState(state): count for state, count in _counts(connection, _STANDING, named).items()},
        kinds=_counts(connection, _KINDS, named),
        causes=_counts(connection, _CAUSES, named),
        members=[Alert.of(found._mapping) for found in connection.execute(_MEMBERS.limit(MAX_LISTED), named)],
        repeats=[Alert.of(found._mapping) for found in connection.execute(_STORM_REPEATS, named)],
        interrupted=interrupted,
    )


def _counts(connection: Connection, query: Select[Any], named: Mapping[str, Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(query, dict(named))}


outbox = Outbox(alerts, _load_alert)
"""The alerts that have a message of their own."""

storm_outbox = Outbox(storms, _load_storm)
"""The storms, as far as Slack shows them."""

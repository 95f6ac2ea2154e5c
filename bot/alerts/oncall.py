"""The rows of alerts and storms as people on call change them: taken, released, snoozed, muted; and their reminders.

A failure is whatever has a message of its own: an alert, or a storm; an ID is that of one or the other.
Every function runs inside one transaction of the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    Table,
    Update,
    bindparam,
    case,
    exists,
    func,
    null,
    select,
    update,
)

from bot.alerts.alert import OnCall, about_of
from bot.alerts.snooze import MAX_SNOOZE
from bot.db.tables import alerts, storms
from bot.retries.messages.naming import name_of
from bot.retries.state import AlertState
from bot.sift.subject import About
from bot.slack.outbox import soon

MAX_WOKEN = 100
"""So many failures of each table are woken in one transaction, so that nobody else waits for long."""

_ALERT, _STORM = alerts.c, storms.c
_NAMED: BindParameter[Any] = bindparam("b_ids", expanding=True)
_IDLE_ALERT = (
    (_ALERT.state == AlertState.OPEN)
    & _ALERT.storm_id.is_(None)
    & _ALERT.muted_by.is_(None)
    & _ALERT.taken_by.is_(None)
    & _ALERT.snoozed_until.is_(None)
)
_IDLE_STORM = _STORM.taken_by.is_(None) & _STORM.snoozed_until.is_(None)
_AWAIT = (
    update(alerts).where(_ALERT.id.in_(_NAMED), _IDLE_ALERT).values(remind_at=bindparam("b_at"), reminded=0),
    update(storms).where(_STORM.id.in_(_NAMED), _IDLE_STORM).values(remind_at=bindparam("b_at"), reminded=0),
)


def await_reminder(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Has somebody reminded, from the first time on, of those of the failures that nobody takes care of.

    Args:
        ids: of alerts, of storms, or of both; an alert of a storm is left to its storm.
        at: when the first reminder is due.
    """
    for statement in _AWAIT:
        connection.execute(statement, {"b_ids": list(ids), "b_at": at})


@dataclass(frozen=True, kw_only=True)
class Failure(OnCall):
    """An alert or a storm, as far as people on call change it.

    Args:
        name: what it is called, in foreign words.
        job_id: of an alert; None: it is a storm.
        job_types: as Sift names them, each once.
        failed: whether anything of it may be retried now.
        jobs: how many there are of a storm.
    """

    id: str
    name: str
    job_id: str | None
    job_types: Sequence[str]
    failed: bool
    jobs: int = 1
    mute_reason: str | None = None


class Changes(TypedDict, total=False):
    """What people on call change of a failure."""

    taken_by: str | None
    taken_at: datetime | None
    released_by: str | None
    snoozed_by: str | None
    snoozed_until: datetime | None
    woken_at: datetime | None
    muted_by: str | None
    mute_reason: str | None
    remind_at: datetime | None


_MEMBER = (_ALERT.storm_id == _STORM.id) & _ALERT.parent_id.is_(None)
_STILL_FAILED = exists().where(_MEMBER, _ALERT.state == AlertState.OPEN)
_FIND_ALERT = select(alerts).where(_ALERT.id == bindparam("b_id"), _ALERT.parent_id.is_(None)).with_for_update()
_FIND_STORM = (
    select(storms, _STILL_FAILED.label("failed")).where(_STORM.id == bindparam("b_id")).with_for_update(of=storms)
)
_TYPES = (
    select(_ALERT.job_type, func.count().label("jobs"))
    .where(_ALERT.storm_id == bindparam("b_id"), _ALERT.parent_id.is_(None))
    .group_by(_ALERT.job_type)
    .order_by(_ALERT.job_type)
)
_SHOWN = ("id", "taken_by", "taken_at", "released_by", "snoozed_by", "snoozed_until")


def find(connection: Connection, failure_id: str) -> Failure | None:
    """Returns a failure, which nobody else changes until the transaction ends; None: there is none of that ID."""
    row = connection.execute(_FIND_ALERT, {"b_id": failure_id}).first()
    if row is not None:
        return _of_alert(row)
    row = connection.execute(_FIND_STORM, {"b_id": failure_id}).first()
    if row is None:
        return None
    types = connection.execute(_TYPES, {"b_id": failure_id}).all()
    jobs = sum(one.jobs for one in types)
    name = f"{jobs:,} jobs that failed at once"
    kinds = [one.job_type for one in types]
    return Failure(name=name, job_id=None, job_types=kinds, failed=row.failed, jobs=jobs, **_on_call(row))


def _of_alert(row: Row[Any]) -> Failure:
    return Failure(
        name=name_of(row.job_id, _about(row)),
        job_id=row.job_id,
        job_types=[row.job_type],
        failed=row.state == AlertState.OPEN,
        muted_by=row.muted_by,
        mute_reason=row.mute_reason,
        **_on_call(row),
    )


def _about(row: Row[Any]) -> About:
    """What a row knows of its job; nothing where that cannot be read, so that it holds up no other row."""
    try:
        return about_of(row.about, row.cause)
    except (AttributeError, LookupError, TypeError, ValueError):
        return About()


def _on_call(row: Row[Any]) -> dict[str, Any]:
    return {name: row._mapping[name] for name in _SHOWN}


def _changing(table: Table, show_at: Any) -> Update:
    row = table.c
    return update(table).where(row.id == bindparam("b_id")).values(version=row.version + 1, show_at=show_at)


_CHANGE_ALERT = _changing(alerts, case((_ALERT.manner == "alone", soon(alerts)), else_=null()))
_CHANGE_STORM = _changing(storms, soon(storms))


def change(connection: Connection, failure: Failure, at: datetime, **values: Unpack[Changes]) -> None:
    """Changes a failure that was found in this transaction, and has it shown again, soon."""
    statement = _CHANGE_STORM if failure.job_id is None else _CHANGE_ALERT
    connection.execute(statement, {**values, "b_id": failure.id, "b_at": at})


_DUE = tuple(
    select(table.c.id)
    .where(table.c.snoozed_until <= bindparam("b_now"))
    .order_by(table.c.snoozed_until)
    .limit(MAX_WOKEN)
    .with_for_update(skip_locked=True)
    for table in (alerts, storms)
)


def wake(connection: Connection, now: datetime, at: datetime, remind_after: timedelta | None) -> list[Failure]:
    """Ends the snoozes that are over, and has failures that still are say so in their threads.

    Args:
        now: by the database's clock.
        remind_after: after so long somebody is reminded of them; None: never.

    Returns:
        The failures, as they were before.
    """
    woken: list[Failure] = []
    for due in _DUE:
        for failure_id in connection.scalars(due, {"b_now": now}).all():
            failure = find(connection, failure_id)
            if failure is None or failure.snoozed_until is None:
                continue
            says_so = failure.failed and failure.muted_by is None
            change(connection, failure, at, snoozed_until=None, woken_at=failure.snoozed_until if says_so else None)
            if says_so and remind_after is not None:
                await_reminder(connection, [failure_id], at + remind_after)
            woken.append(failure)
    return woken


def begin_anew(connection: Connection, alert_id: str, storm_id: str | None) -> None:
    """Has nobody on a failure any more that was over, and now fails once more: that is another day's work."""
    nobody: Changes = {"taken_by": None, "taken_at": None, "released_by": None, "snoozed_until": None, "woken_at": None}
    if storm_id is None:
        connection.execute(update(alerts).where(_ALERT.id == alert_id).values(**nobody))
        return
    others = exists().where(_MEMBER, _ALERT.id != alert_id, _ALERT.state != AlertState.CLOSED)
    connection.execute(update(storms).where(_STORM.id == storm_id, ~others).values(**nobody))


def not_later(connection: Connection, at: datetime) -> None:
    """Has no snooze last longer than one may that begins now; for a clock that was set back."""
    latest = at + MAX_SNOOZE
    for table in (alerts, storms):
        connection.execute(update(table).where(table.c.snoozed_until > latest).values(snoozed_until=latest))

"""Reminds whoever is on call of failures that nobody takes care of: twice at most, one reply for a whole storm.

What is due is claimed in the row, and the row's thread shows it; so it is said once, whichever process does it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, Table, bindparam, exists, func, null, select, update

from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.clock import Clock, rfc3339
from bot.base.requester import Source
from bot.db import marks
from bot.db.columns import Moment
from bot.db.database import Database
from bot.db.tables import alerts, batches, retries, storms
from bot.retries.state import AlertState, State
from bot.slack.outbox import soon

REMINDER_SECONDS = 5.0
"""How often it is looked at whether somebody is to be reminded."""

SECOND = 4
"""The second reminder comes after so many times as long as the first."""

ASKED_AGAIN = timedelta(minutes=1)
"""What somebody asked to retry, and is not sent yet, is looked at again after so long."""

CHUNK = 100
"""Failures of each table that are looked at in one transaction."""

MARK = "reminders"
"""The mark that says with which delay reminders are given, and since when: what was due before is nobody's news."""


class Turn(NamedTuple):
    """What becomes of a failure that is looked at.

    Args:
        told: whether somebody is reminded of it now.
        again: when it is looked at again; None: never.
    """

    told: bool
    again: datetime | None


def turn(
    *, left: datetime, remind_at: datetime, reminded: int, after: timedelta, begun: datetime, now: datetime
) -> Turn:
    """Decides what becomes of a failure that waits for somebody.

    Args:
        left: when it failed, last.
        remind_at: when it was to be looked at; later than it failed if it was released, or reminded of, meanwhile.
        reminded: how often somebody was reminded of it.
        after: how long it may wait.
        begun: since when anybody is reminded.
    """
    due = max(remind_at, left + after)
    if due > now:
        return Turn(told=False, again=due)
    if due < begun:
        return Turn(told=False, again=None)
    second = due + after * (SECOND - 1)
    return Turn(told=True, again=second if reminded == 0 and second > now else None)


_ALERT, _STORM, _RETRY = alerts.c, storms.c, retries.c
_NOW = bindparam("b_now", type_=Moment())
_later = alerts.alias()
_sent = retries.alias()
_ASKED = exists().where(_RETRY.job_id == _ALERT.job_id, _RETRY.state == State.REQUESTED, _RETRY.kind == "retry")
_IDLE = (
    (_ALERT.state == AlertState.OPEN)
    & _ALERT.muted_by.is_(None)
    & _ALERT.taken_by.is_(None)
    & _ALERT.snoozed_until.is_(None)
)
_REPEATED = select(func.max(_later.c.created_at)).where(_later.c.parent_id == _ALERT.id).scalar_subquery()
_ALERTS: Select[Any] = (
    select(
        _ALERT.id,
        _ALERT.job_id,
        _ALERT.channel_id,
        _ALERT.remind_at,
        _ALERT.reminded,
        _ALERT.created_at,
        ((_ALERT.manner == "alone") & _IDLE).label("waits"),
        _ASKED.label("asked"),
        _REPEATED.label("repeated"),
        _sent.c.ended_at.label("retried"),
    )
    .select_from(alerts.outerjoin(_sent, _sent.c.id == _ALERT.retry_id))
    .where(_ALERT.remind_at <= _NOW)
    .order_by(_ALERT.remind_at)
    .limit(CHUNK)
)
_MEMBER = (_ALERT.storm_id == _STORM.id) & _ALERT.parent_id.is_(None)
_SPELLING = exists().where(batches.c.due_at.is_not(None), batches.c.origin.startswith(_STORM.id))
_STORMS: Select[Any] = (
    select(
        _STORM.id,
        null().label("job_id"),
        _STORM.channel_id,
        _STORM.remind_at,
        _STORM.reminded,
        _STORM.created_at,
        (_STORM.taken_by.is_(None) & _STORM.snoozed_until.is_(None) & exists().where(_MEMBER, _IDLE)).label("waits"),
        (_SPELLING | ~exists().where(_MEMBER, _IDLE, ~_ASKED)).label("asked"),
        select(func.max(_later.c.created_at)).where(_later.c.storm_id == _STORM.id).scalar_subquery().label("repeated"),
        select(func.max(_sent.c.ended_at))
        .select_from(alerts.join(_sent, _sent.c.id == _ALERT.retry_id))
        .where(_MEMBER, _ALERT.state == AlertState.OPEN)
        .correlate(storms)
        .scalar_subquery()
        .label("retried"),
    )
    .where(_STORM.remind_at <= _NOW)
    .order_by(_STORM.remind_at)
    .limit(CHUNK)
)
# No moment lies so far ahead but by a clock that was set back since.
_NOT_LATER = [
    update(table)
    .where(table.c.remind_at > bindparam("b_latest", type_=Moment()))
    .values(remind_at=bindparam("b_soon", type_=Moment()))
    for table in (alerts, storms)
]
_PUT_OFF = {table: update(table).where(table.c.id == bindparam("b_id")) for table in (alerts, storms)}
_TELL = {
    table: statement.values(
        reminded=table.c.reminded + 1,
        reminded_at=bindparam("b_at", type_=Moment()),
        version=table.c.version + 1,
        show_at=soon(table),
    )
    for table, statement in _PUT_OFF.items()
}


class Reminders:
    """Finds the failures that somebody is to be reminded of.

    Args:
        after: how long a failure may wait for somebody.
        group: the user group that is mentioned; None: nobody is.
        changed: told when there is something to show.
    """

    def __init__(
        self, *, database: Database, clock: Clock, after: timedelta, group: str | None, changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._after = after
        self._group = group
        self._changed = changed

    async def step(self) -> None:
        """Looks at what is due by now."""
        at = self._clock()
        if await self._database.run(lambda connection: self._look(connection, at)):
            self._changed()

    def _look(self, connection: Connection, at: datetime) -> int:
        begun = _begun(connection, self._after, at)
        for statement in _NOT_LATER:
            connection.execute(statement, {"b_latest": at + self._after * (SECOND - 1), "b_soon": at + self._after})
        told: list[Entry] = []
        for table, query in ((alerts, _ALERTS), (storms, _STORMS)):
            for row in connection.execute(query, {"b_now": at}).all():
                found = self._turn(row, begun, at)
                named = {"b_id": row.id, "remind_at": found.again}
                if found.told:
                    connection.execute(_TELL[table], {**named, "b_at": at})
                    told.append(self._entry(row, table))
                else:
                    connection.execute(_PUT_OFF[table], named)
        audit.append_all(connection, told, at)
        return len(told)

    def _turn(self, row: Row[Any], begun: datetime, now: datetime) -> Turn:
        if not row.waits:
            return Turn(told=False, again=None)
        if row.asked:
            return Turn(told=False, again=now + ASKED_AGAIN)
        moments = [one for one in (row.created_at, row.repeated, row.retried) if one is not None and one <= now]
        left = max(moments, default=row.remind_at - self._after)  # a moment to come is of a clock that was set back
        timing = {"remind_at": row.remind_at, "after": self._after, "begun": begun, "now": now}
        return turn(left=left, reminded=row.reminded, **timing)

    def _entry(self, row: Row[Any], table: Table) -> Entry:
        what = "storm" if table is storms else "alert"
        detail = {what: row.id, "number": row.reminded + 1, "group": self._group, "failed_at": rfc3339(row.created_at)}
        said = {name: value for name, value in detail.items() if value is not None}
        return Entry(event=Event.REMIND, job_id=row.job_id, channel_id=row.channel_id, source=Source.ALERT, detail=said)


def _begun(connection: Connection, after: timedelta, at: datetime) -> datetime:
    """Since when reminders are given with this delay: from now on, if it was another one until now, or none."""
    delay = f"{after.total_seconds():.0f}"
    known, _, since = (marks.read(connection, MARK) or "").partition(" ")
    if known == delay:
        return datetime.fromisoformat(since)
    marks.write(connection, MARK, f"{delay} {rfc3339(at)}", at)
    return at


def forget(connection: Connection) -> None:
    """Notes that nobody is reminded, so that whoever switches that on is not reminded of everything at once."""
    marks.forget(connection, MARK)

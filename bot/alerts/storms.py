"""What is read of storms: how their jobs stand, what they share, and what waits to be retried.

Every function runs inside one transaction of the caller's.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, exists, func, literal_column, select

from bot.alerts.alert import Alert, Group, Standing, Storm, standing_of
from bot.alerts.queries import readable as readable_alerts
from bot.alerts.storm_press import ToRetry
from bot.db.tables import alerts, batches, retries, storms
from bot.retries.causes import record_of
from bot.retries.messages.record import readable
from bot.retries.queries import each_readable
from bot.retries.record import Record
from bot.retries.request import JobRef
from bot.retries.state import AlertState, State
from bot.sift.ids import job_kind
from bot.slack.outbox import Outbox
from bot.slack.piece import values_of

MAX_LISTED = 300
"""So many failures of a storm are listed in its thread; the counts are of all of them."""

MAX_REPEATS = 20
"""So many later failures are told in the thread of a storm."""

MAX_RECORDS = 8
"""The groups for which it is said whether retrying helped: those that are shown."""

MAX_SPELLING = 100
"""Batches that are looked through for jobs of a storm."""

_ROW, _RETRY = alerts.c, retries.c
_STORM = (_ROW.storm_id == bindparam("b_storm")) & _ROW.parent_id.is_(None)
_ASKED = (_RETRY.job_id == _ROW.job_id) & (_RETRY.state == State.REQUESTED) & (_RETRY.kind == "retry")
_UNAPPROVED = _RETRY.approval_until.is_not(None) & _RETRY.approved_by.is_(None)
# One look at what is asked for of a job: whose it is, marked where it waits for somebody else's word.
_AWAITS = "?"
_WHO = case((_UNAPPROVED, literal_column(f"'{_AWAITS}'") + _RETRY.user_id), else_=_RETRY.user_id)
_ASKED_BY = select(_WHO).where(_ASKED).order_by(_RETRY.created_at).limit(1).correlate(alerts)
_sent = retries.alias()
_jobs = (
    select(
        _ROW.job_type,
        _ROW.cause_key,
        _ROW.topic,
        _ROW.state,
        _ROW.cause,
        _sent.c.state.label("retry_state"),
        _sent.c.user_id.label("retried_by"),
        _ASKED_BY.scalar_subquery().label("asked_by"),
    )
    .select_from(alerts.outerjoin(_sent, _sent.c.id == _ROW.retry_id))
    .where(_STORM)
    .subquery()
)
_ALIKE = [column for column in _jobs.c if column.name != "cause"]
_COUNTED: Select[Any] = select(
    *_ALIKE, func.count().label("jobs"), func.min(_jobs.c.cause).label("one"), func.max(_jobs.c.cause).label("other")
).group_by(*_ALIKE)
_BEGUN = exists().where(_RETRY.batch_id == batches.c.id)
_SPELLING = (
    select(batches.c.id, batches.c.user_id, batches.c.todo)
    .where(batches.c.due_at.is_not(None), batches.c.kind == "retry", _BEGUN)
    .limit(MAX_SPELLING)
)
_FREE = _STORM & (_ROW.state == AlertState.OPEN) & ~exists().where(_ASKED)
# All of them, and not those of a batch by their IDs: SQLite would look through the whole storm for each few hundred.
_TO_SPELL: Select[Any] = (
    select(_ROW.job_id, _ROW.job_type, _ROW.cause_key, _ROW.topic, _sent.c.state.label("retry_state"))
    .select_from(alerts.outerjoin(_sent, _sent.c.id == _ROW.retry_id))
    .where(_FREE)
)
_OPEN: Select[Any] = select(_ROW.id, _ROW.job_id, _ROW.offered, _ROW.job_type, _ROW.cause_key, _ROW.topic).where(
    _STORM, _ROW.state == AlertState.OPEN
)
_FREE_IDS = select(_ROW.job_id).where(_FREE)
_MEMBERS = select(alerts).where(_STORM).order_by(_ROW.created_at, _ROW.id)
_SOME = select(alerts).where(_ROW.id.in_(bindparam("b_ids", expanding=True)))
_REPEATS = (
    select(alerts)
    .where(_ROW.storm_id == bindparam("b_storm"), _ROW.parent_id.is_not(None), _ROW.manner == "repeat")
    .order_by(_ROW.created_at)
    .limit(MAX_REPEATS)
)


def to_retry(connection: Connection, storm_id: str, group_id: str | None = None) -> ToRetry:
    """Returns the jobs of a storm, or of one of its groups, that may be retried now."""
    open_ = [row for row in _open(connection, storm_id) if group_id in (None, _group_of(row))]
    free = _free(connection, storm_id)
    found = [row for row in open_ if row.job_id in free]
    known = bool(open_) or group_id is None or group_id in _count(connection, storm_id).groups
    return ToRetry([JobRef(row.job_id, row.offered) for row in found or open_], len(found), known)


def to_pick(connection: Connection, storm_id: str, limit: int) -> tuple[list[Alert], int, int]:
    """Returns the first alerts of a storm whose jobs may be retried now, group by group.

    Returns:
        They, how many there are, and how many more are still failed whose retry is asked for already.
    """
    free, open_ = _free(connection, storm_id), _open(connection, storm_id)
    rows = [row for row in open_ if row.job_id in free]
    sizes = Counter(_group_of(row) for row in rows)
    rows.sort(key=lambda row: (-sizes[_group_of(row)], _group_of(row)))
    order = [row.id for row in rows[:limit]]
    found = {alert.id: alert for alert in readable_alerts(connection.execute(_SOME, {"b_ids": order}))}
    return [found[one] for one in order if one in found], len(rows), len(open_) - len(rows)


def _open(connection: Connection, storm_id: str) -> Sequence[Row[Any]]:
    return connection.execute(_OPEN.order_by(_ROW.created_at, _ROW.id), {"b_storm": storm_id}).all()


def _free(connection: Connection, storm_id: str) -> set[str]:
    """The open jobs of a storm whose retry nobody has asked for."""
    spelling = {job_id for jobs, _ in _spelling(connection) for job_id in jobs}
    return set(connection.scalars(_FREE_IDS, {"b_storm": storm_id})) - spelling


def _spelling(connection: Connection) -> list[tuple[list[str], str]]:
    """The jobs of batches that are being spelled out, as far as they are not yet, and whose batch it is."""

    def read(row: Mapping[Any, Any]) -> tuple[list[str], str]:
        return [one[0] for one in json.loads(row["todo"])], row["user_id"]

    return each_readable(connection.execute(_SPELLING), read, "batch")


@dataclass
class _Counts:
    """How the jobs of a storm stand, group by group, as they are counted."""

    groups: dict[str, Counter[Standing]]
    like: dict[str, Row[Any]]
    causes: dict[str, set[str]]
    kinds: Counter[str]
    retrying: Counter[str]
    awaiting: Counter[str]
    retried: Counter[str]

    def add(self, row: Row[Any]) -> None:
        """Counts jobs that are alike."""
        group = _group_of(row)
        retry = State(row.retry_state) if row.retry_state else None
        asked_by, asked = row.asked_by, None
        if asked_by is not None:
            asked = Standing.AWAITING if asked_by.startswith(_AWAITS) else Standing.QUEUED
            asked_by = asked_by.removeprefix(_AWAITS)
        standing = standing_of(AlertState(row.state), retry, asked)
        self.groups.setdefault(group, Counter())[standing] += row.jobs
        self.like.setdefault(group, row)
        self.causes.setdefault(group, set()).update(cause for cause in (row.one, row.other) if cause)
        self.kinds[row.job_type] += row.jobs
        if standing is Standing.THROUGH:
            self.retried[row.retried_by] += row.jobs
        elif standing is Standing.AWAITING:
            self.awaiting[asked_by] += row.jobs
        elif standing is Standing.QUEUED:
            self.retrying[asked_by or row.retried_by] += row.jobs
        elif standing is Standing.UNDER_WAY:
            self.retrying[row.retried_by] += row.jobs

    def queue(self, row: Row[Any], user_id: str, jobs: int) -> None:
        """Counts open jobs that are alike as asked for."""
        standings = self.groups[_group_of(row)]
        standings[standing_of(AlertState.OPEN, State(row.retry_state) if row.retry_state else None, None)] -= jobs
        standings[Standing.QUEUED] += jobs
        self.retrying[user_id] += jobs


def _count(connection: Connection, storm_id: str) -> _Counts:
    counts = _Counts({}, {}, {}, Counter(), Counter(), Counter(), Counter())
    for row in connection.execute(_COUNTED, {"b_storm": storm_id}):
        counts.add(row)
    asked = {job_id: user_id for jobs, user_id in reversed(_spelling(connection)) for job_id in jobs}
    if asked:
        alike: dict[tuple[Any, ...], list[Row[Any]]] = {}
        for row in connection.execute(_TO_SPELL, {"b_storm": storm_id}):
            if row.job_id in asked:
                alike.setdefault((asked[row.job_id], *row[1:]), []).append(row)
        for (user_id, *_), rows in alike.items():
            counts.queue(rows[0], user_id, len(rows))
    return counts


def _group_of(row: Row[Any]) -> str:
    """What the failures of a group have in common, short enough for a button; where no cause is known, their kind."""
    shared = [row.cause_key or "", row.topic or "", "" if row.cause_key else row.job_type]
    return hashlib.sha256(json.dumps(shared).encode()).hexdigest()[:12]


def _groups(connection: Connection, counts: _Counts) -> list[Group]:
    """The groups, largest first; whether retrying helped is read for the first of them."""
    sizes = {group: sum(standings.values()) for group, standings in counts.groups.items()}
    order = sorted(sizes, key=lambda group: (-sizes[group], counts.like[group].topic or "", group))
    return [_group(connection, counts, group, number < MAX_RECORDS) for number, group in enumerate(order)]


def _group(connection: Connection, counts: _Counts, group: str, recorded: bool) -> Group:
    row, causes = counts.like[group], counts.causes[group]
    key = row.cause_key or ""
    return Group(
        id=group,
        standings={one: count for one, count in counts.groups[group].items() if count},
        kind=job_kind(row.job_type),
        cause=next(iter(causes)) if len(causes) == 1 else readable(key),
        cause_key=key,
        topic=row.topic or "",
        record=record_of(connection, key) if key and recorded else Record(),
    )


def _most(users: Mapping[str, int]) -> Collection[str]:
    return sorted(users, key=lambda user: (-users[user], user))


def _load(connection: Connection, row: Row[Any], interrupted: bool) -> Storm:
    named, counts = {"b_storm": row.id}, _count(connection, row.id)
    return Storm(
        **values_of(Storm, row._mapping),
        kinds=counts.kinds,
        groups=_groups(connection, counts),
        retrying=tuple(_most(counts.retrying)),
        awaiting=tuple(_most(counts.awaiting)),
        retried=tuple(_most(counts.retried)),
        members=readable_alerts(connection.execute(_MEMBERS.limit(MAX_LISTED), named)),
        repeats=readable_alerts(connection.execute(_REPEATS, named)),
        interrupted=interrupted,
    )


outbox = Outbox(storms, _load)
"""The storms, as far as Slack shows them."""

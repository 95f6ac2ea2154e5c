"""The rows of digests, and what they are made of: failures, retries and moves of one channel, counted by run.

Every function runs inside one transaction of the caller's.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, bindparam, case, delete, exists, func, insert, or_, select

from bot.alerts.alert import Alert
from bot.alerts.queries import readable
from bot.audit.entry import Event
from bot.db.columns import Moment, by_value, not_ahead, within
from bot.db.tables import alerts, audit, batches, digests, retries, storms
from bot.digest.digest import Digest, Hands, News, RunNews, Tried
from bot.retries.state import ACTIVE, MAY_MOVE, AlertState, State
from bot.sift.ids import job_kind
from bot.slack.message import Message
from bot.slack.outbox import Outbox
from bot.slack.piece import values_of

KEPT = timedelta(days=7)
"""A digest is kept for so long."""

LONGEST_RETRY = timedelta(days=7)
"""No retry that ended since was asked for longer before."""

MAX_GROUPS = 10_000
"""So many groups of each kind are counted, the largest first: one for each run, and whoever has it."""

_ENDED = (State.FINISHED, State.FAILED_AGAIN, State.CANCELLED, State.LOST)
_ALERT, _RETRY = alerts.c, retries.c
_first = alerts.alias()
_CHANNEL, _SINCE = bindparam("b_channel", type_=Text()), bindparam("b_since", type_=Moment())
_HERE = (_first.c.channel_id == _CHANNEL) & _first.c.parent_id.is_(None) & _first.c.muted_by.is_(None)
_FAILED: Select[Any] = (
    select(_first.c.topic, _first.c.job_type, func.count(_ALERT.job_id.distinct()).label("jobs"))
    .select_from(alerts.join(_first, _first.c.id == func.coalesce(_ALERT.parent_id, _ALERT.id)))
    .where(_HERE, _ALERT.channel_id == _CHANNEL, _ALERT.created_at > _SINCE)
    .group_by(_first.c.topic, _first.c.job_type)
    .order_by(func.count(_ALERT.job_id.distinct()).desc())
    .limit(MAX_GROUPS)
)
_ASKED = (_RETRY.job_id == _first.c.job_id) & (_RETRY.state == State.REQUESTED) & (_RETRY.kind == "retry")
_ASKED_BY = select(_RETRY.user_id).where(_ASKED).order_by(_RETRY.created_at).limit(1).scalar_subquery()
_OPEN = _HERE & within(_first.c.state, MAY_MOVE) & (_first.c.state == AlertState.OPEN)
_open = (
    select(
        _first.c.topic,
        _first.c.job_type,
        _ASKED_BY.label("asked_by"),
        func.coalesce(_first.c.taken_by, storms.c.taken_by).label("taken_by"),
        case(
            (_first.c.snoozed_until.is_not(None), _first.c.snoozed_by),
            (storms.c.snoozed_until.is_not(None), storms.c.snoozed_by),
        ).label("snoozed_by"),
    )
    .select_from(_first.outerjoin(storms, storms.c.id == _first.c.storm_id))
    .where(_OPEN)
    .subquery()
)
_WAITING: Select[Any] = (
    select(*_open.c, func.count().label("jobs")).group_by(*_open.c).order_by(func.count().desc()).limit(MAX_GROUPS)
)
# From what was done since to its alert, and not through all alerts.
_RETRIED: Select[Any] = (
    select(_first.c.topic, _first.c.job_type, _RETRY.user_id, _RETRY.state, func.count().label("jobs"))
    .select_from(retries.join(_first, _first.c.job_id == by_value(_RETRY.job_id)))
    .where(
        _HERE,
        _RETRY.kind == "retry",
        _RETRY.sent_at.is_not(None),
        _RETRY.created_at > bindparam("b_asked_since", type_=Moment()),
        or_(_RETRY.state.in_(ACTIVE), _RETRY.state.in_(_ENDED) & (_RETRY.ended_at > _SINCE)),
    )
    .group_by(_first.c.topic, _first.c.job_type, _RETRY.user_id, _RETRY.state)
    .order_by(func.count().desc())
    .limit(MAX_GROUPS)
)
_OUTSIDE: Select[Any] = (
    select(_first.c.topic, _first.c.job_type, func.count(audit.c.job_id.distinct()).label("jobs"))
    .select_from(audit.join(_first, _first.c.job_id == by_value(audit.c.job_id)))
    .where(_HERE, audit.c.event == Event.OUTSIDE, audit.c.at > _SINCE)
    .group_by(_first.c.topic, _first.c.job_type)
    .order_by(func.count(audit.c.job_id.distinct()).desc())
    .limit(MAX_GROUPS)
)


@dataclass
class _Counts:
    """What is counted of one run."""

    failed: int = 0
    outside: int = 0
    waiting: Counter[tuple[Hands, str]] = field(default_factory=Counter)
    tried: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def retry(self, row: Row[Any]) -> None:
        """Counts retries of one person that stand alike."""
        counts = self.tried[row.user_id]
        counts["under_way" if row.state in ACTIVE else "ended"] += row.jobs
        counts["helped"] += row.jobs if row.state == State.FINISHED else 0

    def news(self, name: str, kind: str) -> RunNews:
        """What is told of it."""
        retried = {who: Tried(one["ended"], one["helped"], one["under_way"]) for who, one in self.tried.items()}
        return RunNews(
            name=name, kind=kind, failed=self.failed, waiting=self.waiting, retried=retried, outside=self.outside
        )


def news(connection: Connection, channel_id: str, since: datetime) -> News:
    """Returns what happened in a channel since a moment, and what waits there."""
    named = {"b_channel": channel_id, "b_since": since, "b_asked_since": since - LONGEST_RETRY}
    counts: defaultdict[tuple[str, str], _Counts] = defaultdict(_Counts)
    for row in connection.execute(_FAILED, named):
        counts[_run_of(row)].failed += row.jobs
    for row in connection.execute(_WAITING, named):
        counts[_run_of(row)].waiting[_hands_of(row)] += row.jobs
    for row in connection.execute(_RETRIED, named):
        counts[_run_of(row)].retry(row)
    for row in connection.execute(_OUTSIDE, named):
        counts[_run_of(row)].outside += row.jobs
    runs = [one.news(*run) for run, one in counts.items()]
    return News(since=since, runs=sorted(runs, key=lambda run: (-run.waits, -run.failed, run.name, run.kind)))


def _run_of(row: Row[Any]) -> tuple[str, str]:
    """The name of the run or asset; where there is none, the kind of job."""
    return (row.topic, "") if row.topic else ("", job_kind(row.job_type))


def _hands_of(row: Row[Any]) -> tuple[Hands, str]:
    if row.asked_by is not None:
        return Hands.ASKED, row.asked_by
    if row.snoozed_by is not None:
        return Hands.SNOOZED, row.snoozed_by
    return (Hands.TAKEN, row.taken_by) if row.taken_by is not None else (Hands.NOBODY, "")


_OLD = delete(digests).where(digests.c.created_at < bindparam("b_before"))


def keep(connection: Connection, digest_id: str, channel_id: str, message: Message, at: datetime) -> None:
    """Writes a digest, to be posted now, and drops what is too old."""
    content = json.dumps({"text": message.text, "blocks": list(message.blocks)})
    row = {"id": digest_id, "channel_id": channel_id, "created_at": at, "content": content, "version": 1}
    connection.execute(insert(digests).values(row | {"show_at": not_ahead(connection, at)}))
    connection.execute(_OLD, {"b_before": at - KEPT})


_FREE = _OPEN & ~exists().where(_ASKED)
_SPELLING = select(batches.c.todo).where(batches.c.due_at.is_not(None), batches.c.kind == "retry").limit(100)
_TO_PICK = select(_first).where(_FREE).order_by(_first.c.topic, _first.c.cause_key, _first.c.job_type, _first.c.id)
_ALL = select(func.count()).select_from(_first).where(_FREE)


def to_pick(connection: Connection, channel_id: str, limit: int) -> tuple[list[Alert], int]:
    """Returns the first alerts of a channel whose jobs may be retried now, run by run, and how many there are."""
    named = {"b_channel": channel_id}
    spelling = {job_id for todo in connection.scalars(_SPELLING) for job_id, *_ in json.loads(todo)}
    total = connection.scalar(_ALL, named) or 0
    rows = connection.execute(_TO_PICK.limit(limit + len(spelling)), named)
    free = [row for row in rows if row.job_id not in spelling]
    return readable(free[:limit]), max(len(free), total - len(spelling))


def _load(_connection: Connection, row: Row[Any], interrupted: bool) -> Digest:
    content = json.loads(row.content)
    message = Message(content["text"], content["blocks"])
    return Digest(**values_of(Digest, row._mapping), message=message, interrupted=interrupted)


outbox = Outbox(digests, _load)
"""The digests that are to be posted."""

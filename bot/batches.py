"""Several retries asked for at once: recorded as one row before the ack, then spelled out a few at a time.

Each job gets a retry and an audit trail of its own; the batch is what shows them together. What is still to be spelled
out stands in the batch's row, so an interrupted batch goes on where it stopped.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot import record
from bot.record import Request, Retry, new_id
from bot.showing import Board, Shown, values_of
from bot.tables import FINAL, OFFERING, batches, retries

AT_A_TIME = 25
"""So many retries are spelled out in one transaction, so that nobody else waits for long."""

MOST_LISTED = 120
"""So many retries of a batch are listed in its thread; the tally counts all of them."""

_INSERT = {
    dialect: upsert(batches).on_conflict_do_nothing(index_elements=["delivery_key"]).returning(batches.c.id)
    for dialect, upsert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_DUE = (
    select(batches)
    .where(batches.c.due_at <= bindparam("b_now"))
    .order_by(batches.c.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_REST = update(batches).where(batches.c.id == bindparam("b_id"))
_MEMBERS = select(retries).where(retries.c.batch_id == bindparam("b_id"))
_LISTED = _MEMBERS.order_by(retries.c.created_at, retries.c.id).limit(MOST_LISTED)
_STATES = select(retries.c.state, func.count()).where(retries.c.batch_id == bindparam("b_id")).group_by(retries.c.state)
_AGAIN = _MEMBERS.where(retries.c.state.in_(OFFERING), retries.c.superseded_by.is_(None))
_OFFERED = _AGAIN.with_only_columns(func.count())


@dataclass(frozen=True)
class Wanted:
    """A job to retry, and the failure that the button stood for, if it was a button."""

    job_id: str
    offered: str | None = None


@dataclass(frozen=True, kw_only=True)
class Batch(Shown):
    """A row of `batches`, with how its retries stand.

    Args:
        total: how many jobs were asked for.
        states: how many of its retries are in which state.
        members: its first retries, in full.
        offered: how many of its retries may be repeated.
    """

    delivery_key: str
    team_id: str
    user_id: str
    source: str
    user_name: str | None = None
    reason: str | None = None
    total: int
    states: Mapping[str, int]
    members: Sequence[Retry]
    offered: int = 0

    @property
    def reader(self) -> str:
        return self.user_id

    @property
    def final(self) -> bool:
        return sum(count for state, count in self.states.items() if state in FINAL) >= self.total


def open_batch(connection: Connection, first: Request, wanted: Sequence[Wanted], at: datetime) -> bool:
    """Records a batch; answers False for one that was already delivered.

    Args:
        first: who asks, from where, and why: a request as it would be for the first job alone; its ID is the batch's.
        wanted: the jobs, each named once.
    """
    values = {name: value for name, value in first.__dict__.items() if name in batches.c}
    values |= {
        "created_at": at,
        "total": len(wanted),
        "todo": json.dumps([[one.job_id, one.offered] for one in wanted]),
        "due_at": at,
    }
    return connection.execute(_INSERT[connection.dialect.name], values).first() is not None


def spell_out(connection: Connection, now: datetime, at: datetime) -> list[Request]:
    """Records the next few retries of a batch that has some left; answers them: none if there is no such batch."""
    row = connection.execute(_DUE, {"b_now": now}).first()
    if row is None:
        return []
    todo = json.loads(row.todo)
    requests = [_request(row, job_id, offered) for job_id, offered in todo[:AT_A_TIME]]
    for number, request in enumerate(requests):
        record.record(connection, request, at + timedelta(microseconds=number))  # which keeps their order
    left = todo[AT_A_TIME:]
    connection.execute(_REST, {"b_id": row.id, "todo": json.dumps(left), "due_at": now if left else None})
    record.touch(connection, row.id, now)
    return requests


def spell_out_rest(connection: Connection, at: datetime) -> None:
    """Records every retry that batches have left."""
    for row in connection.execute(select(batches).where(batches.c.due_at.is_not(None))).all():
        for number, (job_id, offered) in enumerate(json.loads(row.todo)):
            record.record(connection, _request(row, job_id, offered), at + timedelta(microseconds=number))
        connection.execute(_REST, {"b_id": row.id, "todo": "[]", "due_at": None})
        record.touch(connection, row.id, at)


def to_retry_again(connection: Connection, batch_id: str) -> list[Wanted]:
    """What failed again, was cancelled or never arrived, and may be retried once more."""
    members = [Retry.of(row) for row in connection.execute(_AGAIN, {"b_id": batch_id})]
    return [Wanted(retry.job_id, retry.job.failure) for retry in members if retry.job is not None]


def _request(row: Row[Any], job_id: str, offered: str | None) -> Request:
    return Request(
        id=new_id(),
        delivery_key=f"batch:{row.id}:{job_id}",
        job_id=job_id,
        offered=offered,
        batch_id=row.id,
        team_id=row.team_id,
        user_id=row.user_id,
        user_name=row.user_name,
        source=row.source,
        reason=row.reason,
        channel_id=row.channel_id,
        thread_ts=row.thread_ts,
    )


def _load(connection: Connection, row: Row[Any], interrupted: bool) -> Batch:
    states = {found.state: found[1] for found in connection.execute(_STATES, {"b_id": row.id})}
    members = [Retry.of(found) for found in connection.execute(_LISTED, {"b_id": row.id})]
    offered = connection.scalar(_OFFERED, {"b_id": row.id}) or 0
    return Batch(**values_of(Batch, row), states=states, members=members, offered=offered, interrupted=interrupted)


board = Board(batches, _load)
"""The batches, as far as Slack shows them."""

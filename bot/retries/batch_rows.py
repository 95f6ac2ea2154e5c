"""A batch as Slack shows it: how its retries stand, those that are listed, what is offered again."""

import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from bot.base.requester import Source
from bot.db.tables import batches, retries
from bot.retries import approval_rows, known, queries
from bot.retries.batches import AGAIN, MEMBERS, STALE
from bot.retries.kind import Kind
from bot.retries.request import MAX_LISTED, Batch
from bot.retries.state import State
from bot.slack.outbox import Outbox
from bot.slack.piece import values_of

MAX_NAMED = 10
"""So many retries of a batch that wait for a second person are named."""

_LISTED = MEMBERS.order_by(retries.c.created_at, retries.c.id).limit(MAX_LISTED)
_STATES = select(retries.c.state, func.count()).where(retries.c.batch_id == bindparam("b_id")).group_by(retries.c.state)
_OFFERED = AGAIN.with_only_columns(func.count(), func.max(retries.c.cools_until))
_COOLING = MEMBERS.where(
    retries.c.state == State.REQUESTED, retries.c.waits_until.is_not(None), retries.c.approval_until.is_(None)
).with_only_columns(func.count(), func.max(retries.c.waits_until))
_STALE_COUNT = STALE.with_only_columns(func.count()).order_by(None)


def _load(connection: Connection, row: Row[Any], interrupted: bool) -> Batch:
    states = {State(found.state): found[1] for found in connection.execute(_STATES, {"b_id": row.id})}
    listed = queries.readable(connection.execute(_LISTED, {"b_id": row.id}))
    offered, cools_until = connection.execute(_OFFERED, {"b_id": row.id}).one()
    waiting, waits_until = connection.execute(_COOLING, {"b_id": row.id}).one()
    second = approval_rows.of_batch(connection, row.id, MAX_NAMED)
    return Batch(
        **{
            **values_of(Batch, row._mapping),
            "kind": Kind(row.kind),
            "source": Source(row.source),
            "refusal": json.loads(row.refusal or "{}"),
        },
        states=states,
        members=known.completed(connection, listed),
        offered=offered,
        cools_until=cools_until,
        waiting=waiting,
        waits_until=waits_until,
        spoken=second.spoken,
        awaiting=known.completed(connection, second.awaiting),
        awaiting_until=second.until,
        undecided=second.undecided + row.total - sum(states.values()),
        stale=connection.scalar(_STALE_COUNT, {"b_id": row.id}) or 0,
        interrupted=interrupted,
    )


outbox = Outbox(batches, _load)
"""The batches, as far as Slack shows them."""

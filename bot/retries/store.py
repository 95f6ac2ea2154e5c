"""The rows of retries: recorded, moved from state to state, each move with its audit entry; `claims` takes them first.

Every function runs inside one transaction of the caller's. The table of states is in docs/design.md.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Row, bindparam, case, null, select, update

from bot.audit import entry
from bot.audit import log as audit
from bot.base.errors import WrongState
from bot.db.columns import Moment, due_at
from bot.db.once import insert_once
from bot.db.tables import alerts, batches, retries
from bot.retries import claims, known, late_rows
from bot.retries.alert_rows import remind_of_storm, touch_alerts, touch_storm, touch_storms, touching
from bot.retries.entries import entry_of
from bot.retries.kind import Kind
from bot.retries.request import Request, Retry
from bot.retries.state import ACTIVE, FACTS, FINAL, OFFERING, UNSENT, AlertState, RefusalReason, State
from bot.sift.job import Job
from bot.slack.outbox import Outbox, soon

# Statements are built once, with parameters to be named: building one costs more than SQLite takes to run it.
# The parameters' names begin with b_, so that none is taken for a column's.
_ROW = retries.c
# A retry of a batch is shown by the batch.
_SOON = case((_ROW.batch_id.is_not(None), null()), else_=soon(retries))
_MOVE = (
    update(retries)
    .where(_ROW.id == bindparam("b_id"), _ROW.fence == bindparam("b_fence"), _ROW.state == bindparam("b_state"))
    .values(version=_ROW.version + 1)
    .returning(*_ROW)
)
_MOVE_AND_SHOW = _MOVE.values(show_at=_SOON)
# `audit.canonical` writes the detail, so there are no blanks in it.
IS_STALE = (_ROW.state == State.REFUSED) & _ROW.detail.contains(f'"why":"{RefusalReason.STALE}"')
_SUPERSEDE = (
    update(retries)
    .where(
        ((_ROW.job_id == bindparam("b_job")) & (_ROW.kind == Kind.RETRY))
        | ((_ROW.new_job_id == bindparam("b_job")) & (_ROW.kind == Kind.RERUN)),
        _ROW.id != bindparam("b_id"),
        _ROW.superseded_by.is_(None),
        _ROW.state.in_(OFFERING) | IS_STALE,
    )
    .values(superseded_by=bindparam("b_id"), version=_ROW.version + 1, show_at=_SOON)
    .returning(_ROW.batch_id)
)
_ALERT_MOVED = (
    update(alerts)
    .where(alerts.c.job_id == bindparam("b_job"), alerts.c.parent_id.is_(None))
    .values(
        retry_id=bindparam("b_id"),
        state=bindparam("b_alert"),
        remind_at=case((alerts.c.manner == "alone", bindparam("b_remind_at", type_=Moment())), else_=null()),
        reminded=0,
        reminded_at=null(),
        version=alerts.c.version + 1,
        show_at=case((alerts.c.manner == "alone", soon(alerts)), else_=null()),
    )
    .returning(alerts.c.storm_id)
)
_TOUCH = touching(batches)
_insert = insert_once(retries, "delivery_key", due_at=due_at())


class Changes(TypedDict, total=False):
    """What a turn, or a look at the job, may change in a row beside its state.

    Args:
        detail: why, for the messages and the audit alike.
        due_at: when the row is to be looked at again; None: never.
        missed: reads in a row without the job.
        late_until: until when reports are looked for that were evaluated before this import's data arrived.
        waits_until: until when a request waits for the end of the cooldown; it ends with the state, or
            where a second person is asked for instead.
        cools_until: until when a retry that is offered again lets whoever presses wait.
    """

    detail: Mapping[str, Any]
    due_at: datetime | None
    sent_at: datetime
    attempt: int | None
    grant_id: int | None
    approval_until: datetime
    approvals_needed: int
    approved_by: str
    override_reason: str | None
    job_before: Job | None
    job_after: Job | None
    new_job_id: str
    missed: int
    late_until: datetime
    waits_until: datetime | None
    cools_until: datetime


def add(connection: Connection, request: Request, at: datetime) -> bool:
    """Writes a request and its audit entry.

    Returns:
        Whether it is new; False for one that was already delivered.
    """
    new = _insert(connection, {**request.__dict__, "state": State.REQUESTED, "created_at": at, "b_at": at})
    if new:
        audit.append(connection, entry_of(request, State.REQUESTED), at)
    return new


def refuse_stale(connection: Connection, request_id: str, asked_at: datetime, now: datetime, at: datetime) -> None:
    """Refuses a request that nobody carried out in time.

    Args:
        asked_at: when somebody asked for it.
    """
    detail = {"why": RefusalReason.STALE, "seconds": round((at - asked_at).total_seconds())}
    for retry in claims.claim(connection, [State.REQUESTED], now, only=request_id):
        transition(connection, retry, State.REFUSED, at, detail=detail)


def transition(
    connection: Connection,
    retry: Retry,
    state: State,
    at: datetime,
    *,
    note: Mapping[str, Any] | None = None,
    **changes: Unpack[Changes],
) -> Retry:
    """Moves a claimed row to its next state and appends the audit entry that says so.

    Args:
        note: further facts for the audit alone.
        changes: what else changes in the row; without a `due_at` nobody looks at it again.

    Returns:
        The row as it is now.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
        ValueError: no request in this state can enter that one.
    """
    if state not in FACTS[retry.state].next:
        raise ValueError(f"{retry.state} is never followed by {state}")
    values: dict[str, Any] = {"due_at": None, "waits_until": None, **_stored(changes), "state": state}
    if (job := changes.get("job_before")) is not None:
        values["job_type"] = job.job_type or None
    if state in FINAL:
        values |= {"ended_at": at, "due_at": None}
    if state in (State.UNKNOWN, State.ACCEPTED):
        values[f"{state}_at"] = at
    moved = _change(connection, retry, values, at, show=state is not State.SENDING)
    if moved.kind is Kind.RETRY:
        _tell_others(connection, moved, at)
    elif moved.kind is Kind.RERUN and not {retry.state, state}.isdisjoint(ACTIVE):
        for batch_id in late_rows.mark(connection, moved, at):
            touch(connection, batch_id, at)
    detail = {**changes.get("detail", {}), **(note or {})}
    audit.append(connection, entry_of(moved, state, detail=detail), at)
    return moved


def enter_once(connection: Connection, retry: Retry, state: State, at: datetime, **changes: Unpack[Changes]) -> Retry:
    """Moves a row like `transition`, unless an earlier try of this very write did so and only its answer was lost.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
    """
    try:
        return transition(connection, retry, state, at, **changes)
    except WrongState:
        mine = (_ROW.id == retry.id) & (_ROW.fence == retry.fence) & (_ROW.state == state)
        row = connection.execute(select(retries).where(mine)).first()
        if row is None or state == retry.state:
            raise
        return Retry.of(row._mapping)


def note_progress(connection: Connection, retry: Retry, at: datetime, **changes: Unpack[Changes]) -> Retry:
    """Writes what a look at the job showed while the state stays as it is.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
    """
    return _change(connection, retry, _stored(changes), at)


def _change(
    connection: Connection, retry: Retry, values: Mapping[str, Any], at: datetime, *, show: bool = True
) -> Retry:
    mine = {"b_id": retry.id, "b_fence": retry.fence, "b_state": retry.state}
    if show:
        row = connection.execute(_MOVE_AND_SHOW, {**values, **mine, "b_at": at}).first()
    else:
        row = connection.execute(_MOVE, {**values, **mine}).first()
    if row is None:
        raise WrongState
    if row.batch_id is not None:
        touch(connection, row.batch_id, at)
    return Retry.of(row._mapping)


def _tell_others(connection: Connection, retry: Retry, at: datetime) -> None:
    """Has whatever else shows a retried job follow: its earlier retries, and its alert."""
    if retry.state in (State.ACCEPTED, State.UNKNOWN):
        _supersede(connection, retry, at)
    if retry.sent_at is not None and (alert := FACTS[retry.state].alert) is not None:
        _move_alert(connection, retry, alert, at)
    elif retry.state in UNSENT:
        touch_alerts(connection, retry.job_id, at)
    elif retry.state is State.REQUESTED:  # back in the queue, since Sift asks to wait
        touch_storms(connection, [retry.job_id], at)


def _supersede(connection: Connection, retry: Retry, at: datetime) -> None:
    """Has earlier retries of the job, or the rerun that began it, drop their Retry buttons: there is a newer one."""
    earlier = connection.execute(_SUPERSEDE, {"b_job": retry.job_id, "b_id": retry.id, "b_at": at})
    for batch_id in {row.batch_id for row in earlier} - {None}:
        touch(connection, batch_id, at)


def _move_alert(connection: Connection, retry: Retry, state: AlertState, at: datetime) -> None:
    """Has the job's alert, if there is one, show how the retry stands."""
    remind_at = at if state is AlertState.OPEN else None
    values = {"b_job": retry.job_id, "b_id": retry.id, "b_alert": state, "b_at": at, "b_remind_at": remind_at}
    if retry.job_after is not None and retry.job_after.retryable:
        values |= {"offered": retry.job_after.failure, "job": retry.job_after.to_json()}
    for row in connection.execute(_ALERT_MOVED, values):
        if row.storm_id is not None:
            touch_storm(connection, row.storm_id, at)
            if remind_at is not None:
                remind_of_storm(connection, row.storm_id, at)


def touch(connection: Connection, batch_id: str, at: datetime) -> None:
    """Has a batch shown again: something in it changed."""
    connection.execute(_TOUCH, {"b_id": batch_id, "b_at": at})


def _stored(changes: Changes) -> dict[str, Any]:
    """The changes as their columns hold them."""
    return {name: _stored_as(value) for name, value in changes.items()}


def _stored_as(value: object) -> object:
    if isinstance(value, Job):
        return value.to_json()
    return entry.canonical(value) if isinstance(value, Mapping) else value


def _load(connection: Connection, row: Row[Any], interrupted: bool) -> Retry:
    return known.as_shown(connection, Retry.of(row._mapping, interrupted=interrupted))


outbox = Outbox(retries, _load)
"""The retries that have messages of their own."""

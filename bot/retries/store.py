"""The rows of retries: recorded, claimed, moved from state to state, each move with its audit entry.

Every function runs inside one transaction of the caller's. The table of states is in docs/design.md.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, case, func, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot import VERSION
from bot.audit import entry
from bot.audit import log as audit
from bot.base.errors import WrongState
from bot.db.columns import Moment
from bot.db.tables import alerts, batches, retries, storms
from bot.retries.request import Request, Retry
from bot.retries.state import ACTIVE, FACTS, FINAL, OFFERING, AlertState, RefusalReason, State
from bot.sift.job import Job
from bot.slack.outbox import LEASE, Outbox, soon

# Statements are built once, with parameters to be named: building one costs more than SQLite takes to run it.
# The parameters' names begin with b_, so that none is taken for a column's.
_ROW = retries.c
_RECORD = {
    dialect: upsert(retries).on_conflict_do_nothing(index_elements=["delivery_key"]).returning(_ROW.id)
    for dialect, upsert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_DUE = (
    select(_ROW.id)
    .where(_ROW.state.in_(bindparam("b_states", expanding=True)), _ROW.due_at <= bindparam("b_now"))
    .order_by(_ROW.due_at)
    .limit(bindparam("b_limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_CLAIM = update(retries).values(fence=_ROW.fence + 1, due_at=bindparam("b_until")).returning(*_ROW)
_CLAIM_DUE = _CLAIM.where(_ROW.id.in_(_DUE.scalar_subquery()))
# A request waits for whoever carries it out, who keeps putting it off for the others, or for a second person.
_UNASKED = (_ROW.state == State.REQUESTED) & (_ROW.approval_until.is_(None) | _ROW.approved_by.is_not(None))
_ONE = (
    select(_ROW.id)
    .where(
        _ROW.id == bindparam("b_id"),
        _ROW.state.in_(bindparam("b_states", expanding=True)),
        (_ROW.due_at <= bindparam("b_now")) | _UNASKED,
    )
    .with_for_update(skip_locked=True)
)
_CLAIM_ONE = _CLAIM.where(_ROW.id.in_(_ONE.scalar_subquery()))
_KEEP = (
    update(retries)
    .where(_ROW.id.in_(bindparam("b_ids", expanding=True)), _UNASKED)
    .values(due_at=bindparam("b_until", type_=Moment()))
)
# A retry of a batch is shown by the batch.
_SOON = case((_ROW.batch_id.is_not(None), null()), else_=soon(retries))
_MOVE = (
    update(retries)
    .where(_ROW.id == bindparam("b_id"), _ROW.fence == bindparam("b_fence"), _ROW.state == bindparam("b_state"))
    .values(version=_ROW.version + 1)
    .returning(*_ROW)
)
_MOVE_AND_SHOW = _MOVE.values(show_at=_SOON)
_ADD_CAUSE = (
    update(retries)
    .where(_ROW.id == bindparam("b_id"))
    .values(cause=bindparam("b_cause"), version=_ROW.version + 1, show_at=_SOON)
)
# `audit.canonical` writes the detail, so there are no blanks in it.
IS_STALE = (_ROW.state == State.REFUSED) & _ROW.detail.contains(f'"why":"{RefusalReason.STALE}"')
_SUPERSEDE = (
    update(retries)
    .where(
        _ROW.job_id == bindparam("b_job"),
        _ROW.id != bindparam("b_id"),
        _ROW.superseded_by.is_(None),
        _ROW.state.in_(OFFERING) | IS_STALE,
    )
    .values(superseded_by=bindparam("b_id"), version=_ROW.version + 1, show_at=_SOON)
    .returning(_ROW.batch_id)
)
_NEWEST_SENT = (
    select(retries)
    .where(_ROW.job_id == bindparam("b_job"), _ROW.sent_at.is_not(None))
    .order_by(_ROW.sent_at.desc())
    .limit(1)
)
_ACCEPTED = select(func.max(_ROW.accepted_at), func.count(_ROW.accepted_at)).where(_ROW.job_id == bindparam("b_job"))
_TOUCH = (
    update(batches)
    .where(batches.c.id == bindparam("b_id"))
    .values(version=batches.c.version + 1, show_at=func.coalesce(batches.c.show_at, bindparam("b_at", type_=Moment())))
)

_ALERT_MOVED = (
    update(alerts)
    .where(alerts.c.job_id == bindparam("b_job"), alerts.c.parent_id.is_(None))
    .values(
        retry_id=bindparam("b_id"),
        state=bindparam("b_alert"),
        version=alerts.c.version + 1,
        show_at=case((alerts.c.manner == "alone", soon(alerts)), else_=null()),
    )
    .returning(alerts.c.storm_id)
)
_TOUCH_STORM = (
    update(storms)
    .where(storms.c.id == bindparam("b_id"))
    .values(version=storms.c.version + 1, show_at=func.coalesce(storms.c.show_at, bindparam("b_at", type_=Moment())))
)

STALE_AFTER = timedelta(minutes=15)
"""A request that nobody has touched for so long is not carried out any more: nobody wants yesterday's click today."""

STALE_AT_A_TIME = 100
KEPT_AT_A_TIME = 500
"""So many IDs go into one statement."""


def add(connection: Connection, request: Request, at: datetime) -> bool:
    """Writes a request and its audit entry; answers False for one that was already delivered."""
    values = {**request.__dict__, "state": State.REQUESTED, "created_at": at, "due_at": at}
    new = connection.execute(_RECORD[connection.dialect.name], values).first() is not None
    if new:
        audit.append(connection, entry_of(request, State.REQUESTED), at)
    return new


def claim(
    connection: Connection,
    states: Sequence[State],
    at: datetime,
    *,
    only: str | None = None,
    until: datetime | None = None,
    limit: int = 1_000,
) -> list[Retry]:
    """Takes rows that are due, or only one; until `until`, a lease from now, nobody else takes them.

    Args:
        only: this row; a request that waits for nobody else is taken before it is due, too.
    """
    values = {"b_states": states, "b_now": at, "b_until": until or at + LEASE, "b_limit": limit}
    if only is None:
        rows = connection.execute(_CLAIM_DUE, values)
    else:
        rows = connection.execute(_CLAIM_ONE, values | {"b_id": only})
    return [Retry.of(row._mapping) for row in rows]


def due(connection: Connection, states: Sequence[State], at: datetime, limit: int = 1_000) -> list[Retry]:
    """Rows that are due, without claiming them."""
    query = select(retries).where(retries.c.state.in_(states), retries.c.due_at <= at)
    return [Retry.of(row._mapping) for row in connection.execute(query.order_by(retries.c.due_at).limit(limit))]


def keep(connection: Connection, ids: Sequence[str], until: datetime) -> None:
    """Has requests that wait for their turn here left alone by others until then, and so not grow stale."""
    for start in range(0, len(ids), KEPT_AT_A_TIME):
        connection.execute(_KEEP, {"b_ids": ids[start : start + KEPT_AT_A_TIME], "b_until": until})


def is_stale(retry: Retry, now: datetime) -> bool:
    """Whether a request that was found due has been left alone for too long; a second person may take longer."""
    return retry.due_at is not None and now - retry.due_at > STALE_AFTER and not retry.waits_for_approval


def refuse_stale(connection: Connection, request_id: str, asked_at: datetime, now: datetime, at: datetime) -> None:
    """Refuses a request that nobody carried out in time.

    Args:
        asked_at: when somebody asked for it.
    """
    detail = {"why": RefusalReason.STALE, "seconds": round((at - asked_at).total_seconds())}
    for retry in claim(connection, [State.REQUESTED], now, only=request_id):
        transition(connection, retry, State.REFUSED, at, detail=detail)


def transition(
    connection: Connection,
    retry: Retry,
    state: State,
    at: datetime,
    *,
    detail: Mapping[str, Any] | None = None,
    due_at: datetime | None = None,
    note: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Retry:
    """Moves a claimed row to its next state and appends the audit entry that says so.

    Args:
        detail: why, for the presenter and the audit alike.
        due_at: when the row is to be looked at again; None: never.
        note: further facts for the audit alone.
        columns: what else changes in the row.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
        ValueError: no request in this state can enter that one.
    """
    if state not in FACTS[retry.state].next:
        raise ValueError(f"{retry.state} is never followed by {state}")
    values = {name: _stored(value) for name, value in columns.items()}
    if detail is not None:
        values["detail"] = entry.canonical(detail)
    if isinstance(columns.get("job_before"), Job):
        values["job_type"] = columns["job_before"].job_type or None
    values |= {"ended_at": at, "due_at": None} if state in FINAL else {"due_at": due_at}
    if state in (State.UNKNOWN, State.ACCEPTED):
        values[f"{state}_at"] = at
    moved = _change(connection, retry, values | {"state": state}, at, show=state is not State.SENDING)
    if state in (State.ACCEPTED, State.UNKNOWN):
        _supersede(connection, moved, at)
    if moved.sent_at is not None and (alert := FACTS[state].alert) is not None:
        _move_alert(connection, moved, alert, at)
    audit.append(connection, entry_of(moved, state, detail={**(detail or {}), **(note or {})}), at)
    return moved


def enter_once(connection: Connection, retry: Retry, state: State, at: datetime, **more: Any) -> Retry:
    """Moves a row like `transition`, unless an earlier try of this very write did so and only its answer was lost.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
    """
    try:
        return transition(connection, retry, state, at, **more)
    except WrongState:
        mine = (_ROW.id == retry.id) & (_ROW.fence == retry.fence) & (_ROW.state == state)
        row = connection.execute(select(retries).where(mine)).first()
        if row is None or state == retry.state:
            raise
        return Retry.of(row._mapping)


def note_progress(connection: Connection, retry: Retry, at: datetime, **columns: Any) -> Retry:
    """Writes what a look at the job showed while the state stays as it is.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
    """
    values = {name: _stored(value) for name, value in columns.items()}
    return _change(connection, retry, values, at)


def add_cause(connection: Connection, request_id: str, cause: Mapping[str, Any], at: datetime) -> None:
    """Writes why the job failed before; no claim is needed, since nothing else writes it."""
    connection.execute(_ADD_CAUSE, {"b_id": request_id, "b_cause": entry.canonical(cause), "b_at": at})


def open_requests(connection: Connection) -> list[Retry]:
    """Every request that is not final, those that may have been sent first, then oldest first."""
    order = (case((_ROW.state == State.REQUESTED, 1), else_=0), _ROW.created_at, _ROW.id)
    query = select(retries).where(_ROW.state.in_((State.REQUESTED, *ACTIVE))).order_by(*order)
    return [Retry.of(row._mapping) for row in connection.execute(query)]


def last_attempts(connection: Connection, job_id: str) -> tuple[Retry | None, datetime | None, int]:
    """The newest retry of a job that was sent, when one was last accepted, and how many were."""
    newest = connection.execute(_NEWEST_SENT, {"b_job": job_id}).first()
    if newest is None:
        return None, None, 0
    accepted_at, count = connection.execute(_ACCEPTED, {"b_job": job_id}).one()
    return Retry.of(newest._mapping), accepted_at, count


def latest_of(connection: Connection, user_id: str, limit: int = 5) -> list[Retry]:
    """Somebody's newest requests."""
    query = select(retries).where(retries.c.user_id == user_id).order_by(retries.c.created_at.desc()).limit(limit)
    return [Retry.of(row._mapping) for row in connection.execute(query)]


def free_leases(connection: Connection, at: datetime) -> None:
    """Makes every claimed row due at once; only for a process that is alone on its database."""
    connection.execute(update(retries).where(retries.c.due_at > at).values(due_at=at))


def not_later(connection: Connection, at: datetime) -> None:
    """Has no moment of a row lie in the future but the lease of what may be with Sift just now."""
    waiting = update(retries).where(_ROW.state != State.SENDING, _ROW.due_at > at)
    connection.execute(waiting.values(due_at=at))
    connection.execute(update(retries).where(_ROW.due_at > at + LEASE).values(due_at=at + LEASE))
    for moment in (_ROW.sent_at, _ROW.unknown_at, _ROW.accepted_at):
        connection.execute(update(retries).where(moment > at).values({moment: at}))


outbox = Outbox(retries, lambda _, row, interrupted: Retry.of(row._mapping, interrupted=interrupted))
"""The retries that have messages of their own."""


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


def _supersede(connection: Connection, retry: Retry, at: datetime) -> None:
    """Has earlier retries of the job drop their Retry buttons: there is a newer one."""
    earlier = connection.execute(_SUPERSEDE, {"b_job": retry.job_id, "b_id": retry.id, "b_at": at})
    for batch_id in {row.batch_id for row in earlier} - {None}:
        touch(connection, batch_id, at)


def _move_alert(connection: Connection, retry: Retry, state: AlertState, at: datetime) -> None:
    """Has the job's alert, if there is one, show how the retry stands."""
    values = {"b_job": retry.job_id, "b_id": retry.id, "b_alert": state, "b_at": at}
    if retry.job_after is not None and retry.job_after.retryable:
        values |= {"offered": retry.job_after.failure, "job": _stored(retry.job_after)}
    for row in connection.execute(_ALERT_MOVED, values):
        if row.storm_id is not None:
            touch_storm(connection, row.storm_id, at)


def touch_storm(connection: Connection, storm_id: str, at: datetime) -> None:
    """Has a storm shown again: one of its jobs moved."""
    connection.execute(_TOUCH_STORM, {"b_id": storm_id, "b_at": at})


def touch(connection: Connection, batch_id: str, at: datetime) -> None:
    """Has a batch shown again: something in it changed."""
    connection.execute(_TOUCH, {"b_id": batch_id, "b_at": at})


def _stored(value: Any) -> Any:
    if isinstance(value, Job):
        return value.model_dump_json(by_alias=True, exclude_none=True)
    return entry.canonical(value) if isinstance(value, Mapping) else value


def entry_of(
    request: Request, outcome: str | None, detail: Mapping[str, Any] | None = None, event: str = "request"
) -> entry.Entry:
    """What the audit says of a request and its job as they are now."""
    before = request.job_before if isinstance(request, Retry) else None
    after = request.job_after if isinstance(request, Retry) else None
    facts = {"version": VERSION, **{name: value for name, value in (detail or {}).items() if value is not None}}
    if request.batch_id is not None:
        facts["batch"] = request.batch_id
    if isinstance(request, Retry):
        facts |= _story_of(request)
    return entry.Entry(
        event=event,
        outcome=outcome,
        request_id=request.id,
        job_id=request.job_id,
        status_before=before.job_status if before else None,
        status_after=after.job_status if after else None,
        team_id=request.team_id,
        user_id=request.user_id,
        user_name=request.user_name,
        channel_id=request.channel_id,
        source=request.source,
        reason=request.reason,
        grant_id=request.grant_id if isinstance(request, Retry) else None,
        detail=facts,
    )


def _story_of(retry: Retry) -> dict[str, Any]:
    """What else is known of a retry and its job by now."""
    job, cause = retry.job, retry.cause
    details = job.job_details if job else None
    facts = {
        "attempt": retry.attempt,
        "thread_ts": retry.root_ts,
        "approved_by": retry.approved_by,
        "override_reason": retry.override_reason,
        "organization_id": job.organization_id if job else None,
        "data_import_id": details.data_import.data_import_id if details and details.data_import else None,
        "report_id": details.rule_evaluation.report_id
        if details and details.rule_evaluation
        else cause.get("report_id"),
        "run_ids": list(job.run_ids if job else ()) or [*filter(None, [cause.get("run_id")])],
        "asset_ids": list(job.asset_ids if job else ()) or [*filter(None, [cause.get("asset_id")])],
        "job_modified_by": job.modified_by_user_id if job else None,
    }
    return {name: value for name, value in facts.items() if value}

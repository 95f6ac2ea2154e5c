"""The rows of retries: recorded, claimed, moved from state to state, each move with its audit entry.

Every function runs inside one transaction of the caller's. The table of states is in docs/design.md.
"""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Connection, Row, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot import audit
from bot.errors import WrongState
from bot.models import Job
from bot.tables import FINAL, OFFERING, retries

LEASE = timedelta(seconds=60)
"""How long a claimed row is left to its claimant; longer than any turn may take."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: nothing that is misread or misheard


def new_id() -> str:
    """A request's ID: ten characters that can be read out over the phone."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody asked for, as Slack sent it.

    Args:
        delivery_key: the same for every delivery of the same click or command.
        thread_ts: the thread to answer in; None lets the bot start one.
        offered: the failure that the clicked button stood for.
        response_url: where a private answer may be sent for half an hour.
    """

    id: str
    delivery_key: str
    job_id: str
    team_id: str
    user_id: str
    source: str
    user_name: str | None = None
    reason: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    offered: str | None = None
    response_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Retry(Request):
    """A row of `retries` as it was read."""

    state: str
    created_at: datetime
    fence: int
    version: int
    show_fence: int
    show_failures: int
    missed: int
    shown: Mapping[str, Mapping[str, str]]
    detail: Mapping[str, Any]
    cause: Mapping[str, Any]
    interrupted: bool = False
    unpostable: str | None = None
    grant_id: int | None = None
    attempt: int | None = None
    job_before: Job | None = None
    job_after: Job | None = None
    superseded_by: str | None = None
    sent_at: datetime | None = None
    unknown_at: datetime | None = None
    accepted_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def job(self) -> Job | None:
        """The job as last seen."""
        return self.job_after or self.job_before

    @property
    def root_ts(self) -> str | None:
        """The thread that shows this retry, once there is one."""
        return self.thread_ts or self.shown.get("announcement", {}).get("ts")

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @classmethod
    def of(cls, row: Row[Any], **more: Any) -> Self:
        values = {name: value for name, value in row._mapping.items() if name in cls.__dataclass_fields__}
        for name in ("shown", "detail", "cause"):
            values[name] = json.loads(values[name] or "{}")
        for name in ("job_before", "job_after"):
            values[name] = Job.model_validate_json(values[name]) if values[name] else None
        return cls(**values, **more)


def record(connection: Connection, request: Request, at: datetime) -> bool:
    """Writes a request and its audit entry; answers False for one that was already delivered."""
    values = {**request.__dict__, "state": "requested", "created_at": at, "due_at": at}
    upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = upsert(retries).values(values).on_conflict_do_nothing(index_elements=["delivery_key"])
    new = connection.execute(statement.returning(retries.c.id)).first() is not None
    if new:
        audit.append(connection, _entry(request, "requested"), at)
    return new


def claim(
    connection: Connection,
    states: Collection[str],
    at: datetime,
    *,
    ids: Collection[str] | None = None,
    until: datetime | None = None,
    limit: int = 1_000,
) -> list[Retry]:
    """Takes rows that are due, and leaves them alone until `until` (a lease from now) for everybody else."""
    due = select(retries.c.id).where(retries.c.state.in_(states), retries.c.due_at <= at)
    if ids is not None:
        due = due.where(retries.c.id.in_(ids))
    due = due.order_by(retries.c.due_at).limit(limit).with_for_update(skip_locked=True)
    rows = connection.execute(
        update(retries)
        .where(retries.c.id.in_(due.scalar_subquery()))
        .values(fence=retries.c.fence + 1, due_at=until or at + LEASE)
        .returning(*retries.c)
    )
    return [Retry.of(row) for row in rows]


def due(connection: Connection, states: Collection[str], at: datetime, limit: int = 1_000) -> list[Retry]:
    """Rows that are due, without claiming them."""
    query = select(retries).where(retries.c.state.in_(states), retries.c.due_at <= at)
    return [Retry.of(row) for row in connection.execute(query.order_by(retries.c.due_at).limit(limit))]


def enter(
    connection: Connection,
    retry: Retry,
    state: str,
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
    """
    values = {name: _stored(value) for name, value in columns.items()}
    if detail is not None:
        values["detail"] = audit.canonical(detail)
    values |= {"ended_at": at, "due_at": None} if state in FINAL else {"due_at": due_at}
    if state in ("unknown", "accepted"):
        values[f"{state}_at"] = at
    if state != "sending":
        values["show_at"] = _soon(at)
    moved = _change(connection, retry, values | {"state": state})
    if state in ("accepted", "unknown"):
        _supersede(connection, moved, at)
    audit.append(connection, _entry(moved, state, detail={**(detail or {}), **(note or {})}), at)
    return moved


def note_progress(connection: Connection, retry: Retry, at: datetime, **columns: Any) -> Retry:
    """Writes what a look at the job showed while the state stays as it is.

    Raises:
        WrongState: somebody else claimed or moved the row meanwhile.
    """
    values = {name: _stored(value) for name, value in columns.items()}
    return _change(connection, retry, values | {"show_at": _soon(at)})


def add_cause(connection: Connection, request_id: str, cause: Mapping[str, Any], at: datetime) -> None:
    """Writes why the job failed before; no claim is needed, since nothing else writes it."""
    connection.execute(
        update(retries)
        .where(retries.c.id == request_id)
        .values(cause=audit.canonical(cause), version=retries.c.version + 1, show_at=_soon(at))
    )


def last_attempts(connection: Connection, job_id: str) -> tuple[Retry | None, datetime | None, int]:
    """The newest retry of a job that was sent, when one was last accepted, and how many were."""
    newest = connection.execute(
        select(retries)
        .where(retries.c.job_id == job_id, retries.c.sent_at.is_not(None))
        .order_by(retries.c.sent_at.desc())
        .limit(1)
    ).first()
    accepted = connection.execute(
        select(func.max(retries.c.accepted_at), func.count(retries.c.accepted_at)).where(retries.c.job_id == job_id)
    ).one()
    return (Retry.of(newest) if newest else None), accepted[0], accepted[1]


def fetch(connection: Connection, request_id: str) -> Retry:
    """One row by its ID."""
    return Retry.of(connection.execute(select(retries).where(retries.c.id == request_id)).one())


def latest_of(connection: Connection, user_id: str, limit: int = 5) -> list[Retry]:
    """Somebody's newest requests."""
    query = select(retries).where(retries.c.user_id == user_id).order_by(retries.c.created_at.desc()).limit(limit)
    return [Retry.of(row) for row in connection.execute(query)]


def claim_shows(
    connection: Connection, at: datetime, *, ids: Collection[str] | None = None, limit: int = 50
) -> list[Retry]:
    """Takes rows whose messages lag behind; `interrupted` marks those whose last claimant never came back."""
    due = select(retries.c.id, retries.c.showing).where(retries.c.show_at <= at)
    if ids is not None:
        due = due.where(retries.c.id.in_(ids))
    found = {
        row.id: row.showing
        for row in connection.execute(due.order_by(retries.c.show_at).limit(limit).with_for_update(skip_locked=True))
    }
    if not found:
        return []
    rows = connection.execute(
        update(retries)
        .where(retries.c.id.in_(found))
        .values(show_fence=retries.c.show_fence + 1, show_at=at + LEASE, showing=True)
        .returning(*retries.c)
    )
    return [Retry.of(row, interrupted=found[row.id]) for row in rows]


def showed(
    connection: Connection,
    retry: Retry,
    at: datetime,
    *,
    shown: Mapping[str, Any],
    unpostable: str | None,
    again_in: timedelta | None,
    lost: bool = False,
) -> None:
    """Writes which messages show a row now, and gives the claim back.

    Args:
        again_in: how long to wait before trying what failed once more; None if everything is shown.
        lost: whether something may have been posted without our knowing; the next turn then looks for it.
    """
    later = at + again_in if again_in is not None else None
    current = retries.c.version == retry.version
    connection.execute(
        update(retries)
        .where(retries.c.id == retry.id, retries.c.show_fence == retry.show_fence)
        .values(
            shown=audit.canonical(shown),
            unpostable=unpostable,
            showing=lost,
            show_at=case((current, later), else_=later or at),
            show_failures=retries.c.show_failures + 1 if again_in is not None else 0,
            response_url=None if retry.final and again_in is None else retries.c.response_url,
        )
    )


def free_leases(connection: Connection, at: datetime) -> None:
    """Makes every claimed row due at once; only for a process that is alone on its database."""
    connection.execute(update(retries).where(retries.c.due_at > at).values(due_at=at))
    connection.execute(update(retries).where(retries.c.show_at > at).values(show_at=at))


def _change(connection: Connection, retry: Retry, values: Mapping[str, Any]) -> Retry:
    row = connection.execute(
        update(retries)
        .where(retries.c.id == retry.id, retries.c.fence == retry.fence, retries.c.state == retry.state)
        .values(version=retries.c.version + 1, **values)
        .returning(*retries.c)
    ).first()
    if row is None:
        raise WrongState
    return Retry.of(row)


def _supersede(connection: Connection, retry: Retry, at: datetime) -> None:
    """Has earlier retries of the job drop their Retry buttons: there is a newer one."""
    connection.execute(
        update(retries)
        .where(
            retries.c.job_id == retry.job_id,
            retries.c.id != retry.id,
            retries.c.superseded_by.is_(None),
            retries.c.state.in_(OFFERING),
        )
        .values(superseded_by=retry.id, version=retries.c.version + 1, show_at=_soon(at))
    )


def _soon(at: datetime) -> Any:
    """Due now, unless somebody is showing the row: the changed version brings them back to it."""
    return case((retries.c.showing & retries.c.show_at.is_not(None), retries.c.show_at), else_=at)


def _stored(value: Any) -> Any:
    if isinstance(value, Job):
        return value.model_dump_json(by_alias=True, exclude_none=True)
    return audit.canonical(value) if isinstance(value, Mapping) else value


def _entry(request: Request, outcome: str, detail: Mapping[str, Any] | None = None) -> audit.Entry:
    before = request.job_before if isinstance(request, Retry) else None
    after = request.job_after if isinstance(request, Retry) else None
    facts = dict(detail or {})
    if isinstance(request, Retry) and request.attempt is not None:
        facts["attempt"] = request.attempt
    return audit.Entry(
        event="request",
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

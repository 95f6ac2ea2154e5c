"""The reports that rows offer to evaluate again: which row looks for them, what it offers, what somebody has taken up.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Row, Select, bindparam, case, null, select, update

from bot.audit import entry
from bot.db.columns import Moment
from bot.db.tables import job_runs, retries
from bot.retries import late, queries
from bot.retries.kind import Kind
from bot.retries.late import Late
from bot.retries.request import MAX_LISTED, JobRef, Retry
from bot.retries.state import UNSENT, State
from bot.slack.outbox import soon

AT_A_TIME = 100
"""So many rows are looked at in one go."""

# Statements are built once; see `store`.
_ROW = retries.c
_LOOKING = (
    select(retries)
    .where(_ROW.late_until.is_not(None))
    .order_by(_ROW.late_until)
    .limit(bindparam("b_limit", type_=Integer))
)
_OFFERED: Select[Any] = (
    select(_ROW.id, _ROW.batch_id, _ROW.late)
    .where((_ROW.id == bindparam("b_id")) | (_ROW.batch_id == bindparam("b_id")))
    .order_by(_ROW.created_at, _ROW.id)
    .limit(MAX_LISTED)
)
_OFFERING = select(_ROW.id, _ROW.batch_id, _ROW.late).where(_ROW.id == bindparam("b_id"))
_ELSEWHERE: Select[Any] = (
    select(_ROW.id, _ROW.batch_id, _ROW.late)
    .where(
        _ROW.job_id.in_(select(job_runs.c.job_id).where(job_runs.c.run_id == bindparam("b_run"))),
        _ROW.late.is_not(None),
        _ROW.ended_at <= bindparam("b_sent", type_=Moment()),
    )
    .order_by(_ROW.ended_at.desc())
    .limit(AT_A_TIME)
)
_WRITE = (
    update(retries)
    .where(_ROW.id == bindparam("b_id"))
    .values(
        late=bindparam("b_late"),
        late_until=None,
        version=_ROW.version + 1,
        show_at=case((_ROW.batch_id.is_not(None), null()), else_=soon(retries)),
    )
)
_FOUND = _WRITE.where(_ROW.late_until.is_not(None))
_NOTHING = update(retries).where(_ROW.id == bindparam("b_id")).values(late_until=None)
_NOT_LATER = (
    update(retries)
    .where(_ROW.late_until > bindparam("b_until", type_=Moment()))
    .values(late_until=bindparam("b_until", type_=Moment()))
)
_RERUNS = select(_ROW.new_job_id).where(
    _ROW.job_id == bindparam("b_job"), _ROW.kind == Kind.RERUN, _ROW.new_job_id.is_not(None)
)


def looking(connection: Connection) -> list[Retry]:
    """The imports whose late reports are still looked for."""
    return queries.readable(connection.execute(_LOOKING, {"b_limit": AT_A_TIME}))


def note(connection: Connection, request_id: str, found: Late, at: datetime) -> bool:
    """Writes which reports were evaluated before an import's data arrived, unless another process already has.

    From then on nobody looks for them any more.

    Returns:
        Whether there is something to show.
    """
    if not found.reports:
        connection.execute(_NOTHING, {"b_id": request_id})
        return False
    return connection.execute(_FOUND, _values(request_id, found, at)).rowcount > 0


def offered(connection: Connection, shown_by: str, only: str | None = None) -> list[JobRef]:
    """What a message offers to evaluate again and nobody has taken up, each report once.

    Args:
        shown_by: the request, or the batch, that the message shows.
        only: this report alone.
    """
    shown = _offering(connection, shown_by)
    rows = {report.id: row_id for row_id, _, known in reversed(shown) for report in known.reports}
    listed = late.together(known for _, _, known in shown).open
    return [JobRef(one.job_id, rows[one.id], one.id) for one in listed if only in (None, one.id)]


def is_open(connection: Connection, rerun: Retry) -> bool:
    """Whether the row that a request stands for still offers to evaluate its report again."""
    row = connection.execute(_OFFERING, {"b_id": rerun.offered}).first()
    known = Late() if row is None else _late_of(row.late)
    return rerun.report_id in {report.id for report in known.open}


def mark(connection: Connection, rerun: Retry, at: datetime) -> set[str]:
    """Has those who offered to evaluate a report again offer it no longer, or anew if nothing came of it.

    Returns:
        The batches that show it otherwise now.
    """
    mine = connection.execute(_OFFERING, {"b_id": rerun.offered}).first()
    if mine is None or rerun.report_id is None:
        return set()
    by = rerun.user_id if _taken_up(rerun) else ""
    changed = set()
    offering = _offering(connection, mine.batch_id or mine.id)
    run_id = next((known.run.id for row_id, _, known in offering if row_id == mine.id), "")
    offering += _elsewhere(connection, run_id, rerun)
    for row_id, batch_id, known in {one[0]: one for one in offering}.values():
        marked = known.marked(rerun.report_id, by)
        if marked != known:
            connection.execute(_WRITE, _values(row_id, marked, at))
            changed.add(batch_id)
    return {batch_id for batch_id in changed if batch_id is not None}


def _elsewhere(connection: Connection, run_id: str, rerun: Retry) -> list[tuple[str, str | None, Late]]:
    """The rows of other imports of the run whose data had arrived, too, when its report was evaluated again."""
    if not run_id or rerun.sent_at is None:
        return []
    return _offers(connection.execute(_ELSEWHERE, {"b_run": run_id, "b_sent": rerun.sent_at}))


def others(connection: Connection, rerun: Retry) -> set[str]:
    """The jobs that other requests to evaluate the same report again began."""
    return {row.new_job_id for row in connection.execute(_RERUNS, {"b_job": rerun.job_id})} - {rerun.new_job_id}


def not_later(connection: Connection, at: datetime) -> None:
    """Has nothing be looked for longer than from now on."""
    connection.execute(_NOT_LATER, {"b_until": at + late.LOOK_FOR})


def _taken_up(rerun: Retry) -> bool:
    """Whether a report is being evaluated again, or was, as far as is known."""
    return rerun.state not in (State.REQUESTED, State.NOT_APPLIED, *UNSENT)


def _values(request_id: str, found: Late, at: datetime) -> dict[str, Any]:
    kept = entry.canonical(found.to_json()) if found.reports else None
    return {"b_id": request_id, "b_late": kept, "b_at": at}


def _offering(connection: Connection, shown_by: str) -> list[tuple[str, str | None, Late]]:
    """The rows that a message shows, each with its batch and its late reports."""
    return _offers(connection.execute(_OFFERED, {"b_id": shown_by}))


def _offers(rows: Iterable[Row[Any]]) -> list[tuple[str, str | None, Late]]:
    """Rows, each with its batch and its late reports; one that cannot be read spoils no other's."""
    return queries.each_readable(rows, lambda row: (row["id"], row["batch_id"], _late_of(row["late"])), "late")


def _late_of(kept: str | None) -> Late:
    return Late.from_json(json.loads(kept)) if kept else Late()

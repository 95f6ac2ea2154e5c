"""What a retry's job is about, why it failed before and why it failed again, as its row keeps it.

Every function runs inside one transaction of the caller's. No claim is needed: nothing else writes this.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Text, bindparam, case, func, null, select, update

from bot.db.tables import retries
from bot.retries import runs
from bot.retries.kept import about_of, kept_about
from bot.retries.store import touch
from bot.sift.subject import About
from bot.slack.outbox import soon

_ROW = retries.c
_ABOUT = select(_ROW.job_id, _ROW.about).where(_ROW.id == bindparam("b_id")).with_for_update()
_WRITE = (
    update(retries)
    .where(_ROW.id == bindparam("b_id"))
    .values(
        about=bindparam("b_about"),
        cause_key=func.coalesce(bindparam("b_cause", type_=Text()), _ROW.cause_key),
        version=_ROW.version + 1,
        show_at=case((_ROW.batch_id.is_not(None), null()), else_=soon(retries)),
    )
    .returning(_ROW.batch_id)
)


def add(connection: Connection, request_id: str, about: About, at: datetime) -> None:
    """Writes what the job is about, and why it failed before."""
    row = connection.execute(_ABOUT, {"b_id": request_id}).one()
    _, again = about_of(row.about)
    runs.note(connection, {row.job_id: about})
    _write(connection, request_id, kept_about(about, again), about.why.cause, at)


def add_again(connection: Connection, request_id: str, found: About, at: datetime) -> None:
    """Writes why the job failed again, and what it is about where that was not known before."""
    row = connection.execute(_ABOUT, {"b_id": request_id}).one()
    before, _ = about_of(row.about)
    about = replace(before, subject=found.subject) if found.subject.title_parts() else before
    runs.note(connection, {row.job_id: about})
    _write(connection, request_id, kept_about(about, found.why), "", at)


def _write(connection: Connection, request_id: str, kept: str, cause: str, at: datetime) -> None:
    values = {"b_id": request_id, "b_about": kept, "b_cause": cause or None, "b_at": at}
    batch_id = connection.execute(_WRITE, values).scalar_one()
    if batch_id is not None:
        touch(connection, batch_id, at)

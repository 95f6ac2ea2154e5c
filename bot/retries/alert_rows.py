"""The alerts and storms that retried jobs belong to, as far as retries change them: shown again, reminded of again.

Every function runs inside one transaction of the caller's.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, Update, bindparam, func, select, update

from bot.db.columns import Moment, NotAhead
from bot.db.tables import alerts, storms


def touching(table: Table) -> Update:
    """Has a row of a table shown again, soon, though nothing in it changed."""
    return _showing_again(table).where(table.c.id == bindparam("b_id"))


def _showing_again(table: Table) -> Update:
    later = func.coalesce(table.c.show_at, NotAhead(bindparam("b_at", type_=Moment())))
    return update(table).values(version=table.c.version + 1, show_at=later)


_TOUCH_ALONE = _showing_again(alerts).where(
    alerts.c.job_id == bindparam("b_job"), alerts.c.manner == "alone", alerts.c.parent_id.is_(None)
)
_TOUCH_STORM = touching(storms)
_REMIND_OF_STORM = (
    update(storms).where(storms.c.id == bindparam("b_id")).values(remind_at=bindparam("b_at"), reminded=0)
)
_STORMS_OF = (
    select(alerts.c.storm_id)
    .where(alerts.c.job_id.in_(bindparam("b_jobs", expanding=True)), alerts.c.storm_id.is_not(None))
    .distinct()
)


def remind_of_storm(connection: Connection, storm_id: str, at: datetime) -> None:
    """Has somebody reminded of a storm from the first time on: one of its jobs failed again."""
    connection.execute(_REMIND_OF_STORM, {"b_id": storm_id, "b_at": at})


def touch_storm(connection: Connection, storm_id: str, at: datetime) -> None:
    """Has a storm shown again: one of its jobs moved."""
    connection.execute(_TOUCH_STORM, {"b_id": storm_id, "b_at": at})


def touch_alerts(connection: Connection, job_id: str, at: datetime) -> None:
    """Has the alert or the storm of a job shown again: a retry waits for a second person, or came to nothing."""
    connection.execute(_TOUCH_ALONE, {"b_job": job_id, "b_at": at})
    touch_storms(connection, [job_id], at)


def touch_storms(connection: Connection, job_ids: Sequence[str], at: datetime) -> None:
    """Has the storms of jobs shown again: somebody asked for a retry."""
    for storm_id in connection.scalars(_STORMS_OF, {"b_jobs": list(job_ids)}).all():
        touch_storm(connection, storm_id, at)

"""The rows of what failures are about: which are to be looked up, and what was found out.

Every function runs inside one transaction of the caller's.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Update, bindparam, case, func, null, or_, select, update

from bot.db.columns import Moment
from bot.db.tables import alerts, storms
from bot.retries import runs
from bot.retries.alert_rows import touch_storm
from bot.retries.messages.naming import cause_of
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.outbox import soon

LOOK_UP = timedelta(seconds=30)
"""For so long it is looked up what a failure is about."""

MAX_AT_ONCE = 5_000
"""Failures of one look-up."""

MAX_TOPIC = 300
"""Characters of a run's or an asset's name that are kept."""

_ROW = alerts.c
_OPEN = (
    select(_ROW.id)
    .where(_ROW.look_up_until > bindparam("b_now"), _ROW.look_up_until <= bindparam("b_until", type_=Moment()))
    .order_by(_ROW.manner == "storm", _ROW.created_at, _ROW.id)
    .limit(MAX_AT_ONCE)
)
_OVER = update(alerts).where(_ROW.look_up_until <= bindparam("b_now")).values(look_up_until=null())
_SOME = select(_ROW.id, _ROW.job, _ROW.parent_id, _ROW.storm_id).where(_ROW.id.in_(bindparam("b_ids", expanding=True)))
_AT = bindparam("b_at", type_=Moment())
_SHOW_AT_ONCE = case((_ROW.manner == "alone", soon(alerts)), else_=null())
_SHOW_IN_TIME = case((_ROW.manner == "alone", func.coalesce(_ROW.show_at, _AT)), else_=null())


def _explaining(show_at: Any) -> Update:
    """What was found out of a failure; where it is a later one of its job, the job's first alert says it, too."""
    mine = or_(_ROW.id == bindparam("b_id"), _ROW.id == bindparam("b_parent"))
    return update(alerts).where(mine).values(version=_ROW.version + 1, show_at=show_at)


_EXPLAIN, _EXPLAIN_IN_TIME = _explaining(_SHOW_AT_ONCE), _explaining(_SHOW_IN_TIME)
_MINE = _ROW.id.in_(bindparam("b_ids", expanding=True))
_END = (
    update(alerts)
    .where(_MINE)
    .values(look_up_until=null(), show_at=case((_ROW.show_at.is_not(None), _SHOW_AT_ONCE), else_=null()))
)
_SHOW_STORM = (
    update(storms).where(storms.c.id == bindparam("b_id"), storms.c.show_at.is_not(None)).values(show_at=soon(storms))
)


@dataclass(frozen=True)
class Unexplained:
    """A failure that is looked up, and where it is shown: by itself, by its job's first alert, by a storm."""

    id: str
    job: Job
    parent_id: str | None
    storm_id: str | None


def waiting(connection: Connection, now: datetime, until: datetime) -> list[str]:
    """Returns the failures that are to be looked up, those that are shown first first; ends what took too long.

    Args:
        until: those whose look-up ends later are left to whoever found them.
    """
    connection.execute(_OVER, {"b_now": now})
    return list(connection.scalars(_OPEN, {"b_now": now, "b_until": until}))


def load(connection: Connection, ids: Sequence[str], at: datetime) -> list[Unexplained]:
    """Returns some failures, in the order of their IDs; one that cannot be read is left out, and looked up no more."""
    found: dict[str, Unexplained] = {}
    for row in connection.execute(_SOME, {"b_ids": list(ids)}):
        try:
            found[row.id] = Unexplained(row.id, Job.from_json(row.job), row.parent_id, row.storm_id)
        except ValueError:
            connection.execute(_END, {"b_ids": [row.id], "b_at": at})
    return [found[one] for one in ids if one in found]


def explain(connection: Connection, found: Sequence[tuple[Unexplained, About]], at: datetime) -> None:
    """Writes what failures are about. An alert that lacks nothing is shown at once, any other when its time comes."""
    for statement, whole in ((_EXPLAIN, True), (_EXPLAIN_IN_TIME, False)):
        values = [_values(one, about, at) for one, about in found if is_whole(about) is whole]
        if values:
            connection.execute(statement, values)
    for storm_id in {one.storm_id for one, _ in found if one.storm_id is not None}:
        touch_storm(connection, storm_id, at)


def end(connection: Connection, found: Sequence[tuple[Unexplained, About]], at: datetime) -> None:
    """Ends the look-up of failures, and notes their runs; those that are not shown yet are shown now."""
    connection.execute(_END, {"b_ids": [one.id for one, _ in found], "b_at": at})
    runs.note(connection, {one.job.job_id: about for one, about in found})


def show(connection: Connection, storm_ids: Collection[str], at: datetime) -> None:
    """Has storms shown now that are to be shown, whether or not everything is known of them."""
    for storm_id in storm_ids:
        connection.execute(_SHOW_STORM, {"b_id": storm_id, "b_at": at})


def is_whole(about: About) -> bool:
    """Whether everything that an alert says is known: what it is called, and why it failed."""
    subject = about.subject
    named = all(one.name for one in (*subject.runs, *subject.assets))
    return named and bool(subject.title_parts()) and bool(about.why.headline)


def is_lacking(job: Job, about: About) -> bool:
    """Whether something was to be found out that is not: it is worth asking once more."""
    details, subject = job.job_details, about.subject
    if about == About():
        return details is not None and (details.data_import is not None or details.rule_evaluation is not None)
    return not subject.title_parts() and any(one.id for one in (*subject.runs, *subject.assets))


def topic_of(about: About) -> str:
    """The run, or else the asset, by the name that people know; empty where neither has one."""
    subject = about.subject
    run = next((run.name for run in subject.runs if run.name), subject.uploader_run)
    asset = next((asset.name for asset in subject.assets if asset.name), subject.uploader_asset)
    return (run or asset)[:MAX_TOPIC]


def _values(one: Unexplained, about: About, at: datetime) -> Mapping[str, Any]:
    return {
        "b_id": one.id,
        "b_parent": one.parent_id or one.id,
        "b_at": at,
        "about": json.dumps(about.to_json()),
        "cause": cause_of(one.job, about) or None,
        "cause_key": about.why.cause or None,
        "topic": topic_of(about) or None,
    }

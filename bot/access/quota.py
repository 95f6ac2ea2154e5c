"""How much may be recorded of one person in a minute, so that nobody floods the record.

Counted in the transaction that records, so it holds for all replicas together. The first thing refused in a minute is
audited; how many more were, an entry says once the minute is over.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, delete, update

from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.clock import rfc3339
from bot.base.requester import Actor
from bot.db.columns import Moment
from bot.db.once import for_dialect
from bot.db.tables import quotas

MINUTE = timedelta(minutes=1)

_ROW = quotas.c
_MINE = _ROW.user_id == bindparam("b_user")
_AT, _AGO = bindparam("b_at", type_=Moment()), bindparam("b_ago", type_=Moment())
IS_OVER = (_ROW.since <= _AGO) | (_ROW.since > _AT)  # the latter after the clock was set back
"""Somebody's minute is over; with the parameters of `moments`."""

_COUNT = for_dialect(
    quotas,
    lambda insert: (
        insert.values(user_id=bindparam("b_user"), team_id=bindparam("b_team"), since=_AT, recorded=1)
        .on_conflict_do_update(
            index_elements=["user_id"],
            set_={"recorded": _ROW.recorded + 1},
            where=(_ROW.since > _AGO) & (_ROW.since <= _AT) & (_ROW.recorded < bindparam("b_most", type_=Integer)),
        )
        .returning(_ROW.recorded)
    ),
)
_REFUSE = update(quotas).where(_MINE).values(refused=_ROW.refused + 1).returning(_ROW.refused, _ROW.since)
_GIVE_BACK = update(quotas).where(_MINE).values(recorded=_ROW.recorded - 1)
_END = delete(quotas).where(IS_OVER).returning(*_ROW)
_END_ONE = _END.where(_MINE)


@dataclass(frozen=True)
class Quota:
    """Counts what is recorded of each person.

    Args:
        per_minute: the most; 0: there is no limit.
    """

    per_minute: int

    def admits(self, connection: Connection, by: Actor, at: datetime) -> bool:
        """Counts one thing that is about to be recorded of somebody; returns False if it is too many."""
        if not self.per_minute:
            return True
        count = _COUNT(connection)
        values = {"b_user": by.user_id, "b_team": by.team_id, "b_most": self.per_minute, **moments(at)}
        if connection.execute(count, values).first() is not None:
            return True
        ended = connection.execute(_END_ONE, {"b_user": by.user_id, **moments(at)}).first()
        if ended is None:
            return False
        _tell_of(connection, ended, at)
        return connection.execute(count, values).first() is not None

    def refuse(self, connection: Connection, by: Actor, at: datetime, event: Event = Event.REQUEST) -> int:
        """Counts what was not admitted, and audits the first of it; returns how many seconds are to be waited."""
        refused, since = connection.execute(_REFUSE, {"b_user": by.user_id}).one()
        if refused == 1:
            detail = {"why": "too_many", "per_minute": self.per_minute}
            audit.append(connection, Entry(event=event, outcome="refused", detail=detail, **by.columns), at)
        left: timedelta = since + MINUTE - at
        return max(1, math.ceil(left.total_seconds()))

    def give_back(self, connection: Connection, user_id: str) -> None:
        """Counts one thing less: it had been recorded before."""
        if self.per_minute:
            connection.execute(_GIVE_BACK, {"b_user": user_id})


def end_minutes(connection: Connection, at: datetime) -> None:
    """Forgets the minutes that are over, and says on record what was refused in them beside the first."""
    for ended in connection.execute(_END, moments(at)).all():
        _tell_of(connection, ended, at)


def moments(at: datetime) -> dict[str, datetime]:
    """The parameters of `IS_OVER`."""
    return {"b_at": at, "b_ago": at - MINUTE}


def _tell_of(connection: Connection, ended: Any, at: datetime) -> None:
    if ended.refused > 1:
        detail = {"why": "too_many", "more": ended.refused - 1, "since": rfc3339(ended.since)}
        entry = Entry(
            event=Event.REQUEST, outcome="refused", team_id=ended.team_id, user_id=ended.user_id, detail=detail
        )
        audit.append(connection, entry, at)

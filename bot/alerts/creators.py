"""Tells whoever created a failed job, in its thread, where Sift names them by an e-mail address that Slack knows.

Of an outage nobody is told: the alerts of a storm have no threads of their own.
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, bindparam, select, update

from bot.base.clock import Clock
from bot.db.columns import Moment, within
from bot.db.database import Database
from bot.db.tables import alerts
from bot.retries.state import MAY_MOVE
from bot.sift.job import Job
from bot.sift.subjects import Subjects
from bot.slack.errors import RateLimited, SlackError, SlackUnavailable
from bot.slack.outbox import soon
from bot.slack.people import People

log = structlog.get_logger(__name__)

CREATORS_SECONDS = 3.0
"""How often it is looked at whose jobs failed."""

WITHIN = timedelta(minutes=10)
"""For so long it is tried to find out who created a job; later that is no news."""

REFUSED_FOR = timedelta(hours=1)
"""So long nobody is looked up after Slack refused that: mostly the scope is missing, which is optional."""

CHUNK = 20
"""Alerts that are looked at in one turn."""

_EMAIL = re.compile(r"[^@\s<>|]{1,64}@[^@\s<>|]{1,190}\.[^@\s<>|.]{1,63}")
_ROW = alerts.c
_NEW = (
    select(_ROW.id, _ROW.job)
    .where(
        within(_ROW.state, MAY_MOVE),
        _ROW.created_at > bindparam("b_since", type_=Moment()),
        _ROW.state == "open",
        _ROW.manner == "alone",
        _ROW.parent_id.is_(None),
        _ROW.muted_by.is_(None),
        _ROW.creator_id.is_(None),
        _ROW.id.not_in(bindparam("b_tried", expanding=True)),
    )
    .order_by(_ROW.created_at)
    .limit(CHUNK)
)
_FOUND = (
    update(alerts)
    .where(_ROW.id == bindparam("b_id"), _ROW.creator_id.is_(None))
    .values(creator_id=bindparam("b_creator"), version=_ROW.version + 1, show_at=soon(alerts))
)
_NOBODY = update(alerts).where(_ROW.id == bindparam("b_id"), _ROW.creator_id.is_(None)).values(creator_id="")


class Creators:
    """Finds out who created the jobs that failed.

    Args:
        changed: told when there is something to show.
    """

    def __init__(
        self, database: Database, subjects: Subjects, people: People, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._database = database
        self._subjects = subjects
        self._people = people
        self._clock = clock
        self._changed = changed
        self._refused_until: datetime | None = None
        self._tried: set[str] = set()  # which had their turn in this round, so that they hold up no other

    async def step(self) -> None:
        """Looks up who created the jobs of the newest alerts; whom it cannot look up now, it tries again."""
        now = self._clock()
        if self._refused_until is not None and now < self._refused_until:
            return
        new = await self._database.run(lambda connection: _new(connection, now, self._tried))
        found = await self._look_up_all({user_id for user_id in new.values() if user_id}, now)
        known = {alert_id: found.get(user_id) if user_id else "" for alert_id, user_id in new.items()}
        await self._write({alert_id: who for alert_id, who in known.items() if who is not None}, now)
        self._tried |= {alert_id for alert_id, who in known.items() if who is None}
        if len(new) < CHUNK:  # everybody had a turn
            self._tried.clear()

    async def _look_up_all(self, user_ids: Collection[str], now: datetime) -> dict[str, str | None]:
        """Who users of Sift's are in Slack; ends when Slack refuses to say."""
        found: dict[str, str | None] = {}
        for user_id in user_ids:
            try:
                found[user_id] = await self._look_up(user_id)
            except (SlackUnavailable, RateLimited):
                continue
            except SlackError as error:
                log.warning("creators.refused", error=error.error, needs="users:read.email")
                self._refused_until = now + REFUSED_FOR
                break
        return found

    async def _look_up(self, user_id: str) -> str | None:
        """Who a user of Sift's is in Slack; empty: nobody. None: Sift does not say now."""
        name = await self._subjects.user_name(user_id)
        if not name:
            return None
        return await self._people.id_by_email(name) if _EMAIL.fullmatch(name) else ""

    async def _write(self, creators: Mapping[str, str], at: datetime) -> None:
        def work(connection: Connection) -> None:
            for alert_id, creator_id in creators.items():
                if creator_id:
                    connection.execute(_FOUND, {"b_id": alert_id, "b_creator": creator_id, "b_at": at})
                else:
                    connection.execute(_NOBODY, {"b_id": alert_id})

        if creators:
            await self._database.run(work)
            self._changed()


def _new(connection: Connection, now: datetime, tried: Collection[str] = ()) -> dict[str, str]:
    """The newest alerts of which nobody looked up yet who created the job, apart from some, and whom Sift names."""
    rows = connection.execute(_NEW, {"b_since": now - WITHIN, "b_tried": list(tried)}).all()
    return {row.id: _creator(row.job) for row in rows}


def _creator(job: str) -> str:
    """Whom Sift names; nobody where the row cannot be read, so that it holds up no other."""
    try:
        return Job.from_json(job).created_by_user_id
    except ValueError:
        return ""

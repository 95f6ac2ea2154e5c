"""The Home tab: what somebody may do here, what is going on, what waits; and for admins and auditors what they need.

Refreshed when something shown changes, for people who opened it lately only.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cachetools import TTLCache
from sqlalchemy import Connection

from bot.access import grants
from bot.access.authorizer import Authorizer
from bot.access.holding import idle_of_each
from bot.access.policy import Decision, Permission
from bot.alerts import queries
from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.errors import DatabaseUnavailable
from bot.base.requester import Actor, Source
from bot.db.columns import by_value
from bot.db.tables import retries
from bot.home import remaining
from bot.home.approvals import approvals
from bot.home.messages import BACK, Listed, Seen, home_view
from bot.records import lines
from bot.records.counts import Counts
from bot.records.search import Search
from bot.retries import known
from bot.retries.queries import readable
from bot.retries.request import Retry
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.errors import RateLimited, SlackError, SlackUnavailable
from bot.slack.links import Workspace
from bot.slack.message import Message
from bot.slack.people import Person

LATELY_SECONDS = 900
"""For so long after somebody opened their Home tab it is kept up to date."""

MAX_VIEWERS = 50
MAX_SHOWN = 10
MAX_GRANTS = 20
MAX_OWN = 5
MAX_LINES = 5
SHOWN = remaining.Shown(waiting=MAX_SHOWN, under_way=MAX_SHOWN, own=MAX_OWN)

_RIGHTS = (Permission.RETRY, Permission.READ_AUDIT, Permission.GRANT)
"""In the order of `_May`."""


@dataclass
class _Viewer:
    """Somebody who opened their Home tab lately, and what it shows.

    Args:
        recorded: whether the audit says that they read it there.
    """

    team_id: str
    shown: str = ""
    recorded: bool = False
    reads: bool = False  # the audit's entries, once that is on record


@dataclass(frozen=True)
class _May:
    """What somebody may do: what was decided of each of `_RIGHTS`."""

    retry: Decision
    read: Decision
    grant: Decision

    @property
    def looks(self) -> bool:
        """Whether they see anything at all."""
        return self.retry.allowed or self.read.allowed

    @property
    def rights(self) -> list[Permission]:
        decided = zip(_RIGHTS, (self.retry, self.read, self.grant), strict=True)
        rights = [right for right, decision in decided if decision.allowed]
        return [*rights, Permission.LOOK] if self.looks else rights


class Home:
    """Publishes Home tabs.

    Args:
        counts: the statistics, which may be a minute old; everything else is as of now.
        help_text: what can be typed by who has these rights.
        workspace: where permalinks lead.
        timer: monotonic seconds.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        counts: Counts,
        help_text: Callable[[Collection[Permission]], Message],
        workspace: Workspace,
        timer: Callable[[], float],
    ) -> None:
        self._authorizer = authorizer
        self._workspace = workspace
        self._help_text = help_text
        self._counts = counts
        self._viewers: TTLCache[str, _Viewer] = TTLCache(MAX_VIEWERS, LATELY_SECONDS, timer)
        self._changed = False

    def changed(self) -> None:
        """Has the Home tabs looked at again, soon."""
        self._changed = True

    async def show(self, user_id: str, team_id: str) -> None:
        """Publishes the Home tab of somebody who opened it."""
        self._viewers[user_id] = _Viewer(team_id)
        try:
            await self._publish(user_id, self._viewers[user_id])
        except DatabaseUnavailable:
            self._changed = True

    async def refresh(self) -> None:
        """Publishes anew what changed since it was published; what Slack does not take just now, a little later."""
        if not self._changed:
            return
        self._changed = False
        for user_id, viewer in list(self._viewers.items()):
            try:
                await self._publish(user_id, viewer)
            except (RateLimited, SlackUnavailable, DatabaseUnavailable):
                self._changed = True
            except SlackError:
                self._viewers.pop(user_id, None)

    async def _publish(self, user_id: str, viewer: _Viewer) -> None:
        person = await self._authorizer.people.person(user_id, viewer.team_id)
        view = home_view(await self._seen(user_id, person, viewer), self._help_text, self._workspace)
        content = json.dumps(view)
        if content != viewer.shown:
            await self._authorizer.slack.publish_home(user_id, view)
            viewer.shown = content

    async def _seen(self, user_id: str, person: Person | None, viewer: _Viewer) -> Seen:
        """Everything that somebody's Home tab shows, as far as they may see it."""
        at = self._authorizer.clock()
        may = await self._may(user_id, person)
        since = at.replace(hour=0, minute=0, second=0, microsecond=0) - BACK
        if may.read.allowed and person is not None and not viewer.recorded:
            await self._record(person, viewer, at)
        groups = await self._authorizer.access.groups_of(user_id) if may.looks else frozenset()
        stats = await self._counts.since(since, None if may.read.allowed else user_id, since) if may.looks else None

        def work(connection: Connection) -> Seen:
            waiting = queries.waiting(connection, MAX_SHOWN) if may.retry.allowed else []
            reads = may.read.allowed and viewer.reads
            found = lines.page(connection, Search(), limit=MAX_LINES + 1) if reads else None
            listed = _grants(connection, at) if may.grant.allowed else None
            awaited, further = (
                approvals(connection, self._authorizer, person, user_id, groups) if may.retry.allowed else ((), 0)
            )
            return Seen(
                at=at,
                decision=may.read if may.read.allowed and not may.retry.allowed else may.retry,
                admins=self._authorizer.access.who_may_grant(connection, at),
                under_way=_under_way(connection) if may.looks else [],
                waiting=waiting,
                known=_known(connection, waiting),
                own=known.latest_of(connection, user_id, MAX_OWN),
                lines=found[:MAX_LINES] if found is not None else None,
                grants=listed[:MAX_GRANTS] if listed is not None else None,
                stats=stats,
                rights=may.rights,
                held=self._authorizer.access.holding(connection, user_id, at, groups),
                approvals=awaited,
                idle=idle_of_each(grants.listed(connection), at) if may.grant.allowed else (),
                more=remaining.counted(connection, user_id, SHOWN, may.retry.allowed, may.looks)
                | {"lines": len(found or ()) - MAX_LINES, "grants": len(listed or ()) - MAX_GRANTS}
                | {"approvals": further},
            )

        return await self._authorizer.database.read(work)

    async def _may(self, user_id: str, person: Person | None) -> _May:
        access, request = self._authorizer.access, self._authorizer.access_request
        return _May(*await asyncio.gather(*(access.decide(request(right), person, user_id) for right in _RIGHTS)))

    async def _record(self, person: Person, viewer: _Viewer, at: datetime) -> None:
        """Records, once for each opening of the tab, that somebody reads the audit there, if they may just now."""
        viewer.reads = await self._authorizer.database.run(lambda connection: self._reads(connection, person, at))
        viewer.recorded = True

    def _reads(self, connection: Connection, person: Person, at: datetime) -> bool:
        """Records that somebody reads the audit's latest entries; False if too much is recorded of them just now."""
        quota, event = self._authorizer.quota, Event.AUDIT_READ
        by = Actor(user_id=person.user_id, team_id=person.team_id, user_name=person.name, source=Source.HOME)
        if not quota.admits(connection, by, at):
            quota.refuse(connection, by, at, event)
            return False
        audit.append(connection, Entry(event=event, detail={"what": "home"}, **by.columns), at)
        return True


def _under_way(connection: Connection) -> list[Retry]:
    newest = remaining.UNDER_WAY.order_by(by_value(retries.c.created_at).desc()).limit(MAX_SHOWN)
    return known.completed(connection, readable(connection.execute(newest)))


def _known(connection: Connection, waiting: Sequence[Job]) -> Listed:
    """What our rows tell of failures: as they were alerted, or of earlier ones of the job at least the name."""
    named = known.subjects(connection, [job.job_id for job in waiting])
    about = {job_id: About(subject) for job_id, subject in named.items()}
    for job in waiting:
        failure = known.failure(connection, job.job_id, job.failure)
        if failure != About():
            about[job.job_id] = failure
    records = known.records(connection, [one.why.cause for one in about.values() if one.why.cause])
    open_ = known.open_retries(connection, [job.job_id for job in waiting])
    return Listed(open_, about, records, queries.on_call(connection, [job.job_id for job in waiting]))


def _grants(connection: Connection, at: datetime) -> list[Any]:
    """The grants that hold now, newest first."""
    return [one for one in grants.listed(connection) if one.holds(at)][::-1]

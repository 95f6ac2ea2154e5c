"""The audit and the statistics in Slack: private, for those who may read them, and every reading on record."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import structlog
from sqlalchemy import Connection

from bot.access.authorizer import Asked, Authorizer
from bot.access.policy import Permission
from bot.audit import entry, export
from bot.audit import log as audit
from bot.audit.entry import Entry, Event, Filters
from bot.audit.signing import Signer
from bot.base.requester import Requester
from bot.records import messages as shown
from bot.records.chart import ChartFailed, drawn
from bot.records.counts import Counts
from bot.records.stats import Stats
from bot.slack.errors import SlackError
from bot.slack.links import Workspace
from bot.slack.message import Message

log = structlog.get_logger(__name__)

PAGE = 10
MAX_EXPORTED = 100_000
"""So many entries go into a file in Slack; the command line writes them all."""

STATS_BACK = timedelta(days=30)


@dataclass(frozen=True)
class History:
    """Reads the audit for people in Slack.

    Args:
        counts: the statistics; at most a minute old.
        workspace: where permalinks lead.
        signer: signs the head that goes with an export.
    """

    authorizer: Authorizer
    counts: Counts
    workspace: Workspace
    signer: Signer

    def filters(self, job_id: str | None, user_id: str | None, back: timedelta | None) -> Filters:
        """What somebody typed, as a search."""
        return Filters(job_id=job_id, user_id=user_id, since=self.authorizer.clock() - back if back else None)

    async def page(self, requester: Requester, filters: Filters, path: Sequence[int] = ()) -> Message:
        """One page of entries."""
        allowed = await self._allowed(requester, filters, "page" if path else "list")
        if isinstance(allowed, Message):
            return allowed

        def work(connection: Connection) -> Message:
            at = audit.moment_of(connection, path[-1]) if path else None
            before = (at, path[-1]) if at is not None else None
            rows = audit.page(connection, allowed, before=before, limit=PAGE + 1)
            return shown.page(rows[:PAGE], allowed, path, len(rows) > PAGE, self.workspace)

        return await self.authorizer.database.read(work)

    async def send_export(self, requester: Requester, filters: Filters) -> Message | None:
        """Sends the entries as a file, directly; answers what is to be said where it was asked for, if anything is."""
        allowed = await self._allowed(requester, filters, "export csv")
        if isinstance(allowed, Message):
            return allowed
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "audit.csv"

            def work(connection: Connection) -> tuple[int, entry.Head]:
                with file.open("w", encoding="utf-8", errors="replace", newline="") as target:
                    rows = islice(audit.export(connection, allowed), MAX_EXPORTED)
                    return export.write_csv(rows, target), audit.head(connection)

            count, head = await self.authorizer.database.read(work)
            said = shown.exported(count, MAX_EXPORTED, str(self.signer.sign(head)))
            return await self._upload(requester, said, file.read_bytes(), "audit.csv", None)

    async def send_stats(self, requester: Requester, back: timedelta | None) -> Message | None:
        """Sends the statistics directly, as a picture and in words; answers what to say where they were asked for.

        Args:
            back: how far back; 30 days by default.
        """
        back = back or STATS_BACK
        since = self.authorizer.clock() - back
        allowed = await self._allowed(requester, Filters(since=since), "stats")
        if isinstance(allowed, Message):
            return allowed
        stats = await self.counts.since(since, allowed.user_id, back)
        names = await self._names(stats)
        said = shown.numbers(stats, names)
        if not stats.total:
            return said
        try:
            png = await drawn(stats, names)
        except ChartFailed:
            log.error("chart.failed")
            return said
        if png is None:
            return said
        return await self._upload(requester, said, png, "retries.png", shown.alternative(stats, names))

    async def _names(self, stats: Stats) -> dict[str, str]:
        people = {
            user_id: await self.authorizer.people.person(user_id, self.authorizer.workspace) for user_id in stats.people
        }
        return {user_id: person.name for user_id, person in people.items() if person is not None and person.name}

    async def _upload(
        self, requester: Requester, said: Message, content: bytes, name: str, alternative: str | None
    ) -> Message | None:
        try:
            await self.authorizer.slack.send_file(requester.user_id, said, content, name, alternative)
        except SlackError as error:
            return shown.not_uploaded(error.error)
        elsewhere = requester.channel_id is not None and not requester.channel_id.startswith("D")
        return shown.sent_directly(said) if elsewhere else None

    async def _allowed(self, requester: Requester, filters: Filters, what: str) -> Filters | Message:
        """The search as far as somebody may see it: an operator sees their own entries; recorded either way."""
        asked = await self.authorizer.decide(requester, Permission.READ_AUDIT)
        if not asked.decision.allowed and filters.user_id in (None, requester.user_id):
            own = await self.authorizer.decide(requester, Permission.RETRY)
            if own.decision.allowed:
                asked, filters = own, replace(filters, user_id=requester.user_id)

        def work(connection: Connection) -> Filters | Message:
            busy = self.authorizer.too_many(connection, requester, Event.AUDIT_READ)
            if busy is not None:
                return busy
            audit.append(connection, _entry(asked, filters, what), self.authorizer.clock())
            if asked.decision.allowed:
                return filters
            return self.authorizer.denied(connection, asked.decision, "read the audit")

        return await self.authorizer.database.run(work)


def _entry(asked: Asked, filters: Filters, what: str) -> Entry:
    wanted = {"job": filters.job_id, "user": filters.user_id, "since": _text(filters.since)}
    detail = {"what": what, "filters": {name: value for name, value in wanted.items() if value}}
    return asked.entry(Event.AUDIT_READ, detail)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

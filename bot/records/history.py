"""The audit and the statistics in Slack: private, for those who may read them, and every reading on record."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from itertools import islice
from pathlib import Path

import structlog
from sqlalchemy import Connection

from bot.access.authorizer import Authorizer
from bot.access.policy import Permission
from bot.audit import entry, export
from bot.audit import log as audit
from bot.audit.entry import Event, Filters
from bot.audit.signing import Signer
from bot.base.requester import Requester
from bot.records import lines
from bot.records import messages as shown
from bot.records.chart import ChartFailed, drawn
from bot.records.counts import Counts
from bot.records.search import Search, what_of
from bot.records.stats import Stats
from bot.records.story import story
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
        zone: the time zone in which days begin and end.
    """

    authorizer: Authorizer
    counts: Counts
    workspace: Workspace
    signer: Signer
    zone: tzinfo

    def search(self, job_id: str | None, user_id: str | None, back: timedelta | None) -> Search:
        """What somebody typed, as a search."""
        since = self.authorizer.clock() - back if back else None
        return Search(Filters(job_id=job_id, user_id=user_id, since=since))

    async def page(self, requester: Requester, search: Search, path: Sequence[int] = ()) -> Message:
        """One page of the audit, a line for each request and for whatever else was done."""
        allowed = await self._allowed(requester, search, "page" if path else "list")
        if isinstance(allowed, Message):
            return allowed

        def work(connection: Connection) -> Message:
            at = audit.moment_of(connection, path[-1]) if path else None
            before = (at, path[-1]) if at is not None else None
            found = lines.page(connection, allowed, before=before, limit=PAGE + 1)
            return shown.page(found[:PAGE], allowed, path, len(found) > PAGE, self.workspace)

        return await self.authorizer.database.read(work)

    async def story(self, requester: Requester, request_id: str) -> Message:
        """The steps of one request; an operator sees those of their own."""
        database = self.authorizer.database
        owner = await database.read(lambda connection: lines.owner(connection, request_id))
        search = Search(Filters(request_id=request_id, user_id=owner))
        allowed = await self._allowed(requester, search, "show")
        if isinstance(allowed, Message):
            return allowed
        steps = await database.read(lambda connection: lines.steps(connection, request_id))
        return story(steps, lines.MAX_STEPS, self.workspace)

    async def send_export(self, requester: Requester, search: Search) -> Message | None:
        """Sends the entries as a file, directly; returns what is to be said where it was asked for, if anything is."""
        allowed = await self._allowed(requester, search, "export csv")
        if isinstance(allowed, Message):
            return allowed
        filters = allowed.filters
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "audit.csv"

            def work(connection: Connection) -> tuple[int, entry.Head]:
                with file.open("w", encoding="utf-8", errors="replace", newline="") as target:
                    rows = islice(audit.written(connection, filters), MAX_EXPORTED)
                    return export.write_csv(rows, target), audit.head(connection)

            count, head = await self.authorizer.database.read(work)
            said = shown.exported(count, MAX_EXPORTED, str(self.signer.sign(head)))
            return await self._upload(requester, said, file.read_bytes(), "audit.csv", None)

    async def send_stats(self, requester: Requester, back: timedelta | None) -> Message | None:
        """Sends the statistics directly, as a picture and in words; returns what to say where they were asked for.

        Args:
            back: how far back; 30 days by default.
        """
        back = back or STATS_BACK
        since = self.authorizer.clock() - back
        allowed = await self._allowed(requester, Search(Filters(since=since)), "stats")
        if isinstance(allowed, Message):
            return allowed
        own = allowed.filters.user_id is not None
        stats = await self.counts.since(since, allowed.filters.user_id, back)
        names = await self._names(stats)
        said = shown.numbers(stats, names, back, own=own)
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
        there = requester.channel_id is not None and requester.channel_id.startswith("D")
        return None if there else shown.sent_directly(said)

    async def _allowed(self, requester: Requester, search: Search, what: str) -> Search | Message:
        """The search as far as somebody may see it: an operator sees their own entries; recorded either way."""
        asked = await self.authorizer.decide(requester, Permission.READ_AUDIT)
        if not asked.decision.allowed and search.filters.user_id in (None, requester.user_id):
            own = await self.authorizer.decide(requester, Permission.RETRY)
            if own.decision.allowed:
                asked, search = own, search.of(requester.user_id)

        def work(connection: Connection) -> Search | Message:
            busy = self.authorizer.too_many(connection, requester, Event.AUDIT_READ)
            if busy is not None:
                return busy
            detail = {"what": what, "filters": what_of(search)}
            audit.append(connection, asked.entry(Event.AUDIT_READ, detail), self.authorizer.clock())
            if asked.decision.allowed:
                return search
            return self.authorizer.denied(connection, asked.decision, "read the audit")

        return await self.authorizer.database.run(work)

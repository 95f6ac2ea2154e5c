"""What every listener needs: the record, the way back to whoever asked, and the tasks that answer them."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from bot.access.changes import Granting
from bot.access.quota import Quota
from bot.alerts.mute import Muting
from bot.audit import log as audit
from bot.audit.log import Entry
from bot.base.clock import Clock
from bot.base.errors import DatabaseUnavailable
from bot.base.loops import Tasks
from bot.base.metrics import Metrics
from bot.db.database import Database
from bot.home.lookup import Lookup
from bot.home.tab import Home
from bot.records.history import History
from bot.retries import batches
from bot.retries.approvals import Approvals
from bot.retries.batches import Wanted
from bot.retries.messages import answers
from bot.retries.runner import Runner
from bot.retries.store import Request, new_id, record
from bot.slack import payloads
from bot.slack.client import Message, Slack
from bot.slack.payloads import Asker

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Desk:
    """What the listeners need.

    Args:
        runner: takes up what was recorded.
        tasks: where private answers that are no ack are sent from.
    """

    database: Database
    slack: Slack
    home: Home
    runner: Runner
    lookup: Lookup
    muting: Muting
    granting: Granting
    approvals: Approvals
    history: History
    tasks: Tasks
    metrics: Metrics
    clock: Clock
    quota: Quota

    async def take(
        self,
        asker: Asker,
        wanted: Sequence[Wanted],
        source: str,
        reason: str | None = None,
        origin: str | None = None,
    ) -> Message | None:
        """Records what is to be retried, durably, and has it carried out; a redelivery does neither.

        Args:
            origin: the storm or the batch whose button asks for all of it.

        Returns:
            What the person is told if nothing was recorded, since it is too much.
        """
        first = _request(asker, wanted[0], source, reason)
        with self.runner.giving_way():
            new = await self.database.run(lambda connection: self._record(connection, first, wanted, origin))
        if isinstance(new, Message):
            log.info("request.too_many", user_id=first.user_id, source=source)
            return new
        if not new:
            return None
        self.metrics.requested(source, len(wanted))
        log.info("request.recorded", request_id=first.id, jobs=len(wanted), user_id=first.user_id, source=source)
        if len(wanted) == 1:
            self.runner.start(first)
        else:
            self.runner.start_batches()
        return None

    async def take_or_tell(
        self, asker: Asker, wanted: Sequence[Wanted], source: str, origin: str | None = None
    ) -> None:
        """The same for a click, whose ack carries no message; there may be nothing left of what the button offered."""
        problem = await self.take(asker, wanted, source, origin=origin) if wanted else answers.nothing_left()
        if problem is not None:
            self.answer(asker, problem)

    def _record(
        self, connection: Connection, first: Request, wanted: Sequence[Wanted], origin: str | None
    ) -> bool | Message:
        """Writes one request or one batch; False for a redelivery, and what to say if it is too much."""
        at = self.clock()
        by = {name: getattr(first, name) for name in ("team_id", "user_id", "user_name", "channel_id", "source")}
        if not self.quota.admits(connection, by, at):
            if batches.delivered(connection, first.delivery_key):
                return False
            return answers.too_many(self.quota.refuse(connection, by, at), self.quota.per_minute)
        if len(wanted) == 1:
            new = record(connection, first, at)
        else:
            new = batches.open_batch(connection, first, wanted, at, origin)
        if not new:
            self.quota.give_back(connection, first.user_id)
        return new

    async def turn_away(self, asker: Asker, wanted: Sequence[Wanted]) -> None:
        """Records that a bot mentioned this one, which is never allowed, and never answered: bots would go on and on.

        Args:
            wanted: the jobs that it named.
        """

        def work(connection: Connection) -> None:
            at = self.clock()
            names = ("team_id", "user_id", "user_name", "channel_id", "source")
            by = {name: getattr(asker, name) for name in names}
            if not self.quota.admits(connection, by, at):
                self.quota.refuse(connection, by, at)
                return
            detail = {"why": "is_bot", "jobs": [one.job_id for one in wanted]}
            job_id = wanted[0].job_id if len(wanted) == 1 else None
            audit.append(connection, Entry(event="request", outcome="denied", job_id=job_id, detail=detail, **by), at)

        await self.database.run(work)

    def answer(self, asker: Asker, message: Message) -> None:
        """Tells whoever asked, privately and on the side: an ack of a click or an event carries no message."""
        self.tasks.start(self._tell(asker, message), user_id=asker.user_id)

    def answer_when_known(
        self, asker: Asker, looking_up: Coroutine[Any, Any, Message], *, replace: bool = False
    ) -> None:
        """Looks something up on the side and tells whoever asked what was found.

        Args:
            replace: whether the answer takes the place of the message that was clicked on.
        """

        async def work() -> None:
            await self._tell(asker, await read_or_say_so(looking_up), replace)

        self.tasks.start(work(), user_id=asker.user_id)

    async def _tell(self, asker: Asker, message: Message, replace: bool = False) -> None:
        await self.slack.tell(
            asker.user_id,
            message,
            channel_id=asker.channel_id,
            thread_ts=asker.asked_in,
            response_url=asker.response_url,
            replace=replace,
        )

    def answer_somehow(self, body: dict[str, Any], message: Message) -> None:
        """Tells whoever a request came from, as far as that can be told."""
        asker = payloads.asker_somehow(body)
        if asker is not None:
            self.answer(asker, message)


async def read_or_say_so(reading: Coroutine[Any, Any, T]) -> T | Message:
    """What was read for somebody; where the database cannot be read, they are told."""
    try:
        return await reading
    except DatabaseUnavailable as error:
        log.warning("reading.failed", error=str(error))
        return answers.not_read()


def private(message: Message) -> dict[str, Any]:
    """A message as the ack of a command carries it: shown to whoever typed it alone."""
    return {"response_type": "ephemeral", "text": message.text, "blocks": list(message.blocks)}


def _request(asker: Asker, wanted: Wanted, source: str, reason: str | None) -> Request:
    return Request(
        id=new_id(),
        delivery_key=asker.delivery_key,
        job_id=wanted.job_id,
        offered=wanted.offered,
        source=source,
        reason=reason,
        team_id=asker.team_id,
        user_id=asker.user_id,
        user_name=asker.user_name,
        channel_id=asker.channel_id,
        thread_ts=asker.thread_ts,
        asked_in=asker.asked_in,
        response_url=asker.response_url,
    )

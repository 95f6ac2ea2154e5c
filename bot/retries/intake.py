"""Takes what is to be retried: recorded durably, in time for the ack, and handed to the runner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection

from bot.access import messages as access_messages
from bot.access.quota import Quota
from bot.audit import log as audit
from bot.audit.entry import Entry
from bot.base.clock import Clock
from bot.base.metrics import Metrics
from bot.base.text import new_id
from bot.db.database import Database
from bot.retries import batches, store
from bot.retries.messages import answers
from bot.retries.request import JobRef, Request
from bot.retries.runner import Runner
from bot.slack.message import Message
from bot.slack.payloads import Requester
from bot.slack.replies import Replies

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Intake:
    """Records requests.

    Args:
        runner: takes up what was recorded.
        quota: how much may be recorded of one person in a minute.
    """

    database: Database
    runner: Runner
    replies: Replies
    quota: Quota
    metrics: Metrics
    clock: Clock

    async def take(
        self,
        requester: Requester,
        wanted: Sequence[JobRef],
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
        first = _request(requester, wanted[0], source, reason)
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
        self, requester: Requester, wanted: Sequence[JobRef], source: str, origin: str | None = None
    ) -> None:
        """The same for a click, whose ack carries no message; there may be nothing left of what the button offered."""
        problem = await self.take(requester, wanted, source, origin=origin) if wanted else answers.nothing_left()
        if problem is not None:
            self.replies.answer(requester, problem)

    async def turn_away(self, requester: Requester, wanted: Sequence[JobRef]) -> None:
        """Records that a bot mentioned this one, which is never allowed, and never answered: bots would go on and on.

        Args:
            wanted: the jobs that it named.
        """

        def work(connection: Connection) -> None:
            at, by = self.clock(), _by(requester)
            if not self.quota.admits(connection, by, at):
                self.quota.refuse(connection, by, at)
                return
            detail = {"why": "is_bot", "jobs": [one.job_id for one in wanted]}
            job_id = wanted[0].job_id if len(wanted) == 1 else None
            audit.append(connection, Entry(event="request", outcome="denied", job_id=job_id, detail=detail, **by), at)

        await self.database.run(work)

    def _record(
        self, connection: Connection, first: Request, wanted: Sequence[JobRef], origin: str | None
    ) -> bool | Message:
        """Writes one request or one batch; False for a redelivery, and what to say if it is too much."""
        at, by = self.clock(), _by(first)
        if not self.quota.admits(connection, by, at):
            if batches.delivered(connection, first.delivery_key):
                return False
            return access_messages.too_many(self.quota.refuse(connection, by, at), self.quota.per_minute)
        if len(wanted) == 1:
            new = store.add(connection, first, at)
        else:
            new = batches.open_batch(connection, first, wanted, at, origin)
        if not new:
            self.quota.give_back(connection, first.user_id)
        return new


def _by(somebody: Requester | Request) -> Mapping[str, Any]:
    """Who it is, and from where, as columns of the audit."""
    return {name: getattr(somebody, name) for name in ("team_id", "user_id", "user_name", "channel_id", "source")}


def _request(requester: Requester, wanted: JobRef, source: str, reason: str | None) -> Request:
    return Request(
        id=new_id(),
        delivery_key=requester.delivery_key,
        job_id=wanted.job_id,
        offered=wanted.offered,
        source=source,
        reason=reason,
        team_id=requester.team_id,
        user_id=requester.user_id,
        user_name=requester.user_name,
        channel_id=requester.channel_id,
        thread_ts=requester.thread_ts,
        asked_in=requester.asked_in,
        response_url=requester.response_url,
    )

"""Takes what is to be retried: recorded durably, in time for the ack, and handed to the runner."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from bot.access import messages as access_messages
from bot.access.policy import Reason
from bot.access.quota import Quota
from bot.audit import log as audit
from bot.audit.entry import Event, denied
from bot.base.clock import Clock
from bot.base.metrics import Metrics
from bot.base.requester import Requester
from bot.db.database import Database
from bot.retries import batches, store
from bot.retries.kind import EVENTS, Kind
from bot.retries.messages import answers, rerun
from bot.retries.request import JobRef, Request
from bot.retries.runner import Runner
from bot.slack.message import Message
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
        reason: str | None = None,
        origin: str | None = None,
        kind: Kind = Kind.RETRY,
    ) -> Message | None:
        """Records what is to be done, durably, and has it carried out; a redelivery does neither.

        Args:
            origin: the storm or the batch whose button asks for all of it.

        Returns:
            What the person is told if nothing was recorded, since it is too much.
        """
        first = Request.by(requester, wanted[0], reason, kind)
        with self.runner.giving_way():
            new = await self.database.run(lambda connection: self._record(connection, first, wanted, origin))
        if isinstance(new, Message):
            log.info("request.too_many", user_id=first.user_id, source=first.source)
            return new
        if not new:
            return None
        self.metrics.requested(first.source, len(wanted))
        log.info("request.recorded", request_id=first.id, jobs=len(wanted), user_id=first.user_id, source=first.source)
        if len(wanted) == 1:
            self.runner.start(first)
        else:
            self.runner.start_batches()
        return None

    async def take_or_tell(
        self, requester: Requester, wanted: Sequence[JobRef], origin: str | None = None, kind: Kind = Kind.RETRY
    ) -> None:
        """The same for a click, whose ack carries no message; there may be nothing left of what the button offered."""
        if wanted:
            problem = await self.take(requester, wanted, origin=origin, kind=kind)
        else:
            problem = rerun.nothing_left() if kind is Kind.RERUN else answers.nothing_left()
        if problem is not None:
            self.replies.answer(requester, problem)

    async def turn_away(self, requester: Requester, wanted: Sequence[JobRef]) -> None:
        """Records that a bot mentioned this one, which is never allowed, and never answered: bots would go on and on.

        Args:
            wanted: the jobs that it named.
        """

        def work(connection: Connection) -> None:
            at = self.clock()
            if not self.quota.admits(connection, requester, at):
                self.quota.refuse(connection, requester, at)
                return
            detail = {"why": Reason.IS_BOT, "jobs": [one.job_id for one in wanted]}
            job_id = wanted[0].job_id if len(wanted) == 1 else None
            audit.append(connection, denied(Event.REQUEST, requester, detail, job_id), at)

        await self.database.run(work)

    def _record(
        self, connection: Connection, first: Request, wanted: Sequence[JobRef], origin: str | None
    ) -> bool | Message:
        """Writes one request or one batch; False for a redelivery, and what to say if it is too much."""
        at = self.clock()
        if batches.delivered(connection, first.delivery_key):  # as one request or as a batch, whatever it means now
            return False
        if not self.quota.admits(connection, first, at):
            refused = self.quota.refuse(connection, first, at, EVENTS[first.kind])
            return access_messages.too_many(refused, self.quota.per_minute)
        if len(wanted) == 1:
            new = store.add(connection, first, at)
        else:
            new = batches.open_batch(connection, first, wanted, at, origin)
        if not new:
            self.quota.give_back(connection, first.user_id)
        return new

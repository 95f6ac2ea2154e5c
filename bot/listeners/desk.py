"""What every listener needs: the record, the way back to whoever asked, and the tasks that answer them."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bot import batches, payloads
from bot.approvals import Approvals
from bot.batches import Wanted
from bot.clock import Clock
from bot.database import Database, Work
from bot.granting import Granting
from bot.history import History
from bot.home import Home
from bot.lookup import Lookup
from bot.loops import Tasks
from bot.metrics import Metrics
from bot.muting import Muting
from bot.payloads import Asker
from bot.record import Request, new_id, record
from bot.retry import Runner
from bot.slack import Message, Slack

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

    async def take(self, asker: Asker, wanted: Sequence[Wanted], source: str, reason: str | None = None) -> None:
        """Records what is to be retried, durably, and has it carried out; a redelivery does neither."""
        first = _request(asker, wanted[0], source, reason)
        at = self.clock()
        if len(wanted) == 1:
            work: Work[bool] = lambda connection: record(connection, first, at)  # noqa: E731  # one of two works
        else:
            work = lambda connection: batches.open_batch(connection, first, wanted, at)  # noqa: E731
        with self.runner.giving_way():
            new = await self.database.run(work)
        if not new:
            return
        self.metrics.requested(source, len(wanted))
        log.info("request.recorded", request_id=first.id, jobs=len(wanted), user_id=first.user_id, source=source)
        if len(wanted) == 1:
            self.runner.start(first)
        else:
            self.runner.start_batches()

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
            await self._tell(asker, await looking_up, replace)

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

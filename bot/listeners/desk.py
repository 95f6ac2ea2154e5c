"""What every listener needs: the record, the way back to whoever asked, and the tasks that answer them."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection

from bot import payloads
from bot.clock import Clock
from bot.database import Database
from bot.home import Home
from bot.loops import Tasks
from bot.metrics import Metrics
from bot.payloads import Asker
from bot.record import Request, record
from bot.slack import Message, Slack

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Desk:
    """What the listeners need.

    Args:
        start: has the runner take up a recorded request.
        tasks: where private answers that are no ack are sent from.
    """

    database: Database
    slack: Slack
    home: Home
    start: Callable[[Request], None]
    tasks: Tasks
    metrics: Metrics
    clock: Clock

    async def take(self, requests: list[Request]) -> None:
        """Records requests in one transaction, then has them carried out; a redelivery does neither."""
        at = self.clock()

        def work(connection: Connection) -> list[Request]:
            return [request for request in requests if record(connection, request, at)]

        for request in await self.database.run(work):
            self.metrics.requested(request.source)
            log.info(
                "request.recorded",
                request_id=request.id,
                job_id=request.job_id,
                user_id=request.user_id,
                source=request.source,
            )
            self.start(request)

    def answer(self, asker: Asker, message: Message) -> None:
        """Tells whoever asked, privately and on the side: an ack of a click or an event carries no message."""
        self.tasks.start(self._tell(asker, message), user_id=asker.user_id)

    def answer_when_known(self, asker: Asker, looking_up: Coroutine[Any, Any, Message]) -> None:
        """Looks something up on the side and tells whoever asked what was found."""

        async def work() -> None:
            await self._tell(asker, await looking_up)

        self.tasks.start(work(), user_id=asker.user_id)

    async def _tell(self, asker: Asker, message: Message) -> None:
        await self.slack.tell(
            asker.user_id,
            message,
            channel_id=asker.channel_id,
            thread_ts=asker.thread_ts,
            response_url=asker.response_url,
        )

    def answer_somehow(self, body: dict[str, Any], message: Message) -> None:
        """Tells whoever a request came from, as far as that can be told."""
        asker = payloads.asker_somehow(body)
        if asker is not None:
            self.answer(asker, message)


def private(message: Message) -> dict[str, Any]:
    """A message as the ack of a command carries it: shown to whoever typed it alone."""
    return {"response_type": "ephemeral", "text": message.text, "blocks": list(message.blocks)}

"""The private way back to whoever asked: answers that no ack carries, sent on the side."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from bot.base.errors import DatabaseUnavailable
from bot.base.loops import Tasks
from bot.base.requester import Requester
from bot.base.text import new_id
from bot.slack import notices, payloads
from bot.slack.client import Slack
from bot.slack.errors import RateLimited, SlackError, SlackUnavailable
from bot.slack.message import Message

T = TypeVar("T")

TELL_AGAIN_AFTER = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between two tries to tell somebody that a request of theirs could not be recorded."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Replies:
    """Answers people privately.

    Args:
        tasks: where answers are sent from, so that they are tracked, and drained at the end.
    """

    slack: Slack
    tasks: Tasks

    def answer(self, requester: Requester, message: Message, *, replace: bool = False) -> None:
        """Tells whoever asked, on the side: an ack of a click or an event carries no message.

        Args:
            replace: whether the answer takes the place of the message that was clicked on.
        """
        self.start(requester, self._tell(requester, message, replace))

    def answer_when_known(
        self, requester: Requester, looking_up: Coroutine[object, None, Message | None], *, replace: bool = False
    ) -> None:
        """Looks something up on the side and tells whoever asked what was found, if anything is to be said.

        Args:
            replace: whether the answer takes the place of the message that was clicked on.
        """

        async def work() -> None:
            said = await read_or_say_so(looking_up)
            if said is not None:
                await self._tell(requester, said, replace)

        if not self.start(requester, work()):
            looking_up.close()

    def answer_somehow(self, body: dict[str, object], message: Message) -> None:
        """Tells whoever a request came from, as far as that can be told."""
        requester = payloads.requester_somehow(body)
        if requester is not None:
            self.answer(requester, message)

    async def told(self, body: dict[str, object], message: Message, seconds: float, *, go_on: bool) -> bool:
        """Tells whoever a request came from; returns whether that is known to be done in so many seconds.

        Where nobody can be made out who asked, nobody is left to be told.

        Args:
            go_on: whether they are still told later, on the side.
        """
        requester = payloads.requester_somehow(body)
        if requester is None:
            return True
        outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if go_on else seconds):
                        await self._tell_until_told(requester, message)
                        outcome.set_result(True)
            finally:
                if not outcome.done():
                    outcome.set_result(False)

        if not self.start(requester, work()):
            return False
        await asyncio.wait((outcome,), timeout=seconds)
        return outcome.done() and outcome.result()

    def tell(self, user_id: str, message: Message) -> None:
        """Writes to somebody directly who did not ask, on the side, once; where Slack refuses, it is left at that."""

        async def work() -> None:
            try:
                await self.slack.tell(user_id, message)
            except SlackError as error:
                log.info("slack.not_told", user_id=user_id, error=error.error)

        self.tasks.start(work(), user_id=user_id)

    def start(self, requester: Requester, work: Coroutine[object, None, object]) -> bool:
        """Does something for somebody on the side, after the ack; False if so much is done already that it is not."""
        return self.tasks.start(work, user_id=requester.user_id)

    async def _tell_until_told(self, requester: Requester, message: Message) -> None:
        """Tells somebody what nobody else knows of: again and again for a while, where Slack does not answer."""
        for pause in TELL_AGAIN_AFTER:
            try:
                await self._tell(requester, message)
            except (SlackUnavailable, RateLimited):
                await asyncio.sleep(pause)
            else:
                return
        await self._tell(requester, message)

    async def _tell(self, requester: Requester, message: Message, replace: bool = False) -> None:
        await self.slack.tell(
            requester.user_id,
            message,
            channel_id=requester.channel_id,
            thread_ts=requester.asked_in,
            response_url=requester.response_url,
            replace=replace,
        )


async def read_or_say_so(reading: Coroutine[object, None, T]) -> T | Message:
    """Returns what was read for somebody; where the database cannot be read, what they are told."""
    try:
        return await reading
    except DatabaseUnavailable as error:
        reference = new_id()
        log.warning("reading.failed", reference=reference, error=str(error))
        return notices.not_read(reference)


def private(message: Message) -> dict[str, Any]:
    """Returns a message as the arguments of a command's ack: shown to whoever typed it alone."""
    return {"response_type": "ephemeral", "text": message.text, "blocks": list(message.blocks)}

"""What Slack sends to the bot, handled: parse → record → ack, and the runner takes it from there.

A listener only records and returns, so Bolt may answer when it returns (`process_before_response`); nothing slow runs
here and nothing runs afterwards that is not tracked. One module per feature, each with a `register(app, desk)`.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.access import listeners as access_listeners
from bot.alerts import listeners as alerts_listeners
from bot.app import dispatch
from bot.app.desk import Desk, private
from bot.base.deadline import answer_within
from bot.base.errors import DatabaseUnavailable, MaybeRecorded
from bot.home import listeners as home_listeners
from bot.records import listeners as records_listeners
from bot.retries import approval_listeners, listeners
from bot.retries.messages import answers
from bot.retries.store import new_id
from bot.slack.payloads import Malformed

__all__ = ["Desk", "register"]

log = structlog.get_logger(__name__)

ACK_SECONDS = 2.5
"""How long recording may take: Slack waits three seconds for the ack, the way there included."""


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers every listener, and the one error handler."""

    async def on_other_action(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        desk.answer_somehow(body, answers.retired())

    async def on_error(error: Exception, body: dict[str, Any]) -> BoltResponse:
        return _failed(desk, error, body)

    app.use(_in_time)
    for feature in (
        dispatch,
        listeners,
        alerts_listeners,
        approval_listeners,
        access_listeners,
        home_listeners,
        records_listeners,
    ):
        feature.register(app, desk)
    app.action(re.compile(""))(on_other_action)
    app.error(on_error)


async def _in_time(next: Callable[[], Awaitable[Any]]) -> None:  # noqa: A002  # Bolt gives arguments by name
    """Has what Slack waits for done in time for the ack, or not at all; the listener runs next, in the same task."""
    answer_within(ACK_SECONDS)
    await next()


def _failed(desk: Desk, error: Exception, body: dict[str, Any]) -> BoltResponse:
    """Answers a request that could not be recorded: privately, and with a reference that finds the log line."""
    if isinstance(error, Malformed):
        log.info("request.malformed")
        return BoltResponse(status=400, body="")
    reference = new_id()
    puzzle = None if isinstance(error, DatabaseUnavailable) else error  # that one needs no traceback
    log.error("request.not_recorded", reference=reference, error=f"{type(error).__name__}: {error}", exc_info=puzzle)
    message = (answers.unclear if isinstance(error, MaybeRecorded) else answers.trouble)(reference)
    if "command" in body:
        return BoltResponse(status=200, body=private(message))
    if body.get("type") == "view_submission":
        return BoltResponse(status=200, body=_errors_in_view(body, message.text))
    desk.answer_somehow(body, message)
    return BoltResponse(status=200, body="")


def _errors_in_view(body: dict[str, Any], text: str) -> dict[str, Any]:
    """A modal's errors stand at one of its inputs; at the first one it has."""
    blocks = body.get("view", {}).get("blocks", [])
    inputs = [block["block_id"] for block in blocks if block.get("type") == "input"]
    return {"response_action": "errors", "errors": {inputs[0] if inputs else "jobs": text}}

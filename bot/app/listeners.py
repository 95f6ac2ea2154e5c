"""What Slack sends to the bot, handled: parse → record → ack, and the runner takes it from there.

A listener only records and returns, so Bolt may answer when it returns (`process_before_response`); nothing slow runs
here and nothing runs afterwards that is not tracked. Each feature has a `register`, which is given what it needs.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp

from bot.access import listeners as access
from bot.access.changes import Granting
from bot.access.request import concerns_access
from bot.alerts import listeners as alerts
from bot.alerts.handling import Handling
from bot.app import dispatch, unhandled
from bot.app.dispatch import Dispatch
from bot.base.clock import Clock
from bot.base.deadline import answer_within, seconds_left
from bot.base.errors import DatabaseUnavailable, MaybeRecorded
from bot.base.metrics import Metrics
from bot.base.text import new_id
from bot.db.database import Database
from bot.digest import listeners as digest
from bot.digest.digests import Digests
from bot.home import listeners as home
from bot.home.lookup import Lookup
from bot.home.run import Runs
from bot.home.tab import Home
from bot.records import listeners as records
from bot.records.history import History
from bot.retries import listeners as retries
from bot.retries.approvals import Approvals
from bot.retries.cooldown import Cooldowns
from bot.retries.intake import Intake
from bot.slack import notices
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.payloads import Malformed
from bot.slack.people import People
from bot.slack.replies import Replies, private

log = structlog.get_logger(__name__)

EVENT = "event_callback"
"""What an event is wrapped in; Slack sends one again that gets no 200 (docs.slack.dev/apis/events-api)."""

ACK_SECONDS = 2.5
"""How long recording may take: Slack waits three seconds for the ack, the way there included."""

TELL_SECONDS = 0.3
"""So much longer somebody is told at least that nothing was recorded."""


@dataclass(frozen=True)
class UseCases:
    """What the features' listeners hand requests to; each is given what it needs of it."""

    database: Database
    slack: Slack
    people: People
    replies: Replies
    intake: Intake
    approvals: Approvals
    cooldowns: Cooldowns
    digests: Digests
    handling: Handling
    granting: Granting
    lookup: Lookup
    runs: Runs
    home: Home
    history: History
    metrics: Metrics
    clock: Clock


def register(app: AsyncApp, use: UseCases) -> None:
    """Registers every feature's listeners, and the one error handler."""

    async def on_error(error: Exception, body: dict[str, Any]) -> BoltResponse:
        return await _failed(use.replies, error, body)

    database, slack, replies, intake = use.database, use.slack, use.replies, use.intake
    app.use(_in_time)
    dispatch.register(app, Dispatch(intake, replies, use.lookup, use.runs, use.granting, use.history), use.metrics)
    retries.register(app, database=database, slack=slack, intake=intake, replies=replies, metrics=use.metrics)
    retries.register_kinds(app, database=database, slack=slack, intake=intake, replies=replies)
    retries.register_cooldowns(app, cooldowns=use.cooldowns, replies=replies)
    retries.register_approve(app, approvals=use.approvals, replies=replies)
    retries.register_approvals(app, approvals=use.approvals, slack=slack, replies=replies)
    alerts.register(app, database=database, slack=slack, intake=intake, handling=use.handling, replies=replies)
    alerts.register_on_call(app, handling=use.handling, replies=replies)
    alerts.register_modals(app, handling=use.handling, slack=slack, replies=replies, clock=use.clock)
    digest.register(app, digests=use.digests, slack=slack, replies=replies)
    access.register(app, granting=use.granting, slack=slack, people=use.people, replies=replies)
    home.register(app, home=use.home, database=database, intake=intake, replies=replies)
    home.register_runs(app, runs=use.runs, slack=slack, intake=intake, replies=replies)
    records.register(app, history=use.history, slack=slack, replies=replies)
    unhandled.register(app, replies)
    app.error(on_error)


async def _in_time(next: Callable[[], Awaitable[Any]]) -> None:  # noqa: A002  # Bolt gives arguments by name
    """Has what Slack waits for done in time for the ack, or not at all; the listener runs next, in the same task."""
    answer_within(ACK_SECONDS)
    await next()


async def _failed(replies: Replies, error: Exception, body: dict[str, Any]) -> BoltResponse:
    """Answers a request that could not be recorded: privately, and with a reference that finds the log line.

    What carries no answer is acknowledged once the person was told. If they cannot be in time, Slack shows that a
    click failed, and sends an event again, which is recorded then, perhaps: so they are not told later.
    """
    if isinstance(error, Malformed):
        log.info("request.malformed")
        return BoltResponse(status=200 if body.get("type") == EVENT else 400, body="")
    reference = new_id()
    puzzle = None if isinstance(error, DatabaseUnavailable) else error  # that one needs no traceback
    log.error("request.not_recorded", reference=reference, error=f"{type(error).__name__}: {error}", exc_info=puzzle)
    message = _trouble(error, body, reference)
    if "command" in body:
        return BoltResponse(status=200, body=private(message))
    if body.get("type") == "view_submission":
        return BoltResponse(status=200, body=_errors_in_view(body, message.text))
    seconds, comes_again = max(seconds_left(ACK_SECONDS), TELL_SECONDS), body.get("type") == EVENT
    told = await replies.told(body, message, seconds, go_on=not comes_again)
    return BoltResponse(status=200 if told else 503, body="")


def _trouble(error: Exception, body: dict[str, Any], reference: str) -> Message:
    if isinstance(error, MaybeRecorded):
        return notices.unclear(reference)
    if concerns_access(body):
        return notices.trouble(reference, ". Nothing was changed")
    return notices.trouble(reference)


def _errors_in_view(body: dict[str, Any], text: str) -> dict[str, Any]:
    """A modal's errors stand at one of its inputs; at the first one it has."""
    blocks = body.get("view", {}).get("blocks", [])
    inputs = [block["block_id"] for block in blocks if block.get("type") == "input"]
    return {"response_action": "errors", "errors": {inputs[0] if inputs else "jobs": text}}

"""What Slack sends to the bot, handled: parse → record → ack, and the runner takes it from there.

A listener only records and returns, so Bolt may answer when it returns (`process_before_response`); nothing slow runs
here and nothing runs afterwards that is not tracked.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp
from sqlalchemy import Connection

from bot import commands, payloads
from bot.clock import Clock
from bot.commands import Help, Retry, Usage
from bot.database import Database
from bot.home import Home
from bot.loops import Tasks
from bot.metrics import Metrics
from bot.payloads import Malformed
from bot.presenter import answers, jobs, views
from bot.record import Request, new_id, record
from bot.slack import Message, Slack

log = structlog.get_logger(__name__)

COMMAND = "/sift-retry"
SHORTCUT = "retry_sift_job"


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


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers every listener, and the one error handler."""

    async def on_other_action(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        _answer_later(desk, body, answers.retired())

    async def on_error(error: Exception, body: dict[str, Any]) -> BoltResponse:
        return _failed(desk, error, body)

    _register_command(app, desk)
    _register_buttons(app, desk)
    _register_mention(app, desk)
    _register_shortcut(app, desk)
    app.action(re.compile(""))(on_other_action)
    app.error(on_error)


def _register_command(app: AsyncApp, desk: Desk) -> None:
    async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        match commands.parse(str(body.get("text") or "")):
            case Retry() as command:
                await desk.take(payloads.from_command(body, command))
                await ack()
            case Usage() as problem:
                await ack(**_private(answers.usage(problem)))
            case Help():
                await ack(**_private(answers.help_text()))
        desk.metrics.acked(time.perf_counter() - began)

    app.command(COMMAND)(on_command)


def _register_buttons(app: AsyncApp, desk: Desk) -> None:
    async def on_retry_button(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        await desk.take([payloads.from_click(body)])
        await ack()
        desk.metrics.acked(time.perf_counter() - began)

    app.action(jobs.RETRY)(on_retry_button)


def _register_mention(app: AsyncApp, desk: Desk) -> None:
    async def on_mention(event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("bot_id"):
            return
        match commands.parse_mention(str(event.get("text") or "")):
            case Retry() as command:
                await desk.take(payloads.from_mention(event, str(body.get("team_id") or ""), command))
            case Usage() as problem:
                _answer_mention(desk, event, answers.usage(problem))
            case Help():
                _answer_mention(desk, event, answers.help_text())

    async def on_home(event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("tab") == "home" and isinstance(event.get("user"), str):
            desk.tasks.start(desk.home.show(event["user"], str(body.get("team_id") or "")), what="home")

    app.event("app_mention")(on_mention)
    app.event("app_home_opened")(on_home)


def _register_shortcut(app: AsyncApp, desk: Desk) -> None:
    async def on_shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        found = commands.job_ids_in(body.get("message"))
        view = views.retry_view(found, payloads.thread_of(body)) if found else views.nothing_found_view()
        await ack()
        desk.tasks.start(desk.slack.open_view(str(body.get("trigger_id")), view), what="shortcut")

    async def on_retry_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        await desk.take(payloads.from_view(body))
        await ack()

    app.shortcut(SHORTCUT)(on_shortcut)
    app.view(views.RETRY_VIEW)(on_retry_view)


def _failed(desk: Desk, error: Exception, body: dict[str, Any]) -> BoltResponse:
    """Answers a request that could not be recorded: privately, and with a reference that finds the log line."""
    if isinstance(error, Malformed):
        log.info("request.malformed")
        return BoltResponse(status=400, body="")
    reference = new_id()
    log.error("request.not_recorded", reference=reference, error=f"{type(error).__name__}: {error}", exc_info=error)
    message = answers.trouble(reference)
    if "command" in body:
        return BoltResponse(status=200, body=_private(message))
    if body.get("type") == "view_submission":
        errors = {"response_action": "errors", "errors": {"jobs": message.text}}
        return BoltResponse(status=200, body=errors)
    if isinstance(body.get("event"), dict):
        _answer_mention(desk, body["event"], message)
        return BoltResponse(status=200, body="")
    _answer_later(desk, body, message)
    return BoltResponse(status=200, body="")


def _answer_later(desk: Desk, body: dict[str, Any], message: Message) -> None:
    """Tells whoever clicked something, since an ack of a click carries no message."""
    user_id = payloads.user_of(body)
    if user_id is not None:
        answer = desk.slack.tell(user_id, message, response_url=payloads.response_url_of(body))
        desk.tasks.start(answer, user_id=user_id)


def _answer_mention(desk: Desk, event: dict[str, Any], message: Message) -> None:
    """Tells whoever mentioned the bot, in the thread where they did, so that only they see it."""
    user_id, channel_id, thread_ts = event.get("user"), event.get("channel"), event.get("thread_ts")
    if isinstance(user_id, str):
        desk.tasks.start(desk.slack.tell(user_id, message, channel_id=channel_id, thread_ts=thread_ts), user_id=user_id)


def _private(message: Message) -> dict[str, Any]:
    return {"response_type": "ephemeral", "text": message.text, "blocks": list(message.blocks)}

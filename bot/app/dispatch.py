"""What is typed: the slash command, and the same words after a mention of the bot."""

import time
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.app import commands
from bot.app.commands import (
    Allow,
    Command,
    ListFailed,
    Pick,
    ReadAudit,
    Retry,
    Revoke,
    ShowAccess,
    Stats,
    Status,
    Usage,
)
from bot.app.desk import Desk, private
from bot.records.listeners import send_stats
from bot.retries.batches import Wanted
from bot.retries.messages import answers
from bot.slack import payloads
from bot.slack.client import Message
from bot.slack.payloads import Asker, GrantWanted

COMMAND = "/sift-retry"


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the command and the mention."""

    async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        command = commands.parse(str(body.get("text") or ""))
        if isinstance(command, Retry):
            asker = payloads.asker_of_command(body)
            message = await desk.take(asker, _wanted(command), "command", command.reason)
        else:
            message = await _answer(desk, payloads.asker_of_command(body), command)
        await ack(**private(message) if message else {})
        desk.metrics.acked(time.perf_counter() - began)

    async def on_mention(event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        command = commands.parse_mention(str(event.get("text") or ""))
        team_id = str(body.get("team_id") or "")
        if event.get("bot_id"):
            if event["bot_id"] != context.bot_id and event.get("user") != context.bot_user_id:
                bot = payloads.asker_of_mention({**event, "user": event.get("user") or event["bot_id"]}, team_id)
                await desk.turn_away(bot, _wanted(command) if isinstance(command, Retry) else [])
            return
        asker = payloads.asker_of_mention(event, team_id)
        if isinstance(command, Retry):
            message = await desk.take(asker, _wanted(command), "mention", command.reason)
        else:
            message = await _answer(desk, asker, command)
        if message is not None:
            desk.answer(asker, message)

    app.command(COMMAND)(on_command)
    app.event("app_mention")(on_mention)


async def _answer(desk: Desk, asker: Asker, command: Command) -> Message | None:
    """The answer to a word that retries nothing; None if it follows on the side."""
    match command:
        case Pick():
            desk.tasks.start(desk.lookup.pick(asker), user_id=asker.user_id)
        case ListFailed():
            desk.answer_when_known(asker, desk.lookup.failed(asker))
        case Status(job_id):
            desk.answer_when_known(asker, desk.lookup.status(asker, job_id))
        case Allow():
            wanted = GrantWanted(
                subject=command.subject, role=command.role, duration=command.duration, reason=command.reason
            )
            return await desk.granting.allow(asker, wanted, asker.source)
        case Revoke(subject):
            return await desk.granting.revoke(asker, subject, asker.source)
        case ShowAccess():
            desk.answer_when_known(asker, desk.granting.show(asker))
        case ReadAudit(job_id, user_id, back):
            filters = desk.history.filters(job_id, user_id, back)
            desk.answer_when_known(asker, desk.history.page(asker, filters))
        case Stats(back):
            desk.tasks.start(send_stats(desk, asker, back), user_id=asker.user_id)
        case Usage():
            return answers.usage(command)
        case _:
            return answers.help_text()
    return None


def _wanted(command: Retry) -> list[Wanted]:
    return [Wanted(job_id) for job_id in command.job_ids]

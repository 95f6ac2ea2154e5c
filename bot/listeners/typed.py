"""What is typed: the slash command, and the same words after a mention of the bot."""

import time
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot import commands, payloads
from bot.commands import Command, Retry, Usage
from bot.listeners.desk import Desk, private
from bot.payloads import Asker
from bot.presenter import answers
from bot.slack import Message

COMMAND = "/sift-retry"


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the command and the mention."""

    async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        command = commands.parse(str(body.get("text") or ""))
        if isinstance(command, Retry):
            await desk.take(payloads.from_command(body, command))
            await ack()
        else:
            message = await _answer(desk, payloads.asker_of_command(body), command)
            await ack(**private(message) if message else {})
        desk.metrics.acked(time.perf_counter() - began)

    async def on_mention(event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("bot_id"):
            return
        command = commands.parse_mention(str(event.get("text") or ""))
        team_id = str(body.get("team_id") or "")
        if isinstance(command, Retry):
            await desk.take(payloads.from_mention(event, team_id, command))
            return
        asker = payloads.asker_of_mention(event, team_id)
        message = await _answer(desk, asker, command)
        if message is not None:
            desk.answer(asker, message)

    app.command(COMMAND)(on_command)
    app.event("app_mention")(on_mention)


async def _answer(desk: Desk, asker: Asker, command: Command) -> Message | None:
    """The answer to a word that retries nothing; None if it follows on the side."""
    match command:
        case Usage():
            return answers.usage(command)
        case _:
            return answers.help_text()

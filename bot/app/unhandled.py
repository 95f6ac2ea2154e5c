"""What Slack sends and no feature is for: acknowledged, lest Slack sends it again, and said to whoever waits for it.

Buttons and forms of versions that are gone, commands and shortcuts of a manifest that is not ours, events that
somebody subscribed to. Registered last.
"""

import re
from typing import Any

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack import notices
from bot.slack.blocks import escape, message_view
from bot.slack.replies import Replies, private

_ANY = re.compile("")

NOT_IN_USE = "Not in use any more"


def register(app: AsyncApp, replies: Replies) -> None:
    """Registers a listener for everything that has none and that somebody waits for."""

    async def on_action(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        replies.answer_somehow(body, notices.retired())

    async def on_view(ack: AsyncAck) -> None:
        await ack(response_action="update", view=message_view(notices.retired("form"), NOT_IN_USE))

    async def on_shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        replies.answer_somehow(body, notices.retired("shortcut"))

    async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack(**private(notices.other_command(escape(str(body.get("command") or "")))))

    async def on_options(ack: AsyncAck) -> None:
        await ack(options=[])

    async def on_nothing(ack: AsyncAck) -> None:
        await ack()

    app.action(_ANY)(on_action)
    app.view_submission(_ANY)(on_view)
    app.view_closed(_ANY)(on_nothing)
    app.shortcut(_ANY)(on_shortcut)
    app.command(_ANY)(on_command)
    app.options(_ANY)(on_options)
    app.event(_ANY)(on_nothing)


def acknowledged(response: BoltResponse, body: dict[str, Any]) -> BoltResponse:
    """Returns an empty 200 for what nobody listens to, if it is of a type, as everything is that Slack sends."""
    if response.status == 404 and isinstance(body.get("type"), str):
        return BoltResponse(status=200, body="")
    return response

"""The allow-list's buttons and its modal.

**Revoke**: the access ends, and whoever pressed is told. **Add…**: a modal that grants, for those who may.
**Replace**, **Keep both**, beside a grant that adds nothing: the older ones end, or stay; the question goes.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.access import request
from bot.access.answers import KEEP_GRANTS, REPLACE_GRANTS, NotGranted
from bot.access.changes import Choice, Granting
from bot.access.messages import ADD_GRANT, REVOKE_GRANT
from bot.access.modal import GRANT_TITLE, GRANT_VIEW, grant_view
from bot.base.requester import Requester, Source
from bot.settings import JOB_TYPES
from bot.slack import payloads
from bot.slack.blocks import message_view
from bot.slack.client import Slack
from bot.slack.people import People
from bot.slack.replies import Replies


def register(app: AsyncApp, *, granting: Granting, slack: Slack, people: People, replies: Replies) -> None:
    """Registers the buttons and the modal."""

    async def on_revoke(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester = payloads.requester_of_click(body, Source.HOME)
        number, subject = request.grant_of_click(body)
        message = await granting.revoke(requester, subject, number)
        await ack()
        replies.answer(requester, message)

    async def on_add(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.HOME), payloads.trigger_of(body)
        await ack()
        replies.start(requester, open_grant(requester, trigger_id))

    async def open_grant(requester: Requester, trigger_id: str) -> None:
        refusal = await granting.may_grant(requester)
        view = grant_view(await people.groups(), JOB_TYPES) if refusal is None else message_view(refusal, GRANT_TITLE)
        await slack.open_view(trigger_id, view)

    async def on_grant_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        wanted = request.from_grant_view(body)
        if isinstance(wanted, dict):
            await ack(response_action="errors", errors=wanted)
            return
        message = await granting.allow(payloads.requester_of_click(body, Source.HOME), wanted)
        if isinstance(message, NotGranted):
            await ack(response_action="errors", errors=dict(message.errors))
        else:
            await ack(response_action="update", view=message_view(message, GRANT_TITLE))

    app.action(REVOKE_GRANT)(on_revoke)
    app.action(ADD_GRANT)(on_add)
    app.view(GRANT_VIEW)(on_grant_view)
    _register_choices(app, granting, slack, replies)


def _register_choices(app: AsyncApp, granting: Granting, slack: Slack, replies: Replies) -> None:
    """Registers the two buttons beside a grant that another one covers; they stand in a message or in the modal."""

    def choosing(choice: Choice) -> Callable[[AsyncAck, dict[str, Any]], Awaitable[None]]:
        async def on_choice(ack: AsyncAck, body: dict[str, Any]) -> None:
            view_id = payloads.text_or_none(body.get("view"), "id")
            requester = payloads.requester_of_click(body, Source.HOME if view_id else Source.COMMAND)
            message = await granting.choose(requester, choice, *request.grant_of_click(body))
            await ack()
            if view_id is None:
                replies.answer(requester, message, replace=True)
            else:
                replies.start(requester, slack.update_view(view_id, message_view(message, GRANT_TITLE)))

        return on_choice

    app.action(REPLACE_GRANTS)(choosing(Choice.REPLACED))
    app.action(KEEP_GRANTS)(choosing(Choice.KEPT))

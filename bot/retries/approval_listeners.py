"""Approve and Override, where a retry takes a second person."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.app.desk import Desk
from bot.retries.messages import modals
from bot.retries.messages.approval import APPROVE, OVERRIDE, OVERRIDE_TITLE, OVERRIDE_VIEW, override_view
from bot.slack import payloads
from bot.slack.payloads import Asker


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the buttons and the modal."""

    async def on_approve(ack: AsyncAck, body: dict[str, Any]) -> None:
        asker = payloads.asker_of_click(body)
        problem = await desk.approvals.approve(asker, payloads.value_of(body))
        await ack()
        if problem is not None:
            desk.answer(asker, problem)

    async def on_override(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = payloads.asker_of_click(body)
        desk.tasks.start(_open(desk, asker, payloads.value_of(body)), user_id=asker.user_id)

    async def on_override_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        asker = payloads.asker_of_click(body)
        problem = await desk.approvals.override(asker, *payloads.from_override(body))
        if problem is None:
            await ack()
        else:
            await ack(response_action="update", view=modals.message_view(problem, OVERRIDE_TITLE))

    app.action(APPROVE)(on_approve)
    app.action(OVERRIDE)(on_override)
    app.view(OVERRIDE_VIEW)(on_override_view)


async def _open(desk: Desk, asker: Asker, request_id: str) -> None:
    """Opens the modal that asks for a reason, for those who may override."""
    refusal = await desk.approvals.may_override(asker, request_id)
    view = override_view(request_id) if refusal is None else modals.message_view(refusal, OVERRIDE_TITLE)
    await desk.slack.open_view(str(asker.trigger_id), view)

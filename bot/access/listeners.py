"""The allow-list in the Home tab: revoke, and the modal that adds."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.access.messages import GRANT_VIEW, grant_view, said_in_view
from bot.app.desk import Desk
from bot.home.messages import ADD_GRANT, REVOKE_GRANT
from bot.settings import JOB_TYPES
from bot.slack import payloads
from bot.slack.payloads import Asker


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the buttons and the modal."""

    async def on_revoke(ack: AsyncAck, body: dict[str, Any]) -> None:
        asker = payloads.asker_of_click(body)
        number, subject = payloads.grant_of_click(body)
        message = await desk.granting.revoke(asker, subject, "home", number)
        await ack()
        desk.answer(asker, message)

    async def on_add(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = payloads.asker_of_click(body)
        desk.tasks.start(_open(desk, asker), user_id=asker.user_id)

    async def on_grant_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        wanted = payloads.from_grant_view(body)
        if wanted is None:
            await ack(response_action="errors", errors={"reason": "Choose a person or a user group above."})
            return
        message = await desk.granting.allow(payloads.asker_of_click(body), wanted, "home")
        await ack(response_action="update", view=said_in_view(message))

    app.action(REVOKE_GRANT)(on_revoke)
    app.action(ADD_GRANT)(on_add)
    app.view(GRANT_VIEW)(on_grant_view)


async def _open(desk: Desk, asker: Asker) -> None:
    """Opens the modal for those who may grant."""
    refusal = await desk.granting.may_grant(asker)
    view = grant_view(await desk.slack.groups(), JOB_TYPES) if refusal is None else said_in_view(refusal)
    await desk.slack.open_view(str(asker.trigger_id), view)

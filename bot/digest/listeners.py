"""The button under a digest.

**Retry what still waits…**: a modal with what waits of the channel; the answer goes into the digest's thread.
"""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.base.requester import Requester, Source
from bot.digest.digests import Digests
from bot.digest.messages import PICK_WAITING
from bot.slack import payloads
from bot.slack.client import Slack
from bot.slack.replies import Replies


def register(app: AsyncApp, *, digests: Digests, slack: Slack, replies: Replies) -> None:
    """Registers the button."""

    async def on_pick(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.MODAL), payloads.trigger_of(body)
        await ack()
        replies.start(requester, open_modal(requester, trigger_id))

    async def open_modal(requester: Requester, trigger_id: str) -> None:
        await slack.open_view(trigger_id, await digests.pick(requester))

    app.action(PICK_WAITING)(on_pick)

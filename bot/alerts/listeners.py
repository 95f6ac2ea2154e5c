"""The buttons of alerts and storms.

**Mute**, **Unmute**: the alert says so.
**Retry all (25)**, **Retry these 9**: one batch, its tally in the storm's thread.
**Select…**: a modal with the failures that wait.
"""

from collections.abc import Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.alerts import storms
from bot.alerts.messages import MUTE, UNMUTE
from bot.alerts.mute import Muting
from bot.alerts.storm_messages import RETRY_GROUP, RETRY_STORM, SELECT_STORM, selection
from bot.alerts.storm_press import Pressed, changed_meanwhile
from bot.base.requester import Requester, Source
from bot.db.database import Database
from bot.retries.intake import Intake
from bot.slack import payloads
from bot.slack.blocks import MAX_OPTIONS
from bot.slack.client import Slack
from bot.slack.replies import Replies


def register(
    app: AsyncApp, *, database: Database, slack: Slack, intake: Intake, muting: Muting, replies: Replies
) -> None:
    """Registers the buttons."""

    def on_mute(mute: bool) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
            requester = payloads.requester_of_click(body, Source.ALERT)
            problem = await muting.mute(requester, payloads.value_of(body), mute)
            await ack()
            if problem is not None:
                replies.answer(requester, problem)

        return on_button

    async def on_retry_storm(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, pressed = payloads.requester_of_click(body, Source.BULK), Pressed.of(payloads.value_of(body))
        found = await database.run(lambda connection: storms.to_retry(connection, pressed.storm_id, pressed.group_id))
        if found.differs_from(pressed.offered, whole=pressed.group_id is None):
            replies.answer(requester, changed_meanwhile(pressed.offered or 0, found.free))
        else:
            await intake.take_or_tell(requester, found.jobs, pressed.origin)
        await ack()

    async def on_select_storm(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.MODAL), payloads.trigger_of(body)
        await ack()
        replies.start(requester, open_selection(requester, trigger_id, payloads.value_of(body)))

    async def open_selection(requester: Requester, trigger_id: str, storm_id: str) -> None:
        """Opens the modal that selects some of a storm's jobs; the answer goes into the storm's thread."""
        found = await database.run(lambda connection: storms.to_pick(connection, storm_id, MAX_OPTIONS))
        alerts, total, under_way = found
        origin = {"source": requester.source, "channel_id": requester.channel_id, "thread_ts": requester.thread_ts}
        await slack.open_view(trigger_id, selection(alerts, total, origin, under_way))

    app.action(MUTE)(on_mute(True))
    app.action(UNMUTE)(on_mute(False))
    app.action(RETRY_STORM)(on_retry_storm)
    app.action(RETRY_GROUP)(on_retry_storm)
    app.action(SELECT_STORM)(on_select_storm)

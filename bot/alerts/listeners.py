"""The buttons of alerts and storms.

**Mute**, **Unmute**: the alert says so. **Retry all (25)**: one batch, its tally in the storm's thread.
**Select…**: a modal with the failures that wait.
"""

from collections.abc import Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.alerts import queries
from bot.alerts.messages import MUTE, RETRY_STORM, SELECT_STORM, UNMUTE
from bot.alerts.mute import Muting
from bot.base.clock import Clock
from bot.base.requester import Requester, Source
from bot.db.database import Database
from bot.retries.intake import Intake
from bot.retries.messages import modals
from bot.slack import payloads
from bot.slack.blocks import MAX_OPTIONS
from bot.slack.client import Slack
from bot.slack.replies import Replies


def register(
    app: AsyncApp,
    *,
    database: Database,
    slack: Slack,
    intake: Intake,
    muting: Muting,
    replies: Replies,
    clock: Clock,
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
        requester, storm_id = payloads.requester_of_click(body, Source.BULK), payloads.value_of(body)
        wanted = await database.run(lambda connection: queries.open_in_storm(connection, storm_id))
        await intake.take_or_tell(requester, wanted, storm_id)
        await ack()

    async def on_select_storm(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.MODAL), payloads.trigger_of(body)
        await ack()
        replies.start(requester, open_selection(requester, trigger_id, payloads.value_of(body)))

    async def open_selection(requester: Requester, trigger_id: str, storm_id: str) -> None:
        """Opens the modal that selects some of a storm's jobs; the answer goes into the storm's thread."""
        jobs = await database.run(lambda connection: queries.to_pick(connection, storm_id, MAX_OPTIONS))
        origin = {"source": requester.source, "channel_id": requester.channel_id, "thread_ts": requester.thread_ts}
        now = clock()
        await slack.open_view(trigger_id, modals.retry_view([modals.option_of(job, now) for job in jobs], origin))

    app.action(MUTE)(on_mute(True))
    app.action(UNMUTE)(on_mute(False))
    app.action(RETRY_STORM)(on_retry_storm)
    app.action(SELECT_STORM)(on_select_storm)

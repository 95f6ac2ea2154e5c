"""The buttons of alerts and storms: mute, retry all, select some."""

from collections.abc import Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from sqlalchemy import Connection

from bot.alerts import store
from bot.alerts.messages import MUTE, RETRY_STORM, SELECT_STORM, UNMUTE
from bot.app.desk import Desk
from bot.retries.batches import Wanted
from bot.retries.messages import modals
from bot.slack import payloads
from bot.slack.payloads import Asker


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the buttons."""

    def muting(mute: bool) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_mute(ack: AsyncAck, body: dict[str, Any]) -> None:
            asker = payloads.asker_of_click(body)
            problem = await desk.muting.mute(asker, payloads.value_of(body), mute)
            await ack()
            if problem is not None:
                desk.answer(asker, problem)

        return on_mute

    async def on_retry_storm(ack: AsyncAck, body: dict[str, Any]) -> None:
        asker, storm_id = payloads.asker_of_click(body), payloads.value_of(body)

        def work(connection: Connection) -> list[Wanted]:
            return store.open_in_storm(connection, storm_id)

        wanted = await desk.database.run(work)
        await desk.take_or_tell(asker, wanted, "bulk", storm_id)
        await ack()

    async def on_select_storm(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = payloads.asker_of_click(body)
        desk.tasks.start(_open_selection(desk, asker, payloads.value_of(body)), user_id=asker.user_id)

    app.action(MUTE)(muting(True))
    app.action(UNMUTE)(muting(False))
    app.action(RETRY_STORM)(on_retry_storm)
    app.action(SELECT_STORM)(on_select_storm)


async def _open_selection(desk: Desk, asker: Asker, storm_id: str) -> None:
    """Opens the modal that selects some of a storm's jobs; the answer goes into the storm's thread."""
    if asker.trigger_id is None:
        return
    jobs = await desk.database.run(lambda connection: store.to_pick(connection, storm_id, modals.MOST_OPTIONS))
    origin = {"source": "modal", "channel_id": asker.channel_id, "thread_ts": asker.thread_ts}
    now = desk.clock()
    view = modals.retry_view([modals.option_of(job, now) for job in jobs], origin)
    await desk.slack.open_view(asker.trigger_id, view)

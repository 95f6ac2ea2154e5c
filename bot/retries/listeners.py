"""Buttons, the message shortcut and the modal that retry jobs."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from sqlalchemy import Connection

from bot.alerts import store
from bot.app import commands
from bot.app.desk import Desk
from bot.retries import batches
from bot.retries.batches import Wanted
from bot.retries.messages import job, modals
from bot.retries.messages.batch import RETRY_BATCH, RETRY_REST
from bot.slack import payloads

SHORTCUT = "retry_sift_job"


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the Retry buttons, the shortcut and the modal behind it."""

    async def on_retry_button(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        asker, wanted = payloads.asker_of_click(body), payloads.job_of_click(body)
        if asker.channel_id is None:  # in the Home tab: the answer goes where the failure was alerted
            place = await desk.database.run(lambda connection: store.place_of(connection, wanted.job_id))
            asker = replace(asker, channel_id=place[0], thread_ts=place[1])
            await desk.take_or_tell(asker, [wanted], "home")
        else:
            await desk.take_or_tell(asker, [wanted], "alert")
        await ack()
        desk.metrics.acked(time.perf_counter() - began)

    def retrying(some: Callable[[Connection, str], list[Wanted]]) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_retry_some(ack: AsyncAck, body: dict[str, Any]) -> None:
            asker, batch_id = payloads.asker_of_click(body), payloads.value_of(body)
            wanted = await desk.database.run(lambda connection: some(connection, batch_id))
            await desk.take_or_tell(asker, wanted, "bulk", batch_id)
            await ack()

        return on_retry_some

    async def on_shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        found = commands.job_ids_in(body.get("message"))
        asker = payloads.asker_of_click(body)
        origin = {
            "source": "shortcut",
            "channel_id": asker.channel_id,
            "thread_ts": asker.thread_ts,
            "asked_in": asker.asked_in,
        }
        options = [modals.plain_option(job_id) for job_id in found]
        view = modals.retry_view(options, origin, picked=1) if found else modals.nothing_found_view()
        await ack()
        desk.tasks.start(desk.slack.open_view(str(body.get("trigger_id")), view), what="shortcut")

    async def on_retry_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        submitted = payloads.from_view(body)
        if not submitted.jobs:
            await ack(response_action="errors", errors=modals.nothing_picked())
        elif len(submitted.jobs) > commands.MOST_JOBS:
            await ack(response_action="errors", errors=modals.too_many_picked(commands.MOST_JOBS))
        else:
            problem = await desk.take(submitted.asker, submitted.jobs, submitted.source, submitted.reason)
            await (ack() if problem is None else ack(response_action="update", view=modals.message_view(problem)))

    app.action(job.RETRY)(on_retry_button)
    app.action(RETRY_BATCH)(retrying(batches.to_retry_again))
    app.action(RETRY_REST)(retrying(batches.left_over))
    app.shortcut(SHORTCUT)(on_shortcut)
    app.view(modals.RETRY_VIEW)(on_retry_view)

"""Buttons, the message shortcut and the modal that retry jobs."""

import time
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot import commands, payloads
from bot.listeners.desk import Desk
from bot.presenter import jobs, views

SHORTCUT = "retry_sift_job"


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the Retry button, the shortcut and the modal behind it."""

    async def on_retry_button(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        await desk.take([payloads.from_click(body)])
        await ack()
        desk.metrics.acked(time.perf_counter() - began)

    async def on_shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        found = commands.job_ids_in(body.get("message"))
        view = views.retry_view(found, payloads.thread_of(body)) if found else views.nothing_found_view()
        await ack()
        desk.tasks.start(desk.slack.open_view(str(body.get("trigger_id")), view), what="shortcut")

    async def on_retry_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        await desk.take(payloads.from_view(body))
        await ack()

    app.action(jobs.RETRY)(on_retry_button)
    app.shortcut(SHORTCUT)(on_shortcut)
    app.view(views.RETRY_VIEW)(on_retry_view)

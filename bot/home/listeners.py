"""The Home tab: opened, it shows what one may do, what waits and what is under way.

**Retry** at a waiting failure: the summary goes where the failure was alerted.
"""

from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.alerts import queries
from bot.base.requester import Source
from bot.db.database import Database
from bot.home.messages import RETRY_WAITING
from bot.home.tab import Home
from bot.retries import request
from bot.retries.intake import Intake
from bot.slack import payloads
from bot.slack.replies import Replies


def register(app: AsyncApp, *, home: Home, database: Database, intake: Intake, replies: Replies) -> None:
    """Registers the opening of the Home tab, and its Retry button."""

    async def on_home(event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("tab") == "home" and isinstance(event.get("user"), str):
            replies.tasks.start(home.show(event["user"], str(body.get("team_id") or "")), what="home")

    async def on_retry(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, wanted = payloads.requester_of_click(body, Source.HOME), request.job_of_click(body)
        channel_id, ts = await database.run(lambda connection: queries.place_of(connection, wanted.job_id))
        await intake.take_or_tell(replace(requester, channel_id=channel_id, thread_ts=ts), [wanted])
        await ack()

    app.event("app_home_opened")(on_home)
    app.action(RETRY_WAITING)(on_retry)

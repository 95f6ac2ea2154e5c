"""The Home tab, and what failed of a run.

The tab, opened, shows what one may do, what waits and what is under way. **Retry** at a waiting failure: the summary
goes where the failure was alerted.

**Retry all (7)** at a run: one batch, its tally in the channel. **Select…**: a modal with its failures. **Show** at one
of several runs: what failed of it takes the place of the question.
"""

import re
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.alerts import queries
from bot.base.requester import Requester, Source
from bot.db.database import Database
from bot.home import run_messages
from bot.home.messages import RETRY_WAITING
from bot.home.run import Press, Runs
from bot.home.run_messages import CHOOSE_RUN, RETRY_RUN, SELECT_RUN
from bot.home.tab import Home
from bot.retries.intake import Intake
from bot.retries.messages import answers, modals
from bot.retries.payloads import job_of_click
from bot.slack import payloads
from bot.slack.blocks import message_view
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.payloads import Malformed
from bot.slack.replies import Replies


def register(app: AsyncApp, *, home: Home, database: Database, intake: Intake, replies: Replies) -> None:
    """Registers the opening of the Home tab, and its Retry button."""

    async def on_home(event: dict[str, Any], body: dict[str, Any]) -> None:
        if event.get("tab") == "home" and isinstance(event.get("user"), str):
            replies.tasks.start(home.show(event["user"], str(body.get("team_id") or "")), what="home")

    async def on_retry(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, wanted = payloads.requester_of_click(body, Source.HOME), job_of_click(body)
        channel_id, ts = await database.run(lambda connection: queries.place_of(connection, wanted.job_id))
        await intake.take_or_tell(replace(requester, channel_id=channel_id, thread_ts=ts), [wanted])
        await ack()

    app.event("app_home_opened")(on_home)
    app.action(RETRY_WAITING)(on_retry)


def register_runs(app: AsyncApp, *, runs: Runs, slack: Slack, intake: Intake, replies: Replies) -> None:
    """Registers the buttons of what failed of a run."""

    async def on_retry_run(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester = payloads.requester_of_click(body, Source.BULK)
        press = await runs.press(requester, payloads.value_of(body))
        if press is None:
            replies.answer(requester, run_messages.too_old())
        elif not press.delivered:
            await record(requester, press)
        await ack()

    async def record(requester: Requester, press: Press) -> None:
        """Records what is left of it; that takes the place of what was shown."""
        if not press.jobs:
            replies.answer(requester, answers.nothing_left())
            return
        problem = await intake.take(requester, press.jobs, press.reason)
        said = problem or run_messages.recorded(press.run, len(press.jobs))
        replies.answer(requester, said, replace=problem is None)

    async def on_select_run(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.MODAL), payloads.trigger_of(body)
        await ack()
        replies.start(requester, open_selection(requester, trigger_id, payloads.value_of(body)))

    async def open_selection(requester: Requester, trigger_id: str, offer_id: str) -> None:
        found = await runs.selection(requester, offer_id)
        view = message_view(found, modals.TITLE) if isinstance(found, Message) else found
        await slack.open_view(trigger_id, view)

    async def on_choose_run(ack: AsyncAck, body: dict[str, Any]) -> None:
        offer_id, _, number = payloads.value_of(body).partition(" ")
        if not re.fullmatch(r"[0-9]{1,3}", number):
            raise Malformed
        await ack()
        requester = payloads.requester_of_click(body, Source.BULK)
        replies.answer_when_known(requester, runs.choose(requester, offer_id, int(number)), replace=True)

    app.action(RETRY_RUN)(on_retry_run)
    app.action(SELECT_RUN)(on_select_run)
    app.action(CHOOSE_RUN)(on_choose_run)

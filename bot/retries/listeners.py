"""Buttons, the message shortcut and the modals that retry and cancel jobs and evaluate reports again; second persons.

**Retry**, **Retry again (3)**: recorded before the ack; the summary appears in the thread.
“Retry Sift job” in a message's menu: a modal with the jobs that the message names.
**Cancel…**: a modal asks why; its submission is recorded before the ack.
**Rerun…**, **Rerun all (3)**: recorded before the ack; what comes of it appears in the thread.
**Don't retry**: what waits for the end of the cooldown is taken back.
**Approve**, **Approve all (12)**: what waits goes out. **Approve some…**: a modal asks which of a batch.
**Decline…**: a modal asks why; the requester is told. **Override…**: a modal asks an admin why; the channel is told.
"""

import time
from collections.abc import Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from sqlalchemy import Connection

from bot.audit.entry import Event
from bot.base.metrics import Metrics
from bot.base.requester import Requester, Source
from bot.db.database import Database
from bot.retries import batches, late_rows, queries, word
from bot.retries.approvals import Approvals
from bot.retries.cooldown import Cooldowns
from bot.retries.intake import Intake
from bot.retries.kind import Kind
from bot.retries.messages import approval, cancel, job, modals, rerun
from bot.retries.messages.batch import RETRY_BATCH, RETRY_REST
from bot.retries.messages.cooldown import WITHDRAW
from bot.retries.payloads import from_cancel_view, from_retry_view, job_of_click, origin_of
from bot.retries.request import MAX_JOBS, JobRef, Retry
from bot.retries.word import Word
from bot.sift import ids
from bot.slack import payloads
from bot.slack.blocks import message_view
from bot.slack.client import Slack
from bot.slack.message import Message, View
from bot.slack.replies import Replies, read_or_say_so

SHORTCUT = "retry_sift_job"


def register(
    app: AsyncApp, *, database: Database, slack: Slack, intake: Intake, replies: Replies, metrics: Metrics
) -> None:
    """Registers the Retry buttons, the shortcut and the modal behind it."""

    async def on_retry_button(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        await intake.take_or_tell(payloads.requester_of_click(body, Source.ALERT), [job_of_click(body)])
        await ack()
        metrics.acked(time.perf_counter() - began)

    def retrying(some: Callable[[Connection, str], list[JobRef]]) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_retry_some(ack: AsyncAck, body: dict[str, Any]) -> None:
            requester, batch_id = payloads.requester_of_click(body, Source.BULK), payloads.value_of(body)
            wanted = await database.run(lambda connection: some(connection, batch_id))
            await intake.take_or_tell(requester, wanted, batch_id)
            await ack()

        return on_retry_some

    async def on_shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.SHORTCUT), payloads.trigger_of(body)
        view = _shortcut_view(requester, ids.job_ids_in(body.get("message")))
        await ack()
        replies.start(requester, slack.open_view(trigger_id, view))

    async def on_retry_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        submitted = from_retry_view(body)
        if not submitted.jobs:
            await ack(response_action="errors", errors=modals.nothing_picked(submitted.requester.source))
        elif len(submitted.jobs) > MAX_JOBS:
            await ack(response_action="errors", errors=modals.too_many_picked(MAX_JOBS, submitted.requester.source))
        else:
            problem = await intake.take(submitted.requester, submitted.jobs, submitted.reason)
            view = None if problem is None else message_view(problem, modals.TITLE)
            await (ack() if view is None else ack(response_action="update", view=view))

    app.action(job.RETRY)(on_retry_button)
    app.action(RETRY_BATCH)(retrying(batches.to_retry_again))
    app.action(RETRY_REST)(retrying(batches.left_over))
    app.shortcut(SHORTCUT)(on_shortcut)
    app.view(modals.RETRY_VIEW)(on_retry_view)


def register_kinds(app: AsyncApp, *, database: Database, slack: Slack, intake: Intake, replies: Replies) -> None:
    """Registers what cancels jobs and evaluates reports again."""

    async def on_cancel(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, trigger_id = payloads.requester_of_click(body, Source.MODAL), payloads.trigger_of(body)
        request_id = payloads.value_of(body)
        running = await database.run(lambda connection: queries.find(connection, request_id))
        await ack()
        if running is None or not cancel.cancellable(running):
            replies.answer(requester, cancel.nothing_to_cancel())
        else:
            replies.start(requester, slack.open_view(trigger_id, cancel.cancel_view(running, origin_of(requester))))

    async def on_cancel_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        submitted = from_cancel_view(body)
        problem = await intake.take(submitted.requester, [submitted.job], submitted.reason, kind=Kind.CANCEL)
        view = None if problem is None else message_view(problem, cancel.CANCEL_TITLE)
        await (ack() if view is None else ack(response_action="update", view=view))

    async def on_rerun(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester = payloads.requester_of_click(body, Source.ALERT)
        shown_by, _, report_id = payloads.value_of(body).partition(" ")
        wanted = await database.run(lambda connection: late_rows.offered(connection, shown_by, report_id))
        await intake.take_or_tell(requester, wanted, kind=Kind.RERUN)
        await ack()

    async def on_rerun_all(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, shown_by = payloads.requester_of_click(body, Source.BULK), payloads.value_of(body)
        wanted = await database.run(lambda connection: late_rows.offered(connection, shown_by))
        await intake.take_or_tell(requester, wanted, shown_by, Kind.RERUN)
        await ack()

    app.action(cancel.CANCEL)(on_cancel)
    app.view(cancel.CANCEL_VIEW)(on_cancel_view)
    app.action(rerun.RERUN)(on_rerun)
    app.action(rerun.RERUN_ALL)(on_rerun_all)


def register_cooldowns(app: AsyncApp, *, cooldowns: Cooldowns, replies: Replies) -> None:
    """Registers the button that takes back what waits for the end of the cooldown."""

    async def on_withdraw(ack: AsyncAck, body: dict[str, Any]) -> None:
        requester, shown_by = payloads.requester_of_click(body, Source.ALERT), payloads.value_of(body)
        taken = await cooldowns.withdraw(requester, shown_by)
        await ack()
        if isinstance(taken, Message):
            replies.answer(requester, taken)
        else:
            replies.answer_when_known(requester, cooldowns.withdraw_rest(shown_by, taken), replace=True)

    app.action(WITHDRAW)(on_withdraw)


def register_approve(app: AsyncApp, *, approvals: Approvals, replies: Replies) -> None:
    """Registers *Approve*, in threads and in the Home tab."""

    def on_approve(source: Source) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
            said = word.of_click(body, Event.APPROVAL, source)
            problem = await approvals.speak(said)
            await ack()
            if problem is not None:
                replies.answer(said.requester, problem)

        return on_button

    app.action(approval.APPROVE)(on_approve(Source.ALERT))
    app.action(approval.APPROVE_AT_HOME)(on_approve(Source.HOME))


def register_approvals(app: AsyncApp, *, approvals: Approvals, slack: Slack, replies: Replies) -> None:
    """Registers the other buttons of the second person, and their modals."""

    def opening(
        event: Event, title: str, view: Callable[[list[Retry], str], View], source: Source = Source.ALERT
    ) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
            said, trigger_id = word.of_click(body, event, source), payloads.trigger_of(body)
            await ack()
            replies.start(said.requester, open_view(said, trigger_id))

        async def open_view(said: Word, trigger_id: str) -> None:
            found = await read_or_say_so(approvals.may(said))
            shown = message_view(found, title) if isinstance(found, Message) else view(found, said.of)
            await slack.open_view(trigger_id, shown)

        return on_button

    def on_view(event: Event, title: str) -> Callable[[AsyncAck, dict[str, Any]], Any]:
        async def on_submit(ack: AsyncAck, body: dict[str, Any]) -> None:
            problem = await approvals.speak(word.of_view(body, event))
            if problem is None:
                await ack()
            else:
                await ack(response_action="update", view=message_view(problem, title))

        return on_submit

    app.action(approval.SOME)(opening(Event.APPROVAL, approval.SOME_TITLE, approval.some_view))
    app.view(approval.SOME_VIEW)(on_view(Event.APPROVAL, approval.SOME_TITLE))
    declining = (Event.DECLINE, approval.DECLINE_TITLE, approval.decline_view)
    app.action(approval.DECLINE)(opening(*declining))
    app.action(approval.DECLINE_AT_HOME)(opening(*declining, Source.HOME))
    app.view(approval.DECLINE_VIEW)(on_view(Event.DECLINE, approval.DECLINE_TITLE))
    app.action(approval.OVERRIDE)(opening(Event.BREAK_GLASS, approval.OVERRIDE_TITLE, approval.override_view))
    app.view(approval.OVERRIDE_VIEW)(on_view(Event.BREAK_GLASS, approval.OVERRIDE_TITLE))


def _shortcut_view(requester: Requester, found: list[str]) -> dict[str, Any]:
    """The modal for the jobs that a message names; the summary goes into that message's thread."""
    if not found:
        return modals.nothing_found_view()
    return modals.retry_view([modals.plain_option(job_id) for job_id in found], origin_of(requester), picked=1)

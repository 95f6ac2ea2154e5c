"""The buttons of alerts and storms.

**I'm on it**, **Release**, **End snooze**, **Unmute**: the alert says so.
**Snooze…**, **Mute…**: a modal asks until when, or why; then the alert says so.
**Retry all (25)**, **Retry these 9**: one batch, its tally in the storm's thread.
**Select…**: a modal with the failures that wait.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.alerts import oncall_messages as on_call
from bot.alerts import storms
from bot.alerts.handling import Handling
from bot.alerts.snooze import BadDay, Choice, Wanted
from bot.alerts.storm_messages import RETRY_GROUP, RETRY_STORM, SELECT_STORM, selection
from bot.alerts.storm_press import Pressed, changed_meanwhile
from bot.audit.entry import Event
from bot.base.clock import Clock
from bot.base.requester import Requester, Source
from bot.base.text import reason_of
from bot.db.database import Database
from bot.retries.intake import Intake
from bot.retries.messages.modals import TITLE
from bot.retries.payloads import origin_of, requester_of_view
from bot.slack import payloads
from bot.slack.blocks import MAX_OPTIONS, message_view
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.payloads import Malformed
from bot.slack.replies import Replies

Listener = Callable[[AsyncAck, dict[str, Any]], Awaitable[None]]


def register(
    app: AsyncApp,
    *,
    database: Database,
    slack: Slack,
    intake: Intake,
    handling: Handling,
    replies: Replies,
) -> None:
    """Registers the buttons that retry what failed at once."""

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
        refusal = await handling.may_not_retry(requester, storm_id)
        if refusal is not None:
            await slack.open_view(trigger_id, message_view(refusal, TITLE))
            return
        found = await database.run(lambda connection: storms.to_pick(connection, storm_id, MAX_OPTIONS))
        alerts, total, under_way = found
        origin = {"source": requester.source, "channel_id": requester.channel_id, "thread_ts": requester.thread_ts}
        await slack.open_view(trigger_id, selection(alerts, total, origin, under_way))

    app.action(RETRY_STORM)(on_retry_storm)
    app.action(RETRY_GROUP)(on_retry_storm)
    app.action(SELECT_STORM)(on_select_storm)


def register_on_call(app: AsyncApp, *, handling: Handling, replies: Replies) -> None:
    """Registers the buttons that take and release failures, and end what a modal began."""

    def pressing(do: Callable[[Requester, str], Awaitable[Message | None]]) -> Listener:
        async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
            requester = payloads.requester_of_click(body, Source.ALERT)
            problem = await do(requester, payloads.value_of(body))
            await ack()
            if problem is not None:
                replies.answer(requester, problem)

        return on_button

    async def release(requester: Requester, value: str) -> Message | None:
        failure_id, _, taken_by = value.partition(" ")
        return await handling.release(requester, failure_id, taken_by)

    app.action(on_call.TAKE)(pressing(handling.take))
    app.action(on_call.RELEASE)(pressing(release))
    app.action(on_call.END_SNOOZE)(pressing(handling.end_snooze))
    app.action(on_call.UNMUTE)(pressing(handling.unmute))


def register_modals(app: AsyncApp, *, handling: Handling, slack: Slack, replies: Replies, clock: Clock) -> None:
    """Registers the modals that snooze and mute failures, and the buttons that open them."""

    def opening(event: Event) -> Listener:
        async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
            requester, trigger_id = payloads.requester_of_click(body, Source.ALERT), payloads.trigger_of(body)
            failure_id = payloads.value_of(body)
            await ack()
            replies.start(requester, open_view(event, requester, failure_id, trigger_id))

        return on_button

    async def open_view(event: Event, requester: Requester, failure_id: str, trigger_id: str) -> None:
        found = await handling.may(requester, failure_id, event)
        if isinstance(found, Message):
            replies.answer(requester, found)
            return
        asked, failure = found
        origin = origin_of(replace(requester, source=Source.MODAL))
        if event is Event.SNOOZE:
            zone = handling.zone(asked)
            view = on_call.snooze_view(failure.id, failure.name, clock(), zone, origin)
        else:
            view = on_call.mute_view(failure.id, failure.name, origin)
        await slack.open_view(trigger_id, view)

    async def on_snooze_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        done = await handling.snooze(requester_of_view(body), _failure_of(body), _wanted(body))
        if isinstance(done, BadDay):
            await ack(response_action="errors", errors=on_call.at_the_day(done))
        else:
            await _close(ack, done, on_call.SNOOZE_TITLE)

    async def on_mute_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        typed = payloads.text_or_none(payloads.input_of(payloads.inputs_of(body), "reason"), "value")
        if (reason := reason_of(typed)) is None:
            await ack(response_action="errors", errors=on_call.reason_missing())
            return
        await _close(ack, await handling.mute(requester_of_view(body), _failure_of(body), reason), on_call.MUTE_TITLE)

    app.action(on_call.SNOOZE)(opening(Event.SNOOZE))
    app.action(on_call.MUTE)(opening(Event.MUTE))
    app.view(on_call.SNOOZE_VIEW)(on_snooze_view)
    app.view(on_call.MUTE_VIEW)(on_mute_view)


def _wanted(body: Mapping[str, object]) -> Wanted:
    inputs = payloads.inputs_of(body)
    chosen = payloads.chosen_in(inputs, "for")
    if chosen not in set(Choice):
        raise Malformed
    return Wanted(Choice(chosen), payloads.text_or_none(payloads.input_of(inputs, "day"), "selected_date"))


async def _close(ack: AsyncAck, problem: Message | None, title: str) -> None:
    """Closes a modal, or has it say what was not done."""
    if problem is None:
        await ack()
    else:
        await ack(response_action="update", view=message_view(problem, title))


def _failure_of(body: Mapping[str, object]) -> str:
    """The alert or storm that a submitted modal is about."""
    return payloads.text_of(payloads.metadata_of(body), "failure")

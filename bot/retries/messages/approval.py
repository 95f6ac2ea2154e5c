"""What a request shows while it waits for a second person, and after. Pure.

👥 Retry 3 of this job takes a second person: somebody other than @Ann who may retry it has to approve …
[Approve] [Override…]
"""

from bot.retries.messages.naming import title_of, why_block
from bot.retries.request import Retry
from bot.slack.blocks import actions, button, date, input_, modal, plain, section, text_input
from bot.slack.message import Block, Message, View

APPROVE, OVERRIDE = "approve_retry", "override_retry"
"""The action IDs of the buttons; their values are the request's ID."""

OVERRIDE_VIEW = "override_view"
"""The callback ID of the modal that asks an admin for a reason."""

OVERRIDE_TITLE = "Override"


def approval(retry: Retry) -> Message:
    """Asks for a second person in the thread, and then says who spoke."""
    if retry.override_reason is not None:
        text = f":rotating_light: <@{retry.approved_by}> overrode the second person."
        return Message(text, [section(text), plain(f"Because: {retry.override_reason}")])
    if retry.approved_by is not None:
        text = f":white_check_mark: Approved by <@{retry.approved_by}>."
        return Message(text, [section(text)])
    if retry.sent_at is not None or retry.detail.get("why") == "restored":
        text = ":hourglass: The bot was restored from a backup, so it is not known whether somebody approved this."
        return Message(text, [section(text)])
    if not retry.waits_for_approval or retry.approval_until is None:
        text = ":hourglass: Nobody else approved this in time, so nothing was sent to Sift. Retry it to ask again."
        return Message(text, [section(text)])
    text = (
        f":busts_in_silhouette: Retry {retry.attempt or 1} of this job takes a second person: "
        f"somebody other than <@{retry.user_id}> who may retry it has to approve, "
        f"until {date(retry.approval_until, 'time')}. Nothing was sent to Sift yet."
    )
    approve = button("Approve", APPROVE, retry.id, style="primary")
    buttons = actions([approve, button("Override…", OVERRIDE, retry.id)])
    return Message(text, [section(text), *_why(retry), buttons])


def _why(retry: Retry) -> list[Block]:
    """Why it failed, which whoever approves wants to know."""
    cause = why_block(retry.job, retry.about)
    return [section("*Failed because*"), *cause] if cause else []


def _title(retry: Retry) -> str:
    return title_of(retry.job, retry.job_id, retry.about)


def nobody_can_approve(retry: Retry) -> Message:
    """Said to the requester alone where nobody else can see that they wait."""
    text = (
        f":busts_in_silhouette: Retry {retry.attempt or 1} of {_title(retry)} takes a second person, but "
        "nobody else sees this: I may not post there. Nothing was sent to Sift. Retry it in a channel that I am in."
    )
    return Message(text, [section(text)])


def broken_glass(retry: Retry) -> Message:
    """Tells the whole channel that an admin overrode the second person."""
    text = f":rotating_light: <@{retry.approved_by}> overrode the second person for the retry of {_title(retry)}."
    return Message(text, [section(text), plain(f"Because: {retry.override_reason}")])


def no_longer_waiting() -> Message:
    """Said when a request was approved, or its time is over."""
    text = ":information_source: This request waits for nobody any more. Nothing was done."
    return Message(text, [section(text)])


def not_by_oneself() -> Message:
    """Said to somebody who approves their own request."""
    text = ":no_entry: Somebody else has to approve: it is your own request. Nothing was sent to Sift."
    return Message(text, [section(text)])


def override_view(request_id: str) -> View:
    """Asks an admin why they override."""
    warning = "The retry goes out without a second person. The audit says so, and so does a message in the channel."
    blocks = [section(warning), input_("reason", "Reason", text_input(500), optional=False)]
    return modal(OVERRIDE_TITLE, blocks, submit="Override", callback_id=OVERRIDE_VIEW, private_metadata=request_id)

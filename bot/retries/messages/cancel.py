"""Cancelling a job: the button, the modal that asks why, and the messages that show it. Pure.

🚫 @Ann asked Sift to cancel data import *hotfire-118* · stand-2 · telemetry_0412.csv
Being cancelled; it may still finish.
└ @Ann, it finished before it could be cancelled: data import *hotfire-118* · …
"""

import json
from collections.abc import Callable, Mapping

from bot.retries.kind import Kind
from bot.retries.messages import refusal
from bot.retries.messages.answers import cannot_post
from bot.retries.messages.naming import grey, title_of
from bot.retries.messages.refusal import called
from bot.retries.request import Retry
from bot.retries.state import UNSENT, State
from bot.slack.blocks import button, context, input_, modal, plain, plain_text, section, text_input
from bot.slack.links import Place
from bot.slack.message import Block, Message, View
from bot.slack.piece import Piece

CANCEL = "cancel_job"
"""The button's action ID; its value is the request whose job it is."""

CANCEL_VIEW = "cancel_view"
"""The callback ID of the modal that asks why."""

CANCEL_TITLE = "Cancel a Sift job"
MAY_FINISH = "Being cancelled; it may still finish."

_HOW = {
    State.UNKNOWN: (":grey_question:", "Sift did not answer. The job is read back to find out; nothing is sent again"),
    State.ACCEPTED: (":no_entry_sign:", MAY_FINISH.rstrip(".")),
    State.NOT_APPLIED: (":warning:", "Sift never took it; the job goes on"),
    State.CANCELLED: (":no_entry_sign:", "It was cancelled"),
    State.FINISHED: (":white_check_mark:", "It finished before it could be cancelled"),
    State.FAILED_AGAIN: (":x:", "It failed before it could be cancelled"),
    State.LOST: (":grey_question:", "It is no longer followed; look at it in Sift"),
}


def cancellable(retry: Retry) -> bool:
    """Whether the job that a request began, or began again, may be cancelled, as far as is known."""
    running = retry.job_after is None or not (retry.job_after.ended or retry.job_after.being_cancelled)
    return retry.kind is not Kind.CANCEL and retry.state is State.ACCEPTED and running


def cancel_buttons(retry: Retry) -> list[Block]:
    """The button on a summary; it only opens the modal."""
    return [button("Cancel…", CANCEL, retry.id)] if cancellable(retry) else []


def being_cancelled(retry: Retry) -> list[Block]:
    """Said in the summary of a request whose job was asked to stop."""
    job = retry.job_after
    asked = retry.state is State.ACCEPTED and job is not None and job.being_cancelled
    return [section(MAY_FINISH)] if asked else []


def cancel_view(retry: Retry, origin: Mapping[str, str | None]) -> View:
    """Asks why, and whether really.

    Args:
        origin: the source, and the channel and thread that the answer goes into; kept in the view.
    """
    title = title_of(retry.job, retry.followed_id, retry.about)
    blocks = [
        section(title),
        context("What has begun may take a while to stop, and may still finish."),
        input_("reason", "Reason", text_input(1_000)),
    ]
    kept = {
        name: value for name, value in (*origin.items(), ("job_id", retry.followed_id), ("shown_by", retry.id)) if value
    }
    view = modal(CANCEL_TITLE, blocks, submit="Cancel job", callback_id=CANCEL_VIEW, private_metadata=json.dumps(kept))
    return {**view, "close": plain_text("Keep it running")}


def nothing_to_cancel() -> Message:
    """Said when somebody clicks to cancel what no longer runs."""
    text = ":information_source: That is over, or is being cancelled already; nothing was sent to Sift."
    return Message(text, [section(text)])


def pieces(retry: Retry, place: Place) -> list[Piece]:
    """Every message that should show a cancellation as its row is now, in the order they are posted."""
    return told_and_ended(retry, place, "cancellation", _told, _ending)


def told_and_ended(
    retry: Retry,
    place: Place,
    kind: str,
    told: Callable[[Retry], Message],
    ending: Callable[[Retry], Message],
) -> list[Piece]:
    """Every message that should show what is told in one, and then by an ending; privately where it was not sent.

    Args:
        kind: of the first message, where it stands in a thread.
    """
    if retry.state in (State.REQUESTED, State.SENDING):
        return []
    if retry.state in UNSENT:
        return [Piece(f"private-{retry.state}", refusal.answer(retry, place))]
    said = told(retry)
    if retry.unpostable is not None or retry.channel_id is None:
        phase = "end" if retry.final else "start"
        return [Piece(f"private-{phase}", Message(said.text, [cannot_post(retry), *said.blocks]))]
    first = Piece("announcement" if retry.thread_ts is None else kind, said)
    return [first, Piece("ending", ending(retry))] if retry.final else [first]


def _how(retry: Retry) -> tuple[str, str]:
    """How it stands, as an emoji and a sentence without its full stop."""
    emoji, words = _HOW[retry.state]
    if retry.state is State.UNKNOWN and retry.detail.get("overdue"):
        return emoji, "Sift still cannot be read; this message changes as soon as it can"
    if retry.state is State.NOT_APPLIED and retry.detail.get("why") == "gone":
        return emoji, "Sift no longer lists the job"
    return emoji, words


def _within(words: str) -> str:
    """The sentence as it stands within another one."""
    return words if words.startswith("Sift ") else words[:1].lower() + words[1:]


def _told(retry: Retry) -> Message:
    """Who asked to cancel what, and how that stands."""
    emoji, words = _how(retry)
    text = f"<@{retry.user_id}> asked Sift to cancel {called(retry)}"
    reason = [plain(f"Reason: {retry.reason}")] if retry.reason else []
    blocks = [section(f"{emoji} {text}\n{words}."), *reason, *grey(retry.job, retry.job_id, retry.id)]
    return Message(f"{text}: {_within(words)}.", blocks)


def _ending(retry: Retry) -> Message:
    """Tells the requester how it ended."""
    emoji, words = _how(retry)
    text = f"<@{retry.user_id}>, {_within(words)}: {called(retry)}"
    return Message(text, [section(f"{emoji} {text}")])

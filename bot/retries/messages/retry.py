"""The messages that show a retry: the announcement in the channel, the summary in the thread, the ending. Pure.

🔄 @Ann is retrying data import `0f9d1b60-…`
└ 🔄 Data import: under way, with its times, progress and cause
└ ✅ @Ann, the data import `0f9d1b60-…` finished after 6 min.
"""

from bot.base.clock import say_duration
from bot.retries.messages.answers import answer, cannot_post
from bot.retries.messages.approval import approval, broken_glass, nobody_can_approve
from bot.retries.messages.cancel import being_cancelled, cancel_buttons
from bot.retries.messages.job import facts, footer, kind_of, progress, ran_for, retry_button, why_now
from bot.retries.request import Retry
from bot.retries.state import FACTS, OFFERING, UNSENT, State
from bot.slack.blocks import actions, plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import Piece

_RESTORED = {
    "unknown": (":grey_question:", "the bot was restored from a backup; checking whether this was sent before"),
    "not_applied": (":grey_question:", "the bot was restored from a backup; whether this was sent is not known"),
}


def outcome_of(retry: Retry) -> tuple[str, str]:
    """How a request stands, as an emoji and a few words."""
    if retry.detail.get("why") == "restored" and retry.state in _RESTORED:
        return _RESTORED[retry.state]
    facts = FACTS[State(retry.state)]
    return facts.emoji, facts.words


def pieces(retry: Retry, place: Place) -> list[Piece]:
    """Every message that should show a retry as its row is now, in the order they are posted.

    Returns:
        No message while nothing is to be shown; private ones alone where nobody else is to see it.
    """
    if retry.approval_until is not None and retry.unpostable is None and retry.channel_id is not None:
        return _with_approval(retry, place)
    if retry.waits_for_approval:
        return [Piece("private-waiting", nobody_can_approve(retry))]
    if retry.state in ("requested", "sending"):
        return []
    if retry.state in UNSENT:
        return [Piece(f"private-{retry.state}", answer(retry, place))]
    if retry.unpostable is not None or retry.channel_id is None:
        phase = "end" if retry.final else "start"
        return [Piece(f"private-{phase}", _privately(retry, place))]
    return _in_thread(retry, place)


def _in_thread(retry: Retry, place: Place) -> list[Piece]:
    shown = [Piece("summary", summary(retry, place))]
    if retry.thread_ts is None:
        shown.insert(0, Piece("announcement", announcement(retry)))
    if retry.final:
        shown.append(Piece("ending", ending(retry)))
    return shown


def _with_approval(retry: Retry, place: Place) -> list[Piece]:
    """What shows a request that takes, or took, a second person: others must see it before it is sent."""
    first = [Piece("announcement", announcement(retry))] if retry.thread_ts is None else []
    first.append(Piece("approval", approval(retry)))
    if retry.override_reason is not None:
        first.append(Piece("break-glass", broken_glass(retry), in_channel=True))
    if retry.state in ("requested", "sending"):
        return first
    if retry.state in UNSENT:
        return [*first, Piece(f"private-{retry.state}", answer(retry, place))]
    return first + [piece for piece in _in_thread(retry, place) if piece.kind != "announcement"]


def announcement(retry: Retry) -> Message:
    """The one message in the channel: who retries what, and how that stands."""
    emoji, words = outcome_of(retry)
    verb = "retried" if retry.final else "is retrying"
    if retry.state in ("requested", *UNSENT):
        verb = "wants to retry" if retry.state == "requested" else "wanted to retry"
    how = "" if retry.state == "accepted" else f" — {words}"
    if retry.detail.get("why") == "approval_expired":
        how = " — nobody else approved it in time; nothing was retried"
    if retry.superseded_by is not None:
        how += ", and was retried again since"
    text = f"<@{retry.user_id}> {verb} {kind_of(retry.job)} `{retry.job_id}`{how}"
    return Message(text, [section(f"{emoji} {text}"), *_reason(retry.reason)])


def summary(retry: Retry, place: Place) -> Message:
    """The job and its retry, as the thread shows them until the job ends."""
    emoji, words = outcome_of(retry)
    title = f"{kind_of(retry.job).capitalize()}: {words}"
    blocks = [
        section(f"{emoji} *{title}*\n`{retry.job_id}`"),
        *facts(retry.job, [("Requested by", f"<@{retry.user_id}>"), ("Attempt", str(retry.attempt or 1))]),
        *progress(retry.job),
        *_cause(retry),
        *_reason(retry.reason),
        *_explained(retry),
        *being_cancelled(retry),
        *_buttons(retry),
        footer(retry.id, place),
    ]
    return Message(title, blocks)


def ending(retry: Retry) -> Message:
    """Tells the requester how it ended."""
    emoji, words = outcome_of(retry)
    took = ran_for(retry.job)
    if retry.state == "not_applied":
        sentence = f"{words}: {kind_of(retry.job)} `{retry.job_id}`"
    else:
        sentence = f"the {kind_of(retry.job)} `{retry.job_id}` {words}"
        sentence += f" after {say_duration(took)}" if took is not None else ""
    why = why_it_ended_so(retry)
    text = f"<@{retry.user_id}>, {sentence}."
    return Message(text, [section(f"{emoji} {text}"), *([plain(why)] if why else []), *_buttons(retry)])


def _privately(retry: Retry, place: Place) -> Message:
    """The summary for the requester alone, where the bot may not post."""
    shown = summary(retry, place)
    return Message(shown.text, [cannot_post(retry), *shown.blocks])


def offered(retry: Retry) -> bool:
    """Whether the job may be retried once more, and no newer retry is there to do it from."""
    return retry.state in OFFERING and retry.superseded_by is None and retry.job is not None and retry.job.retryable


def _buttons(retry: Retry) -> list[Block]:
    again = [retry_button(retry.job)] if retry.job and offered(retry) else []
    buttons = [*again, *cancel_buttons(retry)]
    return [actions(buttons)] if buttons else []


def _cause(retry: Retry) -> list[Block]:
    """Why it failed before, and what it was about."""
    blocks: list[Block] = []
    report = retry.about.subject.report
    if report and report.name:
        blocks.append(plain(f"Report: {report.name}"))
    message = retry.about.why.headline or why_now(retry.job_before)
    if message:
        blocks += [section("*Failed before because*"), plain(message)]
    again = why_it_ended_so(retry)
    if again and again == message:
        blocks.append(section("*Failed again for the same reason*"))
    elif again:
        blocks += [section("*Failed again because*"), plain(again)]
    return blocks


def why_it_ended_so(retry: Retry) -> str | None:
    """Why the job failed again, where Sift says so."""
    if retry.state != "failed_again":
        return None
    return retry.again.headline or why_now(retry.job_after)


_NOT_APPLIED = {
    "outside": "Somebody else moved the job in Sift meanwhile; our request did not.",
    "restored": "The job has moved since you asked, and nothing says by whose request. It is not sent again by itself.",
    "unchanged": "The job was read back and has not moved. You may retry it.",
}


def _explained(retry: Retry) -> list[Block]:
    """What the person should know about an outcome that is no plain success."""
    if retry.state == "unknown":
        overdue = retry.detail.get("overdue")
        text = "The request may or may not have reached Sift, so it is not sent again. " + (
            "Sift still cannot be read; this message changes as soon as it can."
            if overdue
            else "The job is being read back to find out."
        )
    elif retry.state == "not_applied":
        text = _NOT_APPLIED.get(str(retry.detail.get("why")), _NOT_APPLIED["unchanged"])
    elif retry.state == "lost":
        gone = retry.detail.get("why") == "gone"
        text = "Sift no longer lists the job." if gone else "It ran for too long to be followed further."
        text += " Look at it in Sift."
    elif retry.superseded_by and retry.state in OFFERING:
        text = f"Retried since (reference `{retry.superseded_by}`)."
    else:
        return []
    return [section(text)]


def _reason(reason: str | None) -> list[Block]:
    return [plain(f"Reason: {reason}")] if reason else []

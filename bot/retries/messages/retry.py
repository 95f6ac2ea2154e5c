"""The messages that show a retry: the announcement in the channel, the summary in the thread, the ending. Pure.

🔄 @Ada is retrying data import *hotfire-118* · stand-2 · telemetry_0412.csv
└ 🔄 *Under way*, with what it is about, progress, why it failed before, and where to look
└ ✅ @Ada, data import *hotfire-118* · stand-2 · telemetry_0412.csv finished after 6 min.
"""

from dataclasses import replace

from bot.base.clock import say_duration
from bot.retries.messages import naming
from bot.retries.messages.answers import answer, cannot_post
from bot.retries.messages.approval import approval, broken_glass, ended_because, nobody_can_approve
from bot.retries.messages.cancel import being_cancelled, cancel_buttons
from bot.retries.messages.cooldown import waits, works_from
from bot.retries.messages.job import export_facts, progress, ran_for, retry_button, status_of
from bot.retries.request import Retry
from bot.retries.state import FACTS, OFFERING, UNSENT, ApprovalReason, RefusalReason, State
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.blocks import actions, fields, plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import Piece

MAX_CAUSE = 1_000
"""Characters of a cause where it is told in full."""

_NOT_YET, _NOT = "Sift asks to wait; nothing is retried yet", "nothing was retried"

_RESTORED = {
    "unknown": (":grey_question:", "the bot was restored from a backup; checking whether this was sent before"),
    "not_applied": (":grey_question:", "the bot was restored from a backup; whether this was sent is not known"),
}


def outcome_of(retry: Retry) -> tuple[str, str]:
    """How a request stands, as an emoji and a few words."""
    if retry.detail.get("why") == "restored" and retry.state in _RESTORED:
        return _RESTORED[retry.state]
    if retry.state is State.FAILED and retry.detail.get("stage") == "read":
        return FACTS[State.FAILED].emoji, "Sift could not be read; nothing was retried"
    facts = FACTS[State(retry.state)]
    return facts.emoji, _without_second_person(retry) or facts.words


def wanted(retry: Retry, where: str = "") -> tuple[str, str]:
    """The emoji and the sentence of a job whose retry was asked for, and was not sent yet.

    Args:
        where: a link to its thread, if that is another one.
    """
    emoji, words = outcome_of(retry)
    return emoji, f"<@{retry.user_id}> wants to retry it: {words}{where}."


def _without_second_person(retry: Retry) -> str:
    """What became of a request that waited for a second person in vain; empty for any other."""
    match retry.detail.get("why"):
        case ApprovalReason.EXPIRED:
            return "nobody else approved it in time; nothing was retried"
        case ApprovalReason.DECLINED:
            return f"declined by <@{retry.detail.get('by')}>; nothing was retried"
        case _:
            return ""


def pieces(retry: Retry, place: Place) -> list[Piece]:
    """Every message that should show a retry as its row is now, in the order they are posted.

    Returns:
        No message while nothing is to be shown; private ones alone where nobody else is to see it.
    """
    if retry.approval_until is not None and retry.unpostable is None and retry.channel_id is not None:
        return _with_approval(retry, place)
    if retry.waits_for_approval:
        return [Piece("private-waiting", nobody_can_approve(retry))]
    if retry.waits_for_cooldown and retry.waits_until is not None:
        return [Piece("private-cooldown", waits(retry, retry.waits_until))]
    begun = [Piece("announcement", announcement(retry))] if _is_announced(retry) else []
    if retry.state in ("requested", "sending") or withdrawn(retry):
        return begun
    if retry.state in UNSENT:  # a refusal concerns nobody else
        gone = [replace(piece, taken_back=True) for piece in begun]
        return [Piece(f"private-{retry.state}", answer(retry, place)), *gone]
    if retry.unpostable is not None or retry.channel_id is None:
        phase = "end" if retry.final else "start"
        return [Piece(f"private-{phase}", _privately(retry, place))]
    return _in_thread(retry, place)


def _is_announced(retry: Retry) -> bool:
    """Whether the channel is told of a retry that Sift has not taken yet, or may have been: that must not stay so."""
    return retry.announced_early and (retry.state == "sending" or retry.interrupted or "announcement" in retry.shown)


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


def title(retry: Retry) -> str:
    """What the job is called, of escaped words: kind and name."""
    return naming.title_of(retry.job, retry.job_id, retry.about)


def announcement(retry: Retry) -> Message:
    """The one message in the channel: who retries what, and how that stands."""
    emoji, words = outcome_of(retry)
    verb = "retried" if retry.final else "is retrying"
    if retry.state in ("requested", *UNSENT):
        verb = "wants to retry" if retry.state == "requested" else "wanted to retry"
    how = "" if retry.state in ("accepted", "sending") else f" — {words}"
    if retry.approval_until is not None and retry.state in UNSENT:
        how = _unapproved(retry)
    elif retry.approval_until is None and retry.state in ("requested", *UNSENT):  # why not is nobody else's business
        waits = retry.state == "requested"
        emoji = ":hourglass_flowing_sand:" if waits else ":information_source:"
        how = f" — {_NOT_YET if waits else _NOT}"
    if retry.superseded_by is not None:
        how += ", and was retried again since"
    text = f"<@{retry.user_id}> {verb} {naming.in_sentence(title(retry))}{how}"
    return Message(text, [section(f"{emoji} {text}"), *_reason(retry.reason)])


def _unapproved(retry: Retry) -> str:
    """Why nothing came of a request that took a second person."""
    because = ended_because(retry)
    return f" — {because}; nothing was sent" if because else f" — {outcome_of(retry)[1]}"


def summary(retry: Retry, place: Place) -> Message:
    """The job and its retry, as the thread shows them until the job ends: the outcome first, the rest as needed."""
    emoji, words = outcome_of(retry)
    words = f"{words[:1].upper()}{words[1:]}{_status(retry)}"
    links = naming.links_of(retry.about, place)
    blocks = [
        section(f"{emoji} *{words}*\n{title(retry)}"),
        *progress(retry.job_after),
        *_cause(retry),
        *_reason(retry.reason),
        *_explained(retry),
        *being_cancelled(retry),
        *_details(retry, place),
        *_buttons(retry),
        *([section(links)] if links else []),
        *naming.grey(_running(retry), retry.job_id, retry.id, [f"retry {retry.attempt or 1} by <@{retry.user_id}>"]),
    ]
    return Message(f"{words}: {title(retry)}", blocks)


def ending(retry: Retry) -> Message:
    """Tells the requester how it ended."""
    emoji, words = outcome_of(retry)
    took, named = ran_for(retry.job_after), naming.in_sentence(title(retry))
    if retry.state == "not_applied":
        sentence = f"{words}: {named}"
    else:
        verb = "is " if retry.state == "lost" else ""
        sentence = f"{named} {verb}{words}" + (f" after {say_duration(took)}" if took is not None else "")
    why = why_it_ended_so(retry)
    text = f"<@{retry.user_id}>, {sentence}."
    return Message(text, [section(f"{emoji} {text}"), *([plain(why)] if why else []), *_buttons(retry)])


def _privately(retry: Retry, place: Place) -> Message:
    """The summary for the requester alone, where the bot may not post."""
    shown = summary(retry, place)
    return Message(shown.text, [cannot_post(retry), *shown.blocks])


def _running(retry: Retry) -> Job | None:
    """The job as the retry made it; None while nothing but the failure before is known."""
    return None if retry.state == "not_applied" else retry.job_after


def _status(retry: Retry) -> str:
    """How far a job is that does not run yet, or is on its way out: in Sift's own words."""
    job = retry.job_after
    if retry.state != "accepted" or job is None or job.ended or job.job_status in ("JOB_STATUS_RUNNING", ""):
        return ""
    return f", {status_of(job.job_status)[1].lower()}"


def offered(retry: Retry) -> bool:
    """Whether the job may be retried once more, and no newer retry is there to do it from."""
    return retry.state in OFFERING and retry.superseded_by is None and retry.job is not None and retry.job.retryable


def withdrawn(retry: Retry) -> bool:
    """Whether whoever asked took it back, which they were told when they did."""
    return retry.state is State.REFUSED and retry.detail.get("why") == RefusalReason.WITHDRAWN


def _buttons(retry: Retry) -> list[Block]:
    again = [retry_button(retry.job, record=retry.record)] if retry.job and offered(retry) else []
    buttons = [*again, *cancel_buttons(retry)]
    from_when = works_from(retry.cools_until) if again else []
    return [*from_when, actions(buttons)] if buttons else []


def _cause(retry: Retry) -> list[Block]:
    """Why it failed before, and why again."""
    before = naming.cause_of(retry.job_before, retry.about, MAX_CAUSE)
    again = why_it_ended_so(retry)
    if again and again == before:
        return [section("*Failed again for the same reason*"), plain(again)]
    blocks = [section("*Failed before because*"), plain(before)] if before else []
    return blocks + ([section("*Failed again because*"), plain(again)] if again else [])


def why_it_ended_so(retry: Retry) -> str:
    """Why the job failed again, in foreign words; empty where Sift does not say."""
    if retry.state != "failed_again":
        return ""
    return naming.cause_of(retry.job_after, About(why=retry.again), MAX_CAUSE)


def _details(retry: Retry, place: Place) -> list[Block]:
    """What an export is to hold; what the rules that failed last printed, and what an import warned of."""
    blocks = fields(export_facts(retry.job)) if retry.job else []
    if retry.state == "finished":
        return blocks
    why = retry.again if retry.again.headline else retry.about.why
    return [*blocks, *naming.details(About(why=why), place)]


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
        text += f" It is {status_of(retry.job_after.job_status)[1].lower()} now." if retry.job_after else ""
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

"""What is on record, in words: each entry of the audit as a person would tell it. Pure.

✅ @Ann retried data import *hotfire-118* · stand-2 · telemetry_0412.csv — finished
🔑 @Ada allowed @Ben to retry jobs for 8 h (because on call)
⛔ @Ben wanted to read the audit, and may not: not on the allow-list
"""

from collections.abc import Mapping
from typing import Any

from bot.audit.entry import DENIED
from bot.base.text import clip
from bot.records.events import TOLD, not_done, of_job, who_of
from bot.records.line import Line
from bot.records.why import why_of
from bot.retries.kind import Kind
from bot.retries.messages.naming import in_sentence, title_of
from bot.retries.request import Retry
from bot.retries.state import FACTS, State
from bot.slack.blocks import foreign, mention

OUTCOMES = {
    "finished": "Finished",
    "failed_again": "Failed again",
    "cancelled": "Was cancelled",
    "not_applied": "Sift never took it",
    "failed": "Sift did not accept it",
    "denied": "Not allowed",
    "refused": "Refused: there was nothing to do, or it was too late",
    "lost": "No longer followed",
}
"""What may be searched for, by the outcome's name."""

_VERBS = {
    Kind.RETRY: ("wants to retry", "is retrying", "retried", "wanted to retry"),
    Kind.RERUN: ("wants to rerun", "is rerunning", "reran", "wanted to rerun"),
    Kind.CANCEL: ("wants to cancel", "is cancelling", "asked Sift to cancel", "wanted to cancel"),
}
"""What somebody does with a job: asked for, under way, done, and nothing came of it."""

_CANCELLATION = {
    State.FINISHED: "finished before it could be cancelled",
    State.FAILED_AGAIN: "failed before it could be cancelled",
}
_NOTHING = (State.DENIED, State.REFUSED, State.FAILED, State.NOT_APPLIED)


def said(line: Line) -> tuple[str, str]:
    """Returns an entry as an emoji and a sentence; a request with what came of it."""
    if line.tells_of_request and line.retry is not None:
        return request(line.retry)
    if line.outcome in (DENIED, "refused"):
        return not_done(line)
    tell = TOLD.get(line.event)
    if tell is not None:
        return tell(line)
    what = foreign(line.event.replace("_", " "))
    return (
        ":page_facing_up:",
        f"{who_of(line)}: {what}{f', {foreign(line.outcome)}' if line.outcome else ''}{of_job(line)}",
    )


def request(retry: Retry) -> tuple[str, str]:
    """Returns what somebody asked for, and what came of it."""
    emoji, words = came_of(retry)
    asked, doing, done, wanted = _VERBS[retry.kind]
    verb = wanted if retry.state in _NOTHING else done if retry.final else asked
    verb = verb if retry.state is State.REQUESTED or retry.final else doing
    title = in_sentence(title_of(retry.job, retry.job_id, retry.about))
    return emoji, f"{mention(retry.user_id)} {verb} {title} — {words}"


def came_of(retry: Retry) -> tuple[str, str]:
    """Returns how a request stands, and why, as an emoji and a few words."""
    facts, why = FACTS[retry.state], why_of(retry.detail)
    match retry.state:
        case State.REQUESTED:
            words = facts.words if retry.waits_for_approval else "waiting"
            return (facts.emoji if retry.waits_for_approval else ":hourglass_flowing_sand:"), words
        case State.DENIED:
            return facts.emoji, f"not allowed: {why}" if why else "not allowed"
        case State.REFUSED:
            return facts.emoji, why or "there was nothing to do"
        case State.FAILED:
            return facts.emoji, _sift_said(retry.detail) or facts.words
        case State.UNKNOWN:
            return facts.emoji, "Sift did not answer; checking whether it took it"
        case State.NOT_APPLIED:
            return facts.emoji, "Sift never took it" + (f": {why}" if why else "")
        case _:
            if retry.kind is Kind.CANCEL:
                return facts.emoji, _CANCELLATION.get(retry.state, facts.words)
            return facts.emoji, facts.words


def _sift_said(detail: Mapping[str, Any]) -> str:
    where = "the job could not be read" if detail.get("stage") == "read" else "Sift did not accept it"
    message = clip(str(detail.get("message") or ""), 150)
    return f"{where}: {foreign(message, 150)}" if message else where

"""The steps of one request, oldest first, as its Show button opens them. Pure.

✅ @Ann retried data import *hotfire-118* · stand-2 · telemetry_0412.csv — finished
• 12:00:00 PM · @Ann asked for it, by command
• 12:00:01 PM · Allowed by a grant of @Ada; being sent to Sift
• 12:00:02 PM · Sift took it
"""

from collections.abc import Sequence
from dataclasses import replace

from bot.base.requester import Source
from bot.base.text import clip
from bot.records.line import Line
from bot.records.why import why_of
from bot.records.words import request, said
from bot.retries.request import Retry
from bot.retries.state import State
from bot.slack.blocks import context, date, escape, foreign, mention, plain, section
from bot.slack.links import Workspace
from bot.slack.message import Block, Message

PER_SECTION = 10

_WHERE = {
    Source.COMMAND: "by command",
    Source.MENTION: "by mention of the bot",
    Source.SHORTCUT: "by the shortcut of a message",
    Source.MODAL: "in a modal",
    Source.ALERT: "by the button of a message",
    Source.BULK: "by a button for several",
    Source.HOME: "in the Home tab",
    Source.CLI: "at the command line",
}
_STEPS = {
    State.UNKNOWN: "Sift did not answer: the job is read to find out whether it took it",
    State.ACCEPTED: "Sift took it",
    State.NOT_APPLIED: "Sift never took it",
    State.FINISHED: "The job finished",
    State.FAILED_AGAIN: "The job failed again",
    State.CANCELLED: "The job was cancelled",
    State.LOST: "The job is no longer followed",
    State.REFUSED: "Refused",
    State.DENIED: "Not allowed",
}


def story(steps: Sequence[Line], most: int, workspace: Workspace) -> Message:
    """Returns what is on record of one request.

    Args:
        steps: its entries, oldest first.
        most: so many of them are shown.
    """
    retry = next((line.retry for line in steps if line.retry is not None), None)
    if retry is None:
        return nothing_of_it()
    emoji, text = request(retry)
    lines = [f"• {date(line.at)} · {step(line)}" for line in steps[:most]]
    parts = ["\n".join(lines[start : start + PER_SECTION]) for start in range(0, len(lines), PER_SECTION)]
    more = [f"There is more: `sift-retry audit show {escape(retry.id)}`"] if len(steps) > most else []
    return Message(
        text,
        [
            section(f"{emoji} {text}"),
            *([plain(retry.reason, 500)] if retry.reason else []),
            *(section(part) for part in (*parts, *more)),
            *_grey(retry, workspace),
        ],
    )


def nothing_of_it() -> Message:
    """Said where nothing is on record of a request."""
    text = ":information_source: Nothing is on record of that request here. It may have been archived."
    return Message(text, [section(text)])


def _grey(retry: Retry, workspace: Workspace) -> list[Block]:
    link = workspace.link(retry.channel_id, retry.root_ts)
    parts = [f"<{link}|thread>" if link else "", f"reference `{escape(retry.id)}`"]
    return [context(" · ".join(filter(None, parts))), context(f"`{escape(retry.job_id)}`")]


def step(line: Line) -> str:
    """Returns one entry of a request as one of its steps."""
    if not line.tells_of_request or line.outcome not in set(State):
        emoji, text = said(replace(line, retry=None, job_id=None))  # which job it is about stands above
        return f"{emoji} {text}"
    state, why = State(line.outcome), why_of(line.detail)
    match state:
        case State.REQUESTED:
            return _asked(line) if line.status_before is None else f"Put off: {why}"
        case State.SENDING:
            return f"{_allowed(line)}; being sent to Sift{_attempt(line)}"
        case State.FAILED:
            message = clip(str(line.detail.get("message") or ""), 150)
            what = "The job could not be read" if line.detail.get("stage") == "read" else "Sift did not accept it"
            return f"{what}: {foreign(message, 150)}" if message else what
        case _:
            return _STEPS[state] + (f": {why}" if why else "")


def _asked(line: Line) -> str:
    where = _WHERE.get(Source(line.source)) if line.source in set(Source) else None
    many = ", as one of several" if line.detail.get("batch") and line.source != Source.BULK else ""
    who = mention(escape(line.user_id)) if line.user_id else "Somebody"
    return f"{who} asked for it{f', {where}' if where else ''}{many}"


def _allowed(line: Line) -> str:
    by = str(line.detail.get("granted_by") or "")
    if by == "ADMINS" or not by:
        return "Allowed as an admin" if by else "Allowed"
    return f"Allowed by a grant of {mention(escape(by)) if by[:1] in 'UW' and by.isalnum() else f'`{foreign(by)}`'}"


def _attempt(line: Line) -> str:
    number = line.detail.get("attempt")
    return f", retry {number} of this job" if isinstance(number, int) and number > 1 else ""

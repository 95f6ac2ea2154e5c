"""What a person is told privately: refusals, failures, usage, help. Each says what happened, what was and was not
done, and what to do next. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.app.commands import Usage
from bot.base.clock import say_duration
from bot.retries.messages.job import (
    facts,
    footer,
    kind_of,
    progress,
    referring,
    retry_button,
    retry_button_of,
    status_of,
)
from bot.retries.store import Retry
from bot.slack.blocks import Block, actions, counted, escape, listing, mention, plain, say_type, section
from bot.slack.client import Message
from bot.slack.links import Place
from bot.slack.outbox import Shown


def answer(retry: Retry, place: Place) -> Message:
    """Why a request was denied, refused, or failed for good: said to the requester alone."""
    said = why_not(retry, place)
    next_step = f"\n{said.next}" if said.next else ""
    blocks = [section(f"{said.emoji} {said.what} {said.done}{next_step}")]
    if said.quote:
        blocks.append(plain(said.quote))
    if said.show_job and retry.job is not None:
        blocks += [*facts(retry.job, []), *progress(retry.job)]
    if said.offer:
        job = retry.job
        button = retry_button(job) if job is not None else retry_button_of(retry.job_id, retry.offered)
        blocks.append(actions([button]))
    return Message(f"{said.what} {said.done}", [*blocks, footer(retry.id, place)])


def cannot_post(row: Shown) -> Block:
    """Why only one person sees what was meant for the channel, and how to mend that."""
    if row.channel_id is None:
        return section(":lock: You asked in the Home tab, so only you see this.")
    if row.unpostable == "thread_not_found":
        return section(":lock: The thread of this retry was deleted, so only you see this.")
    return section(
        f":lock: I may not post in <#{row.channel_id}> (`{row.unpostable}`), so only you see this. "
        "To have retries shown there, type `/invite` with my name in that channel."
    )


@dataclass(frozen=True)
class Said:
    """What happened, what was and was not done, what to do next."""

    what: str
    next: str = ""
    done: str = "Nothing was sent to Sift."
    emoji: str = ":information_source:"
    quote: str | None = None
    show_job: bool = False
    offer: bool = False


def why_not(retry: Retry, place: Place) -> Said:
    """Why a request led to no retry."""
    why, detail = str(retry.detail.get("why")), retry.detail
    if retry.state == "denied":
        return Said(_denial(detail, "retry jobs"), _ask(detail), emoji=":no_entry:")
    if retry.state == "failed":
        return Said(
            f"Job `{retry.job_id}` was not retried.",
            _FAILED_NEXT.get(why, "Try again in a few minutes."),
            emoji=":x:",
            done=_FAILED_DONE.get("read" if detail.get("stage") == "read" else why, "Sift said no."),
            quote=str(detail.get("message") or why),
        )
    if why in ("under_way", "just_retried"):
        link = place.workspace.link(detail.get("channel_id"), detail.get("ts"))
        there = f" Follow it <{link}|in its thread>." if link else ""
        return Said(f"Job `{retry.job_id}` is already being retried by <@{detail.get('by')}>.{there}")
    if why == "cooldown":
        wait = say_duration(timedelta(seconds=int(detail.get("seconds", 0))))
        return Said(f"Job `{retry.job_id}` was retried a moment ago by <@{detail.get('by')}>.", f"Try again in {wait}.")
    if why == "restored":
        return Said(
            "The bot was restored from a backup, so it is not known whether your retry of "
            f"job `{retry.job_id}` was sent before. Another request for the job is being looked into.",
            "Look at the job before you retry it.",
            done="Yours is not sent again.",
        )
    if why == "outdated":
        return Said(
            f"That button is outdated: job `{retry.job_id}` has moved on since. This is how it is now:",
            "If you still want to retry it, use this button.",
            show_job=True,
            offer=True,
        )
    if why == "stale":
        ago = say_duration(timedelta(seconds=int(detail.get("seconds", 0))))
        return Said(
            f"Job `{retry.job_id}` was asked for {ago} ago, and nobody carried it out: I was down. It was not retried.",
            "If it is still wanted, retry it again.",
            offer=True,
        )
    if why == "not_retryable":
        emoji, status = status_of(retry.job.job_status if retry.job else None)
        return Said(
            f"There is nothing to retry: {kind_of(retry.job)} `{retry.job_id}` is *{status.lower()}*.",
            _NOT_RETRYABLE_NEXT.get(status, "Only failed and cancelled jobs can be retried."),
            done=_FAILED_DONE["asked"] if detail.get("stage") == "post" else Said.done,
            emoji=emoji,
            show_job=True,
        )
    return Said(f"Sift knows no job `{retry.job_id}`, or its key may not see it.", "Check the ID in Sift.")


def denied(detail: Mapping[str, Any], doing: str) -> Message:
    """Why somebody may not do what they asked for, and whom to ask.

    Args:
        detail: `Decision.explained`, and in `ask` the admins to turn to.
        doing: what they may not do, such as `look at jobs`.
    """
    text = f":no_entry: {_denial(detail, doing)}\n{_ask(detail)}".strip()
    return Message(text, [section(text)])


def _denial(detail: Mapping[str, Any], doing: str) -> str:
    why = str(detail.get("why"))
    return _DENIED.get(why, "You may not {doing}.").format_map(_Told(detail, doing))


class _Told(dict[str, Any]):
    """Fills a sentence from a row's detail; what is missing stays blank."""

    def __init__(self, detail: Mapping[str, Any], doing: str) -> None:
        expired = detail.get("expired_seconds")
        super().__init__(
            doing=doing,
            ago=say_duration(timedelta(seconds=int(expired))) if expired is not None else "some time",
            job_types=listing(say_type(name) + "s" for name in detail.get("job_types", [])),
            channels=listing(f"<#{channel}>" for channel in detail.get("channels", [])),
            role=escape(str(detail.get("role", ""))),
        )

    def __missing__(self, key: str) -> str:
        return ""


_DENIED = {
    "not_listed": "You may not {doing}: you are not on the allow-list.",
    "expired": "You may not {doing}: your grant expired {ago} ago.",
    "other_role": "You may not {doing}: your role is {role}, which does not allow it.",
    "other_channel": "You may not {doing} here: your grant is only for {channels}.",
    "other_job_type": "You may not {doing} of this kind: your grant is only for {job_types}.",
    "groups_unknown": "You may not {doing}: Slack could not say just now which user groups you are in.",
    "unknown_person": "You may not {doing}: Slack could not say just now who you are.",
    "other_workspace": "You may not {doing}: only people of this workspace may.",
    "deactivated": "You may not {doing}: your account is deactivated.",
    "is_bot": "Bots may not {doing}.",
    "approval_expired": "Nobody else approved your retry in time.",
    "approval_needed": "This job was retried before, so a second person has to approve: retry it alone.",
    "is_guest": "You may not {doing}: guests may not, whatever they were granted.",
}
_FAILED_DONE = {
    "read": "The job could not be read from Sift, so no retry was sent.",
    "asked": "Sift was asked, and changed nothing.",
    "rate_limited": "Sift did not take the request.",
    "unreachable": "The request never reached Sift.",
}
_FAILED_NEXT = {
    "unauthenticated": "Whoever runs this bot has to mend its Sift key (`sift-retry doctor`).",
    "permission_denied": "Whoever runs this bot has to give its Sift key's user the permission.",
    "cannot_be_retried": "Look at the job in Sift.",
    "not_found": "Check the ID in Sift.",
    "invalid_argument": "Look at the job in Sift.",
}
_NOT_RETRYABLE_NEXT = {
    "Finished": "It needs no retry.",
    "Running": "Wait for it to end.",
    "Queued": "Wait for it to run.",
    "Being cancelled": "Wait until it is cancelled, then retry it.",
}


def _ask(detail: Mapping[str, Any]) -> str:
    if detail.get("why") in ("is_guest", "is_bot", "other_workspace", "deactivated"):
        return ""
    if str(detail.get("why")).startswith("approval_"):
        return "Retry it to ask again."
    admins = [mention(subject) for subject in detail.get("ask", [])][:10]
    if not admins:
        return "Nobody can grant access yet: whoever runs this bot has to set ADMINS or use `sift-retry access grant`."
    return f"Ask {listing(admins, 'or')} for access."


def still_at_it(reference: str, job_id: str) -> Message:
    """Said when an answer takes longer than a person likes to wait."""
    text = f":hourglass_flowing_sand: Still at it: Sift is slow to answer about job `{job_id}`. You will be told here."
    return Message(text, [section(text), referring(reference)])


def put_off(reference: str, job_id: str, wait: timedelta) -> Message:
    """Said, once, when Sift asks to wait for longer than a moment."""
    text = (
        f":hourglass_flowing_sand: Sift limits requests just now and asks to wait for {say_duration(wait)}. "
        f"The retry of job `{job_id}` waits until then and goes on by itself. You will be told here."
    )
    return Message(text, [section(text), referring(reference)])


def unreadable(problem: str) -> Message:
    """Said when Sift could not be read for somebody who only wanted to look."""
    text = ":warning: Sift could not be read just now; nothing was changed. Try again in a moment."
    return Message(text, [section(text), plain(problem)])


def trouble(reference: str) -> Message:
    """Said when the bot itself failed before anything was recorded."""
    text = (
        ":warning: That did not work: the request could not be recorded, so nothing was retried. "
        f"Try again; if it keeps failing, tell whoever runs this bot the reference `{reference}`."
    )
    return Message(text, [section(text)])


def unclear(reference: str) -> Message:
    """Said when the database was lost while it recorded a request."""
    text = (
        ":warning: I cannot say whether your request was recorded: the database was lost at that moment. If it was, it "
        "is carried out, and shown as usual. Look before you try again; if nothing comes, tell whoever runs this bot "
        f"the reference `{reference}`."
    )
    return Message(text, [section(text)])


def too_many(seconds: int, per_minute: int) -> Message:
    """Said to somebody of whom as much was recorded in this minute as may be."""
    text = (
        f":hourglass: That was more than {counted(per_minute, 'request')} within a minute, so it was not taken. "
        f"Nothing was sent to Sift, nothing was changed. Try again in {say_duration(timedelta(seconds=seconds))}."
    )
    return Message(text, [section(text)])


def not_read() -> Message:
    """Said when the bot's own records could not be read for somebody who only wanted to look."""
    text = (
        ":hourglass_flowing_sand: That could not be read just now: many are reading at once, or the database does not "
        "answer. Nothing was changed; try again in a minute."
    )
    return Message(text, [section(text)])


def nothing_left() -> Message:
    """Said when somebody clicks to retry again what has been retried since."""
    text = ":information_source: All of these jobs were retried since; nothing was sent to Sift."
    return Message(text, [section(text)])


def retired() -> Message:
    """Said when somebody clicks a button that no version of the bot knows any more."""
    text = ":information_source: That button is no longer in use; nothing was done. Type `/sift-retry help`."
    return Message(text, [section(text)])


def usage(problem: Usage) -> Message:
    """What was wrong with what somebody typed, what is expected, and an example."""
    what = f":information_source: I did not understand: {problem.problem}. Nothing was sent to Sift."
    how = f"For example: `/sift-retry {problem.example}`\nEverything that can be typed: `/sift-retry help`"
    given = [plain(problem.given)] if problem.given else []
    return Message(f"{what}\n{how}", [section(what), *given, section(how)])


def help_text() -> Message:
    """What can be typed."""
    lines = "\n".join(f"• `{escape(f'/sift-retry {words}'.strip())}` {what}" for words, what in _WORDS)
    text = (
        f"*Retry failed Sift jobs*\n{lines}\n"
        "In a thread, mention me instead: the same words work. On any message that names a job, use the shortcut "
        "“Retry Sift job”.\nOnly people on the allow-list may do so, and every request is recorded."
    )
    return Message(text, [section(text)])


_WORDS = (
    ("<job ID> [reason]", "retries a job; a Sift link works too, and several job IDs"),
    ("", "lets you pick from the jobs that failed lately"),
    ("list", "lists them"),
    ("status <job ID>", "shows a job without retrying it"),
    ("audit [<job ID>|@user] [7d]", "shows who retried what; `stats [30d]` how it went"),
    ("allow @user|@group [role] [for 8h] [because …]", "grants access; `revoke @user` ends it, `access` lists it"),
)

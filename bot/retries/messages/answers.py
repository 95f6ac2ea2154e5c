"""What a person is told privately: why nothing was retried, and what to do next. Pure.

⛔ You may not retry jobs: you are not on the allow-list. Nothing was sent to Sift.
Ask @Ada for access.
reference `abcdefghjk`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never

from bot.access.messages import denial, whom_to_ask
from bot.access.policy import Permission, Typed
from bot.base.clock import say_duration
from bot.retries.messages.job import progress, referring, retry_button, retry_button_of, status_of
from bot.retries.messages.naming import grey, in_sentence, links_of, ran, title_of
from bot.retries.request import Retry
from bot.retries.state import ApprovalReason, RefusalReason, State
from bot.sift.errors import SiftError
from bot.slack.blocks import actions, escape, plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import OutboxRow


def answer(retry: Retry, place: Place) -> Message:
    """Why a request was denied, refused, or failed for good: said to the requester alone."""
    said = why_not(retry, place, title_of(retry.job, retry.job_id, retry.about))
    next_step = f"\n{said.next}" if said.next else ""
    blocks = [section(f"{said.emoji} {said.what} {said.done}{next_step}")]
    if said.quote:
        blocks.append(plain(said.quote))
    if said.show_job:
        blocks += _as_it_is(retry)
    if said.offer:
        job = retry.job
        button = retry_button(job) if job is not None else retry_button_of(retry.job_id, retry.offered)
        blocks.append(actions([button]))
    links = links_of(retry.about, place) if retry.job is not None else ""
    blocks += [section(links)] if links else []
    return Message(f"{said.what} {said.done}", [*blocks, *grey(None, retry.job_id, retry.id)])


def _as_it_is(retry: Retry) -> list[Block]:
    """The job as it was read: its status, since when, and how far it is."""
    if retry.job is None:
        return []
    emoji, status = status_of(retry.job.job_status)
    times = ran(retry.job)
    return [section(f"{emoji} *{status}*" + (f" · {times}" if times else "")), *progress(retry.job)]


def cannot_post(row: OutboxRow) -> Block:
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


def why_not(retry: Retry, place: Place, name: str) -> Said:
    """Why a request led to no retry.

    Args:
        name: what the job is called, as a sentence begins; escaped.
    """
    why, detail = str(retry.detail.get("why")), retry.detail
    if (waited := _second_person(retry, place, name)) is not None:
        return waited
    if retry.state is State.DENIED:
        return Said(denial(detail, "retry jobs"), whom_to_ask(detail), emoji=":no_entry:")
    if retry.state is State.FAILED:
        return Said(
            f"{name} was not retried.",
            _FAILED_NEXT.get(why, LATER),
            emoji=":x:",
            done=failed_done(detail, _FAILED_DONE["read"]),
            quote=str(detail.get("message") or why),
        )
    return _why_refused(retry, place, name)


def failed_done(detail: Mapping[str, Any], unread: str) -> str:
    """What was and was not done where Sift answered with an error.

    Args:
        unread: what is said where the job could not even be read.
    """
    return unread if detail.get("stage") == "read" else _FAILED_DONE.get(str(detail.get("why")), "Sift said no.")


def _why_refused(retry: Retry, place: Place, name: str) -> Said:
    """Why there was nothing to retry, or it was too late."""
    detail = retry.detail
    match _refusal_reason(detail.get("why")):
        case RefusalReason.UNDER_WAY | RefusalReason.JUST_RETRIED | RefusalReason.QUEUED as reason:
            return Said(_of_another(reason, detail, place, name))
        case RefusalReason.COOLDOWN:
            what = f"{name} was retried a moment ago by <@{detail.get('by')}>."
            return Said(what, f"Try again in {_seconds(detail)}.")
        case RefusalReason.WITHDRAWN:
            return Said(f"{name} was not retried: you took it back.")
        case RefusalReason.RESTORED:
            return Said(
                "The bot was restored from a backup, so it is not known whether this was sent before: "
                f"{in_sentence(name)}. Another request for the job is being looked into.",
                "Look at the job before you retry it.",
                done="Yours is not sent again.",
            )
        case RefusalReason.OUTDATED:
            what = f"That button is outdated: {in_sentence(name)} has moved on since."
            return Said(
                what,
                "This is how it is now. If you still want to retry it, use this button.",
                show_job=True,
                offer=True,
            )
        case RefusalReason.STALE:
            what = f"{name} was asked for {_seconds(detail)} ago, and nobody carried it out: I was down."
            return Said(f"{what} It was not retried.", "If it is still wanted, retry it again.", offer=True)
        case RefusalReason.NOT_RETRYABLE:
            return _not_retryable(retry, name)
        case RefusalReason.UNKNOWN_JOB:
            what = f"Sift knows no job `{escape(retry.job_id)}`, or the bot's key may not see it."
            return Said(what, "Check the ID in Sift.")
        case (  # no retry's, or told by `_second_person`
            RefusalReason.ENDED
            | RefusalReason.BEING_CANCELLED
            | RefusalReason.RERUN_OFF
            | RefusalReason.AWAITED
            | RefusalReason.MOVED_ON
            | None
        ):
            return Said(f"{name} was not retried.")
        case unreachable:
            assert_never(unreachable)


def _of_another(reason: RefusalReason, detail: Mapping[str, Any], place: Place, name: str) -> str:
    """Whose request for the job goes first, and where that is shown."""
    link = place.workspace.link(detail.get("channel_id"), detail.get("ts"))
    there = f" Follow it <{link}|in its thread>." if link else ""
    by = f"<@{detail.get('by')}>"
    if reason is RefusalReason.QUEUED:
        return f"{name} is already going to be retried, by {by} in {_seconds(detail)}.{there}"
    return f"{name} is already being retried by {by}.{there}"


def _second_person(retry: Retry, place: Place, name: str) -> Said | None:
    """Why nothing came of a request that waited for a second person, or was not to wait; None for any other."""
    detail = retry.detail
    match detail.get("why"):
        case ApprovalReason.DECLINED:
            return Said(
                f"{name} was not retried: <@{detail.get('by')}> declined it.",
                emoji=":no_entry:",
                quote=f"Because: {detail['said']}" if detail.get("said") else None,
            )
        case RefusalReason.AWAITED:
            link = place.workspace.link(detail.get("channel_id"), detail.get("ts"))
            there = f" See it <{link}|in its thread>." if link else ""
            return Said(f"{name} is already waiting for a second person, asked by <@{detail.get('by')}>.{there}")
        case RefusalReason.MOVED_ON:
            failed = retry.job is not None and retry.job.retryable
            following = "If it is still wanted, retry it again." if failed else ""
            what = f"{name} moved on while your retry waited for a second person."
            return Said(what, following, show_job=True, offer=failed)
        case _:
            return None


def _refusal_reason(why: object) -> RefusalReason | None:
    """The reason that a row names; None for one that only a newer bot knows."""
    try:
        return RefusalReason(str(why))
    except ValueError:
        return None


def _seconds(detail: Mapping[str, Any]) -> str:
    return say_duration(timedelta(seconds=int(detail.get("seconds", 0))))


def _not_retryable(retry: Retry, name: str) -> Said:
    emoji, status = status_of(retry.job.job_status if retry.job else None)
    return Said(
        f"There is nothing to retry: {in_sentence(name)} is *{status.lower()}*.",
        _NOT_RETRYABLE_NEXT.get(status, "Only failed and cancelled jobs can be retried."),
        done=_FAILED_DONE["asked"] if retry.detail.get("stage") == "post" else Said.done,
        emoji=emoji,
        show_job=True,
    )


LATER = "Try again in a few minutes."

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
_UNREAD_NEXT = {name: _FAILED_NEXT[name] for name in ("unauthenticated", "permission_denied")}
"""What is to be done where trying again does not help."""

_NOT_RETRYABLE_NEXT = {
    "Finished": "It needs no retry.",
    "Running": "Wait for it to end.",
    "Queued": "Wait for it to run.",
    "Being cancelled": "Wait until it is cancelled, then retry it.",
}


def still_at_it(reference: str, job_id: str) -> Message:
    """Said when an answer takes longer than a person likes to wait."""
    about = f"Sift is slow to answer about job `{escape(job_id)}`"
    text = f":hourglass_flowing_sand: Still at it: {about}. You will be told here."
    return Message(text, [section(text), referring(reference)])


def put_off(reference: str, job_id: str, wait: timedelta, what: str = "retry") -> Message:
    """Said, once, when Sift asks to wait for longer than a moment.

    Args:
        what: of the job waits.
    """
    text = (
        f":hourglass_flowing_sand: Sift limits requests just now and asks to wait for {say_duration(wait)}. "
        f"The {what} of job `{escape(job_id)}` waits until then and goes on by itself. You will be told here."
    )
    return Message(text, [section(text), referring(reference)])


def unreadable(error: SiftError | None, reference: str) -> Message:
    """Said when Sift could not be read for somebody who only wanted to look.

    Args:
        error: None: it took too long.
    """
    text = ":warning: Sift could not be read just now, so there is nothing to show. Nothing was retried or changed."
    following = _UNREAD_NEXT.get(error.name, LATER) if error is not None else LATER
    said = error.when_reading if error is not None else "Sift did not answer in time."
    return Message(text, [section(f"{text}\n{following}"), plain(said), referring(reference)])


def nothing_left() -> Message:
    """Said when somebody clicks to retry again what has been retried since."""
    text = ":information_source: All of these jobs were retried since; nothing was sent to Sift."
    return Message(text, [section(text)])


HELP = (Typed("<job ID> [reason]", "retries a job; a Sift link works too, and several job IDs", Permission.RETRY),)
"""What can be typed to retry."""

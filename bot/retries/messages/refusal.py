"""What a person is told privately: why no report was evaluated again, or no job cancelled. Pure.

ℹ️ There is nothing to cancel: data import *hotfire-118* has finished. Nothing was sent to Sift.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from bot.access.messages import denial, whom_to_ask
from bot.base.clock import say_duration
from bot.retries.kind import Kind
from bot.retries.messages.answers import LATER, Said, failed_done
from bot.retries.messages.job import status_of
from bot.retries.messages.naming import grey, in_sentence, title_of
from bot.retries.request import Retry
from bot.retries.state import RefusalReason, State
from bot.slack.blocks import plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message


class _Words(NamedTuple):
    """How a kind is spoken of.

    Args:
        doing: what somebody may not do.
        done: what was not done.
        under_way: what somebody else does.
        again: what to do if it is still wanted.
    """

    doing: str
    done: str
    under_way: str
    again: str


_WORDS = {
    Kind.RETRY: _Words("retry jobs", "retried", "being retried", "retry it again"),
    Kind.RERUN: _Words("rerun reports", "rerun", "being rerun", "press *Rerun…* again"),
    Kind.CANCEL: _Words("cancel jobs", "cancelled", "being cancelled", "press *Cancel…* again"),
}


def answer(retry: Retry, place: Place) -> Message:
    """Why a request was denied, refused, or failed for good: said to the requester alone."""
    said = why_not(retry, place)
    following = f"\n{said.next}" if said.next else ""
    quoted = [plain(said.quote)] if said.quote else []
    blocks = [section(f"{said.emoji} {said.what} {said.done}{following}"), *quoted]
    return Message(f"{said.what} {said.done}", [*blocks, *grey(None, retry.job_id, retry.id)])


def called(retry: Retry) -> str:
    """What a request's job is called, within a sentence: `data import *hotfire-118* · stand-2`."""
    return in_sentence(title_of(retry.job, retry.job_id, retry.about))


def why_not(retry: Retry, place: Place) -> Said:
    """Why nothing came of a request."""
    words, detail = _WORDS[retry.kind], retry.detail
    if retry.state is State.DENIED:
        return Said(denial(detail, words.doing), whom_to_ask(detail), emoji=":no_entry:")
    if retry.state is State.FAILED:
        why = str(detail.get("why"))
        return Said(
            f"Not {words.done}: {called(retry)}.",
            _FAILED_NEXT.get(why, LATER),
            emoji=":x:",
            done=failed_done(detail, "The job could not be read from Sift, so nothing was sent."),
            quote=str(detail.get("message") or why),
        )
    return _why_refused(retry, words, place)


def _why_refused(retry: Retry, words: _Words, place: Place) -> Said:
    """Why there was nothing to do, or it was too late."""
    detail, name = retry.detail, called(retry)
    still_wanted = f"If it is still wanted, {words.again}."
    match detail.get("why"):
        case RefusalReason.UNDER_WAY | RefusalReason.JUST_RETRIED:
            link = place.workspace.link(detail.get("channel_id"), detail.get("ts"))
            there = f" Follow it <{link}|in its thread>." if link else ""
            return Said(f"Already {words.under_way} by <@{detail.get('by')}>: {name}.{there}")
        case RefusalReason.BEING_CANCELLED:
            return Said(f"It is being cancelled already, and may still finish: {name}.")
        case RefusalReason.ENDED:
            status = status_of(retry.job.job_status if retry.job else None)[1].lower()
            return Said(f"There is nothing to cancel any more: {name} is *{status}*.")
        case RefusalReason.OUTDATED:
            return Said(f"That button is outdated: {name} has moved on since.")
        case RefusalReason.RERUN_OFF:
            return Said("Rerunning reports is switched off here.", "Rerun it in Sift.")
        case RefusalReason.UNKNOWN_JOB:
            return Said(f"Sift knows no such job, or the bot's key may not see it: {name}.", "Look for it in Sift.")
        case RefusalReason.STALE:
            ago = say_duration(timedelta(seconds=int(detail.get("seconds", 0))))
            return Said(f"You asked {ago} ago, and nobody carried it out: I was down.", still_wanted)
        case RefusalReason.RESTORED:
            return Said(
                "The bot was restored from a backup, so it is not known whether this was sent before.",
                "Look at the job in Sift.",
                done="It is not sent again.",
            )
        case _:
            return Said(f"Not {words.done}: {name}.")


def reasons(unsent: Sequence[Retry], place: Place) -> list[Block]:
    """Why nothing came of several requests, each reason once."""
    told = dict.fromkeys((said.what, said.done, said.next) for said in (why_not(one, place) for one in unsent))
    return [section(" ".join(filter(None, parts))) for parts in list(told)[:20]]


_FAILED_NEXT = {
    "unauthenticated": "Whoever runs this bot has to mend its Sift key (`sift-retry doctor`).",
    "permission_denied": "Whoever runs this bot has to give its Sift key's user the permission.",
    "not_found": "Look for it in Sift.",
}

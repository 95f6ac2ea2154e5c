"""What people read of the cooldown: from when a retry works, that one waits until then, that it was taken back. Pure.

⏳ Data import *hotfire-118* · stand-2 was retried a moment ago. Your retry waits until 6:53:20 PM …
[Don't retry]
"""

from collections.abc import Sequence
from datetime import datetime

from bot.retries.messages.job import referring
from bot.retries.messages.naming import title_of
from bot.retries.request import Batch, Retry
from bot.slack.blocks import actions, button, context, counted, section, time_of_day
from bot.slack.message import Block, Message

WITHDRAW = "withdraw_retry"
"""The action ID of the button that takes a waiting request back; its value is the request's, or the batch's, ID."""


def works_from(until: datetime | None, what: str = "Retry") -> list[Block]:
    """Stands at a Retry button that is offered during the cooldown; nothing after it.

    Args:
        what: the button says.
    """
    if until is None:
        return []
    return [context(f"*{what}* works from {time_of_day(until)}; pressed earlier, it waits until then.")]


def waits(retry: Retry, until: datetime) -> Message:
    """Said to whoever pressed during the cooldown."""
    title = title_of(retry.job, retry.job_id, retry.about)
    return _waiting(f"{title} was retried a moment ago. Your retry waits", until, retry.id)


def batch_waits(batch: Batch, until: datetime) -> Message:
    """The same to whoever asked for several."""
    verb = "was" if batch.waiting == 1 else "were"
    what = f"{batch.waiting:,} of your {counted(batch.total, 'job')} {verb} retried a moment ago."
    return _waiting(f"{what} That part waits", until, batch.id)


def _waiting(what: str, until: datetime, row_id: str) -> Message:
    text = f":hourglass_flowing_sand: {what} until {time_of_day(until)}, then goes on by itself. "
    text += "It was not sent to Sift yet."
    return Message(text, [section(text), actions([button("Don't retry", WITHDRAW, row_id)]), referring(row_id)])


def withdrawn(taken: Sequence[Retry]) -> Message:
    """Takes the place of what said that requests wait, once they were taken back; or says that none waits any more."""
    if not taken:
        text = ":information_source: That no longer waits: it was sent, or it ended. Nothing was changed."
    elif len(taken) == 1:
        title = title_of(taken[0].job, taken[0].job_id, taken[0].about)
        text = f":information_source: Taken back: {title} is not retried. Nothing was sent to Sift."
    else:
        text = (
            f":information_source: Taken back: {counted(len(taken), 'job')} are not retried. Nothing was sent to Sift."
        )
    return Message(text, [section(text)])


def not_yours() -> Message:
    """Said to somebody who takes back what another person asked for."""
    text = ":no_entry: Only whoever asked for that retry can take it back. Nothing was changed."
    return Message(text, [section(text)])

"""What waits for the approval of whoever looks at their Home tab. Pure.

👥 Data import *hotfire-118* · telemetry_0412.csv
Retry 3, asked for by @Ann in #launch-ops, until 3:04 PM
[Approve] [Decline…]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.retries.messages.approval import APPROVE_AT_HOME, DECLINE_AT_HOME, counted_until, given
from bot.retries.messages.naming import cause_of, title_of
from bot.retries.request import Retry
from bot.slack.blocks import actions, button, context, counted, date, foreign, section
from bot.slack.message import Block

MAX_ENTRIES = 5
"""So many are shown, the newest; a batch is one."""

MAX_NAMED = 3
"""So many jobs of a batch are named."""


@dataclass(frozen=True)
class Entry:
    """One request that waits, or those of one batch, for who looks at it.

    Args:
        named: the first of it, `MAX_NAMED` at most.
        count: how many it is.
        approvers: who approved each of it so far.
        until: for how long the first of it waits, and the last.
    """

    named: Sequence[Retry]
    count: int
    approvers: Sequence[tuple[str, ...]]
    until: tuple[datetime, datetime]


def waiting(entries: Sequence[Entry], more: int) -> list[Block]:
    """Returns what waits for somebody's word, with buttons.

    Args:
        entries: the newest first.
        more: how many more there are.
    """
    blocks = [block for entry in entries for block in _entry(entry)]
    verb = "waits" if more == 1 else "wait"
    return blocks + ([context(f"… and {counted(more, 'more request')} {verb} in their threads.")] if more > 0 else [])


def _entry(entry: Entry) -> list[Block]:
    first = entry.named[0]
    of = first.batch_id or first.id
    label, value = "Approve", of
    if entry.count > 1:
        label, value = f"Approve all ({entry.count})", counted_until(of, entry.until[1])
    lines = [_names(entry), _asked(entry), given(entry.approvers, first.approvals_needed)]
    buttons = [button(label, APPROVE_AT_HOME, value, style="primary"), button("Decline…", DECLINE_AT_HOME, of)]
    return [section("\n".join(line for line in lines if line)), actions(buttons)]


def _names(entry: Entry) -> str:
    titles = [title_of(retry.job, retry.job_id, retry.about) for retry in entry.named]
    if entry.count > 1:
        more = entry.count - len(titles)
        listed = "\n".join(f"• {title}" for title in titles) + (f"\n… and {more:,} more" if more > 0 else "")
        return f":busts_in_silhouette: *{counted(entry.count, 'job')}*\n{listed}"
    cause = cause_of(entry.named[0].job, entry.named[0].about)
    return f":busts_in_silhouette: {titles[0]}" + (f"\n> {foreign(cause, 150)}" if cause else "")


def _asked(entry: Entry) -> str:
    first = entry.named[0]
    which = f"Retry {first.attempt or 1}, asked" if entry.count == 1 else "Asked"
    where = f" in <#{first.channel_id}>" if first.channel_id else ""
    reason = f"\nReason: {foreign(first.reason, 150)}" if first.reason else ""
    return f"{which} for by <@{first.user_id}>{where}, until {date(entry.until[0], 'time')}{reason}"

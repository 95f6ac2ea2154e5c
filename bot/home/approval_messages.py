"""What waits for the approval of whoever looks at their Home tab. Pure.

👥 Data import *hotfire-118* · telemetry_0412.csv
Retry 3, asked for by @Ann in #launch-ops, until 3:04 PM
[Approve] [Decline…]
"""

from collections.abc import Sequence

from bot.retries.messages.approval import APPROVE_AT_HOME, DECLINE_AT_HOME, given
from bot.retries.messages.naming import cause_of, title_of
from bot.retries.request import Retry
from bot.slack.blocks import actions, button, context, counted, date, foreign, section
from bot.slack.message import Block

MAX_ENTRIES = 5
"""So many are shown, the newest; a batch is one."""

MAX_NAMED = 3
"""So many jobs of a batch are named."""


def waiting(entries: Sequence[Sequence[Retry]]) -> list[Block]:
    """Returns what waits for somebody's word, with buttons.

    Args:
        entries: the newest first: one request, or those of one batch.
    """
    blocks = [block for entry in entries[:MAX_ENTRIES] for block in _entry(entry)]
    more = len(entries) - MAX_ENTRIES
    verb = "waits" if more == 1 else "wait"
    return blocks + ([context(f"… and {counted(more, 'more request')} {verb} in their threads.")] if more > 0 else [])


def _entry(entry: Sequence[Retry]) -> list[Block]:
    first, count = entry[0], len(entry)
    of, label = (first.id, "Approve") if first.batch_id is None else (first.batch_id, f"Approve all ({count})")
    label = "Approve" if count == 1 else label
    lines = [_names(entry), _asked(entry), given(entry)]
    buttons = [button(label, APPROVE_AT_HOME, of, style="primary"), button("Decline…", DECLINE_AT_HOME, of)]
    return [section("\n".join(line for line in lines if line)), actions(buttons)]


def _names(entry: Sequence[Retry]) -> str:
    titles = [title_of(retry.job, retry.job_id, retry.about) for retry in entry[:MAX_NAMED]]
    if len(entry) > 1:
        more = len(entry) - MAX_NAMED
        listed = "\n".join(f"• {title}" for title in titles) + (f"\n… and {more:,} more" if more > 0 else "")
        return f":busts_in_silhouette: *{counted(len(entry), 'job')}*\n{listed}"
    cause = cause_of(entry[0].job, entry[0].about)
    return f":busts_in_silhouette: {titles[0]}" + (f"\n> {foreign(cause, 150)}" if cause else "")


def _asked(entry: Sequence[Retry]) -> str:
    first = entry[0]
    which = f"Retry {first.attempt or 1}, asked" if len(entry) == 1 else "Asked"
    where = f" in <#{first.channel_id}>" if first.channel_id else ""
    until = min((one.approval_until for one in entry if one.approval_until), default=None)
    reason = f"\nReason: {foreign(first.reason, 150)}" if first.reason else ""
    return f"{which} for by <@{first.user_id}>{where}" + (f", until {date(until, 'time')}" if until else "") + reason

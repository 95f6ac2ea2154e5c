"""What a batch shows of the second person: asked for once, for all of it that takes one. Pure.

👥 12 of these 25 jobs take a second person: somebody other than @Ann who may retry them has to …
• Data import *hotfire-118* · telemetry_0412.csv · `a1b2c3d4` – retry 3
May approve: @Bob, @launch-ops
[Approve all (12)] [Approve some…] [Decline…] [Override…]
"""

from collections.abc import Iterator

from bot.retries.messages.approval import APPROVE, SOME, counted_until, other_buttons, standing, whose
from bot.retries.messages.naming import SHORT_ID, title_of
from bot.retries.request import Batch, Retry
from bot.retries.spoken import Spoken
from bot.retries.state import UNSENT, ApprovalReason, RefusalReason
from bot.slack.blocks import actions, button, counted, date, escape, listing, mention, plain, section
from bot.slack.message import Block, Message

MAX_AT_ONCE = 500
"""So many are approved, or declined, by one press: as many as are written in time for its ack."""

SMALL = 100
"""A batch of so many jobs asks for a second person once all of it is decided; a larger one as soon as there is need."""


def asks(batch: Batch) -> bool:
    """Whether a second person is asked for by now: once for all of it, so not before it is known for what."""
    return any(not one.waits for one in batch.spoken) or (
        batch.waits > 0 and (batch.undecided <= 0 or batch.total > SMALL)
    )


def approval(batch: Batch) -> Message:
    """Asks for a second person in the thread, and then says who spoke."""
    blocks = list(_asked(batch)) if batch.waits and batch.awaiting else []
    spoken = list(_spoken(batch))
    text = _request(batch) if blocks else spoken[0][0]
    for line, because in spoken:
        blocks += [section(line), *([plain(f"Because: {because}")] if because else [])]
    return Message(text, blocks + ([_buttons(batch)] if batch.waits else []))


def nobody_sees(batch: Batch) -> Message:
    """Said to the requester alone where nobody else sees in a channel that they wait."""
    where = "I may not post there" if batch.channel_id else "you asked where only you are"
    text = f"{_request(batch)} But nobody else sees this: {where}. It waits on my Home tab for whoever may approve it."
    return Message(text, [section(text), *_names(batch), *standing(batch.awaiting)])


def broken_glass(batch: Batch) -> Message | None:
    """Tells the whole channel that an admin overrode the second person; None if nobody did."""
    overridden = [one for one in batch.spoken if one.override_reason is not None]
    if not overridden:
        return None
    by, count = overridden[0].approved_by, sum(one.count for one in overridden)
    text = f":rotating_light: <@{by}> overrode the second person for the retry of {counted(count, 'job')}."
    return Message(text, [section(text), plain(f"Because: {overridden[0].override_reason}")])


def _asked(batch: Batch) -> Iterator[Block]:
    yield section(_request(batch))
    yield from _names(batch)
    yield from standing(batch.awaiting)


def _request(batch: Batch) -> str:
    first, count = batch.awaiting[0], batch.waits
    needed, until = first.approvals_needed or 1, min(one.approval_until for one in batch.awaiting if one.approval_until)
    if count == batch.total:
        which = f"All of these {batch.total:,} jobs take"
    else:
        which = f"{count:,} of these {counted(batch.total, 'job')} {'takes' if count == 1 else 'take'}"
    what = "it" if count == 1 else "them"
    rest = {0: "", 1: " The other goes ahead."}.get(batch.total - count, " The others go ahead.")
    return (
        f":busts_in_silhouette: {which} {whose(needed, batch.user_id, what)}, until {date(until, 'time')}. "
        f"Nothing was sent to Sift for {what} yet.{rest}"
    )


def _names(batch: Batch) -> list[Block]:
    more = batch.waits - len(batch.awaiting)
    lines = [f"• {_called(retry)} – retry {retry.attempt or 1}" for retry in batch.awaiting]
    return [section("\n".join([*lines, *([f"… and {more:,} more"] if more > 0 else [])]))]


def _called(retry: Retry) -> str:
    short, name = f"`{escape(retry.job_id[:SHORT_ID])}`", title_of(retry.job, retry.job_id, retry.about)
    return name if short in name else f"{name} · {short}"


def _spoken(batch: Batch) -> Iterator[tuple[str, str]]:
    """How it went with what waits no more: a line for each way, and what was said of it."""
    lines: dict[tuple[str, str, str], int] = {}
    for one in batch.spoken:
        if not one.waits:
            key = _way(one, batch)
            lines[key] = lines.get(key, 0) + one.count
    for (emoji, words, because), count in lines.items():
        yield f"{emoji} {counted(count, 'job')} {words}.", because


def _way(one: Spoken, batch: Batch) -> tuple[str, str, str]:
    """Emoji, words, and what somebody gave as the reason."""
    if one.override_reason is not None:
        return ":rotating_light:", f"let through by <@{one.approved_by}> without a second person", one.override_reason
    if one.approved_by is not None and one.state not in UNSENT:
        words = (who for retry in batch.members if retry.approved_by == one.approved_by for who in retry.approvers)
        by = listing(mention(who) for who in dict.fromkeys([*words, one.approved_by]))
        return ":white_check_mark:", f"approved by {by}", ""
    match one.detail.get("why"):
        case ApprovalReason.EXPIRED:
            return ":hourglass:", "not approved by anybody else in time; nothing was sent to Sift", ""
        case ApprovalReason.DECLINED:
            return ":no_entry:", f"declined by <@{one.detail.get('by')}>", str(one.detail.get("said") or "")
        case RefusalReason.MOVED_ON | RefusalReason.UNDER_WAY | RefusalReason.JUST_RETRIED:
            return ":information_source:", "moved on meanwhile; nothing was sent to Sift", ""
        case _:
            return ":information_source:", "not retried after all", ""


def _buttons(batch: Batch) -> Block:
    if batch.waits == 1:
        return actions([button("Approve", APPROVE, batch.id, style="primary"), *other_buttons(batch.id)])
    label = (
        f"Approve all ({batch.waits})" if batch.waits <= MAX_AT_ONCE else f"Approve {MAX_AT_ONCE} of {batch.waits:,}"
    )
    approve = button(label, APPROVE, counted_until(batch.id, batch.awaiting_until), style="primary")
    return actions([approve, button("Approve some…", SOME, batch.id), *other_buttons(batch.id)])

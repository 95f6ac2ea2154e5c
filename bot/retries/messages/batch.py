"""The messages that show a batch: the tally, the list of its retries in the thread, the ending. Pure.

🔄 @Ann is retrying 25 jobs
⏳ 11 waiting · 🔄 14 under way
"""

from collections.abc import Sequence

from bot.access.messages import denied
from bot.retries.messages.answers import cannot_post, why_not
from bot.retries.messages.cooldown import batch_waits, works_from
from bot.retries.messages.job import referring, retry_button
from bot.retries.messages.naming import SHORT_ID
from bot.retries.messages.retry import offered, outcome_of, title, why_it_ended_so, withdrawn
from bot.retries.request import Batch, Retry
from bot.retries.state import UNSENT, State
from bot.slack.blocks import actions, button, confirm, counted, escape, foreign, plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import Piece

RETRY_BATCH = "retry_batch"
"""The action ID of the button that retries once more what failed again; its value is the batch's ID."""

RETRY_REST = "retry_rest"
"""The action ID of the button that retries what was left alone for too long; its value is the batch's ID."""

LINES = 40
"""Retries to a message: Slack takes 50 blocks."""

NAMED = 10
"""Jobs that are named for each reason that they were not retried for."""

_TALLY = (
    (":hourglass_flowing_sand:", "waiting", ("requested", "sending")),
    (":arrows_counterclockwise:", "under way", ("accepted",)),
    (":grey_question:", "being checked", ("unknown",)),
    (":white_check_mark:", "finished", ("finished",)),
    (":x:", "failed again", ("failed_again",)),
    (":no_entry_sign:", "cancelled", ("cancelled",)),
    (":warning:", "not taken by Sift", ("not_applied",)),
    (":grey_question:", "no longer followed", ("lost",)),
    (":no_entry:", "refused", ("denied", "refused")),
    (":warning:", "not accepted by Sift", ("failed",)),
)


def pieces(batch: Batch, place: Place) -> list[Piece]:
    """Every message that should show a batch as it is now, in the order they are posted."""
    if batch.refusal:
        return [Piece("private-refused", _refused_whole(batch, place))]
    unsent = _count(batch, *UNSENT)
    decided = sum(batch.states.values()) >= batch.total and not _count(batch, "requested", "sending")
    private = _waiting(batch)
    if decided and unsent and not all(withdrawn(one) for one in batch.members if one.state in UNSENT):
        private.append(Piece("private-refused", _refused(batch, place)))
    if sum(batch.states.values()) - unsent - _count(batch, "requested") <= 0:
        return private  # as long as nothing was sent to Sift, there is nothing to show to others
    if batch.unpostable is not None:
        told = tally(batch)
        phase = "private-end" if batch.final else "private-start"
        return [Piece(phase, Message(told.text, [cannot_post(batch), *told.blocks])), *private]
    shown = [Piece("announcement" if batch.thread_ts is None else "tally", tally(batch)), *_lists(batch)]
    if batch.final:
        shown.append(Piece("ending", ending(batch)))
    return [*shown, *private]


def _waiting(batch: Batch) -> list[Piece]:
    """Says that some of it waits for the end of the cooldown, once everything else is decided."""
    undecided = batch.total - sum(batch.states.values()) + _count(batch, "requested", "sending") - batch.waiting
    if batch.waits_until is None or undecided:
        return []
    return [Piece("private-cooldown", batch_waits(batch, batch.waits_until))]


def tally(batch: Batch) -> Message:
    """Who retries how many jobs, and how they stand."""
    verb = "retried" if batch.final else "is retrying"
    text = f"<@{batch.user_id}> {verb} {counted(batch.total, 'job')}"
    emoji = ":white_check_mark:" if batch.final else ":arrows_counterclockwise:"
    reason = [plain(f"Reason: {batch.reason}")] if batch.reason else []
    standing = _standing(batch)
    blocks = [section(f"{emoji} *{text}*\n{standing}"), *reason, referring(batch.id)]
    return Message(f"{text}: {standing}", blocks)


def ending(batch: Batch) -> Message:
    """Tells whoever asked how all of it ended, and offers to retry what failed again."""
    text = f"<@{batch.user_id}>, your {counted(batch.total, 'job')}: {_standing(batch)}."
    again: list[Block] = []
    if batch.offered:
        button_again = _button(RETRY_BATCH, batch.id, "Retry again", batch.offered)
        again = [*works_from(batch.cools_until, "Retry again"), actions([button_again])]
    return Message(text, [section(text), *again])


def _standing(batch: Batch) -> str:
    counts = [(emoji, words, _count(batch, *states)) for emoji, words, states in _TALLY]
    unwritten = batch.total - sum(batch.states.values())
    counts[0] = (*counts[0][:2], counts[0][2] + unwritten)
    return " · ".join(f"{emoji} {count:,} {words}" for emoji, words, count in counts if count)


def _lists(batch: Batch) -> list[Piece]:
    """The thread's list, so many retries to a message."""
    shown: list[Piece] = []
    for start in range(0, len(batch.members), LINES):
        some = batch.members[start : start + LINES]
        blocks = [_line(retry) for retry in some]
        more = batch.total - len(batch.members)
        if more > 0 and start + LINES >= len(batch.members) and not _unlisted(batch):
            blocks.append(section(f"… and {more:,} more: `/sift-retry audit` lists all of them."))
        title = f"Jobs {start + 1:,} to {start + len(some):,} of {batch.total:,}"
        shown.append(Piece(f"list-{start // LINES}", Message(title, [section(f"*{title}*"), *blocks])))
    return shown


def _unlisted(batch: Batch) -> bool:
    """Whether retries are still being spelled out, so that the list grows by itself."""
    return sum(batch.states.values()) < batch.total


def _line(retry: Retry) -> Block:
    if retry.state in UNSENT:
        emoji, words = ":no_entry:", "was not retried"
    elif retry.state in ("requested", "sending"):
        emoji, words = ":hourglass_flowing_sand:", "waiting"
    else:
        emoji, words = outcome_of(retry)
    why = why_it_ended_so(retry)
    because = f"\n> {foreign(why, 200)}" if why else ""
    again = retry_button(retry.job, record=retry.record) if offered(retry) and retry.job else None
    return section(f"{emoji} {_told_apart(retry)} — {words}{because}", again)


def _told_apart(retry: Retry) -> str:
    """What a job is called; with its short ID, since several may be called the same."""
    short, name = f"`{escape(retry.job_id[:SHORT_ID])}`", title(retry)
    return name if short in name else f"{name} · {short}"


def _refused(batch: Batch, place: Place) -> Message:
    """Which of the jobs were not retried and why: for whoever asked alone."""
    unsent = [retry for retry in batch.members if retry.state in UNSENT]
    count = _count(batch, *UNSENT)
    title = f":no_entry: {count:,} of {counted(batch.total, 'job')} {'was' if count == 1 else 'were'} not retried."
    rest = [actions([_button(RETRY_REST, batch.id, "Retry the rest", batch.stale)])] if batch.stale else []
    blocks = [section(title), *_reasons(unsent, place), *rest, referring(batch.id)]
    return Message(title, blocks)


def _refused_whole(batch: Batch, place: Place) -> Message:
    """Why none of it was let through: for whoever asked alone."""
    if batch.refusal.get("why") == "under_way":
        link = place.workspace.link(batch.refusal.get("channel_id"), batch.refusal.get("ts"))
        there = f" Follow it <{link}|in its thread>." if link else ""
        title = f":information_source: All of this is already under way by <@{batch.refusal.get('by')}>.{there}"
        return Message(title, [section(f"{title}\nNothing was sent to Sift for you."), referring(batch.id)])
    title = f":no_entry: {batch.total:,} of {counted(batch.total, 'job')} were not retried. Nothing was sent to Sift."
    return Message(title, [section(title), *denied(batch.refusal, "retry jobs").blocks, referring(batch.id)])


def _reasons(unsent: Sequence[Retry], place: Place) -> list[Block]:
    """Each reason once, with what to do next; then the jobs it is about."""
    by_reason: dict[tuple[str, str], list[Retry]] = {}
    for retry in unsent:
        said = why_not(retry, place, "The job")
        what = said.what.replace(f" `{retry.job_id}`", "").replace(": The job", ": the job")
        by_reason.setdefault((f"{what} {said.done}", said.next), []).append(retry)
    blocks = []
    for (what, following), concerned in list(by_reason.items())[:20]:
        names = "\n".join(f"• {_told_apart(retry)}" for retry in concerned[:NAMED])
        more = f"\n… and {len(concerned) - NAMED:,} more" if len(concerned) > NAMED else ""
        blocks.append(section(f"{what} {following}\n{names}{more}"))
    return blocks


def _button(action_id: str, batch_id: str, label: str, count: int) -> Block:
    asked = confirm(f"{label}?", f"Sift will be asked to retry {counted(count, 'job')}.", "Retry", "Not now")
    return button(f"{label} ({count})", action_id, batch_id, style="primary", confirm=asked)


def _count(batch: Batch, *states: str) -> int:
    return sum(batch.states.get(State(state), 0) for state in states)

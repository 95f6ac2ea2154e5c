"""The messages that show a batch: the tally, the list of its retries in the thread, the ending. Pure.

🔄 @Ann is retrying 25 jobs
⏳ 11 waiting · 🔄 14 under way
"""

from collections.abc import Sequence

from bot.access.messages import denied
from bot.retries.messages.answers import cannot_post, why_not
from bot.retries.messages.approval import ended_because
from bot.retries.messages.batch_approval import approval, asks, broken_glass, nobody_sees
from bot.retries.messages.cooldown import batch_waits, works_from
from bot.retries.messages.job import referring, retry_button
from bot.retries.messages.naming import SHORT_ID
from bot.retries.messages.retry import offered, outcome_of, title, why_it_ended_so, withdrawn
from bot.retries.request import Batch, Retry
from bot.retries.state import UNSENT, ApprovalReason, State
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

SECOND = "waiting for a second person"
"""How those that take somebody else's word stand; their state is `requested`, too."""

_TALLY = (
    (":hourglass_flowing_sand:", "waiting", ("requested", "sending")),
    (":busts_in_silhouette:", SECOND, ()),
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
    private = _private(batch, place)
    asked = _asked(batch) if asks(batch) else []
    if not asked and not _was_sent(batch) and not is_told(batch):
        return private  # as long as nothing was sent to Sift, there is nothing to show to others
    if batch.unpostable is not None:
        told = tally(batch)
        phase = "private-end" if batch.final else "private-start"
        return [Piece(phase, Message(told.text, [cannot_post(batch), *told.blocks])), *asked, *private]
    shown = [Piece("announcement" if batch.thread_ts is None else "tally", tally(batch)), *asked, *_lists(batch)]
    loud = broken_glass(batch)
    shown += [Piece("break-glass", loud, in_channel=True)] if loud else []
    shown += [Piece("ending", ending(batch))] if batch.final and _was_sent(batch) else []
    return [*shown, *private]


def _was_sent(batch: Batch) -> bool:
    """Whether any of it was sent to Sift, and not refused by it."""
    return sum(batch.states.values()) - _count(batch, *UNSENT, "requested") > 0


def is_told(batch: Batch) -> bool:
    """Whether others were told of it, as it is while its first retries are sent: that must not stay so."""
    return any(batch.shown.get(kind, {}).get("ts") for kind in ("announcement", "tally"))


def _asked(batch: Batch) -> list[Piece]:
    """What asks for a second person: others if they see it, else whoever asked is told."""
    if batch.unpostable is None and batch.channel_id is not None:
        return [Piece("approval", approval(batch))]
    return [Piece("private-waiting", nobody_sees(batch))] if batch.awaiting else []


def _private(batch: Batch, place: Place) -> list[Piece]:
    """What whoever asked is told once all else is decided.

    That is what waits for the end of the cooldown; then what was not retried at once; then, of what waited for a second
    person, what was not.
    """
    asked_for = sum(one.count for one in batch.spoken if one.state is State.REQUESTED)
    undecided = _count(batch, "requested", "sending") - asked_for
    if max(batch.undecided, undecided) > batch.waiting:
        return []
    if batch.waits_until is not None:
        return [Piece("private-cooldown", batch_waits(batch, batch.waits_until))]
    later = sum(one.count for one in batch.spoken if one.state in UNSENT)
    at_once = _count(batch, *UNSENT) - later
    told: list[Piece] = []
    if at_once > 0 and not all(withdrawn(one) for one in _unsent(batch, waited=False)):
        told.append(Piece("private-refused", _refused(batch, place, at_once, waited=False)))
    if later and not asked_for:
        told.append(Piece("private-unapproved", _refused(batch, place, later, waited=True)))
    return told


def _unsent(batch: Batch, *, waited: bool) -> list[Retry]:
    """Those that are known of what was not retried: what waited for a second person, or the others."""
    return [one for one in batch.members if one.state in UNSENT and (one.approval_until is not None) == waited]


def tally(batch: Batch) -> Message:
    """Who retries how many jobs, and how they stand."""
    emoji, verb = (":white_check_mark:", "retried") if batch.final else (":arrows_counterclockwise:", "is retrying")
    if not batch.final and batch.waits == batch.total:
        verb = "wants to retry"
    elif batch.final and not _was_sent(batch):
        emoji, verb = ":warning:", "wanted to retry"
    text = f"<@{batch.user_id}> {verb} {counted(batch.total, 'job')}"
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
    counts[0] = (*counts[0][:2], counts[0][2] + unwritten - batch.waits)
    counts[1] = (*counts[1][:2], batch.waits)
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
        title = f"All {batch.total:,} jobs"
        if len(some) < batch.total:
            title = f"Jobs {start + 1:,} to {start + len(some):,} of {batch.total:,}"
        shown.append(Piece(f"list-{start // LINES}", Message(title, [section(f"*{title}*"), *blocks])))
    return shown


def _unlisted(batch: Batch) -> bool:
    """Whether retries are still being spelled out, so that the list grows by itself."""
    return sum(batch.states.values()) < batch.total


def _line(retry: Retry) -> Block:
    if retry.state in UNSENT:
        emoji, words = ":no_entry:", f"was not retried{_because(retry)}"
    elif retry.waits_for_approval:
        emoji, words = ":busts_in_silhouette:", _waits(retry)
    elif retry.state in ("requested", "sending"):
        emoji, words = ":hourglass_flowing_sand:", "waiting"
    else:
        emoji, words = outcome_of(retry)
    why = why_it_ended_so(retry)
    because = f"\n> {foreign(why, 200)}" if why else ""
    again = retry_button(retry.job, record=retry.record) if offered(retry) and retry.job else None
    return section(f"{emoji} {_told_apart(retry)} — {words}{because}", again)


def _waits(retry: Retry) -> str:
    """What a retry waits for: a second person, or more of them."""
    if not retry.approvers:
        return SECOND
    return f"approved by {len(retry.approvers)} of {retry.approvals_needed or 1}"


def _because(retry: Retry) -> str:
    """Why nothing came of one that took a second person, as everybody may know; of others, its person alone is told."""
    if retry.approval_until is None:
        return ""
    match retry.detail.get("why"):
        case ApprovalReason.EXPIRED:
            return ": nobody else approved it in time"
        case ApprovalReason.DECLINED:
            return f": <@{retry.detail.get('by')}> declined"
        case _:
            because = ended_because(retry)
            return f": {because}" if because else ""


def _told_apart(retry: Retry) -> str:
    """What a job is called; with its short ID, since several may be called the same."""
    short, name = f"`{escape(retry.job_id[:SHORT_ID])}`", title(retry)
    return name if short in name else f"{name} · {short}"


def _refused(batch: Batch, place: Place, count: int, *, waited: bool) -> Message:
    """Which of the jobs were not retried and why: for whoever asked alone.

    Args:
        waited: those that waited for a second person, or the others.
    """
    title = f":no_entry: {count:,} of {counted(batch.total, 'job')} {'was' if count == 1 else 'were'} not retried."
    rest = (
        [actions([_button(RETRY_REST, batch.id, "Retry the rest", batch.stale)])] if batch.stale and not waited else []
    )
    blocks = [section(title), *_reasons(_unsent(batch, waited=waited), place), *rest, referring(batch.id)]
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

"""The messages that show failures: an alert of its own for one, a storm's for many. Pure.

🚨 Data import failed · Because: Line 7 is no number. · [Retry] [Mute]
🚨 25 jobs failed at once · 20 data imports, 5 data exports · [Retry all (25)] [Select…]
"""

from bot.alerts.alert import Alert, Storm
from bot.base.clock import say_duration
from bot.base.text import clip
from bot.retries.messages.job import facts, kind_of, ran_for, referring, retry_button, status_of
from bot.retries.messages.retry import outcome_of
from bot.retries.request import Retry
from bot.retries.state import AlertState
from bot.sift.ids import job_kind
from bot.slack.blocks import actions, as_it_is, button, confirm, counted, date, foreign, plain, say_type, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import Piece

MUTE, UNMUTE = "mute_alert", "unmute_alert"
RETRY_STORM, SELECT_STORM = "retry_storm", "select_storm"
"""The action IDs of an alert's and a storm's buttons; their values are the row's ID."""

LINES, SECTIONS = 20, 5
"""Failures to a section, and sections to a message of a storm's list."""


def pieces(alert: Alert, place: Place) -> list[Piece]:
    """Every message that should show an alert as it is now, in the order they are posted."""
    shown = [Piece("announcement", announcement(alert, place), in_thread_too=True)]
    return shown + [Piece(f"repeat-{repeat.id}", _repeated(repeat)) for repeat in alert.repeats]


def announcement(alert: Alert, place: Place) -> Message:
    """What failed, why, and how it stands now."""
    job = alert.job
    title = f"{kind_of(job).capitalize()} failed"
    emoji, standing = _standing(alert, place)
    blocks = [
        section(f"{emoji} *{title}*\n`{job.job_id}`"),
        *facts(job, [("Attempt", str(_attempts(alert.retry)))]),
        *([section("*Because*"), plain(alert.cause)] if alert.cause else []),
        *([section(standing)] if standing else []),
        actions(_buttons(alert)),
        referring(alert.id),
    ]
    return Message(f"{title}: {job.job_id}" + (f" — {standing}" if standing else ""), blocks)


def _standing(alert: Alert, place: Place) -> tuple[str, str]:
    """How the failure stands, as an emoji and a sentence; no sentence while nothing was done about it."""
    retry = alert.retry
    muted = f"Muted by <@{alert.muted_by}>: no more alerts for this job." if alert.muted_by else ""
    if alert.state == "outside":
        _, status = status_of(alert.job.job_status)
        return ":bust_in_silhouette:", f"Retried in Sift by somebody else, not by the bot; it is {status.lower()} now."
    if alert.state == "closed" and (retry is None or retry.state != "finished"):
        _, status = status_of(alert.job.job_status)
        return ":white_check_mark:", f"No longer failed: it is {status.lower()} now, without the bot."
    if retry is None:
        return ":mute:" if muted else ":rotating_light:", muted
    emoji, words = outcome_of(retry)
    link = place.workspace.link(retry.channel_id, retry.root_ts)
    by = f"<@{retry.user_id}> " + ("is retrying it" if alert.state == "retrying" else f"retried it: {words}")
    where = f" (<{link}|thread>)" if link and retry.root_ts != alert.root_ts else ""
    return emoji, f"{by}{where}. {muted}".strip()


def _attempts(retry: Retry | None) -> int:
    """Which attempt failed, or is under way: the first one was nobody's retry."""
    return 1 + (retry.attempt or 1) if retry is not None else 1


def _buttons(alert: Alert) -> list[Block]:
    buttons = [retry_button(alert.job)] if alert.state == "open" and alert.job.retryable else []
    text, action_id = ("Unmute", UNMUTE) if alert.muted_by else ("Mute", MUTE)
    return [*buttons, button(text, action_id, alert.id)]


def _repeated(alert: Alert) -> Message:
    """Said in the thread when a job failed again, though not by the bot's retry."""
    when = f" {date(alert.job.completed_date)}" if alert.job.completed_date else ""
    text = f":x: {kind_of(alert.job).capitalize()} `{alert.job_id}` failed again{when}; the bot did not retry it."
    return Message(text, [section(text), *([plain(alert.cause)] if alert.cause else [])])


def storm_pieces(storm: Storm, place: Place) -> list[Piece]:
    """Every message that should show a storm as it is now, in the order they are posted."""
    shown = [Piece("announcement", storm_announcement(storm, place), in_thread_too=True), *_lists(storm)]
    return shown + [Piece(f"repeat-{repeat.id}", _repeated(repeat)) for repeat in storm.repeats]


def storm_announcement(storm: Storm, place: Place) -> Message:
    """How many jobs failed at once, of which kinds, why, and how they stand now."""
    title = f"{counted(storm.total, 'job')} failed at once"
    kinds = ", ".join(f"{count:,} {_kind(name)}" for name, count in sorted(storm.kinds.items(), key=_most_first))
    standing = _storm_standing(storm)
    waiting = storm.states.get(AlertState.OPEN, 0)
    emoji = ":rotating_light:" if waiting else ":arrows_counterclockwise:"
    if storm.states.get(AlertState.CLOSED, 0) == storm.total:
        emoji = ":white_check_mark:"
    blocks = [section(f"{emoji} *{title}*\n{kinds}"), section(standing), *_causes(storm)]
    if waiting:
        blocks.append(actions([_retry_all(storm.id, waiting), button("Select…", SELECT_STORM, storm.id)]))
    return Message(f"{title}: {kinds}. {standing}", [*blocks, referring(storm.id)])


def _storm_standing(storm: Storm) -> str:
    words = (
        (":x:", "failed", AlertState.OPEN),
        (":arrows_counterclockwise:", "being retried", AlertState.RETRYING),
        (":bust_in_silhouette:", "retried in Sift by somebody else", AlertState.OUTSIDE),
        (":white_check_mark:", "no longer failed", AlertState.CLOSED),
    )
    counts = [(emoji, word, storm.states.get(state, 0)) for emoji, word, state in words]
    return " · ".join(f"{emoji} {count:,} {word}" for emoji, word, count in counts if count)


def _causes(storm: Storm) -> list[Block]:
    if not storm.causes:
        return []
    known = sum(storm.causes.values())
    of = "" if known >= storm.total else f" ({known:,} known)"
    lines = "\n".join(f"{count:,} × {clip(cause, 300)}" for cause, count in storm.causes.items())
    return [section(f"*Most frequent causes*{of}"), as_it_is(lines)]


def _lists(storm: Storm) -> list[Piece]:
    """The thread's list, so many failures to a message."""
    shown: list[Piece] = []
    size = LINES * SECTIONS
    for start in range(0, len(storm.members), size):
        some = storm.members[start : start + size]
        texts = ["\n".join(_line(one) for one in some[at : at + LINES]) for at in range(0, len(some), LINES)]
        title = f"Failures {start + 1:,} to {start + len(some):,} of {storm.total:,}"
        blocks = [section(f"*{title}*"), *(section(text) for text in texts)]
        if start + size >= len(storm.members) and storm.total > len(storm.members):
            more = storm.total - len(storm.members)
            blocks.append(section(f"… and {more:,} more; all of them are in `sift-retry audit list`."))
        shown.append(Piece(f"list-{start // size}", Message(title, blocks)))
    return shown


def _line(alert: Alert) -> str:
    emoji = {"open": ":x:", "retrying": ":arrows_counterclockwise:", "outside": ":bust_in_silhouette:"}.get(
        alert.state, ":white_check_mark:"
    )
    took = ran_for(alert.job)
    ran = f" after {say_duration(took)}" if took is not None else ""
    why = f": {foreign(alert.cause, 60)}" if alert.cause else ""
    return f"{emoji} {kind_of(alert.job)} `{alert.job_id}`{ran}{why}"


def _retry_all(storm_id: str, count: int) -> Block:
    what = f"Sift will be asked to retry {counted(count, 'job')}, a few at a time."
    asked = confirm("Retry all?", what, "Retry all", "Not now")
    return button(f"Retry all ({count:,})", RETRY_STORM, storm_id, style="primary", confirm=asked)


def _kind(job_type: str) -> str:
    return f"{say_type(job_kind(job_type))}s"


def _most_first(kind: tuple[str, int]) -> tuple[int, str]:
    return -kind[1], kind[0]

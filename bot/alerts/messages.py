"""The messages that show a failure. Pure.

🚨 Data import *hotfire-118* · stand-2 · telemetry_0412.csv failed
column 'tank_pressure_kpa' is not a number
Retrying this cause helped 41 of 43 times, usually within 6 min
[Retry] [I'm on it] [Snooze…] [Mute…]
"""

from bot.alerts import oncall_messages as on_call
from bot.alerts import thread_messages
from bot.alerts.alert import Alert
from bot.base.text import clip
from bot.retries.messages.cooldown import works_from
from bot.retries.messages.job import retry_button, status_of
from bot.retries.messages.naming import cause_of, details, grey, links_of, notification, title_of, why_block
from bot.retries.messages.record import asked_once_more, words
from bot.retries.messages.retry import outcome_of, wanted
from bot.retries.request import Retry
from bot.retries.state import AlertState
from bot.sift.subject import Why
from bot.slack.blocks import actions, context, date, section
from bot.slack.links import Place
from bot.slack.message import Block, Message
from bot.slack.piece import Piece

MAX_DETAILS = 30
"""Blocks of what is folded away."""


def pieces(alert: Alert, place: Place, oncall: str | None = None) -> list[Piece]:
    """Every message that should show an alert as it is now, in the order they are posted.

    Args:
        oncall: the user group that reminders mention; None: nobody is mentioned.
    """
    called = thread_messages.called(alert, oncall)
    shown = [Piece("announcement", announcement(alert, place), in_thread_too=True), *_details(alert, place)]
    shown += [Piece(f"repeat-{repeat.id}", repeated(repeat)) for repeat in alert.repeats]
    return [*shown, *_woken(alert), *called]


def announcement(alert: Alert, place: Place) -> Message:
    """What failed, why, whether a retry will help, and how it stands now."""
    job, about = alert.job, alert.about
    emoji, standing = _standing(alert, place)
    helps = words(alert.record, job.kind) if _offered(alert) else None
    links = links_of(about, place)
    taken = _taken(alert)
    blocks = [
        section(f"{emoji} {title_of(job, job.job_id, about)}{_how(alert)}"),
        *why_block(job, about),
        *([section(f"{helps}.")] if helps else []),
        *([section(standing)] if standing else []),
        *_from_when(alert),
        *on_call.because(alert.mute_reason if alert.muted_by else None),
        *([section("\n".join(taken))] if taken else []),
        actions(_buttons(alert)),
        *([context(links)] if links else []),
        *grey(job, job.job_id, alert.id, _counted(alert)),
    ]
    said = " ".join([standing, *taken]).strip()
    return Message(notification(job, job.job_id, about) + (f" — {said}" if said else ""), blocks)


def _how(alert: Alert) -> str:
    """What the title says of the job besides its name; nothing where the standing says it."""
    if alert.state is not AlertState.OPEN:
        return ""
    return " failed again" if alert.retry is not None and alert.retry.state == "failed_again" else " failed"


def _standing(alert: Alert, place: Place) -> tuple[str, str]:
    """How the failure stands, as an emoji and a sentence; no sentence while nothing was done about it."""
    retry = alert.retry
    muted = on_call.muted(alert)
    if alert.awaiting is not None and _open(alert):
        emoji, wants = wanted(alert.awaiting, _where(alert, alert.awaiting, place))
        return emoji, f"{wants} {muted}".strip()
    if alert.state == "outside":
        _, status = status_of(alert.job.job_status)
        return ":bust_in_silhouette:", f"Retried in Sift by somebody else, not by the bot; it is {status.lower()} now."
    if alert.state == "closed" and (retry is None or retry.state != "finished"):
        _, status = status_of(alert.job.job_status)
        return ":white_check_mark:", f"No longer failed: it is {status.lower()} now, without the bot."
    if retry is None:
        return on_call.emoji_of(alert) or ":rotating_light:", muted
    emoji, how = outcome_of(retry)
    since = ""
    if _open(alert):
        since = " It failed again since." if retry.state == "finished" else ""
        emoji = on_call.emoji_of(alert) or (":rotating_light:" if since else emoji)
    by = f"<@{retry.user_id}> " + ("is retrying it" if alert.state == "retrying" else f"retried it: {how}")
    return emoji, f"{by}{_where(alert, retry, place)}.{since} {muted}".strip()


def _where(alert: Alert, retry: Retry, place: Place) -> str:
    """Where a retry goes on, if that is not in the alert's own thread."""
    link = place.workspace.link(retry.channel_id, retry.root_ts)
    return f" (<{link}|thread>)" if link and retry.root_ts != alert.root_ts else ""


def _taken(alert: Alert) -> list[str]:
    """Who takes care of it; that whoever retried it is on it goes without saying."""
    retry = alert.retry
    if retry is not None and not _open(alert) and retry.user_id == alert.taken_by:
        return []
    return on_call.lines(alert, failed=_open(alert), over=_over(alert))


def _counted(alert: Alert) -> list[str]:
    """`retry 2`: the second retry of this job failed, or is under way."""
    return [f"retry {alert.retry.attempt or 1}"] if alert.retry is not None else []


def _open(alert: Alert) -> bool:
    return alert.state is AlertState.OPEN


def _over(alert: Alert) -> bool:
    return alert.state is AlertState.CLOSED


def _offered(alert: Alert) -> bool:
    return _open(alert) and alert.job.retryable and alert.awaiting is None


def _from_when(alert: Alert) -> list[Block]:
    """From when the Retry button works, where that is later than now."""
    return works_from(alert.retry.cools_until) if alert.retry is not None and _offered(alert) else []


def _buttons(alert: Alert) -> list[Block]:
    retry = [retry_button(alert.job)] if _offered(alert) else []
    asked = asked_once_more(alert.record, alert.job.kind)
    if asked is not None:
        retry = [{**one, "confirm": asked} for one in retry]
    taking = on_call.take_buttons(alert, alert.id) if _open(alert) else []
    return [*retry, *taking, on_call.mute_button(alert, alert.id)]


def _details(alert: Alert, place: Place) -> list[Piece]:
    """What is folded away into the thread, where it is more than the alert itself says."""
    blocks = details(alert.about, place)[:MAX_DETAILS] if says_more(alert.about.why) else []
    what = "Why it failed" if alert.about.why.rules_failed else "More on this failure"
    title = f"*{what}*: {title_of(alert.job, alert.job_id, alert.about)}"
    return [Piece("details", Message(title, [section(title), *blocks]))] if blocks else []


def says_more(why: Why) -> bool:
    """Whether there is more to a failure than its headline."""
    several = len(why.rules_failed) + why.more_failed > 1
    printed = any(rule.stderr or rule.stdout or rule.explore_link for rule in why.rules_failed)
    return bool(why.warnings) or several or printed


def repeated(alert: Alert) -> Message:
    """Said in the thread when a job failed again, though not by the bot's retry."""
    when = f" {date(alert.job.completed_date, 'time')}" if alert.job.completed_date else ""
    title = title_of(alert.job, alert.job_id, alert.about)
    text = f":x: {title} failed again{when}; the bot did not retry it."
    said = notification(alert.job, alert.job_id, alert.about, "failed again")
    return Message(said, [section(text), *why_block(alert.job, alert.about)])


def _woken(alert: Alert) -> list[Piece]:
    """Said in the thread when a snooze is over."""
    if alert.woken_at is None:
        return []
    what = f"{title_of(alert.job, alert.job_id, alert.about)} is"
    said = notification(alert.job, alert.job_id, alert.about, "is still failed")
    shown = on_call.woken(alert, said, what, why_block(alert.job, alert.about))
    return [Piece(f"woken-{int(alert.woken_at.timestamp())}", shown)]


def cause_in_a_line(alert: Alert, most: int) -> str:
    """Why a job failed, in foreign words, not escaped yet; empty where nobody says."""
    return clip(cause_of(alert.job, alert.about), most)

"""What calls people into the thread of a failure: who is on call, and who created the job. Pure.

🔔 @on-call Data import *hotfire-118* · stand-2 is still failed, and nobody has taken, retried or snoozed it.
"""

from bot.alerts.alert import Alert, Storm
from bot.retries.messages.naming import notification, title_of
from bot.retries.state import AlertState
from bot.slack.blocks import counted, mention, section
from bot.slack.message import Message
from bot.slack.piece import Piece


def called(alert: Alert, oncall: str | None) -> list[Piece]:
    """Who is called into an alert's thread, as long as its job is failed and nobody takes care of it.

    Args:
        oncall: the user group that reminders mention; None: nobody is mentioned.
    """
    if alert.state is not AlertState.OPEN or alert.muted_by is not None:
        return []
    told = [Piece("creator", creator(alert))] if alert.creator_id else []
    return told + ([Piece(f"reminder-{alert.reminder}", reminder(alert, oncall))] if alert.reminder else [])


def called_for_storm(storm: Storm, oncall: str | None) -> list[Piece]:
    """The same for a storm; nobody is told of having created some of its jobs."""
    if not storm.reminder or not storm.offered:
        return []
    return [Piece(f"reminder-{storm.reminder}", storm_reminder(storm, oncall))]


def reminder(alert: Alert, oncall: str | None) -> Message:
    """Said once an alert has waited for too long; it never changes, whatever becomes of the job."""
    title = title_of(alert.job, alert.job_id, alert.about)
    text = f":bell: {_whom(oncall)}{title} is still failed, and nobody has taken, retried or snoozed it."
    return Message(f"Still waiting – {notification(alert.job, alert.job_id, alert.about)}", [section(text)])


def storm_reminder(storm: Storm, oncall: str | None) -> Message:
    """The same, once for all jobs of a storm."""
    jobs = f"{counted(storm.total, 'job')} that failed at once"
    text = f":bell: {_whom(oncall)}Nobody has taken, retried or snoozed what still waits of the {jobs}."
    return Message(f"Still waiting – of {jobs}", [section(text)])


def creator(alert: Alert) -> Message:
    """Tells whoever created a job in Sift that it failed."""
    text = f":bust_in_silhouette: <@{alert.creator_id}>, you created this job in Sift, and it failed."
    return Message(f"Your job – {notification(alert.job, alert.job_id, alert.about)}", [section(text)])


def _whom(oncall: str | None) -> str:
    return f"{mention(oncall)} " if oncall else ""

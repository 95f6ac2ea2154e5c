"""A job as people read it: kind, status, progress, what it exports; and the Retry button. Pure.

███░░░░░░░ 25 % · 300 of 1,200 points
"""

from datetime import timedelta

from bot.retries.messages.record import asked_once_more
from bot.retries.record import Record
from bot.sift.job import Job
from bot.slack.blocks import button, context, counted, date, foreign, say_type, section
from bot.slack.message import Block

RETRY = "retry"
"""The Retry button's action ID; its value is the job ID and the failure it stands for."""

_STATUSES = {
    "JOB_STATUS_CREATED": (":hourglass_flowing_sand:", "Queued"),
    "JOB_STATUS_RUNNING": (":gear:", "Running"),
    "JOB_STATUS_FINISHED": (":white_check_mark:", "Finished"),
    "JOB_STATUS_FAILED": (":x:", "Failed"),
    "JOB_STATUS_CANCELLED": (":no_entry_sign:", "Cancelled"),
    "JOB_STATUS_CANCEL_REQUESTED": (":no_entry_sign:", "Being cancelled"),
}


def retry_button(job: Job, action_id: str = RETRY, record: Record | None = None) -> Block:
    """A Retry button for the failure that the job shows now; it asks once more where retrying its cause never helped.

    Args:
        record: how earlier retries after the same cause ended.
    """
    asked = asked_once_more(record, job.kind) if record else None
    return button("Retry", action_id, f"{job.job_id} {job.failure}".strip(), style="primary", confirm=asked)


def retry_button_of(job_id: str, failure: str | None) -> Block:
    """A Retry button for one failure of a job; None: for the job as it is when the button is clicked."""
    return button("Retry", RETRY, f"{job_id} {failure or ''}".strip(), style="primary")


def export_facts(job: Job) -> list[tuple[str, str]]:
    """What an export is to hold, by name; nothing for other jobs. The values are escaped."""
    export = job.job_details.data_export if job.job_details else None
    request = export.request if export else None
    if request is None:
        return []
    chosen = request.runs_and_time_range or request.assets_and_time_range or request.time_range
    counts = [
        counted(len(request.runs_and_time_range.run_ids), "run") if request.runs_and_time_range else "",
        counted(len(request.assets_and_time_range.asset_ids), "asset") if request.assets_and_time_range else "",
        counted(len(request.channel_ids), "channel") if request.channel_ids else "all channels",
        counted(len(request.calculated_channel_configs), "calculated channel"),
    ]
    known = [("Exports", ", ".join(part for part in counts if part))]
    if request.output_format:
        known.append(("Format", foreign(_format(request.output_format))))
    if chosen is not None and chosen.start_time and chosen.stop_time:
        known.append(("Time range", f"{date(chosen.start_time, 'time')} – {date(chosen.stop_time, 'time')}"))
    return known


def _format(name: str) -> str:
    """`CSV`, `Parquet`: short names are abbreviations."""
    name = name.removeprefix("EXPORT_OUTPUT_FORMAT_")
    return name if len(name) <= len("CSV") else name.capitalize()


def progress(job: Job | None) -> list[Block]:
    """An import's points, with a bar where the total is known."""
    points = job.job_status_details.data_import if job and job.job_status_details else None
    if points is None or points.points_processed is None:
        return []
    done, total = points.points_processed, points.points_total or 0
    if total <= 0:
        return [section(f"{done:,} points processed")]
    tenths = min(10, done * 10 // total)
    percent = min(100, done * 100 // total)
    return [section(f"{'█' * tenths}{'░' * (10 - tenths)} {percent} % · {done:,} of {total:,} points")]


def why_now(job: Job | None) -> str | None:
    """The failure's reason where the job itself says it: only exports do."""
    details = job.job_status_details.data_export if job and job.job_status_details else None
    return details.error_message if details and details.error_message else None


def ran_for(job: Job | None) -> timedelta | None:
    """How long a job ran, once that is known."""
    if job is None or job.started_date is None or job.completed_date is None or job.completed_date < job.started_date:
        return None
    return job.completed_date - job.started_date


def referring(reference: str) -> Block:
    """The reference, which finds the log lines."""
    return context(f"Reference `{reference}`")


def kind_of(job: Job | None) -> str:
    """What sort of job it is, in words; a type unknown to us is named as Sift names it."""
    if job is None or not job.job_type:
        return "job"
    return say_type(job.kind)


def status_of(status: str | None) -> tuple[str, str]:
    """A status as an emoji and a word; one unknown to us is named as Sift names it."""
    words = (status or "unknown").removeprefix("JOB_STATUS_").replace("_", " ").capitalize()
    return _STATUSES.get(status or "") or (":grey_question:", foreign(words))

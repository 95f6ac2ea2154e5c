"""What Slack sends to retry and to cancel jobs → typed requests. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.base.requester import Requester, Source
from bot.base.text import reason_of
from bot.retries.request import JobRef
from bot.sift.ids import JOB_ID, job_ids_in
from bot.slack.payloads import (
    Malformed,
    input_of,
    inputs_of,
    metadata_of,
    requester_of_click,
    text_of,
    text_or_none,
    value_of,
)


def job_of_click(body: Mapping[str, Any]) -> JobRef:
    """The job of a Retry button, and the failure that it stood for, if it stood for one."""
    job_id, _, failure = value_of(body).partition(" ")
    if not JOB_ID.fullmatch(job_id):
        raise Malformed
    return JobRef(job_id, failure or None)


@dataclass(frozen=True)
class Submitted:
    """What somebody filled in to retry jobs."""

    requester: Requester
    jobs: tuple[JobRef, ...]
    reason: str | None = None


def from_retry_view(body: Mapping[str, Any]) -> Submitted:
    """A submitted modal: jobs picked, job IDs pasted, and a reason."""
    inputs = inputs_of(body)
    picked = input_of(inputs, "jobs").get("selected_options")
    job_ids = [text_of(option, "value") for option in picked] if isinstance(picked, list) else []
    job_ids += job_ids_in(text_or_none(input_of(inputs, "ids"), "value"))
    if not all(JOB_ID.fullmatch(job_id) for job_id in job_ids):
        raise Malformed
    wanted = tuple(JobRef(job_id) for job_id in dict.fromkeys(job_ids))
    return Submitted(requester_of_view(body), wanted, reason_of(text_or_none(input_of(inputs, "reason"), "value")))


@dataclass(frozen=True)
class ToCancel:
    """What somebody filled in to cancel a job."""

    requester: Requester
    job: JobRef
    reason: str | None


def from_cancel_view(body: Mapping[str, Any]) -> ToCancel:
    """A submitted modal that cancels a job."""
    reason = reason_of(text_or_none(input_of(inputs_of(body), "reason"), "value"))
    kept = metadata_of(body)
    job = JobRef(text_of(kept, "job_id"), text_or_none(kept, "shown_by"))
    return ToCancel(requester_of_view(body), job, reason)


def origin_of(requester: Requester) -> dict[str, str | None]:
    """Where a modal is opened, as it keeps that in its metadata; `requester_of_view` reads it back."""
    return {name: getattr(requester, name) for name in ("source", "channel_id", "thread_ts", "asked_in")}


def requester_of_view(body: Mapping[str, Any]) -> Requester:
    """Who submitted a modal, and where it was opened, which is where they are answered."""
    origin = metadata_of(body)
    try:
        source = Source(text_of(origin, "source"))
    except ValueError:
        raise Malformed from None
    return replace(
        requester_of_click(body, source),
        channel_id=text_or_none(origin, "channel_id"),
        thread_ts=text_or_none(origin, "thread_ts"),
        asked_in=text_or_none(origin, "asked_in"),
    )

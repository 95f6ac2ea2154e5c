"""What the audit says of a request and its job as they are now. Pure."""

from collections.abc import Mapping
from typing import Any

from bot import VERSION
from bot.audit.entry import Entry, Event
from bot.retries.kind import EVENTS
from bot.retries.request import Request, Retry


def entry_of(
    request: Request, outcome: str | None, detail: Mapping[str, Any] | None = None, event: Event | None = None
) -> Entry:
    """What the audit says of a request and its job as they are now; by default that it entered a state."""
    before = request.job_before if isinstance(request, Retry) else None
    after = request.job_after if isinstance(request, Retry) else None
    facts = {"version": VERSION, **{name: value for name, value in (detail or {}).items() if value is not None}}
    for name, value in (("batch", request.batch_id), ("report_id", request.report_id)):
        if value is not None:
            facts[name] = value
    if isinstance(request, Retry):
        facts = {**_story_of(request), **facts}
    return Entry(
        event=event or EVENTS[request.kind],
        outcome=outcome,
        request_id=request.id,
        job_id=request.job_id,
        status_before=before.job_status if before else None,
        status_after=after.job_status if after else None,
        team_id=request.team_id,
        user_id=request.user_id,
        user_name=request.user_name,
        channel_id=request.channel_id,
        source=request.source,
        reason=request.reason,
        grant_id=request.grant_id if isinstance(request, Retry) else None,
        detail=facts,
    )


def _story_of(retry: Retry) -> dict[str, Any]:
    """What else is known of a retry and its job by now."""
    job, subject = retry.job, retry.about.subject
    details = job.job_details if job else None
    facts = {
        "attempt": retry.attempt,
        "new_job_id": retry.new_job_id,
        "thread_ts": retry.root_ts,
        "approved_by": retry.approved_by,
        "override_reason": retry.override_reason,
        "organization_id": job.organization_id if job else None,
        "data_import_id": details.data_import.data_import_id if details and details.data_import else None,
        "report_id": details.rule_evaluation.report_id
        if details and details.rule_evaluation
        else (subject.report.id if subject.report else None),
        "run_ids": list(job.run_ids if job else ()) or [run.id for run in subject.runs if run.id],
        "asset_ids": list(job.asset_ids if job else ()) or [asset.id for asset in subject.assets if asset.id],
        "job_modified_by": job.modified_by_user_id if job else None,
    }
    return {name: value for name, value in facts.items() if value}

"""Modals and the Home tab. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.base.clock import say_duration
from bot.base.requester import Source
from bot.retries.messages.job import kind_of
from bot.sift.job import Job
from bot.slack.blocks import Block, counted, section

RETRY_VIEW = "retry_view"
"""The callback ID of the modal that retries the jobs of a message."""

TITLE = "Retry Sift jobs"

MAX_OPTIONS = 100
"""As many options as a select may have."""

LONGEST_OPTION = 75
"""Characters of an option's text."""


def option_of(job: Job, now: datetime) -> dict[str, Any]:
    """A failed job as something to pick."""
    ago = f", {say_duration(now - job.completed_date)} ago" if job.completed_date else ""
    text = f"{kind_of(job)}{ago}: {job.job_id}"
    return {"text": _plain(text if len(text) <= LONGEST_OPTION else job.job_id), "value": job.job_id}


def plain_option(job_id: str) -> dict[str, Any]:
    """A job that is known by its ID alone, as something to pick."""
    return {"text": _plain(job_id), "value": job_id}


def retry_view(
    options: Sequence[dict[str, Any]], origin: Mapping[str, str | None], *, picked: int = 0, under_way: int = 0
) -> dict[str, Any]:
    """Asks which jobs to retry, and why.

    Args:
        options: the jobs to pick from, at most a hundred.
        origin: the source, and the channel and thread that the answer goes into; kept in the view.
        picked: how many of the options are picked from the start.
        under_way: how many failed jobs are left out because they are being retried already.
    """
    offered = options[:MAX_OPTIONS]
    blocks: list[Block] = []
    if offered:
        select = {"type": "multi_static_select", "action_id": "jobs", "options": offered, "placeholder": _plain("Pick")}
        blocks.append(_input("jobs", "Jobs", {**select, **({"initial_options": offered[:picked]} if picked else {})}))
    elif not under_way:
        blocks.append(section(":white_check_mark: No job is failed in Sift just now."))
    if under_way:
        blocks.append(section(f":arrows_counterclockwise: {counted(under_way, 'job')} being retried already."))
    if origin.get("source") == Source.MODAL:
        ids = {"type": "plain_text_input", "action_id": "ids", "max_length": 3_000}
        blocks.append(_input("ids", "Job IDs or Sift links", ids))
    reason = {"type": "plain_text_input", "action_id": "reason", "max_length": 1_000}
    return {
        **_modal("Retry"),
        "callback_id": RETRY_VIEW,
        "private_metadata": json.dumps({name: value for name, value in origin.items() if value}),
        "blocks": [*blocks, _input("reason", "Reason", reason)],
    }


def loading_view() -> dict[str, Any]:
    """Stands there until Sift has answered."""
    return {**_modal(), "blocks": [section(":hourglass_flowing_sand: Asking Sift what failed lately…")]}


def nothing_picked() -> dict[str, str]:
    """Said at the inputs of a modal that names no job."""
    return {"reason": "Pick a job above, or paste its ID."}


def too_many_picked(most: int) -> dict[str, str]:
    """Said at the inputs of a modal that names too many jobs."""
    return {"reason": f"That is more than {most} jobs at once."}


def _modal(submit: str | None = None) -> dict[str, Any]:
    shown = {"type": "modal", "title": _plain(TITLE), "close": _plain("Cancel" if submit else "Close")}
    return {**shown, "submit": _plain(submit)} if submit else shown


def _input(name: str, label: str, element: dict[str, Any]) -> Block:
    return {"type": "input", "block_id": name, "label": _plain(label), "element": element, "optional": True}


def nothing_found_view() -> dict[str, Any]:
    """Says that a message names no job."""
    return {**_modal(), "blocks": [section("There is no Sift job ID in that message, so there is nothing to retry.")]}


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}

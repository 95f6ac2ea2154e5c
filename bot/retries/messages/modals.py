"""The modals in which people pick jobs to retry. Pure.

Retry Sift jobs
Jobs: [hotfire-118: telemetry_0412.csv · stand-2 · hotfire-118 – column 'tank_pressure_kpa' is not a number]
Job IDs or Sift links: […]  Reason: […]
[Cancel] [Retry]
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.base.clock import say_duration
from bot.base.requester import Source
from bot.base.text import clip
from bot.retries.messages.job import kind_of
from bot.retries.messages.naming import cause_of, choice_of
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.blocks import (
    MAX_OPTION_TEXT,
    MAX_OPTIONS,
    counted,
    input_,
    modal,
    multi_select,
    option,
    section,
    text_input,
)
from bot.slack.message import Block, View

RETRY_VIEW = "retry_view"
"""The callback ID of the modal that retries the jobs of a message."""

MAX_NAME = 45
"""Characters of an option's name: the rest is left to its cause."""

TITLE = "Retry Sift jobs"

MAX_REASON = 1_000
"""Characters of a reason that is typed in a modal."""


@dataclass(frozen=True)
class JobOption:
    """A job as something to pick.

    Args:
        group: what it stands under, such as its run; empty where nothing is known.
    """

    option: Block
    group: str = ""


def option_of(job: Job, now: datetime, about: About | None = None) -> JobOption:
    """A failed job as something to pick: under its run, by what it is called and why it failed; typing finds both."""
    about = about or About()
    first, *_ = about.subject.title_parts() or ("",)
    if not first:
        ago = f", {say_duration(now - job.completed_date)} ago" if job.completed_date else ""
        text = f"{kind_of(job)}{ago}: {job.job_id}"
        return JobOption(option(text if len(text) <= MAX_OPTION_TEXT else job.job_id, job.job_id))
    cause = cause_of(job, about)
    text = choice_of(job, job.job_id, about, MAX_NAME) + (f" – {cause}" if cause else "")
    return JobOption(option(text, job.job_id), clip(first, MAX_OPTION_TEXT))


def plain_option(job_id: str) -> JobOption:
    """A job that is known by its ID alone, as something to pick."""
    return JobOption(option(job_id, job_id))


def retry_view(
    options: Sequence[JobOption],
    origin: Mapping[str, str | None],
    *,
    picked: int = 0,
    under_way: int = 0,
    unlisted: int = 0,
    reason: str | None = None,
) -> View:
    """Asks which jobs to retry, and why.

    Args:
        options: the jobs to pick from, at most a hundred.
        origin: the source, and the channel and thread that the answer goes into; kept in the view.
        picked: how many of the options are picked from the start.
        under_way: how many failed jobs are left out because they are being retried already.
        unlisted: how many are left out because there are too many.
        reason: what stands there as the reason from the start.
    """
    blocks: list[Block] = []
    if options:
        blocks.append(input_("jobs", "Jobs", _select(options, picked)))
    elif not under_way:
        blocks.append(section(":white_check_mark: No job is failed in Sift just now."))
    if unlisted:
        blocks.append(section(f"{counted(unlisted, 'more job')} that may be retried: too many to list."))
    if under_way:
        blocks.append(
            section(f":arrows_counterclockwise: {counted(under_way, 'job')} being retried already, or waiting to be.")
        )
    if origin.get("source") == Source.MODAL:
        blocks.append(input_("ids", "Job IDs or Sift links", text_input(3_000)))
    blocks.append(input_("reason", "Reason", text_input(MAX_REASON, reason)))
    kept = json.dumps({name: value for name, value in origin.items() if value})
    return modal(TITLE, blocks, submit="Retry", callback_id=RETRY_VIEW, private_metadata=kept)


def _select(choices: Sequence[JobOption], picked: int) -> Block:
    """What to pick from, in groups if any is known; those of no group stand last."""
    chosen = [choice.option for choice in choices[:picked]]
    grouped: dict[str, list[Block]] = {}
    for choice in choices[:MAX_OPTIONS]:
        grouped.setdefault(choice.group, []).append(choice.option)
    others = grouped.pop("", [])
    if not grouped:
        return multi_select(others, chosen, placeholder="Pick")
    groups = [*grouped.items(), *([("Others", others)] if others else [])]
    return multi_select(groups=groups, picked=chosen, placeholder="Pick")


def loading_view() -> View:
    """Stands there until Sift has answered."""
    return modal(TITLE, [section(":hourglass_flowing_sand: Asking Sift what failed lately…")])


def all_under_way_view(under_way: int) -> View:
    """Says that nothing of what was offered is left to pick; there is nothing to submit."""
    if not under_way:
        return modal(TITLE, [section(":white_check_mark: None of these jobs is failed any more.")])
    left = "The job that is" if under_way == 1 else f"All {under_way:,} jobs that are"
    verb = "is" if under_way == 1 else "are"
    return modal(
        TITLE,
        [section(f":arrows_counterclockwise: {left} still failed {verb} being retried already, or waiting to be.")],
    )


def nothing_picked(source: str) -> dict[str, str]:
    """Said at the inputs of a modal that names no job.

    Args:
        source: where the modal was opened: that of the command alone takes IDs, too.
    """
    if source == Source.MODAL:
        return {"ids": "Pick a job above, or paste its ID or a link to it."}
    return {"reason": "Pick a job above."}


def too_many_picked(most: int, source: str) -> dict[str, str]:
    """Said at the inputs of a modal that names too many jobs."""
    return {"ids" if source == Source.MODAL else "reason": f"That is more than {most} jobs at once."}


def nothing_found_view() -> View:
    """Says that a message names no job."""
    return modal(TITLE, [section("There is no Sift job ID in that message, so there is nothing to retry.")])

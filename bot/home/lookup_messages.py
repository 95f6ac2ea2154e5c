"""What people see who only look: what failed lately, one job as it is now. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from bot.app.commands import clip
from bot.base.clock import say_duration
from bot.retries.messages.job import facts, into_sift, kind_of, progress, ran_for, retry_button, status_of, why_now
from bot.retries.messages.retry import outcome_of
from bot.retries.store import Retry
from bot.sift.job import Job
from bot.slack.blocks import Block, actions, date, escape, plain, section
from bot.slack.client import Message
from bot.slack.links import Place


def failed(jobs: Sequence[Job], under_way: Mapping[str, Retry], place: Place) -> Message:
    """The jobs that failed lately, newest first."""
    if not jobs:
        text = ":white_check_mark: No job is failed in Sift just now."
        return Message(text, [section(text)])
    title = "The jobs that failed last, newest first"
    lines = [_line(job, under_way.get(job.job_id), place) for job in jobs]
    hint = section("Type `/sift-retry` alone to pick several of them at once.")
    return Message(title, [section(f"*{title}*"), *lines, hint])


def _line(job: Job, retry: Retry | None, place: Place) -> Block:
    when = f" · failed {date(job.completed_date, 'time')}" if job.completed_date else ""
    took = ran_for(job)
    ran = f" after {say_duration(took)}" if took is not None and took > timedelta(0) else ""
    why = why_now(job)
    because = f"\n> {escape(clip(why, 200))}" if why else ""
    if retry is None:
        line = section(f":x: {kind_of(job).capitalize()} `{job.job_id}`{when}{ran}{because}")
        return {**line, "accessory": retry_button(job)}
    link = place.workspace.link(retry.channel_id, retry.root_ts)
    where = f" <{link}|Follow it>." if link else ""
    retried = f"\nAlready being retried by <@{retry.user_id}>.{where}"
    return section(f":arrows_counterclockwise: {kind_of(job).capitalize()} `{job.job_id}`{when}{ran}{retried}")


def status(job: Job, newest: Retry | None, why: str | None, place: Place) -> Message:
    """A job as it is now, and the last retry of it."""
    emoji, word = status_of(job.job_status)
    title = f"{kind_of(job).capitalize()}: {word.lower()}"
    blocks = [section(f"{emoji} *{title}*\n`{job.job_id}`"), *facts(job, []), *progress(job)]
    if why and job.retryable:
        blocks += [section("*Failed because*"), plain(why)]
    if newest is not None:
        _, words = outcome_of(newest)
        link = place.workspace.link(newest.channel_id, newest.root_ts)
        where = f" <{link}|See its thread>." if link else ""
        asked = f"Last retried by <@{newest.user_id}> {date(newest.created_at, 'time')}: {words}.{where}"
        blocks.append(section(asked))
    if job.retryable and (newest is None or newest.final):
        blocks.append(actions([retry_button(job)]))
    return Message(title, [*blocks, *into_sift(place)])


def unknown(job_id: str) -> Message:
    """Said when Sift lists no such job."""
    text = f":grey_question: Sift knows no job `{job_id}`, or its key may not see it. Check the ID in Sift."
    return Message(text, [section(text)])

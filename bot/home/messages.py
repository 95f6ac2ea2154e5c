"""What people see who only look: what failed lately, one job as it is now, the Home tab. Pure.

❌ Data import `0f9d1b60-…` · failed 11:00 AM after 6 min  [Retry]
🟢 You may retry jobs as operator until 8:00 PM.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.access.holding import Holding
from bot.access.messages import ADD_GRANT, REVOKE_GRANT, denied, guest_standing, line, standing
from bot.access.policy import Decision, Grant, Reason
from bot.base.clock import say_duration
from bot.records.messages import OPEN_AUDIT, OPEN_STATS, numbers
from bot.records.stats import Stats
from bot.retries.messages.job import facts, into_sift, kind_of, progress, ran_for, retry_button, status_of, why_now
from bot.retries.messages.retry import outcome_of
from bot.retries.request import Retry
from bot.sift.job import Job
from bot.slack.blocks import actions, button, confirm, date, divider, foreign, home, plain, section
from bot.slack.links import Place
from bot.slack.message import Block, Message, View


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
    because = f"\n> {foreign(why, 200)}" if why else ""
    if retry is None:
        return section(f":x: {kind_of(job).capitalize()} `{job.job_id}`{when}{ran}{because}", retry_button(job))
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


RETRY_WAITING = "retry_waiting"
"""The action ID of the Retry button in the Home tab; its value is that of every Retry button."""

HELP = (
    ("", "lets you pick from the jobs that failed lately"),
    ("list", "lists them"),
    ("status <job ID>", "shows a job without retrying it"),
)
"""What can be typed to look at jobs, and what it does."""


@dataclass(frozen=True)
class Seen:
    """What somebody's Home tab shows.

    Args:
        decision: whether they may retry, or at least read the audit.
        waiting: failures that nobody has retried yet.
        own: their last requests.
        entries: the audit's newest entries; None for who may not read it.
        grants: the allow-list; None for who may not grant.
        stats: how retries went lately: everybody's for who may read the audit, else one's own.
        held: what they hold altogether; None: no more is known than what allowed them.
        idle: the numbers of the grants that add nothing to what the same user or group holds.
    """

    at: datetime
    decision: Decision
    admins: Sequence[str]
    under_way: Sequence[Retry]
    waiting: Sequence[Job]
    own: Sequence[Retry]
    entries: Sequence[Any] | None
    grants: Sequence[Grant] | None
    stats: Stats | None
    held: Holding | None = None
    idle: Collection[int] = ()


def home_view(seen: Seen, help_text: Message) -> View:
    """Returns the whole tab: at most a hundred blocks, since each list is bounded.

    Args:
        help_text: what can be typed; left out for who may do none of it.
    """
    blocks = [
        section(_standing(seen)),
        *_part("Failures waiting", [_waiting(job) for job in seen.waiting]),
        *_part("Retries under way", [section(_retry(retry, named=True)) for retry in seen.under_way]),
        *_part("Your last requests", [section(_retry(retry)) for retry in seen.own]),
        *(_part("Lately", numbers(seen.stats, {}).blocks) if seen.stats and seen.stats.total else []),
        *_audit(seen.entries),
        *_access(seen),
        *([divider(), *help_text.blocks] if seen.decision.allowed else []),
    ]
    return home(blocks)


def _standing(seen: Seen) -> str:
    decision, held = seen.decision, seen.held
    if decision.why is Reason.IS_GUEST:
        return f":red_circle: {guest_standing(seen.admins)}"
    if not decision.allowed:
        refusal: Message = denied({**decision.explained(seen.at), "ask": list(seen.admins)}, "retry jobs")
        return refusal.text.replace(":no_entry:", ":red_circle:")
    if held is None or held.is_empty:  # it ended just now
        held = Holding((decision.grant,)) if decision.grant is not None else Holding(by_setting=True)
    return f":large_green_circle: {standing(held)}"


def _part(title: str, lines: Sequence[Block]) -> list[Block]:
    return [divider(), section(f"*{title}*"), *lines] if lines else []


def _waiting(job: Job) -> Block:
    when = f" · failed {date(job.completed_date, 'time')}" if job.completed_date else ""
    return section(f":x: {kind_of(job).capitalize()} `{job.job_id}`{when}", retry_button(job, RETRY_WAITING))


def _retry(retry: Retry, named: bool = False) -> str:
    emoji, words = outcome_of(retry)
    by = f" · <@{retry.user_id}>" if named else ""
    return f"{emoji} {date(retry.created_at)} · {kind_of(retry.job)} `{retry.job_id}` · {words}{by}"


def _audit(entries: Sequence[Any] | None) -> list[Block]:
    if entries is None:
        return []
    lines = [
        f"{date(row.at)} · {row.event}{f' {row.outcome}' if row.outcome else ''}"
        + (f" · `{row.job_id}`" if row.job_id else "")
        + (f" · <@{row.user_id}>" if row.user_id and row.user_id[:1] in "UW" else "")
        for row in entries
    ]
    buttons = actions([button("Search the audit", OPEN_AUDIT, "all"), button("Statistics", OPEN_STATS, "30d")])
    return [divider(), section("*The audit's latest entries*"), section("\n".join(lines) or "None."), buttons]


def _access(seen: Seen) -> list[Block]:
    if seen.grants is None:
        return []
    lines = [section(line(grant, seen.at, grant.id in seen.idle), _revoke(grant)) for grant in seen.grants]
    add = actions([button("Add…", ADD_GRANT, "add")])
    return [divider(), section("*The allow-list*"), *lines, add]


def _revoke(grant: Grant) -> Block:
    asked = confirm("Revoke?", "They lose this access at once.", "Revoke", "Keep")
    return button("Revoke", REVOKE_GRANT, f"{grant.id} {grant.subject}", style="danger", confirm=asked)

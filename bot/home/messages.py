"""What people see who only look: what failed lately, one job as it is now, the Home tab. Pure.

❌ Data import *hotfire-118* · stand-2 · telemetry_0412.csv  [Retry]
> column 'tank_pressure_kpa' is not a number
Failed 11:00 AM after 6 min
🟢 You may retry jobs as operator until 8:00 PM.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.access.holding import Holding
from bot.access.messages import ADD_GRANT, REVOKE_GRANT, denied, guest_standing, line, standing
from bot.access.policy import Decision, Grant, Reason
from bot.base.clock import say_duration
from bot.home.approval_messages import waiting as awaited
from bot.records.messages import OPEN_AUDIT, OPEN_STATS, numbers
from bot.records.stats import Stats
from bot.retries.messages.job import export_facts, progress, ran_for, retry_button, status_of
from bot.retries.messages.naming import cause_of, details, grey, links_of, title_of, why_block
from bot.retries.messages.record import words as helped
from bot.retries.messages.retry import outcome_of
from bot.retries.record import Record
from bot.retries.request import Retry
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.blocks import actions, button, confirm, date, divider, escape, fields, foreign, home, section
from bot.slack.links import Place
from bot.slack.message import Block, Message, View


@dataclass(frozen=True)
class Listed:
    """What is known of jobs that are listed, by their IDs.

    Args:
        under_way: the retries of them that are under way.
        about: what they are about and why they failed.
        records: how earlier retries ended, by cause.
    """

    under_way: Mapping[str, Retry] = field(default_factory=dict)
    about: Mapping[str, About] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)

    def about_of(self, job_id: str) -> About:
        """What a job is about."""
        return self.about.get(job_id, About())

    def record_of(self, job_id: str) -> Record | None:
        """How earlier retries after the same cause ended."""
        return self.records.get(self.about_of(job_id).why.cause)


def failed(jobs: Sequence[Job], known: Listed, place: Place) -> Message:
    """The jobs that failed lately, newest first."""
    if not jobs:
        text = ":white_check_mark: No job is failed in Sift just now."
        return Message(text, [section(text)])
    title = "The jobs that failed last, newest first"
    lines = [_line(job, known, place) for job in jobs]
    hint = section("Type `/sift-retry` alone to pick several of them at once.")
    return Message(title, [section(f"*{title}*"), *lines, hint])


def _line(job: Job, known: Listed, place: Place) -> Block:
    about, retry = known.about_of(job.job_id), known.under_way.get(job.job_id)
    title = title_of(job, job.job_id, about)
    when = f"Failed {date(job.completed_date, 'time')}" if job.completed_date else "Failed"
    took = ran_for(job)
    after = f" after {say_duration(took)}" if took is not None and took > timedelta(0) else ""
    cause = cause_of(job, about)
    because = f"\n> {foreign(cause, 200)}" if cause else ""
    text = f"{title}{because}\n{when}{after} · `{escape(job.job_id)}`"
    if retry is None:
        return section(f":x: {text}", retry_button(job, record=known.record_of(job.job_id)))
    link = place.workspace.link(retry.channel_id, retry.root_ts)
    where = f" <{link}|Follow it>." if link else ""
    return section(f":arrows_counterclockwise: {text}\nAlready being retried by <@{retry.user_id}>.{where}")


def status(job: Job, newest: Retry | None, known: Listed, place: Place) -> Message:
    """A job as it is now, and the last retry of it."""
    emoji, word = status_of(job.job_status)
    about = known.about_of(job.job_id)
    title = title_of(job, job.job_id, about)
    blocks = [section(f"{emoji} *{word}*\n{title}"), *progress(job)]
    blocks += _why(job, about, known.record_of(job.job_id), place) if job.retryable else []
    blocks += fields(export_facts(job))
    if newest is not None:
        _, words = outcome_of(newest)
        link = place.workspace.link(newest.channel_id, newest.root_ts)
        where = f" <{link}|See its thread>." if link else ""
        asked = f"Last retried by <@{newest.user_id}> {date(newest.created_at, 'time')}: {words}.{where}"
        blocks.append(section(asked))
    if job.retryable and (newest is None or newest.final):
        blocks.append(actions([retry_button(job, record=known.record_of(job.job_id))]))
    links = links_of(about, place)
    blocks += [section(links)] if links else []
    return Message(f"{title}: {word.lower()}", [*blocks, *grey(job, job.job_id, "")])


def _why(job: Job, about: About, record: Record | None, place: Place) -> list[Block]:
    """Why it failed, and whether retrying that ever helped."""
    cause = why_block(job, about)
    said = helped(record, job.kind) if record else None
    told = [section(f":bulb: {said}.")] if said else []
    return [*([section("*Failed because*"), *cause] if cause else []), *told, *details(about, place)]


def unknown(job_id: str) -> Message:
    """Said when Sift lists no such job."""
    text = f":grey_question: Sift knows no job `{escape(job_id)}`, or its key may not see it. Check the ID in Sift."
    return Message(text, [section(text)])


RETRY_WAITING = "retry_waiting"
"""The action ID of the Retry button in the Home tab; its value is that of every Retry button."""

HELP = (
    ("", "lets you pick from the jobs that failed lately"),
    ("list [run <run>]", "lists them, or those of a Sift run"),
    ("run <run> [reason]", "shows what failed of a run (name, ID or link), to retry all of it or some"),
    ("status <job ID>", "shows a job without retrying it"),
)
"""What can be typed to look at jobs, and what it does."""


@dataclass(frozen=True)
class Seen:
    """What somebody's Home tab shows.

    Args:
        decision: whether they may retry, or at least read the audit.
        waiting: failures that nobody has retried yet.
        known: what is known of those.
        own: their last requests.
        entries: the audit's newest entries; None for who may not read it.
        grants: the allow-list; None for who may not grant.
        stats: how retries went lately: everybody's for who may read the audit, else one's own.
        held: what they hold altogether; None: no more is known than what allowed them.
        idle: the numbers of the grants that add nothing to what the same user or group holds.
        approvals: what they may approve: one request, or those of one batch, each.
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
    known: Listed = field(default_factory=Listed)
    held: Holding | None = None
    idle: Collection[int] = ()
    approvals: Sequence[Sequence[Retry]] = ()


def home_view(seen: Seen, help_text: Message) -> View:
    """Returns the whole tab: at most a hundred blocks, since each list is bounded.

    Args:
        help_text: what can be typed; left out for who may do none of it.
    """
    blocks = [
        section(_standing(seen)),
        *_part("Waiting for your approval", awaited(seen.approvals)),
        *_part("Failures waiting", [_waiting(job, seen.known) for job in seen.waiting]),
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


def _waiting(job: Job, known: Listed) -> Block:
    about = known.about_of(job.job_id)
    when = f"\nFailed {date(job.completed_date, 'time')}" if job.completed_date else ""
    cause = cause_of(job, about)
    because = f"\n> {foreign(cause, 150)}" if cause else ""
    button = retry_button(job, RETRY_WAITING, known.record_of(job.job_id))
    return section(f":x: {title_of(job, job.job_id, about)}{because}{when}", button)


def _retry(retry: Retry, named: bool = False) -> str:
    emoji, words = outcome_of(retry)
    by = f" · <@{retry.user_id}>" if named else ""
    return f"{emoji} {title_of(retry.job, retry.job_id, retry.about)} — {words}{by} · {date(retry.created_at, 'time')}"


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

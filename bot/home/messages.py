"""What people see who only look: what failed lately, one job as it is now, the Home tab. Pure.

❌ Data import *hotfire-118* · stand-2 · telemetry_0412.csv  [Retry]
> column 'tank_pressure_kpa' is not a number
Failed 11:00 AM after 6 min
🟢 You may retry jobs as operator until 8:00 PM.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.access.holding import Holding
from bot.access.messages import ADD_GRANT, REVOKE_GRANT, denied, guest_standing, line, standing
from bot.access.policy import Decision, Grant, Permission, Reason
from bot.alerts.alert import OnCall
from bot.alerts.oncall_messages import in_short, lines
from bot.base.clock import say_duration
from bot.home.approval_messages import Entry
from bot.home.approval_messages import waiting as awaited
from bot.records.line import Line
from bot.records.messages import OPEN_AUDIT, OPEN_STATS, OWN, block_of, numbers, search_button
from bot.records.search import Search
from bot.records.stats import Stats
from bot.records.why import why_of
from bot.retries.messages.job import export_facts, progress, ran_for, retry_button, status_of
from bot.retries.messages.naming import cause_of, details, grey, links_of, title_of, why_block
from bot.retries.messages.record import words as helped
from bot.retries.messages.retry import outcome_of, wanted
from bot.retries.record import Record
from bot.retries.request import Retry
from bot.retries.state import State
from bot.sift.job import Job
from bot.sift.subject import About
from bot.slack.blocks import actions, button, confirm, context, date, divider, escape, fields, foreign, home, section
from bot.slack.links import Place, Workspace
from bot.slack.message import Block, Message, View


@dataclass(frozen=True)
class Listed:
    """What is known of jobs that are listed, by their IDs.

    Args:
        under_way: the retries of them that are asked for or under way.
        about: what they are about and why they failed.
        records: how earlier retries ended, by cause.
        on_call: who takes care of those that were alerted and are failed.
    """

    under_way: Mapping[str, Retry] = field(default_factory=dict)
    about: Mapping[str, About] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)
    on_call: Mapping[str, OnCall] = field(default_factory=dict)

    def about_of(self, job_id: str) -> About:
        """What a job is about."""
        return self.about.get(job_id, About())

    def record_of(self, job_id: str) -> Record | None:
        """How earlier retries after the same cause ended."""
        return self.records.get(self.about_of(job_id).why.cause)

    def taken(self, job_id: str) -> str:
        """Who takes care of a job, as a part of its line; empty where nobody has to."""
        found = self.on_call.get(job_id)
        return f" · {in_short(found)}" if found is not None else ""


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
    taken = known.taken(job.job_id) if retry is None else ""
    text = f"{title}{because}\n{when}{after}{taken} · `{escape(job.job_id)}`"
    if retry is None:
        return section(f":x: {text}", retry_button(job, record=known.record_of(job.job_id)))
    emoji, by = ":arrows_counterclockwise:", f"Already being retried by <@{retry.user_id}>."
    if retry.state is State.REQUESTED:
        emoji, by = wanted(retry)
    return section(f"{emoji} {text}\n{by}{_follow(retry, place)}")


def _follow(retry: Retry, place: Place) -> str:
    link = place.workspace.link(retry.channel_id, retry.root_ts)
    return f" <{link}|Follow it>." if link else ""


def status(job: Job, newest: Retry | None, known: Listed, place: Place) -> Message:
    """A job as it is now, and the last retry of it."""
    emoji, word = status_of(job.job_status)
    about = known.about_of(job.job_id)
    title = title_of(job, job.job_id, about)
    blocks = [section(f"{emoji} *{word}*\n{title}"), *progress(job)]
    blocks += _why(job, about, known.record_of(job.job_id), place) if job.retryable else []
    if job.retryable and (on_call := known.on_call.get(job.job_id)) is not None:
        blocks += [section("\n".join(said))] if (said := lines(on_call, failed=True, over=False)) else []
    blocks += fields(export_facts(job))
    if newest is not None:
        _, words = outcome_of(newest)
        link = place.workspace.link(newest.channel_id, newest.root_ts)
        where = f" <{link}|See its thread>." if link else ""
        blocks.append(
            section(f"Last retried by <@{newest.user_id}> {date(newest.created_at, 'time')}: {words}.{where}")
        )
    if (retry := known.under_way.get(job.job_id)) is not None and retry.state is State.REQUESTED:
        blocks.append(section(f"{' '.join(wanted(retry))}{_follow(retry, place)}"))
    elif job.retryable and (newest is None or newest.final):
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
    what = f"Sift knows no job `{escape(job_id)}`, or the bot's key may not see it."
    text = f":grey_question: {what} Check the ID in Sift."
    return Message(text, [section(text)])


RETRY_WAITING = "retry_waiting"
"""The action ID of the Retry button in the Home tab; its value is that of every Retry button."""


@dataclass(frozen=True)
class Seen:
    """What somebody's Home tab shows.

    Args:
        decision: whether they may retry, or at least read the audit.
        rights: all that they may do.
        waiting: failures that nobody has retried yet.
        known: what is known of those.
        own: their last requests.
        lines: the audit's newest lines; None for who may not read it.
        grants: the allow-list; None for who may not grant.
        stats: how retries went lately: everybody's for who may read the audit, else their own.
        held: what they hold altogether; None: no more is known than what allowed them.
        idle: the numbers of the grants that add nothing to what the same user or group holds.
        more: how many more there are of a list than it shows, by the list's name; at most `MAX_COUNTED`.
        approvals: what they may approve, the newest first.
    """

    at: datetime
    decision: Decision
    admins: Sequence[str]
    under_way: Sequence[Retry]
    waiting: Sequence[Job]
    own: Sequence[Retry]
    lines: Sequence[Line] | None
    grants: Sequence[Grant] | None
    stats: Stats | None
    known: Listed = field(default_factory=Listed)
    held: Holding | None = None
    idle: Collection[int] = ()
    more: Mapping[str, int] = field(default_factory=dict)
    rights: Collection[Permission] = ()
    approvals: Sequence[Entry] = ()


MAX_COUNTED = 1_000
"""So many that a list does not show are counted."""

BACK = timedelta(days=30)
"""How far back the Home tab counts."""


def home_view(seen: Seen, help_text: Callable[[Collection[Permission]], Message], workspace: Workspace) -> View:
    """Returns the whole tab: at most a hundred blocks, since each list is bounded.

    Args:
        help_text: what can be typed by who has these rights; left out for who may do none of it.
    """
    waiting = [_waiting(job, seen.known) for job in seen.waiting]
    under_way = [section(_retry(retry, named=True)) for retry in seen.under_way]
    blocks = [
        section(_standing(seen)),
        *_part("Waiting for your approval", awaited(seen.approvals, seen.more.get("approvals", 0))),
        *_part("Failures waiting", [*waiting, *_more(seen, "waiting", ": `/sift-retry list`")]),
        *_part("Retries under way", [*under_way, *_more(seen, "under_way")]),
        *_part("Your last requests", _own(seen)),
        *_numbers(seen),
        *_audit(seen, workspace),
        *_access(seen),
        *([divider(), *help_text(seen.rights).blocks] if seen.decision.allowed else []),
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


def _more(seen: Seen, name: str, where: str = "") -> list[Block]:
    """How many more there are than a list shows; nothing where it shows all."""
    count = seen.more.get(name, 0)
    if count <= 0:
        return []
    number = f"{count:,} more" if count < MAX_COUNTED else f"at least {MAX_COUNTED:,} more"
    return [context(f"… and {number}{where}")]


def _own(seen: Seen) -> list[Block]:
    shown = [section(_retry(retry)) for retry in seen.own]
    more = _more(seen, "own")
    reads = seen.decision.allowed  # who may do nothing any more may not read the audit either
    return [*shown, *more, *([actions([button("Show all", OPEN_AUDIT, OWN)])] if more and reads else [])]


def _numbers(seen: Seen) -> list[Block]:
    if seen.stats is None or not seen.stats.total:
        return []
    return [divider(), *numbers(seen.stats, {}, BACK, own=Permission.READ_AUDIT not in seen.rights).blocks]


def _waiting(job: Job, known: Listed) -> Block:
    about = known.about_of(job.job_id)
    when = f"\nFailed {date(job.completed_date, 'time')}" if job.completed_date else "\nFailed"
    retry = known.under_way.get(job.job_id)
    when += known.taken(job.job_id) if retry is None else ""
    cause = cause_of(job, about)
    because = f"\n> {foreign(cause, 150)}" if cause else ""
    button = retry_button(job, RETRY_WAITING, known.record_of(job.job_id))
    told = f"{title_of(job, job.job_id, about)}{because}{when}"
    if retry is None:
        return section(f":x: {told}", button)
    emoji, by = wanted(retry)
    return section(f"{emoji} {told}\n{by}")


def _retry(retry: Retry, named: bool = False) -> str:
    emoji, words = outcome_of(retry)
    if retry.state is State.REFUSED and (why := why_of(retry.detail)):
        words = f"{why}; nothing was sent"
    by = f" · <@{retry.user_id}>" if named else ""
    return f"{emoji} {title_of(retry.job, retry.job_id, retry.about)} — {words}{by} · {date(retry.created_at, 'time')}"


def _audit(seen: Seen, workspace: Workspace) -> list[Block]:
    if seen.lines is None:
        return []
    shown = [block_of(line, workspace) for line in seen.lines] or [section("None.")]
    more = [context("… and older ones: *Audit*")] if seen.more.get("lines", 0) > 0 else []
    buttons = [button("Audit", OPEN_AUDIT, "all"), search_button(Search()), button("Statistics", OPEN_STATS, "30d")]
    return [divider(), section("*The audit's latest entries*"), *shown, *more, actions(buttons)]


def _access(seen: Seen) -> list[Block]:
    if seen.grants is None:
        return []
    lines = [section(line(grant, seen.at, grant.id in seen.idle), _revoke(grant)) for grant in seen.grants]
    add = actions([button("Add…", ADD_GRANT, "add")])
    return [divider(), section("*The allow-list*"), *lines, *_more(seen, "grants", ": `/sift-retry access`"), add]


def _revoke(grant: Grant) -> Block:
    asked = confirm("Revoke?", "They lose this access at once.", "Revoke", "Keep")
    return button("Revoke", REVOKE_GRANT, f"{grant.id} {grant.subject}", style="danger", confirm=asked)

"""The audit and the statistics as people read them, and the audit's head as it is posted daily. Pure.

1,234 · 12:00 PM · *request* finished · @Ann (Ann) · `0f9d1b60-…` · failed → finished · thread · reference `…`
9 requests since Oct 21. A retry helped in 6 of 8 cases (75 %).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.audit.entry import Filters
from bot.audit.signing import SignedHead
from bot.base.clock import rfc3339
from bot.base.text import clip, shorten
from bot.records.stats import Stats
from bot.retries.messages.record import readable
from bot.sift.ids import job_kind
from bot.slack.blocks import actions, button, counted, date, escape, foreign, listing, say_type, section
from bot.slack.links import Workspace
from bot.slack.message import Block, Message


def anchored(signed: SignedHead, at: datetime) -> Message:
    """The head, and how to check the log against it."""
    name = str(signed)
    text = (
        f":anchor: The audit has {signed.head.count:,} entries as of {rfc3339(at)[:19]}Z. Its head is `{name}`\n"
        f"Check later that nothing up to here was changed: `sift-retry audit verify --head {name}`"
    )
    return Message(text, [section(text)])


OPEN_AUDIT, OPEN_STATS = "open_audit", "open_stats"
"""The action IDs of the Home tab's buttons."""

HELP = (("audit [<job ID>|@user] [7d]", "shows who retried what; `stats [30d]` how it went"),)
"""What can be typed of the records, and what it does."""

AUDIT_PAGE, AUDIT_EXPORT = "audit_page", "audit_export"
"""The action IDs of a page's buttons; their value is the search, as JSON."""


def page(rows: Sequence[Any], filters: Filters, path: Sequence[int], more: bool, workspace: Workspace) -> Message:
    """One page of entries, newest first.

    Args:
        path: the entries below which the pages so far began, this one's last; empty for the newest page.
        more: whether there are older ones.

    Returns:
        Private to whoever reads; its buttons carry the search.
    """
    title = f"The audit{_about(filters)}, newest first"
    lines = [section(_line(row, workspace)) for row in rows] or [section("No entries.")]
    buttons = []
    if path:
        buttons.append(_button("Newer", AUDIT_PAGE, filters, path[:-1], "newer"))
    if more:
        buttons.append(_button("Older", AUDIT_PAGE, filters, [*path, rows[-1].id], "older"))
    buttons.append(_button("Export as CSV", AUDIT_EXPORT, filters, [], "export"))
    return Message(title, [section(f"*{title}*"), *lines, actions(buttons)])


def _line(row: Any, workspace: Workspace) -> str:
    who = f" · <@{row.user_id}>" if row.user_id and row.user_id[:1] in "UW" else ""
    who = who or (f" · `{foreign(row.user_id)}`" if row.user_id else "")
    name = f" ({foreign(row.user_name)})" if row.user_name else ""
    job = f" · `{row.job_id}`" if row.job_id else ""
    statuses = [
        status.removeprefix("JOB_STATUS_").lower() for status in (row.status_before, row.status_after) if status
    ]
    status = f" · {foreign(' → '.join(statuses))}" if statuses else ""
    link = workspace.link(row.channel_id, json.loads(row.detail).get("thread_ts"))
    thread = f" · <{link}|thread>" if link else ""
    reference = f"{thread} · reference `{row.request_id}`" if row.request_id else ""
    reason = f"\n> {foreign(row.reason, 200)}" if row.reason else ""
    what = f"*{escape(row.event)}*{f' {row.outcome}' if row.outcome else ''}"
    return f"{row.id:,} · {date(row.at)} · {what}{who}{name}{job}{status}{reference}{reason}"


def _about(filters: Filters) -> str:
    parts = [
        f"of job `{filters.job_id}`" if filters.job_id else "",
        f"of <@{filters.user_id}>" if filters.user_id else "",
    ]
    since = f"since {date(filters.since)}" if filters.since else ""
    said = " ".join(part for part in (*parts, since) if part)
    return f" {said}" if said else ""


def search_of(value: str) -> tuple[Filters, list[int]]:
    """Reads the search back from a button's value.

    Returns:
        What is searched for, and the entries below which the pages so far began, as in `page`.

    Raises:
        ValueError: it is no such value.
    """
    try:
        found = json.loads(value)
        since = datetime.fromisoformat(found["s"]) if found.get("s") else None
        return Filters(job_id=found.get("j"), user_id=found.get("u"), since=since), [int(one) for one in found["p"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("no search") from error


def _button(text: str, action_id: str, filters: Filters, path: Sequence[int], block: str) -> Block:
    since = rfc3339(filters.since) if filters.since else None
    value = json.dumps({"j": filters.job_id, "u": filters.user_id, "s": since, "p": list(path)[-200:]})
    return button(text, f"{action_id}:{block}", value)


def exported(count: int, most: int, head: str) -> Message:
    """Said with the file."""
    cut = f" Only the oldest {most:,} are in it; `sift-retry audit export` writes all." if count >= most else ""
    text = f":page_facing_up: {count:,} entries of the audit, oldest first.{cut}\nHead of the chain: `{head}`"
    return Message(text, [section(text)])


def sent_directly(said: Message) -> Message:
    """Said where it was asked for, when the file went to the person directly."""
    blocks = [*said.blocks, section(":inbox_tray: The file is in your messages with me.")]
    return Message(said.text, blocks)


def not_uploaded(error: str) -> Message:
    """Said when Slack did not take the file."""
    text = f":warning: Slack did not take the file (`{foreign(error)}`). Try again, or use the command line."
    return Message(text, [section(text)])


def numbers(stats: Stats, names: Mapping[str, str]) -> Message:
    """The statistics in words: what the picture shows, for those who cannot see it, too."""
    if not stats.total:
        text = f"No retries were asked for since {date(stats.since)}."
        return Message(text, [section(text)])
    helped, ended = stats.helped
    rate = f" A retry helped in {helped:,} of {ended:,} cases ({helped * 100 // ended} %)." if ended else ""
    title = f"{counted(stats.total, 'request')} since {date(stats.since)}.{rate}"
    states = listing(f"{count:,} {state.replace('_', ' ')}" for state, count in _most_first(stats.states))
    kinds = listing(counted(count, say_type(job_kind(name))) for name, count in _most_first(stats.types))
    people = listing(f"<@{user_id}> {count:,}" for user_id, count in _most_first(stats.people))
    parts = [f"*{title}*", f"By outcome: {states}.", f"By job type: {kinds}." if kinds else "", f"By person: {people}."]
    blocks = [section("\n".join(part for part in parts if part)), *_causes(stats)]
    return Message(escape(alternative(stats, names)), blocks)


def _causes(stats: Stats) -> list[Block]:
    """Why most of the retried jobs had failed, and how often a retry helped."""
    if not stats.causes:
        return []
    lines = [
        f"• {foreign(readable(one.cause_key), 120)}: helped in {one.record.helped:,} of {one.record.tried:,}"
        for one in stats.causes
    ]
    return [section("\n".join(["*Most frequent causes*, and how often a retry helped", *lines]))]


def alternative(stats: Stats, names: Mapping[str, str]) -> str:
    """The numbers as alternative text of the picture.

    Args:
        names: what people are called, by user ID; where one is missing the ID stands.

    Returns:
        Plain text of at most 1,900 characters.
    """
    helped, ended = stats.helped
    days = "; ".join(f"{day}: {sum(states.values())}" for day, states in list(stats.days.items())[-31:])
    people = ", ".join(f"{clip(names.get(user, user))} {count}" for user, count in _most_first(stats.people))
    states = ", ".join(f"{state.replace('_', ' ')} {count}" for state, count in _most_first(stats.states))
    counts = f"{stats.total} requests; {helped} of {ended} helped. {states}."
    return shorten(f"{counts} Per day: {days}. By person: {people}.", 1_900)


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))

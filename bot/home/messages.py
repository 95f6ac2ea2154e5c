"""The Home tab. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.access.messages import line
from bot.access.policy import Decision, Grant, Why
from bot.records.messages import numbers
from bot.records.stats import Stats
from bot.retries.messages.answers import denied, help_text
from bot.retries.messages.job import kind_of, retry_button
from bot.retries.messages.retry import outcome_of
from bot.retries.store import Retry
from bot.sift.job import Job
from bot.slack.blocks import Block, actions, date, section
from bot.slack.client import Message

REVOKE_GRANT, ADD_GRANT, OPEN_AUDIT, OPEN_STATS = "revoke_grant", "add_grant", "open_audit", "open_stats"
"""The action IDs of the Home tab's buttons; a revoke's value is `grant number subject`."""


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


def home_view(seen: Seen) -> dict[str, Any]:
    """The whole tab: at most a hundred blocks, since each list is bounded."""
    blocks = [
        section(_standing(seen)),
        *_part("Failures waiting", [_waiting(job) for job in seen.waiting]),
        *_part("Retries under way", [section(_retry(retry, named=True)) for retry in seen.under_way]),
        *_part("Your last requests", [section(_retry(retry)) for retry in seen.own]),
        *(
            _part("Lately", [dict(block) for block in numbers(seen.stats, {}).blocks])
            if seen.stats and seen.stats.total
            else []
        ),
        *_audit(seen.entries),
        *_access(seen.grants, seen.at),
        {"type": "divider"},
        *help_text().blocks,
    ]
    return {"type": "home", "blocks": blocks}


def _standing(seen: Seen) -> str:
    decision = seen.decision
    if decision.why is Why.ADMINS_SETTING:
        return ":large_green_circle: You are an admin: you may retry jobs, read the audit and grant access."
    if decision.allowed and decision.grant is not None:
        until = decision.grant.expires_at
        ends = f" until {date(until)}" if until else ""
        may = {"auditor": "read the audit", "admin": "retry jobs, read the audit and grant access"}
        role = decision.grant.role.value
        return f":large_green_circle: You may {may.get(role, 'retry jobs')} as {role}{ends}."
    refusal: Message = denied({**decision.explained(seen.at), "ask": list(seen.admins)}, "retry jobs")
    return refusal.text.replace(":no_entry:", ":red_circle:")


def _part(title: str, lines: Sequence[Block]) -> list[Block]:
    return [{"type": "divider"}, section(f"*{title}*"), *lines] if lines else []


def _waiting(job: Job) -> Block:
    when = f" · failed {date(job.completed_date, 'time')}" if job.completed_date else ""
    return {**section(f":x: {kind_of(job).capitalize()} `{job.job_id}`{when}"), "accessory": retry_button(job)}


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
    buttons = actions([_button("Search the audit", OPEN_AUDIT, "all"), _button("Statistics", OPEN_STATS, "30d")])
    return [{"type": "divider"}, section("*The audit's latest entries*"), section("\n".join(lines) or "None."), buttons]


def _access(grants: Sequence[Grant] | None, at: datetime) -> list[Block]:
    if grants is None:
        return []
    lines = [{**section(line(grant, at)), "accessory": _revoke(grant)} for grant in grants]
    add = actions([_button("Add…", ADD_GRANT, "add")])
    return [{"type": "divider"}, section("*The allow-list*"), *lines, add]


def _revoke(grant: Grant) -> Block:
    return {
        **_button("Revoke", REVOKE_GRANT, f"{grant.id} {grant.subject}"),
        "style": "danger",
        "confirm": {
            "title": _text("Revoke?"),
            "text": _text("They lose this access at once."),
            "confirm": _text("Revoke"),
            "deny": _text("Keep"),
        },
    }


def _button(text: str, action_id: str, value: str) -> Block:
    return {"type": "button", "action_id": action_id, "value": value, "text": _text(text)}


def _text(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}

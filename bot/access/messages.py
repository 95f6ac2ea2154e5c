"""The allow-list as people read it, what one holds of it, and what is said to who may not. Pure.

@Ann may retry jobs of type data import until 8:00 PM · by @Ada
⛔ You may not grant access as operator. Ask @Ada to do it, or for more access.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.access.holding import Holding, idle_of_each
from bot.access.policy import Grant, Permission, Role, Terms, Typed
from bot.base.clock import say_duration
from bot.slack.blocks import counted, date, escape, foreign, listing, mention, say_type, section
from bot.slack.message import Message

WHAT = {Role.OPERATOR: "may retry jobs", Role.AUDITOR: "may read the audit", Role.ADMIN: "may do everything"}
"""What somebody of each role may do, said of them."""

BY_SETTING = f"{WHAT[Role.ADMIN]}, by the `ADMINS` setting"
"""What is said of who is an admin by the setting."""


def allow_list(grants: Sequence[Grant], admins: Collection[str], at: datetime) -> Message:
    """Everybody who may do anything, as many as fit; what one user or group holds stands together."""
    lines = [f"{mention(user)} {BY_SETTING}" for user in sorted(admins)]
    idle = idle_of_each(grants, at)
    by_subject: dict[str, list[Grant]] = {}
    for one in grants:
        by_subject.setdefault(one.subject, []).append(one)
    for same in by_subject.values():
        lines += [line(one, at, one.id in idle) for one in sorted(same, key=lambda one: (one.id in idle, one.id))]
    title = "The allow-list"
    if not lines:
        return Message(title, [section("The allow-list is empty: nobody may do anything.")])
    shown = [section("\n".join(lines[start : start + 10])) for start in range(0, min(len(lines), 400), 10)]
    more = [section(f"… and {len(lines) - 400} more: `sift-retry access list`.")] if len(lines) > 400 else []
    return Message(title, [section(f"*{title}*"), *shown, *more])


def line(grant: Grant, at: datetime, idle: bool = False) -> str:
    """Returns one grant in one line.

    Args:
        idle: whether it adds nothing to what the same user or group holds.
    """
    ends = until(grant) if grant.holds(at) or not grant.expires_at else f", *expired* {date(grant.expires_at)}"
    beside = ", which adds nothing to another grant" if idle else ""
    by = f" · by {_granter(grant.granted_by)}"
    why = f" · {foreign(grant.reason, 100)}" if grant.reason else ""
    return f"{mention(grant.subject)} {WHAT[grant.role]}{scope(grant)}{ends}{beside}{by}{why}"


def _granter(by: str) -> str:
    return mention(by) if by[:1] in "UW" else f"`{foreign(by)}`"


def scope(grant: Terms) -> str:
    """Returns to what a grant is limited, to follow what it allows; nothing where it is not."""
    kinds = f" of type {listing((say_type(name) for name in sorted(grant.job_types)), 'or')}" if grant.job_types else ""
    places = f" in {listing((f'<#{one}>' for one in sorted(grant.channels)), 'or')}" if grant.channels else ""
    return kinds + places


def until(grant: Terms) -> str:
    """Returns until when a grant holds, to follow that; nothing where it is for ever."""
    return f" until {date(grant.expires_at)}" if grant.expires_at else ""


def through(grant: Grant) -> str:
    """Returns the user group that somebody holds a grant by, to follow that; nothing for a grant of their own."""
    return f" through {mention(grant.subject)}" if grant.subject.startswith("S") else ""


_YOURS = {
    Role.OPERATOR: "retry jobs",
    Role.AUDITOR: "read the audit",
    Role.ADMIN: "retry jobs, read the audit and grant access",
}


def standing(held: Holding) -> str:
    """Returns what somebody may do altogether, said to them.

    Args:
        held: what they hold, which is not nothing.
    """
    if held.by_setting:
        return "You are an admin: you may retry jobs, read the audit and grant access."
    may = [f"{_YOURS[one.role]}{scope(one)} as {one.role.value}{until(one)}{through(one)}" for one in held.grants]
    return f"You may {may[0]}." if len(may) == 1 else "\n".join(["You may", *(f"• {one}" for one in may)])


def guest_standing(ask: Sequence[str]) -> str:
    """Returns how a guest gets access, said in their Home tab.

    Args:
        ask: the admins to turn to: users and groups.
    """
    return (
        f"You may not retry jobs: guests may not, whatever they were granted. {_as_full_member(ask)} "
        "Until then, ask somebody who may to retry a job for you."
    )


def _as_full_member(ask: Sequence[str]) -> str:
    admins = listing([mention(subject) for subject in ask][:10], "or") if ask else "whoever runs this bot"
    return (
        f"To get access, ask an owner of this workspace to make you a full member; then {admins} can grant you access."
    )


REVOKE_GRANT, ADD_GRANT = "revoke_grant", "add_grant"
"""The action IDs of the Home tab's buttons; a revoke's value is `grant number subject`."""


def denied(detail: Mapping[str, Any], doing: str) -> Message:
    """Why somebody may not do what they asked for, and whom to ask.

    Args:
        detail: `Decision.explained`, and in `ask` the admins to turn to.
        doing: what they may not do, such as `look at jobs`.

    Returns:
        What is said to them alone.
    """
    text = f":no_entry: {denial(detail, doing)}\n{whom_to_ask(detail)}".strip()
    return Message(text, [section(text)])


def denial(detail: Mapping[str, Any], doing: str) -> str:
    """Returns the sentence that says why somebody may not; arguments as of `denied`."""
    why = str(detail.get("why"))
    return _DENIED.get(why, "You may not {doing}.").format_map(_Told(detail, doing))


class _Told(dict[str, Any]):
    """Fills a sentence from a row's detail; what is missing stays blank."""

    def __init__(self, detail: Mapping[str, Any], doing: str) -> None:
        expired = detail.get("expired_seconds")
        super().__init__(
            doing=doing,
            ago=say_duration(timedelta(seconds=int(expired))) if expired is not None else "some time",
            job_types=listing(say_type(name) + "s" for name in detail.get("job_types", [])),
            channels=listing(f"<#{channel}>" for channel in detail.get("channels", [])),
            as_role=f" as {escape(str(detail['role']))}" if detail.get("role") else "",
        )

    def __missing__(self, key: str) -> str:
        return ""


_DENIED = {
    "not_listed": "You may not {doing}: you are not on the allow-list.",
    "expired": "You may not {doing}: your grant expired {ago} ago.",
    "other_role": "You may not {doing}{as_role}.",
    "other_channel": "You may not {doing} here: your grant is only for {channels}.",
    "other_job_type": "You may not {doing} of this kind: your grant is only for {job_types}.",
    "groups_unknown": "You may not {doing}: Slack could not say just now which user groups you are in.",
    "unknown_person": "You may not {doing}: Slack could not say just now who you are.",
    "other_workspace": "You may not {doing}: only people of this workspace may.",
    "deactivated": "You may not {doing}: your account is deactivated.",
    "is_bot": "Bots may not {doing}.",
    "approval_expired": "Nobody else approved your retry in time.",
    "approval_declined": "Somebody declined your retry.",
    "approval_needed": "This job was retried before, so a second person has to approve: retry it alone.",
    "is_guest": "You may not {doing}: guests may not, whatever they were granted.",
}


def whom_to_ask(detail: Mapping[str, Any]) -> str:
    """Returns the sentence that says what to do next; empty where nothing helps."""
    if detail.get("why") in ("is_bot", "other_workspace", "deactivated"):
        return ""
    if detail.get("why") == "is_guest":
        return _as_full_member(detail.get("ask", []))
    if str(detail.get("why")).startswith("approval_"):
        return "Retry it to ask again."
    admins = [mention(subject) for subject in detail.get("ask", [])][:10]
    if not admins:
        return "Nobody can grant access yet: whoever runs this bot has to set ADMINS or use `sift-retry access grant`."
    to_do_what = "to do it, or for more access" if detail.get("why") == "other_role" else "for access"
    return f"Ask {listing(admins, 'or')} {to_do_what}."


def too_many(seconds: int, per_minute: int) -> Message:
    """Said to somebody of whom as much was recorded in this minute as may be."""
    text = (
        f":hourglass: That was more than {counted(per_minute, 'request')} within a minute, so it was not taken. "
        f"Nothing was sent to Sift, nothing was changed. Try again in {say_duration(timedelta(seconds=seconds))}."
    )
    return Message(text, [section(text)])


HELP = (
    Typed("access", "shows who has access", Permission.READ_AUDIT),
    Typed("allow @user|@group [role] [for 8h] [because …]", "grants access; `revoke @user` ends it", Permission.GRANT),
)
"""What can be typed of access."""

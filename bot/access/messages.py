"""The allow-list as people read it, and what became of a change to it. Pure.

✅ @Ann may retry jobs of type data import until 8:00 PM.
⛔ You may not grant access: your role is operator, which does not allow it. Ask @Ada for access.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.access.policy import Grant, Role
from bot.base.clock import say_duration
from bot.slack.blocks import (
    counted,
    date,
    escape,
    foreign,
    input_,
    listing,
    mention,
    modal,
    multi_select,
    option,
    plain,
    say_type,
    section,
    select,
    text_input,
)
from bot.slack.message import Block, Message, View

_WHAT = {Role.OPERATOR: "may retry jobs", Role.AUDITOR: "may read the audit", Role.ADMIN: "may do everything"}
_UNFIT = {
    "is_guest": "guests may not be granted anything",
    "is_bot": "bots may not be granted anything",
    "deactivated": "the account is deactivated",
    "other_workspace": "only people of this workspace may be granted anything",
    "unknown_person": "Slack could not say who that is",
    "unknown_group": "Slack could not say who is in that user group",
    "other_role": "that role is more than you hold yourself",
    "other_job_type": "your own grant is for some job types only",
    "other_channel": "your own grant is for some channels only",
    "longer": "your own grant ends before that",
    "more_than_held": "that grant is more than you hold yourself",
    "last_admin": "that would leave nobody who can grant access; make somebody else an admin first",
}


def granted(grant: Grant) -> Message:
    """Said to whoever granted."""
    text = f":white_check_mark: {mention(grant.subject)} {_WHAT[grant.role]}{_scope(grant)}{_until(grant)}."
    return Message(text, [section(text), *_because(grant)])


def not_granted(subject: str, why: str, held: Grant | None) -> Message:
    """Said when a grant was refused though the person may grant."""
    hint = ""
    if why == "longer" and held is not None and held.expires_at is not None:
        hint = f" Yours ends {date(held.expires_at)}: add `for …` with less time."
    text = f":no_entry: {mention(subject)} was granted nothing: {_UNFIT.get(why, why)}.{hint} Nothing was changed."
    return Message(text, [section(text)])


def revoked(subject: str, ended: Sequence[Grant]) -> Message:
    """Said to whoever revoked."""
    roles = listing(sorted({grant.role.value for grant in ended}))
    text = f":white_check_mark: {mention(subject)} is no longer {roles}. Buttons they still see will refuse them."
    return Message(text, [section(text)])


def not_revoked(subject: str, why: str) -> Message:
    """Said when a grant cannot be ended from Slack."""
    text = f":no_entry: {mention(subject)} keeps their access: {_UNFIT.get(why, why)}. Nothing was changed."
    return Message(text, [section(text)])


def nothing_to_revoke(subject: str) -> Message:
    """Said when somebody is not listed."""
    text = f":information_source: {mention(subject)} is not on the allow-list. Nothing was changed."
    return Message(text, [section(text)])


def slack_silent() -> Message:
    """Said when Slack takes too long to say who people are."""
    text = ":warning: Slack could not say in time who you or they are. Nothing was changed; try again in a moment."
    return Message(text, [section(text)])


def allow_list(grants: Sequence[Grant], admins: Collection[str], at: datetime) -> Message:
    """Everybody who may do anything, as many as fit."""
    lines = [f"{mention(user)} {_WHAT[Role.ADMIN]}, by the `ADMINS` setting" for user in sorted(admins)]
    lines += [line(grant, at) for grant in grants]
    title = "The allow-list"
    if not lines:
        return Message(title, [section("The allow-list is empty: nobody may do anything.")])
    shown = [section("\n".join(lines[start : start + 10])) for start in range(0, min(len(lines), 400), 10)]
    more = [section(f"… and {len(lines) - 400} more: `sift-retry access list`.")] if len(lines) > 400 else []
    return Message(title, [section(f"*{title}*"), *shown, *more])


def line(grant: Grant, at: datetime) -> str:
    """One grant in one line."""
    until = _until(grant) if grant.holds(at) or not grant.expires_at else f", *expired* {date(grant.expires_at)}"
    by = f" · by {_granter(grant.granted_by)}"
    why = f" · {foreign(grant.reason, 100)}" if grant.reason else ""
    return f"{mention(grant.subject)} {_WHAT[grant.role]}{_scope(grant)}{until}{by}{why}"


def _granter(by: str) -> str:
    return mention(by) if by[:1] in "UW" else f"`{foreign(by)}`"


def _scope(grant: Grant) -> str:
    kinds = f" of type {listing((say_type(name) for name in sorted(grant.job_types)), 'or')}" if grant.job_types else ""
    places = f" in {listing((f'<#{one}>' for one in sorted(grant.channels)), 'or')}" if grant.channels else ""
    return kinds + places


def _until(grant: Grant) -> str:
    return f" until {date(grant.expires_at)}" if grant.expires_at else ""


def _because(grant: Grant) -> list[Block]:
    return [plain(f"Because: {grant.reason}")] if grant.reason else []


GRANT_TITLE = "Grant access"

REVOKE_GRANT, ADD_GRANT = "revoke_grant", "add_grant"
"""The action IDs of the Home tab's buttons; a revoke's value is `grant number subject`."""

GRANT_VIEW = "grant_view"
"""The callback ID of the modal that adds to the allow-list."""

_TIMES = (("4h", "4 hours"), ("8h", "8 hours"), ("1d", "a day"), ("7d", "a week"), ("30d", "30 days"))


def grant_view(groups: Sequence[tuple[str, str]], job_types: Sequence[str]) -> View:
    """Asks whom to grant what.

    Args:
        groups: the workspace's user groups, as (ID, handle); the first hundred are offered.
        job_types: as in a grant, such as `data_import`.
    """
    roles = [option(f"{role.value}: {_WHAT[role]}", role.value) for role in Role]
    types = [option(name.replace("_", " "), name) for name in job_types]
    times = [option(text, time) for time, text in _TIMES]
    named = [option(f"@{handle}", group_id) for group_id, handle in groups]
    blocks = [
        input_("user", "Person", {"type": "users_select"}),
        *([input_("group", "or user group", select(named))] if named else []),
        input_("role", "Role", select(roles, roles[0])),
        input_("job_types", "Only jobs of type", multi_select(types)),
        input_("channels", "Only in channels", {"type": "multi_conversations_select"}),
        input_("for", "For how long", select(times)),
        input_("reason", "Because", text_input(500)),
    ]
    return modal(GRANT_TITLE, blocks, submit="Grant", callback_id=GRANT_VIEW)


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
            role=escape(str(detail.get("role", ""))),
        )

    def __missing__(self, key: str) -> str:
        return ""


_DENIED = {
    "not_listed": "You may not {doing}: you are not on the allow-list.",
    "expired": "You may not {doing}: your grant expired {ago} ago.",
    "other_role": "You may not {doing}: your role is {role}, which does not allow it.",
    "other_channel": "You may not {doing} here: your grant is only for {channels}.",
    "other_job_type": "You may not {doing} of this kind: your grant is only for {job_types}.",
    "groups_unknown": "You may not {doing}: Slack could not say just now which user groups you are in.",
    "unknown_person": "You may not {doing}: Slack could not say just now who you are.",
    "other_workspace": "You may not {doing}: only people of this workspace may.",
    "deactivated": "You may not {doing}: your account is deactivated.",
    "is_bot": "Bots may not {doing}.",
    "approval_expired": "Nobody else approved your retry in time.",
    "approval_needed": "This job was retried before, so a second person has to approve: retry it alone.",
    "is_guest": "You may not {doing}: guests may not, whatever they were granted.",
}


def whom_to_ask(detail: Mapping[str, Any]) -> str:
    """Returns the sentence that says what to do next; empty where nothing helps."""
    if detail.get("why") in ("is_guest", "is_bot", "other_workspace", "deactivated"):
        return ""
    if str(detail.get("why")).startswith("approval_"):
        return "Retry it to ask again."
    admins = [mention(subject) for subject in detail.get("ask", [])][:10]
    if not admins:
        return "Nobody can grant access yet: whoever runs this bot has to set ADMINS or use `sift-retry access grant`."
    return f"Ask {listing(admins, 'or')} for access."


def too_many(seconds: int, per_minute: int) -> Message:
    """Said to somebody of whom as much was recorded in this minute as may be."""
    text = (
        f":hourglass: That was more than {counted(per_minute, 'request')} within a minute, so it was not taken. "
        f"Nothing was sent to Sift, nothing was changed. Try again in {say_duration(timedelta(seconds=seconds))}."
    )
    return Message(text, [section(text)])


HELP = (("allow @user|@group [role] [for 8h] [because …]", "grants access; `revoke @user` ends it, `access` lists it"),)
"""What can be typed of access, and what it does."""

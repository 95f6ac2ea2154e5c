"""What Slack sends of grants: whom to grant what, and which grant to end. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.access import modal
from bot.access.answers import KEEP_GRANTS, REPLACE_GRANTS
from bot.access.messages import ADD_GRANT, REVOKE_GRANT
from bot.access.policy import Role
from bot.base.clock import parse_duration
from bot.base.text import reason_of
from bot.slack.payloads import Malformed, chosen_in, input_of, inputs_of, text_of, text_or_none, value_of


@dataclass(frozen=True, kw_only=True)
class GrantWanted:
    """What somebody wants to add to the allow-list; empty job types or channels mean the granter's own."""

    subject: str
    role: str
    duration: timedelta | None = None
    job_types: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    reason: str | None = None


def grant_of_click(body: Mapping[str, Any]) -> tuple[int, str]:
    """The grant of a Revoke, Replace or Keep button: its number and its subject."""
    number, _, subject = value_of(body).partition(" ")
    if not number.isdecimal() or not subject:
        raise Malformed
    return int(number), subject


def from_grant_view(body: Mapping[str, Any]) -> GrantWanted | dict[str, str]:
    """Returns what the submitted modal of a grant asks for, or what is wrong with it, by the name of the field."""
    inputs = inputs_of(body)
    named = [text_or_none(input_of(inputs, "user"), "selected_user"), chosen_in(inputs, "group")]
    subjects = [one for one in named if one is not None]
    if len(subjects) != 1:
        return modal.two_named() if subjects else modal.nobody_named()
    types = input_of(inputs, "job_types").get("selected_options")
    channels = input_of(inputs, "channels").get("selected_conversations")
    return GrantWanted(
        subject=subjects[0],
        role=_role(chosen_in(inputs, "role") or Role.OPERATOR),
        duration=_duration(chosen_in(inputs, "for")),
        job_types=frozenset(text_of(one, "value") for one in types) if isinstance(types, list) else frozenset(),
        channels=frozenset(str(one) for one in channels) if isinstance(channels, list) else frozenset(),
        reason=reason_of(text_or_none(input_of(inputs, "reason"), "value")),
    )


def _role(name: str) -> str:
    if name not in set(Role):
        raise Malformed
    return name


def _duration(given: str | None) -> timedelta | None:
    try:
        return parse_duration(given) if given else None
    except ValueError:
        raise Malformed from None


_ACTIONS = {ADD_GRANT, REVOKE_GRANT, REPLACE_GRANTS, KEEP_GRANTS}
_WORDS = re.compile(r"(?:<@[^>]*>\s*)?(?:allow|revoke|access)\b", re.IGNORECASE)


def concerns_access(body: Mapping[str, Any]) -> bool:
    """Whether a request, whatever came of it, is about the allow-list."""
    if body.get("type") == "view_submission":
        view = body.get("view")
        return text_or_none(view, "callback_id") == modal.GRANT_VIEW
    actions = body.get("actions")
    if isinstance(actions, list) and actions:
        return text_or_none(actions[0], "action_id") in _ACTIONS
    typed = text_or_none(body, "text") or text_or_none(body.get("event"), "text") or ""
    return _WORDS.match(typed.strip()) is not None

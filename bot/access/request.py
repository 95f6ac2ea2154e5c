"""What Slack sends of grants: whom to grant what, and which grant to end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.base.clock import parse_duration
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
    """The grant of a Revoke button: its number and its subject."""
    number, _, subject = value_of(body).partition(" ")
    if not number.isdecimal() or not subject:
        raise Malformed
    return int(number), subject


def from_grant_view(body: Mapping[str, Any]) -> GrantWanted | None:
    """The submitted modal of a grant; None if it names nobody."""
    inputs = inputs_of(body)
    subject = text_or_none(input_of(inputs, "user"), "selected_user") or chosen_in(inputs, "group")
    if subject is None:
        return None
    types = input_of(inputs, "job_types").get("selected_options")
    channels = input_of(inputs, "channels").get("selected_conversations")
    duration = chosen_in(inputs, "for")
    return GrantWanted(
        subject=subject,
        role=chosen_in(inputs, "role") or "operator",
        duration=parse_duration(duration) if duration else None,
        job_types=frozenset(text_of(one, "value") for one in types) if isinstance(types, list) else frozenset(),
        channels=frozenset(str(one) for one in channels) if isinstance(channels, list) else frozenset(),
        reason=text_or_none(input_of(inputs, "reason"), "value"),
    )

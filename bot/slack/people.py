"""Who somebody is, and who is in a user group, as Slack describes them now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody as Slack describes them now; the e-mail address only if the app was given `users:read.email`."""

    team_id: str
    user_id: str
    name: str
    email: str | None = None
    deleted: bool = False
    is_bot: bool = False
    is_guest: bool = False
    is_stranger: bool = False


PERSON_SECONDS = 30
"""How long a person's standing (guest, deactivated, …) may be remembered."""

MEMBERS_SECONDS = 60
"""How long a user group's members may be remembered: `usergroups.users.list` allows about 20 calls a minute."""

LOOK_UP_SECONDS = 5.0
"""The same for looking up a person or a group, which decisions wait for."""


def _person(user: Mapping[str, Any], user_id: str, team_id: str) -> Person:
    profile = user.get("profile")
    profile = profile if isinstance(profile, Mapping) else {}
    return Person(
        team_id=user.get("team_id") or team_id,
        user_id=user_id,
        email=profile.get("email") or None,
        name=profile.get("display_name") or profile.get("real_name") or user.get("real_name") or user.get("name") or "",
        deleted=bool(user.get("deleted")),
        is_bot=bool(user.get("is_bot")) or user_id == "USLACKBOT",
        is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        is_stranger=bool(user.get("is_stranger")),
    )

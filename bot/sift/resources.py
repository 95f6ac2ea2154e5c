"""What jobs are about and by: runs, assets, rules, users, as frozen values.

Source: Sift's protobuf messages (`sift.runs.v2`, `sift.assets.v1`, `sift.rules.v1`, `sift.common.type.v1`, PyPI
sift-stack-py).
"""

from typing import Annotated, Any

from pydantic import BeforeValidator

from bot.sift.value import Moment, Name, Text, Texts, Value, clean_text

MAX_ASSETS = 100
"""Assets of one run that are read."""


def _first(value: Any) -> Any:
    return value[:MAX_ASSETS] if isinstance(value, list | tuple) else ()


class Run(Value):
    """A stretch of time in which assets were tested."""

    run_id: Text = ""
    name: Name = ""
    start_time: Moment = None
    stop_time: Moment = None
    created_date: Moment = None
    asset_ids: Annotated[Texts, BeforeValidator(_first)] = ()


class Asset(Value):
    """A vehicle, a stand: what is tested."""

    asset_id: Text = ""
    name: Name = ""


class Rule(Value):
    """What is checked of the data."""

    rule_id: Text = ""
    name: Name = ""


class User(Value):
    """Somebody who uses Sift."""

    user_id: Text = ""
    user_name: Name = ""
    """Often an e-mail address."""


MAX_PERMISSIONS = 500
"""Names of permissions that are read."""


def _names(value: Any) -> tuple[str, ...]:
    """The permissions of a key's user, by name, whatever the organization; none where the shape is another."""
    by_organization = value.get("organizationPermissionResources") if isinstance(value, dict) else None
    found = [one.get("permissionResources") for one in _values(by_organization)]
    return tuple(sorted({clean_text(name) for names in found if isinstance(names, dict) for name in names}))[
        :MAX_PERMISSIONS
    ]


def _values(value: Any) -> list[dict[str, Any]]:
    return [one for one in value.values() if isinstance(one, dict)] if isinstance(value, dict) else []


class KeyUser(Value):
    """Whose key the bot has, and what they may (`sift.me.v2.GetMeResponse`)."""

    user_id: Text = ""
    user_email: Name = ""
    is_admin: bool = False
    permissions: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()

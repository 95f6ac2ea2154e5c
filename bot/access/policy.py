"""Who may do what: a pure decision over facts. Default deny."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from bot.slack.people import Person

SUBJECT = re.compile(r"[UWS][A-Z0-9]+")
"""A Slack user ID (U…, W…) or user-group ID (S…)."""


class Role(StrEnum):
    """What a grant allows."""

    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Permission(StrEnum):
    """What somebody wants to do."""

    LOOK = "look"
    RETRY = "retry"
    READ_AUDIT = "read_audit"
    GRANT = "grant"
    OVERRIDE = "override"


class Typed(NamedTuple):
    """Words that can be typed after the command, what they do, and what somebody has to be allowed for that."""

    words: str
    what: str
    right: Permission


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OPERATOR: frozenset({Permission.LOOK, Permission.RETRY}),
    Role.AUDITOR: frozenset({Permission.LOOK, Permission.READ_AUDIT}),
    Role.ADMIN: frozenset(Permission),
}


ANYWHERE = "*"
"""The channel of a request that no channel limits, such as one in the Home tab."""


class Reason(StrEnum):
    """The reason of a decision; the presenter turns it into a sentence."""

    GRANTED = "granted"
    ADMINS_SETTING = "admins_setting"
    UNKNOWN_PERSON = "unknown_person"
    OTHER_WORKSPACE = "other_workspace"
    DEACTIVATED = "deactivated"
    IS_BOT = "is_bot"
    IS_GUEST = "is_guest"
    GROUPS_UNKNOWN = "groups_unknown"
    OTHER_JOB_TYPE = "other_job_type"
    OTHER_CHANNEL = "other_channel"
    EXPIRED = "expired"
    LONGER = "longer"
    OTHER_ROLE = "other_role"
    NOT_LISTED = "not_listed"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How much a grant allows; no job types or channels mean all of them, no expiry means for ever."""

    role: Role
    job_types: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    expires_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it has not expired by then."""
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, kw_only=True)
class Grant(Terms):
    """A line of the allow-list that is not revoked."""

    id: int
    subject: str
    granted_by: str
    team_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class AccessRequest:
    """What somebody wants to do, where, and when; `job_type` is None while it is not known yet."""

    right: Permission
    workspace: str
    at: datetime
    channel_id: str | None = None
    job_type: str | None = None


@dataclass(frozen=True)
class Decision:
    """Yes or no, why, the grant that decided it, and the user groups it went by."""

    allowed: bool
    why: Reason
    grant: Grant | None = None
    groups: frozenset[str] | None = frozenset()

    def explained(self, at: datetime) -> dict[str, object]:
        """The reason and the grant behind it, as facts for the audit and the presenter."""
        if self.grant is None:
            return {"why": self.why.value}
        facts: dict[str, object] = {
            "why": self.why.value,
            "grant_id": self.grant.id,
            "role": self.grant.role.value,
            "job_types": sorted(self.grant.job_types),
            "channels": sorted(self.grant.channels),
        }
        if self.why is Reason.EXPIRED and self.grant.expires_at is not None:
            facts["expired_seconds"] = int((at - self.grant.expires_at).total_seconds())
        return facts


def decide(
    request: AccessRequest,
    person: Person | None,
    grants: Iterable[Grant],
    *,
    admins: Collection[str] = (),
    groups: frozenset[str] | None = frozenset(),
) -> Decision:
    """Decides one request.

    Args:
        request: what somebody wants to do.
        person: who wants it; None if Slack cannot say.
        grants: those of the person and of any user group.
        admins: users that are admins by the `ADMINS` setting.
        groups: the user groups the person is in; None if Slack cannot say.

    Returns:
        Yes with the oldest grant that allows it, or no with the reason of the grant that comes nearest.
    """
    refusal = refused_as(person, request.workspace)
    if person is None or refusal is not None:
        return Decision(False, refusal or Reason.UNKNOWN_PERSON, groups=groups)
    if person.user_id in admins:
        return Decision(True, Reason.ADMINS_SETTING, groups=groups)
    best = Decision(False, Reason.NOT_LISTED, groups=groups)
    for grant in sorted(grants, key=lambda grant: grant.id):
        why = _fits(grant, request, person, groups)
        if why is Reason.GRANTED:
            return Decision(True, why, grant, groups)
        if why is not None and _NEARNESS[why] > _NEARNESS[best.why]:
            best = Decision(False, why, grant, groups)
    return best


def who_may(request: AccessRequest, grants: Iterable[Grant], admins: Collection[str] = ()) -> list[str]:
    """Returns the users and user groups that may do something by the allow-list, those of the oldest grants first."""
    ours = (grant for grant in grants if grant.team_id in (None, request.workspace))
    named = [grant.subject for grant in ours if _covers(grant, request) is Reason.GRANTED]
    return list(dict.fromkeys([*named, *sorted(admins)]))


def decide_anywhere(
    request: AccessRequest,
    person: Person | None,
    grants: Collection[Grant],
    terms: Terms | None = None,
    *,
    admins: Collection[str] = (),
    groups: frozenset[str] | None = frozenset(),
) -> Decision:
    """Decides whether somebody may change the allow-list: nobody may give, or take, more than they hold.

    The scope of a grant limits what its holder may grant, not where they say so.

    Args:
        terms: what is to be granted or revoked; None if that is not known yet.
    """
    decision = decide(request, person, [_anywhere(grant) for grant in grants], admins=admins, groups=groups)
    if not decision.allowed or decision.why is Reason.ADMINS_SETTING:
        return decision
    held = [grant for grant in grants if decide(request, person, [_anywhere(grant)], groups=groups).allowed]
    missed = [(grant, exceeded(grant, terms) if terms else None) for grant in sorted(held, key=lambda grant: grant.id)]
    for grant, excess in missed:
        if excess is None:
            return Decision(True, Reason.GRANTED, grant, groups)
    grant, excess = missed[-1]
    return Decision(False, excess or Reason.NOT_LISTED, grant, groups)


def exceeded(held: Terms, wanted: Terms) -> Reason | None:
    """In what the terms wanted go beyond those held; None if they do not."""
    if not PERMISSIONS[wanted.role] <= PERMISSIONS[held.role]:
        return Reason.OTHER_ROLE
    if held.channels and not (wanted.channels and wanted.channels <= held.channels):
        return Reason.OTHER_CHANNEL
    if held.job_types and not (wanted.job_types and wanted.job_types <= held.job_types):
        return Reason.OTHER_JOB_TYPE
    if held.expires_at is not None and (wanted.expires_at is None or wanted.expires_at > held.expires_at):
        return Reason.LONGER
    return None


def _anywhere(grant: Grant) -> Grant:
    return replace(grant, job_types=frozenset(), channels=frozenset())


WHATEVER_IS_GRANTED = frozenset(
    {Reason.UNKNOWN_PERSON, Reason.OTHER_WORKSPACE, Reason.DEACTIVATED, Reason.IS_BOT, Reason.IS_GUEST}
)
"""Reasons that no grant outweighs."""


def refused_as(person: Person | None, workspace: str) -> Reason | None:
    """Why somebody is refused whatever the allow-list says."""
    if person is None:
        return Reason.UNKNOWN_PERSON
    if person.is_stranger or person.team_id != workspace:
        return Reason.OTHER_WORKSPACE
    if person.deleted:
        return Reason.DEACTIVATED
    if person.is_bot:
        return Reason.IS_BOT
    return Reason.IS_GUEST if person.is_guest else None


# Of several grants that all say no, the one that misses by the least explains it.
_NEARNESS = {
    Reason.NOT_LISTED: 0,
    Reason.GROUPS_UNKNOWN: 1,
    Reason.OTHER_ROLE: 2,
    Reason.EXPIRED: 3,
    Reason.OTHER_CHANNEL: 4,
    Reason.OTHER_JOB_TYPE: 5,
}


def _fits(grant: Grant, request: AccessRequest, person: Person, groups: frozenset[str] | None) -> Reason | None:
    """Why a grant allows a request or does not; None if it is somebody else's."""
    if grant.team_id not in (None, request.workspace):
        return None
    if grant.subject != person.user_id:
        if not grant.subject.startswith("S"):
            return None
        if groups is None:
            return Reason.GROUPS_UNKNOWN
        if grant.subject not in groups:
            return None
    return _covers(grant, request)


def _covers(grant: Grant, request: AccessRequest) -> Reason:
    """Whether a grant allows its own user or group a request, or why not."""
    if request.right not in PERMISSIONS[grant.role]:
        return Reason.OTHER_ROLE
    if not grant.holds(request.at):
        return Reason.EXPIRED
    if grant.channels and request.channel_id not in {*grant.channels, ANYWHERE}:
        return Reason.OTHER_CHANNEL
    if grant.job_types and request.job_type is not None and request.job_type not in grant.job_types:
        return Reason.OTHER_JOB_TYPE
    return Reason.GRANTED

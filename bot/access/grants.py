"""The allow-list: grants are added, revoked, listed and looked up; none is ever deleted."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, text, update

from bot.access.policy import Grant, Role, Terms
from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.clock import rfc3339
from bot.base.errors import NoSuchGrant
from bot.base.requester import Actor, Source
from bot.db.columns import one_of
from bot.db.tables import audit as entries
from bot.db.tables import grants

_LISTED = grants.c.revoked_at.is_(None)
_CONCERNING = select(grants).where(
    _LISTED, or_(grants.c.subject == bindparam("b_user"), grants.c.subject.startswith("S"))
)
_ENTRIES = select(entries.c.user_id, entries.c.outcome, entries.c.at).where(
    text(one_of("event", ("grant", "revoke"))),  # as the index over the entries of grants has it
    entries.c.event == Event.GRANT.value,
    entries.c.grant_id == bindparam("b_number"),
)


@dataclass(frozen=True, kw_only=True)
class NewGrant(Terms):
    """A line to be added to the allow-list; empty job types or channels mean all of them."""

    subject: str
    granted_by: str
    reason: str | None = None
    delivery_key: str | None = None


def grant(connection: Connection, new: NewGrant, at: datetime, made_by: Actor | None = None) -> int:
    """Adds a grant and its audit entry; returns its number.

    Args:
        made_by: who does it and from where; the command line by default.
    """
    number: int = connection.execute(
        insert(grants)
        .values(
            subject=new.subject,
            role=new.role.value,
            job_types=_array(new.job_types),
            channels=_array(new.channels),
            expires_at=new.expires_at,
            reason=new.reason,
            granted_by=new.granted_by,
            granted_at=at,
            delivery_key=new.delivery_key,
        )
        .returning(grants.c.id)
    ).scalar_one()
    detail = {
        "subject": new.subject,
        "role": new.role.value,
        "job_types": sorted(new.job_types),
        "channels": sorted(new.channels),
        "expires_at": rfc3339(new.expires_at) if new.expires_at else None,
    }
    _note(connection, Event.GRANT, made_by or _by_command_line(new.granted_by), number, new.reason, detail, at)
    return number


def _by_command_line(operator: str) -> Actor:
    return Actor(user_id=operator, team_id=None, source=Source.CLI)


def revoke(connection: Connection, subject: str, by: str, at: datetime) -> list[int]:
    """Revokes every grant of a user or group from the command line; returns their numbers.

    Raises:
        NoSuchGrant: there is none.
    """
    ending = [one for one in listed(connection) if one.subject == subject]
    if not ending:
        raise NoSuchGrant(subject=subject)
    end(connection, ending, at, _by_command_line(by))
    return [one.id for one in ending]


def end(connection: Connection, ending: Iterable[Grant], at: datetime, made_by: Actor) -> None:
    """Revokes grants, with an audit entry each."""
    for one in ending:
        ended = update(grants).where(grants.c.id == one.id, _LISTED)
        connection.execute(ended.values(revoked_by=made_by.user_id, revoked_at=at))
        _note(connection, Event.REVOKE, made_by, one.id, None, {"subject": one.subject, "role": one.role.value}, at)


def note_choice(
    connection: Connection, grant: Grant, choice: str, older: Iterable[Grant], made_by: Actor, at: datetime
) -> None:
    """Records what becomes of older grants beside which a new one adds nothing.

    Args:
        choice: the outcome of the entry.
    """
    detail = {"subject": grant.subject, "older": [one.id for one in older]}
    entry = Entry(event=Event.GRANT, outcome=choice, grant_id=grant.id, detail=detail, **made_by.columns)
    audit.append(connection, entry, at)


def chosen(connection: Connection, number: int, choices: Sequence[str]) -> Any:
    """Returns who chose what becomes of the grants older than this one (`user_id`, `outcome`, `at`); None: nobody."""
    return connection.execute(_ENTRIES.where(entries.c.outcome.in_(choices)), {"b_number": number}).first()


def last_ended(connection: Connection, subject: str, number: int | None = None) -> tuple[str, datetime] | None:
    """Returns who revoked the last grant of a user or group, or a certain one, and when; None if nobody did."""
    query = select(grants.c.revoked_by, grants.c.revoked_at).where(grants.c.subject == subject, ~_LISTED)
    if number is not None:
        query = query.where(grants.c.id == number)
    row = connection.execute(query.order_by(grants.c.revoked_at.desc()).limit(1)).first()
    return (row.revoked_by, row.revoked_at) if row else None


def delivered(connection: Connection, delivery_key: str) -> Grant | None:
    """The grant that an earlier delivery of the same request made."""
    row = connection.execute(select(grants).where(grants.c.delivery_key == delivery_key)).first()
    return _grant(row) if row else None


def numbered(connection: Connection, number: int) -> Grant:
    """One grant."""
    return _grant(connection.execute(select(grants).where(grants.c.id == number)).one())


def listed(connection: Connection) -> list[Grant]:
    """Every grant that is not revoked, the expired ones included, oldest first."""
    rows = connection.execute(select(grants).where(_LISTED).order_by(grants.c.id))
    return [_grant(row) for row in rows]


def concerning(connection: Connection, user_id: str) -> list[Grant]:
    """The grants of a user, and those of every user group: who is in one, Slack knows."""
    return [_grant(row) for row in connection.execute(_CONCERNING, {"b_user": user_id})]


def administrators(connection: Connection, at: datetime) -> list[str]:
    """The users and groups that an admin grant names now."""
    return [grant.subject for grant in listed(connection) if grant.role is Role.ADMIN and grant.holds(at)]


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        subject=row.subject,
        role=Role(row.role),
        granted_by=row.granted_by,
        team_id=row.team_id,
        job_types=frozenset(json.loads(row.job_types or "[]")),
        channels=frozenset(json.loads(row.channels or "[]")),
        expires_at=row.expires_at,
        reason=row.reason,
    )


def _array(values: frozenset[str]) -> str | None:
    return json.dumps(sorted(values)) if values else None


def _note(
    connection: Connection,
    event: Event,
    made_by: Actor,
    number: int,
    reason: str | None,
    detail: dict[str, Any],
    at: datetime,
) -> None:
    entry = Entry(event=event, grant_id=number, reason=reason, detail=detail, **made_by.columns)
    audit.append(connection, entry, at)

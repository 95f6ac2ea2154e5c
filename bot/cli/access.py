"""`sift-retry access …`: the allow-list from the command line."""

from datetime import datetime, timedelta

import click

from bot.access import grants as access_grants
from bot.access.holding import idle_of_each, older_and_covering
from bot.access.policy import Grant, Role
from bot.base.clock import rfc3339, utc_now
from bot.cli.parameters import CHANNEL, DURATION, SUBJECT
from bot.cli.session import operator, transaction
from bot.settings import JOB_TYPES


@click.group("access")
def access_group() -> None:
    """The allow-list: who may retry, read the audit, or grant."""


@access_group.command("grant")
@click.argument("user", type=SUBJECT)
@click.option("--role", type=click.Choice([role.value for role in Role]), default="operator", show_default=True)
@click.option("--for", "duration", type=DURATION, help="Until then, such as 8h; forever if left out.")
@click.option("--type", "job_types", type=click.Choice(JOB_TYPES), multiple=True, help="Only jobs of this type.")
@click.option("--channel", "channels", type=CHANNEL, multiple=True, help="Only in this channel.")
@click.option("--reason", help="Why, for the audit.")
def access_grant(
    user: str,
    role: str,
    duration: timedelta | None,
    job_types: tuple[str, ...],
    channels: tuple[str, ...],
    reason: str | None,
) -> None:
    """Adds USER, a Slack user ID or user-group ID (S…), to the allow-list."""
    now = utc_now()
    new = access_grants.NewGrant(
        subject=user,
        role=Role(role),
        granted_by=operator(),
        job_types=frozenset(job_types),
        channels=frozenset(channels),
        expires_at=now + duration if duration else None,
        reason=reason,
    )
    with transaction() as connection:
        given = access_grants.numbered(connection, access_grants.grant(connection, new, now))
        older = older_and_covering(access_grants.listed(connection), given, now)
    until = f" until {rfc3339(new.expires_at)}" if new.expires_at else ""
    click.echo(f"granted: {user} is {role}{until} (grant {given.id})")
    if older:
        said = ", ".join(f"{one.role.value} {_ends(one, now)} (grant {one.id})" for one in older)
        click.echo(f"this adds nothing: {user} holds as much or more already, and keeps it: {said}")


def _ends(grant: Grant, now: datetime) -> str:
    ends = "forever" if grant.expires_at is None else f"until {rfc3339(grant.expires_at)}"
    return ends if grant.holds(now) else f"{ends} (expired)"


@access_group.command("revoke")
@click.argument("user", type=SUBJECT)
def access_revoke(user: str) -> None:
    """Revokes every grant of USER."""
    with transaction() as connection:
        numbers = access_grants.revoke(connection, user, operator(), utc_now())
    ended = "1 grant" if len(numbers) == 1 else f"{len(numbers)} grants"
    click.echo(f"revoked: {user}, {ended} ended ({', '.join(f'grant {number}' for number in numbers)})")


@access_group.command("list")
def access_list() -> None:
    """Lists the allow-list; users named by ADMINS are not in it."""
    now = utc_now()
    with transaction() as connection:
        grants = access_grants.listed(connection)
    idle = idle_of_each(grants, now)
    for grant in grants:
        beside = " (adds nothing to another grant)" if grant.id in idle else ""
        scope = " ".join([*sorted(grant.job_types), *sorted(grant.channels)]) or "everything"
        click.echo(
            "\t".join([grant.subject, grant.role.value, scope, _ends(grant, now) + beside, grant.reason or ""]).rstrip()
        )
    if not grants:
        click.echo("the allow-list is empty: nobody but ADMINS may do anything", err=True)

"""What somebody may approve, for their Home tab: all of it counted, and no more read than is shown."""

from collections.abc import Sequence

from sqlalchemy import Connection

from bot.access.authorizer import Authorizer
from bot.access.policy import Decision, Permission, Reason
from bot.home.approval_messages import MAX_ENTRIES, MAX_NAMED, Entry
from bot.retries import approval_rows, known
from bot.retries.approval_rows import Open
from bot.slack.people import Person

MAX_WAITING = 500
"""So many requests that wait for a second person are looked at, those of the newest batches."""


def approvals(
    connection: Connection, authorizer: Authorizer, person: Person | None, user_id: str, groups: frozenset[str] | None
) -> tuple[list[Entry], int]:
    """Returns what somebody may approve now, the newest first; decided anew when they press.

    Args:
        groups: of theirs, those on the allow-list.

    Returns:
        What is shown, and how many more there are.
    """
    may: dict[tuple[str | None, str | None], bool] = {}
    found: dict[str, list[Open]] = {}
    for one in approval_rows.open_to(connection, user_id, authorizer.clock(), MAX_WAITING):
        key = (one.channel_id, one.job_type)
        if key not in may:
            request = authorizer.access_request(Permission.RETRY, *key)
            before = Decision(False, Reason.NOT_LISTED, groups=groups)
            may[key] = authorizer.access.decide_again(connection, request, person, before).allowed
        if may[key]:
            found.setdefault(one.batch_id or one.id, []).append(one)
    shown = list(found.values())[:MAX_ENTRIES]
    entries = [entry for some in shown if (entry := _entry(connection, some)) is not None]
    return entries, len(found) - len(shown)


def _entry(connection: Connection, some: Sequence[Open]) -> Entry | None:
    """One request, or those of one batch; None if what is to be named of it cannot be read."""
    named = approval_rows.named(connection, [one.id for one in some[:MAX_NAMED]])
    if not named:
        return None
    given = known.approvers(connection, [one.id for one in some])
    waits = [one.approval_until for one in some]
    return Entry(named, len(some), [given.get(one.id, ()) for one in some], (min(waits), max(waits)))

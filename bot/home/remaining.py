"""How many more there are than the Home tab's lists show.

Every function runs inside one transaction of the caller's.
"""

from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, literal, select

from bot.alerts.queries import WAITING
from bot.db.columns import within
from bot.db.tables import retries
from bot.home.messages import MAX_COUNTED
from bot.retries.kind import Kind
from bot.retries.state import ACTIVE

UNDER_WAY = select(retries).where(within(retries.c.state, ACTIVE), retries.c.kind == Kind.RETRY)
"""The query for the retries under way."""


class Shown(NamedTuple):
    """How many each list shows at most."""

    waiting: int
    under_way: int
    own: int


def counted(connection: Connection, user_id: str, shown: Shown, retries_jobs: bool, looks: bool) -> dict[str, int]:
    """Returns how many more there are than each list shows, by its name; of what somebody may see alone.

    Args:
        user_id: whose own requests are counted.
        retries_jobs: whether they see what waits to be retried.
        looks: whether they see what is under way.
    """
    theirs = select(retries).where(retries.c.user_id == user_id, retries.c.kind == Kind.RETRY)
    return {
        "waiting": _beyond(connection, WAITING, shown.waiting) if retries_jobs else 0,
        "under_way": _beyond(connection, UNDER_WAY, shown.under_way) if looks else 0,
        "own": _beyond(connection, theirs, shown.own),
    }


def _beyond(connection: Connection, query: Select[Any], shown: int) -> int:
    """How many rows there are beside the first few; at most `MAX_COUNTED`, since more need not be counted."""
    rest = query.with_only_columns(literal(1)).offset(shown).limit(MAX_COUNTED).subquery()
    return connection.scalar(select(func.count()).select_from(rest)) or 0

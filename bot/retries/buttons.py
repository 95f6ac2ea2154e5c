"""Whether the button of a rerun or of a cancellation still stands for something; that of a retry, the job tells.

Every function runs inside one transaction of the caller's.
"""

from sqlalchemy import Connection, bindparam, select

from bot.db.tables import retries
from bot.retries import late_rows
from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.state import State

_STATE = select(retries.c.state).where(retries.c.id == bindparam("b_id"))


def is_outdated(connection: Connection, request: Retry) -> bool:
    """Whether what the button of a rerun, or of a cancellation, stood for is over: somebody was faster, or it ended."""
    if request.offered is None or request.kind is Kind.RETRY:
        return False
    if request.kind is Kind.RERUN:
        return not late_rows.is_open(connection, request)
    state = connection.scalar(_STATE, {"b_id": request.offered})
    return state != State.ACCEPTED

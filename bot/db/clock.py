"""The one clock that several processes share, the database server's, between two looks at it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from bot.db.found import found

SET_BACK = timedelta(seconds=5)
"""A server that says so much less than expected had its clock set back; less than that, its answer was slow."""

GOOD_SECONDS = 60.0
"""For so long the quickest answer counts; two clocks drift apart by less than a hundredth of a second meanwhile."""


class ServerClock:
    """What the server's clock says by now: what it said last, and what has passed since by a timer.

    Args:
        timer: monotonic seconds.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._zero: datetime | None = None  # what it said when the timer stood at 0
        self._taken = 0.0

    def now(self) -> datetime | None:
        """The moment by the server's clock; None while it was never asked."""
        return None if self._zero is None else self._zero + timedelta(seconds=self._timer())

    def during(self, connection: Connection) -> datetime:
        """The moment in a transaction: what the server said in it, and what has passed since."""
        moment: tuple[datetime, float] | None = found(connection).get("now")
        if moment is None:
            moment = self.told_in(connection, connection.scalars(select(func.clock_timestamp())).one())
        now, at = moment
        return now + timedelta(seconds=self._timer() - at)

    def told_in(self, connection: Connection, now: datetime) -> tuple[datetime, float]:
        """Remembers what the server said, for the rest of a transaction, too; returns that, and when it was."""
        moment = found(connection)["now"] = self.told(now), self._timer()
        return moment

    def told(self, now: datetime) -> datetime:
        """Remembers what the server said; returns that.

        An answer is late by as long as it took, so of two the one that lets the clock be ahead is nearer to the truth.
        """
        at = self._timer()
        zero = now - timedelta(seconds=at)
        slow = self._zero is not None and timedelta(0) <= self._zero - zero <= SET_BACK
        if not slow or at - self._taken > GOOD_SECONDS:
            self._zero, self._taken = zero, at
        return now

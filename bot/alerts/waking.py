"""Brings failures back whose snooze is over: once, whichever process looks first."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from bot.alerts import oncall
from bot.alerts.oncall import Failure
from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.clock import Clock
from bot.base.requester import Source
from bot.db.database import Database


@dataclass(frozen=True)
class Waking:
    """Ends snoozes when their time comes.

    Args:
        remind_after: after so long somebody is reminded of what came back; None: never.
        changed: told when failures are to be shown again.
    """

    database: Database
    clock: Clock
    remind_after: timedelta | None
    changed: Callable[[], None]

    async def step(self) -> None:
        """Ends what is over by now, some at a time."""
        while await self.database.run(self._wake):
            self.changed()

    def _wake(self, connection: Connection) -> int:
        at = self.clock()
        woken = oncall.wake(connection, self.database.now(connection), at, self.remind_after)
        audit.append_all(connection, [_entry(failure) for failure in woken], at)
        return len(woken)


def _entry(failure: Failure) -> Entry:
    """Nobody's: its time is over."""
    of_many = {"total": failure.jobs} if failure.job_id is None else {}
    detail = {"alert": failure.id, "until": None, "failed": failure.failed, "snoozed_by": failure.snoozed_by}
    return Entry(event=Event.SNOOZE, job_id=failure.job_id, source=Source.ALERT, detail={**detail, **of_many})

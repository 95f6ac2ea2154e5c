"""Ends requests that wait for a second person while their job moves on: nobody is to approve what is over."""

from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.db.database import Database
from bot.retries import approval_rows, queries, rules, store
from bot.retries.request import Retry
from bot.retries.state import State
from bot.sift.client import Sift
from bot.sift.job import Job

log = structlog.get_logger(__name__)

AT_A_TIME = 300
"""So many requests that wait are looked at in one step: the jobs of two requests to Sift."""


class Overtaken:
    """Looks at the jobs of requests that wait for a second person.

    Args:
        changed: told when messages are to be shown again.
        entered: told each state that a request entered.
    """

    def __init__(
        self,
        database: Database,
        sift: Sift,
        clock: Clock,
        changed: Callable[[], None],
        entered: Callable[[State], None],
    ) -> None:
        self._database = database
        self._sift = sift
        self._clock = clock
        self._changed = changed
        self._entered = entered
        self._after = ""

    async def step(self) -> None:
        """Reads the next jobs of requests that wait, and ends those whose job moved on.

        Raises:
            SiftError: Sift could not be read; they are looked at again later.
        """
        after = self._after
        waiting = await self._database.run(lambda connection: approval_rows.page(connection, after, AT_A_TIME))
        self._after = waiting[-1].id if len(waiting) == AT_A_TIME else ""
        if not waiting:
            return
        jobs = await self._sift.jobs({retry.job_id for retry in waiting})
        moved = [
            (retry, job)
            for retry in waiting
            if (job := jobs.get(retry.job_id)) is not None and rules.moved_on(retry, job) is not None
        ]
        if moved and (ended := await self._database.run(lambda connection: self._end(connection, moved))):
            for retry in ended:
                log.info("retry.refused", request_id=retry.id, job_id=retry.job_id, **retry.detail)
                self._entered(retry.state)
            self._changed()

    def _end(self, connection: Connection, moved: Sequence[tuple[Retry, Job]]) -> list[Retry]:
        """Refuses what still waits; somebody may have spoken meanwhile."""
        at, ended = self._clock(), []
        for seen, job in moved:
            for retry in approval_rows.waiting(connection, seen.id, at, 1):
                newest = queries.last_attempts(connection, retry.job_id).newest
                refusal = rules.retry_refusal(retry, job, newest)
                if refusal is not None:
                    ended.append(
                        store.transition(connection, retry, refusal.state, at, detail=refusal.detail, job_before=job)
                    )
        return ended

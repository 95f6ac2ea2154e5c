"""Settles reruns of which it is not known whether Sift took them: by the report that each would have made.

Apart from the follower, since it takes look-ups, and whatever is followed waits for none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.base.errors import WrongState
from bot.db.database import Database
from bot.retries import claims, late, late_rows, outcome, store
from bot.retries.kind import Kind
from bot.retries.outcome import NewJob
from bot.retries.request import Retry
from bot.retries.state import OutcomeReason, State
from bot.retries.store import Changes
from bot.sift.client import Sift
from bot.sift.errors import NotFound, SiftError
from bot.sift.report import Report

log = structlog.get_logger(__name__)

TOLERANCE = timedelta(seconds=2)
"""How much earlier than it was sent a rerun may seem to be made: Sift's answers tell its time in whole seconds."""


@dataclass(frozen=True, kw_only=True)
class Reruns:
    """Reads back what may have been evaluated again.

    Args:
        poll: how often each is read back.
        settle: how long, before it is reported that Sift never took it.
        changed: told when rows changed, so that they are shown.
        entered: told each state that a request entered.
    """

    database: Database
    sift: Sift
    clock: Clock
    poll: timedelta
    settle: timedelta
    changed: Callable[[], None]
    entered: Callable[[State], None]

    async def step(self) -> None:
        """Reads back each that is due.

        Raises:
            SiftError: one of them could not be read; it is read again later.
        """
        problem: SiftError | None = None
        for retry in await self.database.run_lazily(self._claim):
            try:
                found = await self._made_by(retry)
            except SiftError as error:
                problem = error
                await self._record(retry, partial(self._unreadable, retry=retry))
            else:
                await self._record(retry, partial(self._settle, retry=retry, found=found))
        if problem is not None:
            raise problem

    def _claim(self, connection: Connection) -> list[Retry]:
        return claims.claim(connection, [State.UNKNOWN], self.database.now(connection), kinds=[Kind.RERUN])

    async def _made_by(self, retry: Retry) -> NewJob | None:
        """The report that a rerun made, and its job; None if there is none yet."""
        lookups = self.sift.lookups
        try:
            run_id = (await lookups.report(retry.report_id or "")).run_id
        except NotFound:
            return None
        reports = await lookups.reports_of_run(run_id) if run_id else []
        others = await self.database.run(lambda connection: late_rows.others(connection, retry))
        since = self._since(retry)
        made = [one for one in reports if late.taken_up(one, retry.report_id or "", since, others)]
        first: Report | None = min(made, key=lambda one: one.created_date or since, default=None)
        return None if first is None else NewJob(first.job_id, first.report_id)

    def _since(self, retry: Retry) -> datetime:
        """Before which moment, by Sift's clock, it was not asked for."""
        restored = retry.detail.get("why") == OutcomeReason.RESTORED
        asked_at = retry.created_at if restored else retry.sent_at or retry.created_at
        at = self.clock()
        return asked_at + (self.sift.now(at) - at) - TOLERANCE

    async def _record(self, retry: Retry, write: Callable[[Connection], State | None]) -> None:
        """Writes what was found, unless somebody else has the row by now."""
        try:
            state = await self.database.run(write)
        except WrongState:
            log.info("rerun.overtaken", request_id=retry.id)
            return
        if state is not None:
            log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=state)
            self.entered(state)
        self.changed()

    def _settle(self, connection: Connection, retry: Retry, found: NewJob | None) -> State | None:
        at, now = self.clock(), self.database.now(connection)
        said = outcome.settled_rerun(retry, found, outcome.is_overdue(retry, at, self.settle))
        if said is None:
            store.note_progress(connection, retry, at, due_at=now + self.poll)
            return None
        changes: Changes = {"detail": said.detail, "due_at": now}
        if found is not None and retry.new_job_id is None:
            changes["new_job_id"] = found.job_id
        store.enter_once(connection, retry, said.state, at, **changes)
        return said.state

    def _unreadable(self, connection: Connection, retry: Retry) -> None:
        """Says, once, that the outcome stays unknown for as long as Sift cannot be read."""
        at, now = self.clock(), self.database.now(connection)
        changes: Changes = {"due_at": now + self.poll}
        if outcome.is_overdue(retry, at, self.settle) and not retry.detail.get("overdue"):
            changes["detail"] = {**retry.detail, "overdue": True}
        store.note_progress(connection, retry, at, **changes)

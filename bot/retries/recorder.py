"""How a turn ends: an outcome, a refusal, or back in the queue; recorded, then told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self, Unpack

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.base.errors import WrongState
from bot.base.loops import until_written
from bot.db.database import Database
from bot.retries import claims, store
from bot.retries.decider import Decider
from bot.retries.kind import Kind
from bot.retries.messages import answers
from bot.retries.outcome import Outcome
from bot.retries.request import Request, Retry
from bot.retries.rules import Refusal
from bot.retries.state import State
from bot.retries.store import Changes
from bot.sift.client import LONGEST_WAIT
from bot.sift.errors import MustWait, SiftError
from bot.sift.job import Job
from bot.slack.message import Message
from bot.slack.outbox import LEASE

log = structlog.get_logger(__name__)

_WHAT = {Kind.RETRY: "retry", Kind.RERUN: "rerun", Kind.CANCEL: "cancellation"}

BRIEFLY = 1.0
"""Seconds that a turn keeps its place while Sift asks to wait; for longer, the request goes back to the queue."""

WAIT_WITHIN = timedelta(hours=6)
"""So old a request may become while Sift asks to wait; then that is its outcome."""


@dataclass(frozen=True)
class Claimed:
    """A row that was marked, and when others take it for interrupted, by the event loop's clock."""

    retry: Retry
    lease_ends: float

    @classmethod
    def now(cls, retry: Retry) -> Self:
        """The row that was marked just now."""
        return cls(retry, asyncio.get_running_loop().time() + LEASE.total_seconds())


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """Records how turns end.

    Args:
        entered: told each state that a request entered, once it is committed.
        tell: tells whoever asked something, on the side.
    """

    database: Database
    decider: Decider
    clock: Clock
    entered: Callable[[State], None]
    tell: Callable[[Request, Message], None]

    async def outcome(
        self, claimed: Claimed, found: Outcome, *, due_in: float = 0.0, **changes: Unpack[Changes]
    ) -> bool:
        """Records the outcome of the POST, trying again while the lease lasts, since nothing else remembers it.

        Args:
            due_in: in how many seconds the row is to be looked at; an accepted or unknown one at once.

        Returns:
            Whether it was recorded; not if somebody else has the row by now.
        """
        at, retry = self.clock(), claimed.retry

        def work(connection: Connection) -> Retry:
            due_at = self.database.now(connection) + timedelta(seconds=due_in)
            more: Changes = {**changes, "detail": found.detail, "due_at": due_at}
            return store.enter_once(connection, retry, found.state, at, **more)

        left = max(0.0, claimed.lease_ends - asyncio.get_running_loop().time())
        try:
            await until_written(lambda: self.database.run(work), seconds=left)
        except WrongState:
            log.warning("retry.overtaken", request_id=retry.id, state=found.state)
            return False
        log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=found.state, **found.detail)
        self.entered(found.state)
        return True

    async def back_to_the_queue(self, claimed: Claimed, limit: MustWait) -> None:
        """Records that Sift did nothing yet and asks to wait: everything is decided anew when that is over."""
        detail, retry = said(limit, "post"), claimed.retry
        if self.clock() - retry.created_at > WAIT_WITHIN:
            await self.outcome(claimed, Outcome(State.FAILED, detail))
        elif await self.outcome(claimed, Outcome(State.REQUESTED, detail), due_in=_seconds_of(limit), grant_id=None):
            self._tell_of_the_wait(retry, limit)

    async def wait_for_sift(self, request: Request, limit: MustWait) -> None:
        """Leaves a request, for which nothing was sent, in the queue for as long as Sift asks to wait."""
        at, detail = self.clock(), said(limit, "read")
        if isinstance(request, Retry) and at - request.could_begin_at > WAIT_WITHIN:
            await self.refusal(request, Refusal(State.FAILED, detail))
            return

        def work(connection: Connection) -> None:
            for retry in self._claim_for(connection, request, _seconds_of(limit)):
                store.note_progress(connection, retry, at, detail=detail)

        await self.database.run(work)
        self._tell_of_the_wait(request, limit)

    async def put_off(self, request: Request, seconds: float) -> None:
        """Has the request looked at again later; a restart does not forget it meanwhile."""
        for retry in await self.database.run(lambda connection: self._claim_for(connection, request, seconds)):
            log.info("retry.put_off", request_id=retry.id, seconds=round(seconds))

    async def refusal(self, request: Request, refusal: Refusal, job: Job | None = None) -> None:
        """Records that nothing was sent, and why; unless somebody else has the row.

        Args:
            job: as it was read, if it was.
        """
        at = self.clock()

        def work(connection: Connection) -> bool:
            claimed = claims.claim(connection, [State.REQUESTED], self.database.now(connection), only=request.id)
            for retry in claimed:
                _refuse(connection, retry, self.decider.with_whom_to_ask(connection, refusal, at), job, at)
            return bool(claimed)

        if await self.database.run(work):
            about = {"request_id": request.id, "job_id": request.job_id, "state": refusal.state}
            log.info("retry.refused", **about, **refusal.detail)
            self.entered(refusal.state)

    def _claim_for(self, connection: Connection, request: Request, seconds: float) -> list[Retry]:
        now = self.database.now(connection)
        until = now + timedelta(seconds=seconds)
        return claims.claim(connection, [State.REQUESTED], now, only=request.id, until=until)

    def _tell_of_the_wait(self, request: Request, limit: MustWait) -> None:
        """Says that a request waits for Sift: once, to somebody who waits for this one."""
        seconds = _seconds_of(limit)
        log.info("retry.put_off", request_id=request.id, job_id=request.job_id, seconds=round(seconds))
        told = isinstance(request, Retry) and request.detail.get("why") == limit.name
        if request.batch_id is None and not told:
            wait = timedelta(seconds=seconds)
            self.tell(request, answers.put_off(request.id, request.job_id, wait, _WHAT[request.kind]))


def said(error: SiftError, stage: str) -> dict[str, Any]:
    """What the row, the log and the person are told of Sift's error.

    Args:
        stage: `read` or `post`.
    """
    words = error.when_reading if stage == "read" else str(error)
    return {"why": error.name, "stage": stage, "message": words[:500]}


def _refuse(connection: Connection, retry: Retry, refusal: Refusal, job: Job | None, at: datetime) -> None:
    changes: Changes = {"detail": refusal.detail}
    if job is not None:
        changes["job_before"] = job
    store.transition(connection, retry, refusal.state, at, **changes)


def _seconds_of(limit: MustWait) -> float:
    """How long a request is put off where Sift asks to wait."""
    return min(limit.retry_after or BRIEFLY, LONGEST_WAIT)

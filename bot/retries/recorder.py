"""How a turn ends: an outcome, a refusal, or back in the queue; recorded, then told."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self, Unpack

import structlog
from sqlalchemy import Connection

from bot.base.clock import Clock
from bot.base.errors import WrongState
from bot.db.database import Database
from bot.db.writing import until_written
from bot.retries import about, claims, known, store
from bot.retries.alert_rows import touch_storms
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
from bot.sift.subject import About
from bot.slack.message import Message
from bot.slack.outbox import LEASE
from bot.slack.publisher import Claim, Publisher

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
        publisher: shows a lone request as soon as it changed.
        entered: told each state that a request entered, once it is committed.
        tell: tells whoever asked something, on the side.
    """

    database: Database
    decider: Decider
    publisher: Publisher[Retry]
    clock: Clock
    entered: Callable[[State], None]
    tell: Callable[[Request, Message], None]

    async def outcome(
        self,
        claimed: Claimed,
        found: Outcome,
        *,
        due_in: float = 0.0,
        looked_up: About | None = None,
        **changes: Unpack[Changes],
    ) -> Retry | None:
        """Records the outcome of the POST, trying again while the lease lasts, since nothing else remembers it.

        Args:
            due_in: in how many seconds the row is to be looked at; an accepted or unknown one at once.
            looked_up: what the job is about, where that is known by now.

        Returns:
            The row as it is to be shown; None if it was not recorded, since somebody else has the row by now.
        """
        at, retry = self.clock(), claimed.retry

        def work(connection: Connection) -> Retry:
            due_at = self.database.now(connection) + timedelta(seconds=due_in)
            more: Changes = {**changes, "detail": found.detail, "due_at": due_at}
            if looked_up not in (None, About()):
                about.add(connection, retry.id, looked_up, at)
            moved = store.enter_once(connection, retry, found.state, at, **more)
            claim(connection)
            return moved if retry.batch_id is not None else known.as_shown(connection, moved)

        left = max(0.0, claimed.lease_ends - asyncio.get_running_loop().time())
        try:
            with self.claiming(retry) as claim:
                moved = await until_written(lambda: self.database.run(work), seconds=left)
        except WrongState:
            log.warning("retry.overtaken", request_id=retry.id, state=found.state)
            return None
        log.info("retry.outcome", request_id=retry.id, job_id=retry.job_id, state=found.state, **found.detail)
        self.entered(found.state)
        return moved

    def claiming(self, request: Request, *, more: bool = False) -> contextlib.AbstractContextManager[Claim]:
        """Claims a lone request in the transaction that changes it; see `claiming`."""
        return claiming(self.publisher, request, more=more)

    async def back_to_the_queue(self, claimed: Claimed, limit: MustWait) -> Retry | None:
        """Records that Sift did nothing yet and asks to wait: everything is decided anew when that is over."""
        detail, retry = said(limit, "post"), claimed.retry
        if self.clock() - retry.created_at > WAIT_WITHIN:
            return await self.outcome(claimed, Outcome(State.FAILED, detail))
        queued = Outcome(State.REQUESTED, detail)
        moved = await self.outcome(claimed, queued, due_in=_seconds_of(limit), grant_id=None)
        if moved is not None:
            self._tell_of_the_wait(retry, limit)
        return moved

    async def wait_for_sift(self, request: Request, limit: MustWait) -> Retry | None:
        """Leaves a request, for which nothing was sent, in the queue for as long as Sift asks to wait."""
        at, detail = self.clock(), said(limit, "read")
        if isinstance(request, Retry) and at - request.could_begin_at > WAIT_WITHIN:
            return await self.refusal(request, Refusal(State.FAILED, detail))

        def work(connection: Connection) -> None:
            for retry in self._claim_for(connection, request, _seconds_of(limit)):
                store.note_progress(connection, retry, at, detail=detail)
                touch_storms(connection, [retry.job_id], at)

        await self.database.run(work)
        self._tell_of_the_wait(request, limit)
        return None

    async def put_off(self, request: Request, seconds: float) -> None:
        """Has the request looked at again later; a restart does not forget it meanwhile."""
        for retry in await self.database.run(lambda connection: self._claim_for(connection, request, seconds)):
            log.info("retry.put_off", request_id=retry.id, seconds=round(seconds))

    async def refusal(self, request: Request, refusal: Refusal, job: Job | None = None) -> Retry | None:
        """Records that nothing was sent, and why; unless somebody else has the row.

        Args:
            job: as it was read, if it was.

        Returns:
            The row as it is to be shown; None if somebody else has it.
        """
        at = self.clock()

        def work(connection: Connection) -> Retry | None:
            claimed = claims.claim(connection, [State.REQUESTED], self.database.now(connection), only=request.id)
            if not claimed:
                return None
            told = self.decider.with_whom_to_ask(connection, refusal, at)
            moved = _refuse(connection, claimed[0], told, job, at)
            claim(connection)
            return moved

        with self.claiming(request) as claim:
            moved = await self.database.run(work)
        if moved is not None:
            said_of = {"request_id": request.id, "job_id": request.job_id, "state": refusal.state}
            log.info("retry.refused", **said_of, **refusal.detail)
            self.entered(refusal.state)
        return moved

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


def claiming(
    publisher: Publisher[Retry], request: Request, *, more: bool = False
) -> contextlib.AbstractContextManager[Claim]:
    """Claims a lone request in the transaction that changes it, and has it shown; see `Publisher.claiming`."""
    if request.batch_id is not None:  # which shows it
        return contextlib.nullcontext(lambda _: None)
    return publisher.claiming(request.id, request.channel_id or request.user_id, more=more)


def said(error: SiftError, stage: str) -> dict[str, Any]:
    """What the row, the log and the person are told of Sift's error.

    Args:
        stage: `read` or `post`.
    """
    words = error.when_reading if stage == "read" else str(error)
    return {"why": error.name, "stage": stage, "message": words[:500]}


def _refuse(connection: Connection, retry: Retry, refusal: Refusal, job: Job | None, at: datetime) -> Retry:
    changes: Changes = {"detail": refusal.detail}
    if job is not None:
        changes["job_before"] = job
    return store.transition(connection, retry, refusal.state, at, **changes)


def _seconds_of(limit: MustWait) -> float:
    """How long a request is put off where Sift asks to wait."""
    return min(limit.retry_after or BRIEFLY, LONGEST_WAIT)

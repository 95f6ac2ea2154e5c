"""Spells batches out: decides once for each whether its person may, then records its retries a few at a time."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bot.access.policy import Decision
from bot.base.clock import Clock
from bot.base.loops import Tasks
from bot.db.database import Database
from bot.retries import batches
from bot.retries.decider import Decider, PutOff
from bot.retries.request import Request
from bot.retries.rules import Refusal
from bot.retries.state import State

log = structlog.get_logger(__name__)

AHEAD = 2 * batches.CHUNK
"""So many retries of a batch wait for their turn here before more of it is spelled out: thousands at once would hold
up everybody else's transactions, and wait in memory."""

AHEAD_SECONDS = 30.0
"""After so long more is spelled out all the same, which also tells the other replicas that the batch is at work."""


@dataclass
class _Ahead:
    """What was spelled out of one batch and has not had its turn."""

    waiting: set[str] = field(default_factory=set)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, requests: Sequence[Request]) -> None:
        """Notes what was spelled out."""
        self.waiting.update(request.id for request in requests)
        if len(self.waiting) >= AHEAD:
            self.room.clear()
        else:
            self.room.set()

    def ended(self, request_id: str) -> None:
        """Notes that one has had its turn."""
        self.waiting.discard(request_id)
        if len(self.waiting) < AHEAD:
            self.room.set()


@dataclass(frozen=True, kw_only=True)
class Speller:
    """Spells out the batches that are due.

    Args:
        tasks: where each batch is spelled out on the side.
        start: takes up a retry that was spelled out.
        stopping: whether nothing more is to be begun.
        entered: told each state that a request entered.
        changed: told when messages are to be shown again.
    """

    database: Database
    decider: Decider
    clock: Clock
    tasks: Tasks
    start: Callable[[Request], None]
    stopping: Callable[[], bool]
    entered: Callable[[State], None]
    changed: Callable[[], None]
    _at_work: dict[str, _Ahead] = field(default_factory=dict, init=False)

    async def open_batches(self) -> None:
        """Has each batch spelled out by itself: one whose person Slack is slow to name holds up no other."""
        found = await self.database.run(lambda connection: batches.due(connection, self.database.now(connection)))
        for batch in found:
            if batch.id not in self._at_work and not self.stopping():
                self._at_work[batch.id] = _Ahead()
                self.tasks.start(self._spell_out(batch), batch_id=batch.id)

    def ended(self, request: Request) -> None:
        """Told that a request has had its turn."""
        if request.batch_id is not None and (ahead := self._at_work.get(request.batch_id)) is not None:
            ahead.ended(request.id)

    def stop(self) -> None:
        """Has nobody wait to spell out more."""
        for ahead in self._at_work.values():
            ahead.room.set()

    async def _spell_out(self, batch: batches.Open) -> None:
        try:
            # Whether the person may retry anything there, whatever job it is: found out once for the whole batch.
            decision = None if batch.begun else await self.decider.decide(batch, batch.created_at)
            left = True
            while left and not self.stopping():
                left = await self._spell_out_some(batch, decision)
                if left:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._at_work[batch.id].room.wait(), AHEAD_SECONDS)
        except PutOff as pause:  # it stays due, so the next sweeps ask again
            log.info("batch.put_off", batch_id=batch.id, seconds=round(pause.seconds))
        finally:
            del self._at_work[batch.id]

    async def _spell_out_some(self, batch: batches.Open, decision: Decision | None) -> bool:
        """Takes one step.

        Returns:
            Whether there is more to spell out.
        """

        def work(connection: Connection) -> batches.Spelled | State:
            now, at = self.database.now(connection), self.clock()
            refusal = self._refusal(connection, batch, decision, at)
            if refusal is not None and batches.refuse(connection, batch.id, refusal, now, at):
                return refusal.state
            return batches.spell_out(connection, batch.id, now, at)

        spelled = await self.database.run(work)
        if isinstance(spelled, State):
            log.info("batch.refused", batch_id=batch.id, user_id=batch.user_id, state=spelled)
            self.entered(spelled)
            self.changed()
            return False
        self._at_work[batch.id].add(spelled.requests)
        for request in spelled.requests:
            self.start(request)
        for _ in range(spelled.refused):
            self.entered(State.REFUSED)
        return spelled.left

    def _refusal(
        self, connection: Connection, batch: batches.Open, decision: Decision | None, at: datetime
    ) -> Refusal | None:
        """Why none of a batch that has not begun is let through."""
        if decision is None:
            return None
        if not decision.allowed:
            return self.decider.with_whom_to_ask(connection, self.decider.denial(decision), at)
        return batches.under_way(connection, batch.id)

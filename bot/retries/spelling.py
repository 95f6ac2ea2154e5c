"""Spells batches out: decides once for each whether its person may, then records its retries a few at a time."""

from collections.abc import Callable
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
    _at_work: set[str] = field(default_factory=set, init=False)

    async def open_batches(self) -> None:
        """Has each batch spelled out by itself: one whose person Slack is slow to name holds up no other."""
        found = await self.database.run(lambda connection: batches.due(connection, self.database.now(connection)))
        for batch in found:
            if batch.id not in self._at_work and not self.stopping():
                self._at_work.add(batch.id)
                self.tasks.start(self._spell_out(batch), batch_id=batch.id)

    async def _spell_out(self, batch: batches.Open) -> None:
        try:
            # Whether the person may retry anything there, whatever job it is: found out once for the whole batch.
            decision = None if batch.begun else await self.decider.decide(batch, batch.created_at)
            left = True
            while left and not self.stopping():
                left = await self._spell_out_some(batch, decision)
        except PutOff as pause:  # it stays due, so the next sweeps ask again
            log.info("batch.put_off", batch_id=batch.id, seconds=round(pause.seconds))
        finally:
            self._at_work.discard(batch.id)

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

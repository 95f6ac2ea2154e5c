"""One look at the rows for everything that waits for its time: only what has something due asks for itself.

Whoever writes a row wakes what is to deal with it. This finds what became due since, or was left behind.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, exists, select

from bot.access import quota
from bot.base.clock import Clock
from bot.base.loops import Loop
from bot.db.columns import Moment
from bot.db.database import Database
from bot.db.tables import alerts, batches, retries, storms
from bot.retries import cooldown
from bot.retries.kind import Kind
from bot.retries.state import State
from bot.slack.outbox import Outbox

_NOW = bindparam("b_now", type_=Moment())
_ROW = retries.c

DUE: Mapping[str, ColumnElement[bool]] = {
    "runner": exists().where(_ROW.due_at <= _NOW, _ROW.state.in_((State.REQUESTED, State.SENDING)))
    | exists().where(batches.c.due_at <= _NOW),
    "cooldowns": exists().where(cooldown.IS_OVER),
    "reruns": exists().where(_ROW.due_at <= _NOW, _ROW.state == State.UNKNOWN, _ROW.kind == Kind.RERUN),
    "explainer": exists().where(alerts.c.look_up_until.is_not(None)),
    "quotas": exists().where(quota.IS_OVER),
    "waking": exists().where(alerts.c.snoozed_until <= _NOW) | exists().where(storms.c.snoozed_until <= _NOW),
}
"""By the name of its loop: when there may be something for it to do. Too much wakes it in vain, too little leaves rows
to its own rare look."""


class Sweep:
    """Wakes the loops that have something to do.

    Args:
        loops: of those in `DUE`, and of those of the outboxes.
        outboxes: what is shown in Slack, by the name of the loop that has it shown.
        busy: whether the runner holds requests, which it keeps from other replicas.
        cooldown: the least time between two retries of one job.
        ask: has a loop look; by default, one that fails after its pause.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        loops: Sequence[Loop],
        outboxes: Mapping[str, Outbox[Any]],
        busy: Callable[[], bool] = lambda: False,
        cooldown: timedelta = timedelta(0),
        ask: Callable[[Loop], None] = lambda loop: loop.look(),
    ) -> None:
        self._database = database
        self._clock = clock
        self._loops = loops
        self._busy = busy
        self._cooldown = cooldown
        self._ask = ask
        due = {**DUE, **{name: exists().where(outbox.is_due) for name, outbox in outboxes.items()}}
        self._due = select(*(due[loop.name].label(loop.name) for loop in loops))

    async def step(self) -> None:
        """Looks once, in one statement."""
        due = await self._database.run_lazily(self._look)
        for loop in self._loops:
            if due[loop.name] or (loop.name == "runner" and self._busy()):
                self._ask(loop)

    def _look(self, connection: Connection) -> RowMapping:
        at = self._clock()
        moments = {"b_now": self._database.now(connection), "b_at": at, "b_accepted": at - self._cooldown}
        moments |= quota.moments(at)
        return connection.execute(self._due, moments).one()._mapping

"""What the database tells for `/metrics`: looked up when somebody asks, a few seconds apart, by index."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy import Connection, func, select

from bot.alerts.watcher import WATERMARK
from bot.app.readiness import Readiness
from bot.audit import log as audit
from bot.base.clock import Clock
from bot.base.metrics import Found, Metrics
from bot.db import marks
from bot.db.columns import within
from bot.db.database import Database
from bot.db.tables import ACTIVE, alerts, retries
from bot.retries.state import MAY_MOVE

log = structlog.get_logger(__name__)

FRESH_SECONDS = 5.0
"""For so long what was looked up counts as present."""

READ_SECONDS = 2.0
"""How long looking up may take; what was known before is shown then."""

_OPEN = ("requested", *ACTIVE)
_BY_STATE = select(retries.c.state, func.count()).where(retries.c.due_at.is_not(None)).group_by(retries.c.state)
_OLDEST = select(func.min(retries.c.due_at)).where(retries.c.due_at.is_not(None), retries.c.state == "requested")
_WAITING = (
    select(alerts.c.taken_by.is_not(None).label("taken"), func.count())
    .where(within(alerts.c.state, MAY_MOVE))
    .group_by("taken")
)


class Gauges:
    """Brings the gauges up to date before they are shown."""

    def __init__(
        self, database: Database, readiness: Readiness, metrics: Metrics, clock: Clock, timer: Callable[[], float]
    ) -> None:
        self._database = database
        self._readiness = readiness
        self._metrics = metrics
        self._clock = clock
        self._timer = timer
        self._looked_at: float | None = None

    async def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        if self._looked_at is None or self._timer() - self._looked_at >= FRESH_SECONDS:
            self._looked_at = self._timer()
            await self._look()
        return self._metrics.text()

    async def _look(self) -> None:
        ready = not await self._readiness.not_ready()
        self._metrics.state.health(ready, self._readiness.degraded(), self._database.worker.waiting)
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await self._database.read(self._read)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other metrics are shown
            log.info("metrics.not_read", error=type(error).__name__)
            self._metrics.state.found(None)
        else:
            self._metrics.state.found(found)

    def _read(self, connection: Connection) -> Found:
        now = self._clock()
        counted = {row.state: row[1] for row in connection.execute(_BY_STATE)}
        waiting = {bool(taken): count for taken, count in connection.execute(_WAITING)}
        return Found(
            requests={state: counted.get(state, 0) for state in _OPEN},
            overdue=_since(connection.scalar(_OLDEST), now) or 0.0,
            waiting=(waiting.get(False, 0), waiting.get(True, 0)),
            entries=audit.head(connection).count,
            ahead=_until(marks.moment(connection, WATERMARK), now),
        )


def _since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _until(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else (moment - now).total_seconds()

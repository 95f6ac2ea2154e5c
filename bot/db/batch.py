"""Works in one transaction of the database's thread, and what whoever waits for one is told."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError, SQLAlchemyError

from bot.base.errors import DatabaseUnavailable, MaybeRecorded

T = TypeVar("T")
Work = Callable[[Connection], T]
Outcome = tuple[Any, BaseException | None]


@dataclass(eq=False)
class Job:
    """One work, and who waits for it until when."""

    work: Work[object]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    until: float
    lazy: bool = False
    begun: bool = False
    given_up: bool = False
    outcome: Outcome | None = None

    def settle(self) -> None:
        """Tells whoever waits for it what came of it."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if self.future.done() or self.outcome is None:
            return
        result, error = self.outcome
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


@dataclass(eq=False)
class Batch:
    """Works in one transaction."""

    jobs: list[Job]
    began: float
    committing: bool = False
    abandoned: bool = False

    @property
    def lazy(self) -> bool:
        """Whether its commit need not be flushed: one work that needs it has all of them flushed."""
        return all(job.lazy for job in self.jobs)

    @property
    def begun(self) -> bool:
        """Whether any of its works is; else it hangs on its way to the database."""
        return any(job.begun for job in self.jobs)


class Abandoned(Exception):
    """Nobody waits for this transaction any more."""


def told(error: Exception, batch: Batch) -> Exception:
    """The error that the caller gets: what the database could not do has one type, whichever database it is."""
    if isinstance(error, Abandoned) or (batch.abandoned and not batch.committing):
        return DatabaseUnavailable()
    if not isinstance(error, (OperationalError, InterfaceError, PendingRollbackError)):
        return error
    lost = batch.committing and isinstance(error, DBAPIError) and error.connection_invalidated
    trouble = MaybeRecorded() if lost else DatabaseUnavailable(reason=_first_line(error))
    trouble.__cause__ = error
    return trouble


def _first_line(error: SQLAlchemyError) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

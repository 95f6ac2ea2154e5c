"""What is written though the database may be away for a moment: again until it is taken, or left to other processes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from bot.base.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 0.1
LONGEST_WRITE_PAUSE = 5.0
"""Seconds between two tries of a write: the first pause, which doubles, and the longest."""

GIVE_BACK_SECONDS = 0.5
"""So long a stop tries to leave what it holds to other replicas at once; else they find it a lease later."""

PASSING = (OperationalError, InterfaceError, InternalError, NoConnection, DatabaseUnavailable)
"""What a database says that was away, busy, full or restarted, and may take the same write a moment later."""


async def until_written(
    write: Callable[[], Awaitable[T]], *, seconds: float, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> T:
    """Repeats a write that follows a side effect until the database takes it: what was done must not be forgotten.

    Args:
        write: one transaction. It must name its fence, or do no harm twice: the commit of a try that failed may have
            arrived all the same.
        seconds: for how long at most; what is left of the lease.
        sleep: waits between two tries.

    Returns:
        What the write returned.

    Raises:
        Exception: what the last try raised; at once if it is nothing that passes.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, FIRST_PAUSE
    while True:
        try:
            return await write()
        except PASSING as error:
            if loop.time() + pause >= until:
                raise
            log.warning("write.repeated", error=type(error).__name__, in_seconds=pause)
        await sleep(pause)
        pause = min(pause * 2, LONGEST_WRITE_PAUSE)


async def leave_to_others(leaving: Awaitable[object], seconds: float) -> None:
    """Waits at a stop until something is left to other processes; without the database, they find it a lease later."""
    with contextlib.suppress(TimeoutError, *PASSING):
        async with asyncio.timeout(seconds):
            await leaving

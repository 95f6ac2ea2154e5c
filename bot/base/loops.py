"""Named background work: steps that repeat, tasks that are tracked, and a bounded end to both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

import structlog

from bot.base.deadline import nobody_waits

log = structlog.get_logger(__name__)

T = TypeVar("T")

LONGEST_PAUSE = 30.0
"""Seconds between two tries of a step that keeps failing."""

UNASKED_SECONDS = 30.0
"""How often a step runs that others say when to run, should they not."""


class Loop:
    """Repeats one step: when its interval is over, or sooner when woken.

    A failing step is tried again after a growing pause. The log says when it begins to fail and when it recovers,
    not each time in between.

    Args:
        name: what the log calls it.
        interval: seconds between two steps.
        degrades: what does not work as it should while it fails, as `/readyz` names it.
        asked: others have it look when there is something to do, so it rarely does by itself.
    """

    def __init__(
        self,
        name: str,
        interval: float,
        step: Callable[[], Awaitable[object]],
        degrades: str | None = None,
        *,
        asked: bool = False,
    ) -> None:
        self.name = name
        self.degrades = degrades
        self.failing: str | None = None
        self.cause: Exception | None = None
        self._interval = interval
        self._rest = UNASKED_SECONDS if asked else interval
        self._step = step
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Has the step run now."""
        self._woken.set()

    def look(self) -> None:
        """Has the step run now, unless it failed: then after its pause."""
        if self.failing is None:
            self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Repeats the step until it is woken with `stop` set; a step under way is finished first."""
        pause = self._interval
        while not stop.is_set():
            self._woken.clear()
            pause = await self._once(pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _once(self, pause: float) -> float:
        """Runs the step; returns how many seconds to wait before the next one."""
        try:
            await self._step()
        except Exception as error:  # noqa: BLE001  # a loop outlives whatever one step runs into
            if self.failing is None:
                pause = self._interval
                log.error("loop.failing", loop=self.name, error=f"{type(error).__name__}: {error}")
            self.cause = error
            self.failing = f"{type(error).__name__}: {error}"
            return min(max(pause, 0.1) * 2, max(LONGEST_PAUSE, self._interval))
        if self.failing is not None:
            log.info("loop.recovered", loop=self.name)
            self.failing = self.cause = None
        return self._rest


class Soon:
    """Calls several functions soon after it was called, once for all calls until then.

    Args:
        seconds: how soon.
    """

    def __init__(self, seconds: float, calls: Sequence[Callable[[], None]]) -> None:
        self._seconds = seconds
        self._calls = calls
        self._pending = False

    def __call__(self) -> None:
        if not self._pending:
            self._pending = True
            asyncio.get_running_loop().call_later(self._seconds, self._act)

    def _act(self) -> None:
        self._pending = False
        for call in self._calls:
            call()


@contextlib.asynccontextmanager
async def looping(loops: Sequence[Loop]) -> AsyncIterator[None]:
    """Runs loops until the block ends, then lets the steps under way finish for a moment."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(loop.run(stop), name=loop.name) for loop in loops]
    try:
        yield
    finally:
        stop.set()
        for loop in loops:
            loop.wake()
        _, late = await asyncio.wait(tasks, timeout=1)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def unless(stop: asyncio.Event, work: Coroutine[object, None, T]) -> T | None:
    """Does `work` and returns its result; None if `stop` is set before it is done, which ends it."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
        stopping.cancel()


class Tasks:
    """Work started on the side: tracked, its failures logged, drained at the end.

    Args:
        most: so much of it at a time; None where whoever starts it has a limit, such as one for each row or place.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._running: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[object, None, object], **about: object) -> bool:
        """Runs `work` on the side; `about` is what the log says of it should it fail.

        Returns:
            Whether it is run; what would be too much is not.
        """
        if self._most is not None and len(self._running) >= self._most:
            log.warning("task.too_many", **about)
            work.close()
            return False
        task = asyncio.create_task(self._guarded(work, about), context=nobody_waits())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    async def drain(self, seconds: float) -> None:
        """Waits for what is running, and for what that starts, and ends what takes longer than `seconds`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._running and (left := until - loop.time()) > 0:
            await asyncio.wait(set(self._running), timeout=left)
        late = set(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._running)

    async def _guarded(self, work: Coroutine[object, None, object], about: dict[str, object]) -> None:
        try:
            await work
        except Exception:  # the row stays due, so the next look finds it
            log.exception("task.failed", **about)

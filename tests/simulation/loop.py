"""An event loop whose time is virtual and whose order is a seed's: the same seed, the same run.

Where nothing is ready the time jumps to the next timer. What is ready runs in a shuffled order. Whatever belongs to a
process (the bot's tasks, timers and callbacks inherit its context) runs only while that process does.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from random import Random
from typing import Any

MOST_AT_ONCE = 20_000
"""Steps without any time passing; more of them never end."""


class NeverEnds(AssertionError):
    """Something goes round and round, or waits for what never comes."""


class Process:
    """A process in the world: it runs, it is stopped for a while (SIGSTOP), or it is dead (SIGKILL)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.withheld: list[asyncio.Handle] = []
        self.before_step: Callable[[], None] = _nothing

    def admits(self, handle: asyncio.Handle) -> bool:
        """Whether a callback of the process may run now; of one that is stopped it runs later."""
        if self.stopped and self.alive:
            self.withheld.append(handle)
        elif self.alive:
            self.before_step()  # which may kill it
        return self.alive and not self.stopped


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose callback it is; None: the world's."""

_numbers = itertools.count()


class _Numbered:
    """Something that sets hold in the same order each time, wherever it lies in memory."""

    number: int

    def __hash__(self) -> int:
        return self.number


class Task(_Numbered, asyncio.Task[Any]):
    """A task that knows whose it is."""

    process: Process | None

    def __new__(cls, *_: Any, **__: Any) -> "Task":
        task = super().__new__(cls)
        task.number = next(_numbers)
        return task

    __hash__ = _Numbered.__hash__


class _Future(_Numbered, asyncio.Future[Any]):
    def __new__(cls, *_: Any, **__: Any) -> "_Future":
        future = super().__new__(cls)
        future.number = next(_numbers)
        return future

    __hash__ = _Numbered.__hash__


def _nothing() -> None:
    pass


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one run.

    Args:
        random: the order of what is ready.
    """

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._now = 0.0
        self._still = 0
        self.steps = 0
        self.tasks: list[Task] = []
        self.problems: list[str] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._now

    def create_future(self) -> "asyncio.Future[Any]":
        """A future that is held in the same order each time."""
        return _Future(loop=self)

    def resume(self, process: Process) -> None:
        """Lets a stopped process go on, with everything that was due meanwhile."""
        process.stopped = False
        withheld, process.withheld = process.withheld, []
        self._ready.extend(withheld)  # type: ignore[attr-defined]  # asyncio's own

    def _make_task(
        self,
        _: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        context: Context | None = None,
    ) -> Task:
        task = Task(work, loop=self, context=context)
        task.process = context.get(PROCESS) if context is not None else PROCESS.get()
        self.tasks.append(task)  # what a dead process leaves must not be tidied up: that would run its code
        return task

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context['message']}: {context.get('exception')!r}")

    def _run_once(self) -> None:
        """One round of asyncio's, in virtual time and in the seed's order."""
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready and not self._stopping:  # type: ignore[attr-defined]  # asyncio's own
            if not scheduled:
                raise NeverEnds("nothing is ever going to happen")
            if scheduled[0].when() > self._now:
                self._now, self._still = scheduled[0].when(), 0
        while scheduled and scheduled[0].when() <= self._now:
            ready.append(heapq.heappop(scheduled))
        round_ = list(ready)
        ready.clear()
        self._random.shuffle(round_)
        for handle in round_:
            self._step(handle)

    def _step(self, handle: asyncio.Handle) -> None:
        context: Context = handle._context  # type: ignore[attr-defined]  # there is no other way to tell whose it is
        process = context.get(PROCESS)
        if handle.cancelled() or (process is not None and not process.admits(handle)):
            return
        self.steps += 1
        self._still += 1
        if self._still > MOST_AT_ONCE:
            raise NeverEnds(f"{MOST_AT_ONCE} steps without any time passing, the last one {handle!r}")
        handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are left out when their time comes."""

    def _write_to_self(self) -> None:
        """Nobody else's thread waits."""

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

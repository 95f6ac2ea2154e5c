"""How many calls may be under way at a time: fewer after Sift says that it limits them, then more again."""

import asyncio
import contextlib
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from bot.retries.request import Request

ALONE, IN_A_BATCH = 0, 1
"""Ranks: somebody who waits for one job does not wait for hundreds."""

EXPECTED_SECONDS = 0.3
"""For so long at most a slot is kept free for whoever will want one in a moment."""

AHEAD = 2
"""So many of batches are made ready while they have to wait for a slot, so that a call begins as another one ends."""

QUICK_SECONDS = 1.0
"""Only while the last call took less is anybody made ready ahead: who waits for long is to be looked at once more."""

HOLD_SECONDS = 2.0
"""So long at most who was made ready waits for a slot; their lease goes on for longer than that and their call."""


class NotYet(Exception):
    """No call may begin yet, and nothing was sent."""


@dataclass(eq=False)
class Slot:
    """A slot, or the place of who is made ready for the next one.

    Args:
        rank: whose it is.
        ready: set once they may get ready.
        free: set once it is a slot.
        began: when the call began, by the event loop's clock; None: it did not.
        in_vain: whether it was waited for until it was too late.
        over: whether it was given back.
    """

    rank: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)
    began: float | None = None
    in_vain: bool = False
    over: bool = False

    async def begin(self) -> None:
        """Waits until the call may begin.

        Raises:
            NotYet: that takes too long.
        """
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await self.free.wait()
        except TimeoutError:
            self.in_vain = True
            raise NotYet from None
        self.began = asyncio.get_running_loop().time()


class Limiter:
    """Slots, handed out to whoever waits with the lowest rank first, in the order they came.

    Args:
        most: how many slots there are when nobody asks us to slow down.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._taken = 0
        self._expected = 0
        self._quick = False
        self._waiting: list[tuple[int, int, Slot]] = []
        self._next: deque[Slot] = deque()
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def slot(self, rank: int = 0) -> AsyncIterator[Slot]:
        """Holds a slot for as long as the block lasts; of a batch, perhaps the place before one until its call begins.

        Yields:
            The slot; the call may be made after its `begin`.
        """
        slot = Slot(rank)
        heapq.heappush(self._waiting, (rank, next(self._numbers), slot))
        self._hand_out()
        try:
            await slot.ready.wait()
            yield slot
        finally:
            self._give_back(slot)

    @contextlib.contextmanager
    def expecting(self, rank: int) -> Iterator[Callable[[], None]]:
        """Keeps one slot from batches while a lone request finds out whether it wants it, so that it need not wait.

        Yields:
            What ends that before, to be called once it has a slot.
        """
        expected = rank == ALONE
        self._expected += expected

        def end() -> None:
            nonlocal expected
            self._expected -= expected
            expected = False
            self._hand_out()

        over = asyncio.get_running_loop().call_later(EXPECTED_SECONDS, end)
        try:
            yield end
        finally:
            over.cancel()
            end()

    def back_off(self) -> None:
        """Halves the number of slots."""
        self._allowed = max(1.0, self._allowed / 2)

    def recover(self) -> None:
        """Grows back a little: by one slot after as many good answers as there are slots."""
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        self._hand_out()

    def _hand_out(self) -> None:
        while (slot := self._first()) is not None and self._taken < int(self._allowed) - self._kept_from(slot.rank):
            if slot.ready.is_set():
                self._next.popleft()
            else:
                heapq.heappop(self._waiting)
            self._taken += 1
            slot.free.set()
            slot.ready.set()
        ahead = AHEAD if self._quick and self._allowed == self._most else 0
        while len(self._next) < ahead and self._waiting and self._waiting[0][0] == IN_A_BATCH:
            *_, slot = heapq.heappop(self._waiting)
            if not slot.over:
                self._next.append(slot)
                slot.ready.set()

    def _first(self) -> Slot | None:
        """Who gets the next slot: lone requests before those of batches that are ready, and they before the others."""
        while self._waiting and self._waiting[0][-1].over:
            heapq.heappop(self._waiting)
        waiting = self._waiting[0][-1] if self._waiting else None
        if self._next and (waiting is None or waiting.rank != ALONE):
            return self._next[0]
        return waiting

    def _give_back(self, slot: Slot) -> None:
        slot.over = True
        if slot.free.is_set():
            self._taken -= 1
        elif slot in self._next:
            self._next.remove(slot)
        if slot.in_vain:
            self._quick = False
        elif slot.began is not None:
            self._quick = asyncio.get_running_loop().time() - slot.began < QUICK_SECONDS
        self._hand_out()

    def _kept_from(self, rank: int) -> int:
        """How many slots are not for whoever has this rank; the last one is for everybody."""
        return int(rank != ALONE and self._expected > 0 and int(self._allowed) > 1)


def rank_of(request: Request) -> int:
    """Whose turn comes first: the lower one."""
    return ALONE if request.batch_id is None else IN_A_BATCH

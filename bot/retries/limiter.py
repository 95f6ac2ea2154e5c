"""How many calls may be under way at a time: fewer after Sift says that it limits them, then more again."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

from bot.retries.request import Request

ALONE, IN_A_BATCH = 0, 1
"""Ranks: somebody who waits for one job does not wait for hundreds."""

EXPECTED_SECONDS = 0.3
"""For so long at most a slot is kept free for whoever will want one in a moment."""


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
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @contextlib.asynccontextmanager
    async def slot(self, rank: int = 0) -> AsyncIterator[None]:
        """Holds a slot for as long as the block lasts."""
        await self._take(rank)
        try:
            yield
        finally:
            self._taken -= 1
            self._hand_out()

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

    async def _take(self, rank: int) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._numbers), mine))
        self._hand_out()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it was handed a slot at the same moment
                self._taken -= 1
                self._hand_out()
            raise

    def _hand_out(self) -> None:
        while self._waiting and self._taken < int(self._allowed) - self._kept_from(self._waiting[0][0]):
            _, _, waiting = heapq.heappop(self._waiting)
            if not waiting.done():
                self._taken += 1
                waiting.set_result(None)

    def _kept_from(self, rank: int) -> int:
        """How many slots are not for whoever has this rank; the last one is for everybody."""
        return int(rank != ALONE and self._expected > 0 and int(self._allowed) > 1)


def rank_of(request: Request) -> int:
    """Whose turn comes first: the lower one."""
    return ALONE if request.batch_id is None else IN_A_BATCH

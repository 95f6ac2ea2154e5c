"""Waiting for something to change in the embedded workspace, instead of looking again and again."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 0.1


class Changes:
    """Something that changes, and tells so."""

    def __init__(self) -> None:
        self.version = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        """Wakes everybody who waits for something to become true."""
        self.version += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def change(self) -> asyncio.Future[None]:
        """Done as soon as something changes."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    async def until(self, predicate: Callable[[], T], timeout: float = 5) -> T:  # noqa: ASYNC109  # reads best in tests
        """Waits until something is true, and answers it.

        Args:
            predicate: asked now, after every change, and now and then, since not all it asks of may lie here; a
                failed look-up counts as not yet.

        Raises:
            AssertionError: it did not become true in time; says what the workspace shows instead.
        """
        try:
            async with asyncio.timeout(timeout):
                while not (found := _look(predicate)):
                    await self._change_or(LOOK_AGAIN_SECONDS)
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s; the workspace shows:\n{self.describe()}") from None
        return found

    async def _change_or(self, seconds: float) -> None:
        change = self.change()
        await asyncio.wait((change,), timeout=seconds)
        change.cancel()

    def describe(self) -> str:
        """What there is now, for people."""
        return f"version {self.version}"


def _look(predicate: Callable[[], T]) -> T | None:
    try:
        return predicate()
    except LookupError:
        return None

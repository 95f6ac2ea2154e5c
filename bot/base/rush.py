"""What somebody waits for goes first: whatever has time gives way to it for a moment."""

import asyncio
import contextlib
from collections.abc import Iterator


class Rush:
    """Knows whether anything is under way that goes first."""

    def __init__(self) -> None:
        self._under_way = 0
        self._over = asyncio.Event()
        self._over.set()

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Goes first for as long as the block lasts."""
        self._under_way += 1
        self._over.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._over.set()

    async def give_way(self, seconds: float) -> None:
        """Waits until nothing goes first any more, for so many seconds at most."""
        if self._under_way:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)

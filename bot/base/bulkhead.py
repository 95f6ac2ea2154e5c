"""Places for what may be under way at a time, of which nobody takes more than a share: one slow one sinks no others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Bulkhead:
    """So many places, and so many of them at most for whatever has the same key.

    Who waits for their share holds no place. Each is handed out in the order in which it was asked for.

    Args:
        places: how many there are.
        share: how many of them one key may have.
    """

    def __init__(self, places: int, share: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._share = share
        self._shares: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @property
    def keys(self) -> int:
        """How many keys hold or wait for something."""
        return len(self._shares)

    @contextlib.asynccontextmanager
    async def share(self, key: str) -> AsyncIterator[None]:
        """Holds a part of the key's share, but no place yet, for as long as the block lasts."""
        semaphore, users = self._shares.get(key, (asyncio.Semaphore(self._share), 0))
        self._shares[key] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            semaphore, users = self._shares[key]
            if users > 1:
                self._shares[key] = (semaphore, users - 1)
            else:
                del self._shares[key]

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds a place for as long as the block lasts."""
        async with self._places:
            yield

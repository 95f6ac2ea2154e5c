"""Sift's lists: page by page, by ID in few requests, each item read by itself."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog
from cachetools import TTLCache

from bot.sift import responses
from bot.sift.calls import LIST_BYTES
from bot.sift.errors import AnswerTooLarge, TooLong
from bot.sift.filters import any_of, batches
from bot.sift.value import Value

V = TypeVar("V", bound=Value)

log = structlog.get_logger(__name__)

PAGE = 1_000
"""Sift's largest page."""

CHUNK = 50
"""So many items are read in one go: a whole page takes as long as twenty acks."""

MAX_PAGES_BY_ID = 20
"""Pages that are read in one go of items by their ID; a list that goes on is left there."""

MANY = 300
"""More wanted items than this, two requests' worth of IDs, are looked for in a list that is read through."""

MAX_FRUITLESS = 2
"""Pages in a row without anything wanted, after which such a list is given up."""


@dataclass(frozen=True)
class Listing(Generic[V]):
    """One of Sift's lists.

    Args:
        operation: what Sift's limits, and those who observe, know the call by.
        path: such as `/api/v1/jobs`.
        name: what the answer calls the list.
        id_field: what filters call an item's ID, and our model too.
        model: what an item is read as.
    """

    operation: str
    path: str
    name: str
    id_field: str
    model: type[V]

    def id_of(self, item: V) -> str:
        """An item's ID."""
        return str(getattr(item, self.id_field))


class Allowance:
    """So many requests, and no more, among all who share it."""

    def __init__(self, requests: int) -> None:
        self._left = requests

    @property
    def left(self) -> int:
        """Requests that may still be made."""
        return self._left

    def take(self) -> bool:
        """Whether one more request may be made, which then counts."""
        self._left -= 1
        return self._left >= 0


class Request(Protocol):
    """How a request is sent: `Calls.request`, or that with a place to wait for."""

    async def __call__(
        self, operation: str, method: str, path: str, parameters: dict[str, str] | None = None, *, most: int
    ) -> dict[str, Any]:
        """Returns the body of a good answer, or raises a `SiftError`."""


class LeftOut:
    """Counts an item that cannot be read, each time; says so once an hour.

    Args:
        count: told why.
        timer: monotonic seconds.
    """

    def __init__(self, count: Callable[[str], None], timer: Callable[[], float]) -> None:
        self._count = count
        self._known: TTLCache[tuple[str, str, str], bool] = TTLCache(1_000, 3_600, timer)

    def __call__(self, id_field: str, why: str, identifier: str) -> None:
        """Takes note of an item that is left out."""
        self._count(why)
        if (id_field, why, identifier) not in self._known:
            self._known[id_field, why, identifier] = True
            log.warning("sift.left_out", why=why, **{id_field: identifier})


class Lists:
    """Sift's lists.

    Args:
        request: sends one request.
        left_out: told of what cannot be read.
    """

    def __init__(self, request: Request, left_out: LeftOut) -> None:
        self._request = request
        self._left_out = left_out

    async def some(self, listing: Listing[V], condition: str, order_by: str, most: int) -> list[V]:
        """The first items of a list, in one request."""
        return (await self._page(listing, _parameters(condition, order_by, most, "")))[0]

    async def pages(
        self, listing: Listing[V], condition: str, order_by: str, allowance: Allowance, size: int = PAGE
    ) -> AsyncGenerator[list[V]]:
        """A list page by page; pages that are too large to be read are asked for in smaller ones."""
        token = ""
        while allowance.take():
            try:
                items, following = await self._page(listing, _parameters(condition, order_by, size, token))
            except AnswerTooLarge:
                if size == 1:
                    raise
                size = max(1, size // 8)
                continue
            yield items
            if following in ("", token):
                return
            token = following

    async def by_id(
        self, listing: Listing[V], identifiers: Collection[str], allowance: Allowance | None = None, size: int = PAGE
    ) -> dict[str, V]:
        """The items of one batch of IDs, by ID; those that Sift does not list are left out."""
        asked = list(identifiers)
        try:
            found = await self._all(listing, any_of(listing.id_field, asked), allowance, size)
        except TooLong:
            if len(asked) == 1:
                raise
            half = len(asked) // 2
            first = await self.by_id(listing, asked[:half], allowance, size)
            return {**first, **await self.by_id(listing, asked[half:], allowance, size)}
        wanted = set(asked)
        return {identifier: item for item in found if (identifier := listing.id_of(item)) in wanted}

    async def wanted(
        self,
        listing: Listing[V],
        identifiers: Iterable[str],
        allowance: Allowance,
        *,
        many: str | None,
        size: int = PAGE,
    ) -> AsyncGenerator[dict[str, V]]:
        """Items by their ID, as they are found: few by their IDs, many out of a list that is asked for newest first.

        Args:
            allowance: the requests that this may take; what is not found with them is left out.
            many: a short filter that fits what is wanted, for `MANY` and more; None: by ID in any case.
            size: items of a page.
        """
        missing = dict.fromkeys(identifiers)
        if many is not None and len(missing) > MANY:
            async with aclosing(self.pages(listing, many, "created_date desc", allowance, size)) as pages:
                fruitless = 0
                async for items in pages:
                    found = {listing.id_of(item): item for item in items if listing.id_of(item) in missing}
                    yield found
                    missing = {identifier: None for identifier in missing if identifier not in found}
                    fruitless = 0 if found else fruitless + 1
                    if not missing or fruitless == MAX_FRUITLESS:
                        break
        for batch in batches(missing):
            if allowance.left <= 0:
                return
            yield await self.by_id(listing, batch, allowance, size)

    async def _all(self, listing: Listing[V], condition: str, allowance: Allowance | None, size: int) -> list[V]:
        within = allowance or Allowance(MAX_PAGES_BY_ID)
        async with aclosing(self.pages(listing, condition, "created_date", within, size)) as pages:
            return [item async for items in pages for item in items]

    async def _page(self, listing: Listing[V], parameters: dict[str, str]) -> tuple[list[V], str]:
        """The items of a page, and what the next one is asked for with."""
        body = await self._request(listing.operation, "GET", listing.path, parameters, most=LIST_BYTES)

        def left_out(why: str, identifier: str) -> None:
            self._left_out(listing.id_field, why, identifier)

        found: dict[str, V] = {}
        items = responses.items_in(body, listing.name)
        for start in range(0, len(items), CHUNK):
            found |= responses.by_id(items[start : start + CHUNK], listing.model, listing.id_of, left_out)
            if start + CHUNK < len(items):
                await asyncio.sleep(0)
        return list(found.values()), responses.next_page(body)


def _parameters(condition: str, order_by: str, size: int, token: str) -> dict[str, str]:
    parameters = {"filter": condition, "pageSize": str(size), "orderBy": order_by}
    return {**parameters, "pageToken": token} if token else parameters

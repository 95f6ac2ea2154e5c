"""What Sift calls runs, assets, rules and users: asked for once, remembered for a day."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Generic, TypeVar

from cachetools import TTLCache

from bot.sift.about import Known, assets_of
from bot.sift.errors import SiftError
from bot.sift.lists import Allowance
from bot.sift.lookups import Lookups
from bot.sift.resources import Rule
from bot.sift.value import Value

V = TypeVar("V", bound=Value)

REMEMBERED_SECONDS = 86_400
MISSED_SECONDS = 2.0
"""For so long what Sift does not list is not asked for again: it may be about to, or the key may be about to see it."""

MAX_REMEMBERED = 5_000

Look = Callable[[list[str], Allowance], AsyncGenerator[dict[str, V]]]


class Names(Generic[V]):
    """One kind of thing by ID, as far as it was asked for.

    Args:
        look: looks things up, as they are found.
        timer: monotonic seconds.
    """

    def __init__(self, look: Look[V], timer: Callable[[], float]) -> None:
        self._look = look
        self._known: TTLCache[str, V] = TTLCache(MAX_REMEMBERED, REMEMBERED_SECONDS, timer)
        self._missed: TTLCache[str, bool] = TTLCache(MAX_REMEMBERED, MISSED_SECONDS, timer)
        self._turn = asyncio.Lock()  # who comes second finds what the first has found

    def known(self, identifiers: Iterable[str]) -> dict[str, V]:
        """What is known of these without a request."""
        return {one: found for one in identifiers if (found := self._known.get(one)) is not None}

    async def find(self, identifiers: Iterable[str], allowance: Allowance) -> dict[str, V]:
        """Looks up what is not known yet, and remembers it; what Sift does not list is left out.

        Args:
            allowance: the requests that this may take.
        """
        asked = list(dict.fromkeys(filter(None, identifiers)))
        found = self.known(asked)
        async with self._turn:
            missing = [one for one in asked if one not in self._known and one not in self._missed]
            if missing:
                found |= await self._look_up(missing, allowance)
        return {**self.known(asked), **found}

    async def _look_up(self, missing: list[str], allowance: Allowance) -> dict[str, V]:
        found: dict[str, V] = {}
        try:
            async with aclosing(self._look(missing, allowance)) as pages:
                async for page in pages:
                    found |= page
                    self._known.update(page)
        except SiftError:
            return found
        if allowance.left > 0:  # everything was asked for
            self._missed.update(dict.fromkeys((one for one in missing if one not in found), True))
        return found


class Catalog:
    """What Sift calls things, remembered for a day.

    Args:
        lookups: reads Sift.
        timer: monotonic seconds.
    """

    def __init__(self, lookups: Lookups, timer: Callable[[], float]) -> None:
        self._lookups = lookups
        self._runs = Names(lookups.runs, timer)
        self._assets = Names(lookups.assets, timer)
        self._rules = Names(self._look_up_rules, timer)

    def known(self, runs: Iterable[str] = (), assets: Iterable[str] = (), rules: Iterable[str] = ()) -> Known:
        """What is known of these, and of the runs' assets, without a request."""
        found = self._runs.known(runs)
        return Known(found, self._assets.known([*assets, *assets_of(found.values())]), self._rules.known(rules))

    async def find(
        self, allowance: Allowance, runs: Iterable[str] = (), assets: Iterable[str] = (), rules: Iterable[str] = ()
    ) -> Known:
        """Looks up what is not known of these, and of the runs' assets.

        Args:
            allowance: the requests that this may take.
        """
        found, found_rules = await asyncio.gather(self._runs.find(runs, allowance), self._rules.find(rules, allowance))
        found_assets = await self._assets.find([*assets, *assets_of(found.values())], allowance)
        return Known(found, found_assets, found_rules)

    async def _look_up_rules(self, asked: list[str], allowance: Allowance) -> AsyncGenerator[dict[str, Rule]]:
        if allowance.take():
            yield await self._lookups.rules(asked)

"""The rows of one table that are being shown, each in a place: so many altogether, so many of one channel."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic

from bot.slack.outbox import S

PLACES = 48
"""Rows of one table that are shown at a time."""

PLACES_OF_A_CHANNEL = 24
"""So many of them in one channel, or for one person: a slow one leaves room for the others."""

GIVE_WAY_SECONDS = 0.1
"""For so long at most what goes on in a thread waits while something begins that nobody has heard of yet."""

REST = 40
"""A row that keeps changing is left alone for so many times as long as it took to read it."""

MOST_REST = timedelta(seconds=5)

NEWS_SECONDS = 2.0
"""So long at most what was posted stays unwritten while a turn waits for what is to follow."""


@dataclass(frozen=True)
class Place:
    """A place that was taken.

    Args:
        name: the channel, or the person.
        since: when, in monotonic seconds; the row in it was claimed later.
        at: the same moment by the clock.
    """

    name: str
    since: float
    at: datetime

    def is_younger_than(self, age: timedelta, timer: float, at: datetime) -> bool:
        """Whether it was taken less than `age` ago by both clocks.

        A process that was stopped finds it out by the monotonic one, a machine that was suspended by the other.
        """
        return timer - self.since < age.total_seconds() and timedelta(0) <= at - self.at < age


class Places:
    """The places of one table.

    Args:
        places: how many there are.
        share: how many of them one channel, or one person, may have.
    """

    def __init__(self, places: int = PLACES, share: int = PLACES_OF_A_CHANNEL) -> None:
        self._most = places
        self._share = share
        self._taken: Counter[str] = Counter()

    @property
    def left(self) -> int:
        """How many nobody has."""
        return self._most - self._taken.total()

    @property
    def full(self) -> list[str]:
        """Channels, and people, that have their whole share."""
        return [name for name, taken in self._taken.items() if taken >= self._share]

    def take(self, name: str, since: float, at: datetime) -> Place:
        """Takes a place for a row that is claimed from now on."""
        self._taken[name] += 1
        return Place(name, since, at)

    def give_back(self, place: Place) -> None:
        """Gives a place back that is used no more."""
        self._taken[place.name] -= 1
        if not self._taken[place.name]:
            del self._taken[place.name]


def rest_after(pause: timedelta, seconds: float) -> timedelta:
    """How long a row that keeps changing is left alone: an outage of thousands of jobs takes long to read.

    Args:
        pause: at least; 0: whoever waits for it sees each change at once.
        seconds: how long it took to claim and read it.
    """
    return max(pause, min(MOST_REST, timedelta(seconds=REST * seconds))) if pause else pause


@dataclass(eq=False)
class Showing(Generic[S]):
    """One row that is being shown.

    Args:
        row: as it is shown now.
        news: the row as it is to be shown next, once that is known; None: nothing is to follow at once.
        earlier: this process's own turn for the row, whose lease is over: what it is about to post is waited for.
        rest: how long the row is left alone if it changed meanwhile.
    """

    row: S
    place: Place
    news: "asyncio.Future[S | None] | None" = None
    earlier: "Showing[S] | None" = None
    rest: timedelta = timedelta(0)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    shown: int | None = None
    """The version that is shown and written down."""
    behind: bool = False
    """Whether the row changed while it was shown."""

    async def alone(self) -> None:
        """Waits until the earlier turn is over, and goes on from what it posted, which it could not write down."""
        if self.earlier is not None:
            await self.earlier.over.wait()
            stored, ours = self.row.shown, self.earlier.row.shown
            nobody_between = self.earlier.row.show_fence == self.row.show_fence - 1
            self.row = replace(self.row, shown={**stored, **ours} if nobody_between else {**ours, **stored})
            self.earlier = None

    def again_after(self, seconds: float) -> timedelta:
        """When the row is read again after Slack asked to wait; later if that takes long and it is seen already."""
        return max(timedelta(seconds=seconds), self.rest if self.row.shown else timedelta(0))

    def go_on(self, news: S | None) -> None:
        """Has it go on with what the row is now, or end."""
        if self.news is not None and not self.news.done():
            self.news.set_result(news)

    async def what_follows(self) -> S | None:
        """Waits for the row as it is to be shown next; None if nothing follows soon."""
        if self.news is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NEWS_SECONDS):
                    return await asyncio.shield(self.news)
            self.go_on(None)
        return None

"""When a digest is due, and what it tells of. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bot.slack.message import Message
from bot.slack.piece import OutboxRow, Piece

LATE = timedelta(hours=1)
"""A digest that nobody sent in time, since the bot was down, is sent for so long; what it would say is in the next."""

FIRST = timedelta(hours=12)
"""The first digest of a channel covers so much."""

LONGEST = timedelta(days=7)
"""No digest covers more."""


def due(now: datetime, times: Sequence[time], zone: ZoneInfo, last: datetime | None) -> datetime | None:
    """Returns the moment for which a digest is due; None: none is.

    A time that a day does not have, since clocks are set forward, comes an hour later by them; one that a day has twice
    counts the first time.

    Args:
        times: of day, in the zone.
        last: when the last digest was made; None: there was none yet.
    """
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=number) for number in (-1, 0, 1)]
    moments = [datetime.combine(day, at, zone).astimezone(UTC) for day in days for at in times]
    passed = [one for one in moments if now - LATE < one <= now and (last is None or one > last)]
    return max(passed, default=None)


def covered_since(now: datetime, last: datetime | None) -> datetime:
    """Returns from when on a digest tells what happened."""
    return now - FIRST if last is None else max(last, now - LONGEST)


class Hands(StrEnum):
    """Who has a failure that waits."""

    NOBODY = "nobody"
    """Nobody."""

    TAKEN = "taken"
    """Whoever took it."""

    SNOOZED = "snoozed"
    """Nobody for now: somebody snoozed it."""

    ASKED = "asked"
    """Whoever asked for a retry that is not sent yet, such as one that waits for a second person."""


class Tried(NamedTuple):
    """What became of somebody's retries: how many ended, how many of those helped, how many are under way."""

    ended: int = 0
    helped: int = 0
    under_way: int = 0


@dataclass(frozen=True, kw_only=True)
class RunNews:
    """What a digest tells of one run.

    Args:
        name: of the run, or else of the asset; empty: neither is known.
        kind: the type of its jobs, such as `data_import`, where there is no name.
        failed: how many jobs failed.
        waiting: how many jobs wait to be retried, by who has them.
        retried: what was retried, by whom.
        outside: how many jobs somebody retried in Sift itself.
    """

    name: str = ""
    kind: str = ""
    failed: int = 0
    waiting: Mapping[tuple[Hands, str], int] = field(default_factory=dict)
    retried: Mapping[str, Tried] = field(default_factory=dict)
    outside: int = 0

    @property
    def waits(self) -> int:
        """How many jobs wait."""
        return sum(self.waiting.values())

    @property
    def offered(self) -> int:
        """How many of those may be retried now."""
        return sum(count for (hands, _), count in self.waiting.items() if hands is not Hands.ASKED)


@dataclass(frozen=True, kw_only=True)
class News:
    """What a digest tells: of each run, those with most to do first."""

    since: datetime
    runs: Sequence[RunNews]

    @property
    def failed(self) -> int:
        """How many jobs failed."""
        return sum(run.failed for run in self.runs)

    @property
    def waits(self) -> int:
        """How many jobs wait."""
        return sum(run.waits for run in self.runs)

    @property
    def offered(self) -> int:
        """How many of those may be retried now."""
        return sum(run.offered for run in self.runs)


@dataclass(frozen=True, kw_only=True)
class Digest(OutboxRow):
    """A row of `digests`: a message as it was when it was due."""

    message: Message


def pieces(digest: Digest) -> list[Piece]:
    """The one message that shows a digest."""
    return [Piece("announcement", digest.message)]

"""How retries went, in numbers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.retries.record import Frequent


@dataclass(frozen=True)
class Stats:
    """Counts since a moment.

    Args:
        days: for each day (UTC, `2026-11-24`) how many requests ended, or are, in which state.
        types: how many were for each job type as Sift names it.
        people: how many each of the most active asked for.
        causes: the failures that most retries were made for; empty where one person's are counted.
    """

    since: datetime
    days: Mapping[str, Mapping[str, int]]
    types: Mapping[str, int]
    people: Mapping[str, int]
    causes: Sequence[Frequent] = ()

    @property
    def states(self) -> dict[str, int]:
        """How many are in which state, over all days."""
        found: dict[str, int] = {}
        for states in self.days.values():
            for state, count in states.items():
                found[state] = found.get(state, 0) + count
        return found

    @property
    def total(self) -> int:
        """How many requests there were."""
        return sum(self.states.values())

    @property
    def helped(self) -> tuple[int, int]:
        """How many retried jobs finished, of how many that ended."""
        states = self.states
        finished = states.get("finished", 0)
        return finished, finished + states.get("failed_again", 0) + states.get("cancelled", 0)

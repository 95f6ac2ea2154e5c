"""What earlier retries say of the next one. Pure."""

from dataclasses import dataclass
from datetime import timedelta

ENOUGH = 3
"""From so many retries of a cause on, they say something."""


@dataclass(frozen=True)
class Record:
    """How retries after failures of one cause ended.

    Args:
        helped: how many finished.
        tried: how many finished or failed again.
        took: how long those that finished took, half of them less and half of them more.
    """

    helped: int = 0
    tried: int = 0
    took: timedelta | None = None

    @property
    def says_something(self) -> bool:
        """Whether there are enough of them to go by."""
        return self.tried >= ENOUGH

    @property
    def hopeless(self) -> bool:
        """Whether none of enough helped: whoever retries is asked once more."""
        return self.says_something and not self.helped


@dataclass(frozen=True)
class Frequent:
    """A cause that retries were made for often, and how they ended."""

    cause_key: str
    record: Record

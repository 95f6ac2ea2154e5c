"""What somebody is shown of a run, to press a button at: the run, or those to choose from, and its failures. Pure."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from bot.retries.request import JobRef


@dataclass(frozen=True)
class Choice:
    """A run that may be meant; without an ID while it does not exist."""

    run_id: str
    name: str


@dataclass(frozen=True)
class Offered:
    """A failure that was shown: the job, what tells this failure from the next, what it is called in a list."""

    job_id: str
    failure: str
    label: str = ""

    @property
    def wanted(self) -> JobRef:
        """What is asked for when it is retried."""
        return JobRef(self.job_id, self.failure or None)


@dataclass(frozen=True)
class Offer:
    """What was shown to somebody.

    Args:
        runs: the one whose failures were shown, or those to choose from.
        jobs: its failures that may be retried.
        reason: goes with whatever is retried.
        readonly: whether nothing is to be offered, as for a list.
    """

    runs: tuple[Choice, ...]
    jobs: tuple[Offered, ...] = ()
    reason: str | None = None
    readonly: bool = False

    def to_json(self) -> str:
        """What is kept in a row."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, kept: str) -> "Offer":
        """Reads what was kept."""
        content: dict[str, Any] = json.loads(kept)
        runs = tuple(Choice(**one) for one in content.pop("runs"))
        return cls(runs=runs, jobs=tuple(Offered(**one) for one in content.pop("jobs")), **content)

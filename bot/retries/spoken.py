"""How it went with requests of a batch that took a second person's word. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.retries.state import State


@dataclass(frozen=True)
class Spoken:
    """So many requests of a batch that took a second person's word, and how it went with them.

    Args:
        detail: why they were not sent, of those that were not.
    """

    state: State
    approved_by: str | None
    override_reason: str | None
    detail: Mapping[str, Any]
    count: int

    @property
    def waits(self) -> bool:
        """Whether they wait for somebody."""
        return self.state is State.REQUESTED and self.approved_by is None

    @classmethod
    def of(cls, state: str, by: str | None, reason: str | None, detail: str | None, count: int) -> Self:
        """Reads what was counted."""
        return cls(State(state), by, reason, json.loads(detail) if detail else {}, count)

"""A message, as it is shown. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Message:
    """What is shown: the blocks, and the text for notifications and screen readers."""

    text: str
    blocks: Sequence[Mapping[str, Any]] = ()

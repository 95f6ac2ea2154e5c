"""A message, as it is shown. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Block = Mapping[str, object]
"""A block of Slack's Block Kit, an element of one, or an object in it."""

View = dict[str, object]
"""A modal or a Home tab."""


@dataclass(frozen=True)
class Message:
    """What is shown: the blocks, and the text for notifications and screen readers."""

    text: str
    blocks: Sequence[Block] = ()

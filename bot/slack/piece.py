"""A piece: one message that shows a part of a row, marked so that it is found again. Pure."""

import hashlib
import json
from dataclasses import dataclass

from bot.slack.client import Message


@dataclass(frozen=True)
class Piece:
    """One message that shows a part of a row: the announcement, the summary, the ending, or a private answer.

    Args:
        in_channel: whether it stands in the channel, as an announcement does, and not in the thread.
        in_thread_too: whether an announcement that cannot be updated any more goes on in its thread.
    """

    kind: str
    message: Message
    in_thread_too: bool = False
    in_channel: bool = False

    @property
    def private(self) -> bool:
        """Whether it is for whoever asked alone; such a message is sent once and never changed."""
        return self.kind.startswith("private")

    @property
    def digest(self) -> str:
        """The same for the same content, whatever its block IDs."""
        content = json.dumps([self.message.text, list(self.message.blocks)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def marked(self, row_id: str) -> Message:
        """The message with block IDs that name the row, and that are new whenever the content is."""
        marker = marker_of(row_id, self.kind)
        numbered = enumerate(self.message.blocks)
        blocks = [{**block, "block_id": f"{marker}:{self.digest}:{number}"} for number, block in numbered]
        return Message(self.message.text, blocks)


def marker_of(row_id: str, kind: str) -> str:
    """What the block IDs of a message begin with, by which it is found again."""
    return f"{row_id}:{kind}"

"""A piece: one message that shows a part of a row, marked so that it is found again. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache, cached_property
from typing import Any, cast

from bot.slack.message import Message

_IN_DOUBT = "?"
"""Before a digest: so it differs from any that a piece has."""


@dataclass(frozen=True, kw_only=True)
class OutboxRow:
    """A row as far as it is shown in Slack.

    Args:
        asked_in: the thread where a private answer goes; None: the channel itself.
        version: raised whenever what should be shown changes.
        shown: which messages show it, by kind: their ts, and the digest of what they say.
        interrupted: whether the last claimant never came back, so that something may have been posted unnoticed.
        unpostable: Slack's error when the bot may not post there.
    """

    id: str
    created_at: datetime
    channel_id: str | None = None
    thread_ts: str | None = None
    asked_in: str | None = None
    response_url: str | None = None
    version: int = 0
    show_fence: int = 0
    show_failures: int = 0
    shown: Mapping[str, Mapping[str, str]]
    unpostable: str | None = None
    interrupted: bool = False

    @property
    def reader(self) -> str | None:
        """Who is told privately what concerns nobody else."""
        return None

    @property
    def place(self) -> str:
        """Where its messages go: the channel, or whoever is told where there is none."""
        return self.channel_id or self.reader or ""

    @property
    def since(self) -> datetime:
        """When that happened which is to be shown now, or began to."""
        return self.created_at

    @property
    def root_ts(self) -> str | None:
        """The thread that shows this, once there is one."""
        return self.thread_ts or self.shown.get("announcement", {}).get("ts")

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return False


def values_of(kind: type[OutboxRow], row: Mapping[Any, Any]) -> dict[str, Any]:
    """The columns of a row that a dataclass has fields for; `shown` as the mapping that its JSON stands for."""
    known = _names_of(cast(Any, kind))  # mypy takes the hash of its instances for the hash of the class
    values = {name: value for name, value in row.items() if name in known}
    return {**values, "shown": json.loads(row["shown"])}


@cache
def _names_of(kind: type[OutboxRow]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


@dataclass(frozen=True)
class Piece:
    """One message that shows a part of a row: the announcement, the summary, the ending, or a private answer.

    Args:
        in_channel: whether it stands in the channel, as an announcement does, and not in the thread.
        in_thread_too: whether an announcement that cannot be updated any more goes on in its thread.
        taken_back: whether it is not to be seen any more; where Slack does not take it away, it says what it says.
    """

    kind: str
    message: Message
    in_thread_too: bool = False
    in_channel: bool = False
    taken_back: bool = False

    @property
    def private(self) -> bool:
        """Whether it is for whoever asked alone; such a message is sent once and never changed."""
        return self.kind.startswith("private")

    @cached_property
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


def in_doubt(known: Mapping[str, str]) -> Mapping[str, str]:
    """A message that says what it last said for sure, or what an update made of it that may have arrived since."""
    return {**known, "digest": _IN_DOUBT + said_for_sure(known)}


def said_for_sure(known: Mapping[str, str]) -> str:
    """The digest of what a message said when that was known last."""
    return known["digest"].removeprefix(_IN_DOUBT)

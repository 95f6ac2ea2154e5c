"""A message in the embedded workspace, and what a person can read and press in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.sandbox.payload import Payload

_NOT_SHOWN = {"confirm", "placeholder", "options", "option_groups"}


@dataclass
class Message:
    """A message as Slack keeps it.

    Args:
        thread_ts: the message it replies to; None at the top of a channel.
        visible_to: the only person who sees it; None for everybody.
        bot_id: the app that wrote it; None for a person.
    """

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Payload] = field(default_factory=list)
    attachments: list[Payload] = field(default_factory=list)
    files: list[Payload] = field(default_factory=list)
    thread_ts: str | None = None
    visible_to: str | None = None
    bot_id: str | None = None
    subtype: str | None = None
    edited: str | None = None

    def text_shown(self) -> str:
        """What is read in the message: its blocks, or its text where it has none; one line per piece."""
        pieces = list(texts(self.blocks)) or [self.text]
        return "\n".join([*pieces, *texts(self.attachments), *(str(file.get("title")) for file in self.files)])

    def buttons(self) -> list[Payload]:
        """The buttons in the message, as their JSON."""
        return [element for _, element in elements(self.blocks) if element.get("type") == "button"]

    def as_slack(self) -> Payload:
        """The message as the Web API and the payloads give it, threads aside."""
        optional = {
            "subtype": self.subtype,
            "bot_id": self.bot_id,
            "thread_ts": self.thread_ts,
            "blocks": self.blocks,
            "attachments": self.attachments,
            "files": self.files,
            "edited": {"user": self.user, "ts": self.edited} if self.edited else None,
        }
        given = {name: value for name, value in optional.items() if value}
        return {"type": "message", "user": self.user, "text": self.text, "ts": self.ts, **given}


def texts(node: object) -> Iterator[str]:
    """Every text that a person reads in some blocks, in order."""
    if isinstance(node, list):
        for child in node:
            yield from texts(child)
    elif isinstance(node, dict):
        yield from (node[key] for key in ("text", "fallback", "alt_text") if isinstance(node.get(key), str))
        for key, child in node.items():
            if key not in _NOT_SHOWN:
                yield from texts(child)


def elements(blocks: list[Payload]) -> Iterator[tuple[Payload, Payload]]:
    """Every element that can be pressed or filled in, with the block it is in."""
    for block in blocks:
        for element in (block.get("accessory"), block.get("element"), *(block.get("elements") or ())):
            if isinstance(element, dict) and "action_id" in element:
                yield block, element
        yield from elements(block.get("child_blocks") or [])

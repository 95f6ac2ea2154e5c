"""The presenter's building blocks: pieces of Block Kit, and the disarming of foreign text. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bot.slack.message import Message

Block = dict[str, Any]


def section(mrkdwn: str) -> Block:
    """A section of our own words; foreign parts of it are escaped already."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn[:3_000]}}


def plain(foreign: str, most: int = 1_000) -> Block:
    """A section of somebody else's words, shown as they are."""
    text = escape(visible(foreign if len(foreign) <= most else foreign[: most - 1] + "…"))
    return {"type": "section", "text": {"type": "plain_text", "text": text[:3_000], "emoji": False}}


def escape(foreign: str) -> str:
    """Disarms `&`, `<` and `>`, and with them mentions and links."""
    return foreign.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def visible(text: str) -> str:
    """Shows control characters as their pictures; line ends and tabs stay."""
    return "".join(
        chr(0x2400 + ord(char)) if ord(char) < 0x20 and char not in "\n\t" else "␡" if ord(char) == 0x7F else char
        for char in text
    )


def date(moment: datetime, time: str = "time_secs") -> str:
    """A moment in each reader's own time zone; `time` is Slack's token for how exactly."""
    fallback = moment.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{{time}}}|{fallback}>"


def fields(facts: Sequence[tuple[str, str]]) -> list[Block]:
    """Facts by name, ten to a section: Slack takes no more. The values are escaped already."""
    texts = [{"type": "mrkdwn", "text": f"*{name}*\n{value}"[:2_000]} for name, value in facts]
    return [{"type": "section", "fields": texts[start : start + 10]} for start in range(0, len(texts), 10)]


def actions(elements: list[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": elements}


def say_type(name: str) -> str:
    """`data_import` → data import."""
    return escape(name.replace("_", " "))


def mention(subject: str) -> str:
    """A user or a user group, as Slack shows them."""
    return f"<!subteam^{subject}>" if subject.startswith("S") else f"<@{subject}>"


def listing(parts: Iterable[str], word: str = "and") -> str:
    """a, b and c."""
    *first, last = list(parts) or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def counted(number: int, noun: str) -> str:
    """2 runs; nothing for none."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}" if number else ""


def label(text: str) -> dict[str, str]:
    """Returns a text that is shown as it is: on a button, over an input, as a title."""
    return {"type": "plain_text", "text": text}


def message_view(message: Message, title: str) -> dict[str, Any]:
    """Returns a modal that only says something, under the title of what was asked for (24 characters at most)."""
    return {"type": "modal", "title": label(title), "close": label("Close"), "blocks": list(message.blocks)}

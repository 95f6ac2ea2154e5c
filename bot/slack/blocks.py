"""The pieces of Slack's Block Kit that messages, modals and the Home tab are put together from. Pure.

Limits are Slack's: https://docs.slack.dev/reference/block-kit
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from bot.slack.message import Block, Message, View

MAX_OPTIONS = 100
"""Options of a select."""

MAX_OPTION_TEXT = 75
"""Characters of an option's text."""


def section(mrkdwn: str, accessory: Block | None = None) -> Block:
    """A section of our own words, with an element beside it; foreign parts of it are escaped already."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn[:3_000]}}
    return block if accessory is None else {**block, "accessory": accessory}


def plain(foreign: str, most: int = 1_000) -> Block:
    """A section of somebody else's words, shown as they are."""
    text = escape(visible(foreign if len(foreign) <= most else foreign[: most - 1] + "…"))
    return {"type": "section", "text": plain_text(text[:3_000])}


def fields(facts: Sequence[tuple[str, str]]) -> list[Block]:
    """Facts by name, ten to a section: Slack takes no more. The values are escaped already."""
    texts = [{"type": "mrkdwn", "text": f"*{name}*\n{value}"[:2_000]} for name, value in facts]
    return [{"type": "section", "fields": texts[start : start + 10]} for start in range(0, len(texts), 10)]


def context(mrkdwn: str) -> Block:
    """A small grey line of our own words."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}


def divider() -> Block:
    """A line across."""
    return {"type": "divider"}


def actions(elements: Sequence[Block]) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": list(elements)}


def button(
    text: str,
    action_id: str,
    value: str,
    *,
    style: Literal["primary", "danger"] | None = None,
    confirm: Block | None = None,
) -> Block:
    """A button; what it is about stands in its value.

    Args:
        text: at most 75 characters.
        value: at most 2,000 characters.
        confirm: the dialog that comes first.
    """
    more = {"style": style, "confirm": confirm}
    shown = {"type": "button", "text": plain_text(text), "action_id": action_id, "value": value}
    return {**shown, **{name: one for name, one in more.items() if one is not None}}


def confirm(title: str, text: str, yes: str, no: str) -> Block:
    """A dialog that asks once more; title, text and the two answers take 100, 300 and 30 characters."""
    return {"title": plain_text(title), "text": plain_text(text), "confirm": plain_text(yes), "deny": plain_text(no)}


def input_(name: str, label: str, element: Block, *, optional: bool = True) -> Block:
    """Something to fill in, read back under its name."""
    named = {"block_id": name, "label": plain_text(label), "element": {**element, "action_id": name}}
    return {"type": "input", **named, **({"optional": True} if optional else {})}


def text_input(most: int) -> Block:
    """A line to type in, of so many characters at most."""
    return {"type": "plain_text_input", "max_length": most}


def select(options: Sequence[Block], picked: Block | None = None) -> Block:
    """One of several options, at most a hundred."""
    shown = {"type": "static_select", "options": list(options[:MAX_OPTIONS])}
    return {**shown, "initial_option": picked} if picked else shown


def multi_select(options: Sequence[Block], picked: Sequence[Block] = (), placeholder: str | None = None) -> Block:
    """Any of several options, at most a hundred."""
    shown: Block = {"type": "multi_static_select", "options": list(options[:MAX_OPTIONS])}
    shown = {**shown, "placeholder": plain_text(placeholder)} if placeholder else shown
    return {**shown, "initial_options": list(picked)} if picked else shown


def option(text: str, value: str) -> Block:
    """Something to pick."""
    return {"text": plain_text(text[:MAX_OPTION_TEXT]), "value": value}


def modal(
    title: str,
    blocks: Sequence[Block],
    *,
    submit: str | None = None,
    callback_id: str | None = None,
    private_metadata: str | None = None,
) -> View:
    """A modal: a form if it can be submitted, else something to read.

    Args:
        title: at most 24 characters.
        callback_id: what a submission is known by.
        private_metadata: what comes back with it, at most 3,000 characters.
    """
    more = {
        "submit": plain_text(submit) if submit else None,
        "callback_id": callback_id,
        "private_metadata": private_metadata,
    }
    shown = {"type": "modal", "title": plain_text(title), "close": plain_text("Cancel" if submit else "Close")}
    return {**shown, **{name: one for name, one in more.items() if one is not None}, "blocks": list(blocks)}


def message_view(message: Message, title: str) -> View:
    """A modal that only says something, under the title of what was asked for (24 characters at most)."""
    return modal(title, message.blocks)


def home(blocks: Sequence[Block]) -> View:
    """A Home tab."""
    return {"type": "home", "blocks": list(blocks)}


def plain_text(text: str) -> Block:
    """A text that is shown as it is, `:names:` of emoji included: on a button, over an input, as a title."""
    return {"type": "plain_text", "text": text, "emoji": False}


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

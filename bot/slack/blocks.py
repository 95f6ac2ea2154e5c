"""The pieces of Slack's Block Kit that messages, modals and the Home tab are put together from. Pure.

Limits are Slack's: https://docs.slack.dev/reference/block-kit
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from bot.base.text import clip, shorten, visible, width
from bot.slack.message import Block, Message, View

MAX_OPTIONS = 100
"""Options of a select."""

MAX_OPTION_TEXT = 75
"""Characters of an option's text."""


def section(mrkdwn: str, accessory: Block | None = None) -> Block:
    """A section of our own words, with an element beside it; foreign parts of it are escaped already."""
    block = {"type": "section", "text": _mrkdwn(mrkdwn, 3_000)}
    return block if accessory is None else {**block, "accessory": accessory}


def plain(foreign: str, most: int = 1_000) -> Block:
    """A section of somebody else's words, shown as they are."""
    return as_it_is(shorten(visible(foreign), most))


def as_it_is(text: str) -> Block:
    """A section without formatting, of a text whose foreign parts are clipped already."""
    shown, most = _entities(text), width(text)
    while width(shown) > 3_000:
        most = most * 3_000 // width(shown) - 1
        shown = _entities(shorten(text, most))
    return {"type": "section", "text": plain_text(shown if shown.strip() else "–")}


def fields(facts: Sequence[tuple[str, str]]) -> list[Block]:
    """Facts by name, ten to a section: Slack takes no more. The values are escaped already."""
    texts = [_mrkdwn(f"*{name}*\n{value}", 2_000) for name, value in facts]
    return [{"type": "section", "fields": texts[start : start + 10]} for start in range(0, len(texts), 10)]


def context(mrkdwn: str) -> Block:
    """A small grey line of our own words."""
    return {"type": "context", "elements": [_mrkdwn(mrkdwn, 3_000)]}


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


def hinted(block: Block, hint: str) -> Block:
    """Something to fill in, with a small line beneath that says how."""
    return {**block, "hint": plain_text(hint)}


def text_input(most: int, given: str | None = None) -> Block:
    """A line to type in, of so many characters at most; what is given stands there from the start."""
    shown: Block = {"type": "plain_text_input", "max_length": most}
    return {**shown, "initial_value": shorten(visible(given), most)} if given else shown


def select(options: Sequence[Block], picked: Block | None = None) -> Block:
    """One of several options, at most a hundred."""
    shown = {"type": "static_select", "options": list(options[:MAX_OPTIONS])}
    return {**shown, "initial_option": picked} if picked else shown


def radio_buttons(options: Sequence[Block], picked: Block) -> Block:
    """One of a few options, at most ten, all of which are seen at once."""
    return {"type": "radio_buttons", "options": list(options), "initial_option": picked}


def multi_select(
    options: Sequence[Block] = (),
    picked: Sequence[Block] = (),
    placeholder: str | None = None,
    groups: Sequence[tuple[str, Sequence[Block]]] = (),
) -> Block:
    """Any of several options, at most a hundred.

    Args:
        groups: the options under headings, in place of `options`.
    """
    grouped = [option_group(label, some) for label, some in groups]
    offered = {"option_groups": grouped} if grouped else {"options": list(options[:MAX_OPTIONS])}
    shown: Block = {"type": "multi_static_select", **offered}
    shown = {**shown, "placeholder": plain_text(placeholder)} if placeholder else shown
    return {**shown, "initial_options": list(picked)} if picked else shown


def option(text: str, value: str) -> Block:
    """Something to pick."""
    return {"text": plain_text(clip(text, MAX_OPTION_TEXT) or "–"), "value": value}


def option_group(label: str, options: Sequence[Block]) -> Block:
    """Options under a heading."""
    return {"label": plain_text(clip(label, MAX_OPTION_TEXT) or "–"), "options": list(options)}


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


def _mrkdwn(text: str, most: int) -> Block:
    """Words with formatting; `verbatim` keeps Slack from making links and mentions of URLs, `#names`, `@here`."""
    return {"type": "mrkdwn", "text": _whole(text, most), "verbatim": True}


def _whole(mrkdwn: str, most: int) -> str:
    """As much as fits: whole lines where there are several, and no half of a link or an entity."""
    if width(mrkdwn) <= most:
        return mrkdwn
    lines, end, _ = shorten(mrkdwn, most - 1).rpartition("\n")
    return f"{lines}\n…" if end else re.sub(r"(<[^>]*|&[a-z]*)?…$", "…", shorten(mrkdwn, most))


def foreign(text: str, most: int = 80) -> str:
    """Somebody else's words within ours: on one line, clipped, disarmed."""
    return escape(clip(text, most))


_MARKS = re.compile(r"(?<![A-Za-z0-9])[*_~]|[*_~](?![A-Za-z0-9])|`|:(?!\d\d?:)(?=[\w+'-]+:)")
_LOOKALIKES = {"*": "∗", "_": "ˍ", "~": "∼", "`": "ˋ", ":": "꞉"}


def escape(text: str) -> str:
    """Disarms mentions and links, formatting, and names of emoji; `tank_pressure` stays as it is.

    Slack has an escape for `&`, `<` and `>` alone (https://docs.slack.dev/messaging/formatting-message-text). It takes
    a mark for formatting only at an end of a word; there, a character that looks like it stands in its place.
    """
    return _entities(_MARKS.sub(lambda mark: _LOOKALIKES[mark[0]], text))


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def date(moment: datetime, time: str = "time_secs") -> str:
    """A moment in each reader's own time zone; `time` is Slack's token for how exactly."""
    fallback = moment.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{{time}}}|{fallback}>"


def time_of_day(moment: datetime) -> str:
    """When something happens within hours, to the second, in each reader's own time zone."""
    return f"<!date^{int(moment.timestamp())}^{{time_secs}}|{moment.strftime('%H:%M:%S UTC')}>"


def say_type(name: str) -> str:
    """`data_import` → data import."""
    return foreign(name.replace("_", " "))


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

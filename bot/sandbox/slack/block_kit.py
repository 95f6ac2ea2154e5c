"""Slack's limits on blocks and views, and how it complains when they are not kept.

Every kind of block and element is one row of a table. `slack_sdk` has validators too, but they do not look inside text
objects, fields and unknown keys; they serve here for the rarer blocks only.
"""

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from bot.sandbox.payload import Payload
from bot.sandbox.slack.checks import Check, anything, by_type, many, one_of, say, shape, string

MAX_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_VIEW_BYTES = 250_000


def problems_of_blocks(blocks: Any, unsupported: Collection[str] = ()) -> list[str]:
    """What Slack would refuse in the blocks of a message.

    Args:
        unsupported: kinds of blocks that a workspace does not have yet.
    """
    found = many(_block, MAX_BLOCKS, least=0)(blocks, "/blocks") or _repeated_ids(blocks)
    return found or [
        say(at, f"unsupported type: {block['type']}")
        for at, block in _with_children(blocks, "/blocks")
        if block["type"] in unsupported
    ]


def problems_of_view(view: Any) -> list[str]:
    """What Slack would refuse in a modal or a Home tab."""
    kind = view.get("type") if isinstance(view, dict) else None
    if not isinstance(kind, str) or kind not in _VIEWS:
        return [say("/view", "must be a modal or a home view")]
    found = _VIEWS[kind](view, "/view") or _repeated_ids(view["blocks"])
    has_input = any(block.get("type") == "input" for block in view["blocks"]) if not found else False
    return [say("/view", "missing required field: submit")] if has_input and "submit" not in view else found


def too_large(view: Any) -> bool:
    """Whether a view is more than Slack keeps."""
    return len(json.dumps(view)) > MAX_VIEW_BYTES


def _plain(most: int) -> Check:
    return by_type({"plain_text": shape({"text": string(most)}, {"emoji": anything})})


def _text(most: int) -> Check:
    mrkdwn = shape({"text": string(most)}, {"verbatim": anything})
    return by_type({"mrkdwn": mrkdwn, "plain_text": shape({"text": string(most)}, {"emoji": anything})})


def _with_options(most: int, name: str, **optional: Check) -> Check:
    """An element with a list of options; those of a select may stand in groups."""
    option = _option(_text if name == "box" else _plain)
    options = {"options": many(option, most)}
    common = _PRESSABLE
    if name != "menu":
        common = {**_COMMON, "initial_option": option, "initial_options": many(option, most)}
    if name == "select":
        group = shape({"label": _plain(75), "options": many(option, 100)}, {})
        options["option_groups"] = many(group, 100)
    rules = shape({}, {**common, **options, **optional})

    def check(value: Any, at: str) -> list[str]:
        given = sum(value.get(name) is not None for name in options) if isinstance(value, dict) else 1
        neither = [] if given == 1 else [say(at, f"must define either {' or '.join(options)}")]
        return rules(value, at) + neither or _unknown_initial(value, at)

    return check


def _unknown_initial(element: Payload, at: str) -> list[str]:
    """What is chosen at first, but not offered."""
    groups = element.get("option_groups") or [element]
    offered = [option for group in groups for option in group["options"]]
    chosen = [element.get("initial_option"), *(element.get("initial_options") or ())]
    unknown = [option for option in chosen if option is not None and option not in offered]
    return [say(at, "initial option must be one of the options") for _ in unknown]


def _option(text: Callable[[int], Check]) -> Check:
    return shape({"text": text(75), "value": string(150)}, {"description": text(75), "url": string(3000)})


_CONFIRM = shape(
    {"title": _plain(100), "text": _text(300), "confirm": _plain(30), "deny": _plain(30)},
    {"style": one_of("primary", "danger")},
)
_PRESSABLE = {"action_id": string(255), "confirm": _CONFIRM}
_COMMON = {**_PRESSABLE, "focus_on_load": anything, "placeholder": _plain(150)}
_IDS = many(string(255), 100)
_STYLE = one_of("primary", "danger")
_IMAGE = {"image_url": string(3000), "slack_file": anything}


def _picker(**optional: Check) -> Check:
    return shape({}, {**_COMMON, **optional})


def _typed(**optional: Check) -> Check:
    return _picker(initial_value=string(3000, 0), dispatch_action_config=anything, **optional)


_CONVERSATIONS: dict[str, Check] = {"default_to_current_conversation": anything, "filter": anything}
_SELECTS: dict[str, Check] = {
    "static_select": _with_options(100, "select"),
    "multi_static_select": _with_options(100, "select", max_selected_items=anything),
    "users_select": _picker(initial_user=string(255)),
    "multi_users_select": _picker(initial_users=_IDS, max_selected_items=anything),
    "channels_select": _picker(initial_channel=string(255), response_url_enabled=anything),
    "multi_channels_select": _picker(initial_channels=_IDS, max_selected_items=anything),
    "conversations_select": _picker(initial_conversation=string(255), response_url_enabled=anything, **_CONVERSATIONS),
    "multi_conversations_select": _picker(initial_conversations=_IDS, max_selected_items=anything, **_CONVERSATIONS),
    "checkboxes": _with_options(10, "box"),
    "radio_buttons": _with_options(10, "box"),
    "datepicker": _picker(initial_date=string(10)),
    "timepicker": _picker(initial_time=string(5), timezone=anything),
}
_PRESSED: dict[str, Check] = {
    "button": shape(
        {"text": _plain(75)},
        {**_PRESSABLE, "url": string(3000), "value": string(2000), "style": _STYLE, "accessibility_label": string(75)},
    ),
    "overflow": _with_options(5, "menu"),
}
_TYPED: dict[str, Check] = {
    "plain_text_input": _typed(multiline=anything, min_length=anything, max_length=anything),
    "number_input": _typed(is_decimal_allowed=anything, min_value=anything, max_value=anything),
    "email_text_input": _typed(),
    "url_text_input": _typed(),
}
_PICTURE: dict[str, Check] = {"image": shape({"alt_text": string(2000)}, _IMAGE)}
_IN_CONTEXT: dict[str, Check] = {
    **_PICTURE,
    "plain_text": _plain(3000),
    "mrkdwn": _text(3000),
}


def _section(value: Any, at: str) -> list[str]:
    rules = shape(
        {},
        {
            "block_id": string(255),
            "text": _text(3000),
            "fields": many(_text(2000), 10),
            "accessory": by_type({**_SELECTS, **_PRESSED, **_PICTURE}),
            "expand": anything,
        },
    )
    neither = (
        [say(at, "must define either `text` or `fields`")] if not (value.get("text") or value.get("fields")) else []
    )
    return rules(value, at) + neither


def _rarer(value: Any, at: str) -> list[str]:
    try:
        block = Block.parse(value)
        if block is not None:
            block.to_dict()
    except (SlackObjectFormationError, TypeError, AttributeError, ValueError) as error:
        return [say(at, str(error))]
    return []


_ID = {"block_id": string(255)}
_PLAIN_BLOCKS: dict[str, Check] = {
    "section": _section,
    "header": shape({"text": _plain(150)}, {**_ID, "level": anything}),
    "divider": shape({}, _ID),
    "context": shape({"elements": many(by_type(_IN_CONTEXT), 10)}, _ID),
    "actions": shape({"elements": many(by_type({**_SELECTS, **_PRESSED}), 25)}, _ID),
    "image": shape({"alt_text": string(2000)}, {**_ID, **_IMAGE, "title": _plain(2000)}),
    **dict.fromkeys(("rich_text", "markdown", "table"), _rarer),
}


def _container(value: Any, at: str) -> list[str]:
    """Some blocks with a title, which a reader may fold away; as slack_sdk 3.48 has it."""
    flag = one_of(True, False)
    flags = dict.fromkeys(("is_collapsible", "default_collapsed", "has_header_divider"), flag)
    rules = shape(
        {"child_blocks": many(by_type(_PLAIN_BLOCKS), 10)},
        {
            **_ID,
            "title": _plain(150),
            "rich_text_title": _rarer,
            "subtitle": _text(150),
            "width": one_of("narrow", "standard", "wide", "full"),
            "icon": by_type(_PICTURE),
            **flags,
        },
    )
    found = rules(value, at)
    if not (value.get("title") or value.get("rich_text_title")):
        found.append(say(at, "must define either `title` or `rich_text_title`"))
    if value.get("default_collapsed") and not value.get("is_collapsible"):
        found.append(say(at, "`default_collapsed` needs `is_collapsible`"))
    if value.get("has_header_divider") and value.get("is_collapsible"):
        found.append(say(at, "`has_header_divider` cannot be set where `is_collapsible` is"))
    return found


_BLOCKS: dict[str, Check] = {
    **_PLAIN_BLOCKS,
    "input": shape(
        {"label": _plain(2000), "element": by_type({**_SELECTS, **_TYPED})},
        {**_ID, "hint": _plain(2000), "optional": anything, "dispatch_action": anything},
    ),
    "container": _container,
    **dict.fromkeys(("file", "video", "card", "alert", "context_actions"), _rarer),
}
_block = by_type(_BLOCKS)

_VIEW: dict[str, Check] = {
    "callback_id": string(255),
    "private_metadata": string(3000, 0),
    "external_id": string(255),
}
_BODY: dict[str, Check] = {"blocks": many(_block, MAX_VIEW_BLOCKS)}
_VIEWS: dict[str, Check] = {
    "modal": shape(
        {"title": _plain(24), **_BODY},
        {
            **_VIEW,
            "submit": _plain(24),
            "close": _plain(24),
            "clear_on_close": anything,
            "notify_on_close": anything,
            "submit_disabled": anything,
        },
    ),
    "home": shape(_BODY, _VIEW),
}


def _repeated_ids(blocks: list[Payload]) -> list[str]:
    """Block IDs used twice in a message or view, and action IDs used twice in a block."""
    found: list[str] = []
    seen: set[str] = set()
    for at, block in _with_children(blocks, "/blocks"):
        block_id = block.get("block_id")
        if block_id in seen:
            found.append(say(f"{at}/block_id", "`block_id` already exists"))
        seen |= {block_id} if block_id else set()
        elements = block.get("elements") if block["type"] == "actions" else None
        ids = [element["action_id"] for element in elements or () if element.get("action_id")]
        if len(ids) != len(set(ids)):
            found.append(say(f"{at}/elements", "`action_id` already exists"))
    return found


def _with_children(blocks: list[Payload], at: str) -> Iterator[tuple[str, Payload]]:
    """Every block, those in containers too, with its JSON pointer."""
    for number, block in enumerate(blocks):
        yield f"{at}/{number}", block
        yield from _with_children(block.get("child_blocks") or [], f"{at}/{number}/child_blocks")

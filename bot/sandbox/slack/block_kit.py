"""Slack's limits on blocks and views, and how it complains when they are not kept.

Every kind of block and element is one row of a table. `slack_sdk` has validators too, but they do not look inside text
objects, fields and unknown keys; they serve here for the rarer blocks only.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

MAX_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_VIEW_BYTES = 250_000

Check = Callable[[Any, str], list[str]]
"""Answers what is wrong with the value at a JSON pointer, in Slack's words."""


def problems_of_blocks(blocks: Any, most: int = MAX_BLOCKS) -> list[str]:
    """What Slack would refuse in the blocks of a message."""
    return _many(_block, most, least=0)(blocks, "/blocks") or _repeated_ids(blocks)


def problems_of_view(view: Any) -> list[str]:
    """What Slack would refuse in a modal or a Home tab."""
    kind = view.get("type") if isinstance(view, dict) else None
    if not isinstance(kind, str) or kind not in _VIEWS:
        return [_say("/view", "must be a modal or a home view")]
    found = _VIEWS[kind](view, "/view") or _repeated_ids(view["blocks"])
    has_input = any(block.get("type") == "input" for block in view["blocks"]) if not found else False
    return [_say("/view", "missing required field: submit")] if has_input and "submit" not in view else found


def too_large(view: Any) -> bool:
    """Whether a view is more than Slack keeps."""
    return len(json.dumps(view)) > MAX_VIEW_BYTES


def _say(at: str, what: str) -> str:
    return f"{what} [json-pointer:{at}]"


def _string(most: int, least: int = 1) -> Check:
    def check(value: Any, at: str) -> list[str]:
        if not isinstance(value, str):
            return [_say(at, "must be a string")]
        if len(value) < least:
            return [_say(at, f"must be more than {least - 1} characters")]
        return [_say(at, f"must be less than {most + 1} characters")] if len(value) > most else []

    return check


def _one_of(*allowed: Any) -> Check:
    return lambda value, at: [] if value in allowed else [_say(at, f"must be one of {', '.join(map(str, allowed))}")]


def _any(_value: Any, _at: str) -> list[str]:
    return []


def _many(check: Check, most: int, least: int = 1) -> Check:
    def check_all(values: Any, at: str) -> list[str]:
        if not isinstance(values, list):
            return [_say(at, "must be an array")]
        if len(values) > most:
            return [_say(at, f"no more than {most} items allowed")]
        if len(values) < least:
            return [_say(at, f"must have at least {least} item{'s' * (least > 1)}")]
        return [problem for number, value in enumerate(values) for problem in check(value, f"{at}/{number}")]

    return check_all


def _shape(required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    known = {"type": _any, **required, **optional}

    def check(value: Any, at: str) -> list[str]:
        if not isinstance(value, dict):
            return [_say(at, "must be an object")]
        missing = [_say(at, f"missing required field: {name}") for name in required if value.get(name) is None]
        unknown = [_say(at, f"invalid additional property: {name}") for name in value if name not in known]
        inside = [
            problem
            for name, child in value.items()
            if name in known and child is not None
            for problem in known[name](child, f"{at}/{name}")
        ]
        return missing + unknown + inside

    return check


def _by_type(table: Mapping[str, Check], allowed: Collection[str] | None = None) -> Check:
    def check(value: Any, at: str) -> list[str]:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in table or (allowed is not None and kind not in allowed):
            return [_say(at, f"unsupported type: {kind}")]
        return table[kind](value, at)

    return check


def _plain(most: int) -> Check:
    return _by_type({"plain_text": _shape({"text": _string(most)}, {"emoji": _any})})


def _text(most: int) -> Check:
    mrkdwn = _shape({"text": _string(most)}, {"verbatim": _any})
    return _by_type({"mrkdwn": mrkdwn, "plain_text": _shape({"text": _string(most)}, {"emoji": _any})})


def _with_options(most: int, name: str, **optional: Check) -> Check:
    """An element with a list of options, flat or in groups."""
    option = _option(_text if name == "box" else _plain)
    group = _shape({"label": _plain(75), "options": _many(option, 100)}, {})
    options = {"options": _many(option, most), "option_groups": _many(group, 100)}
    initial = {"initial_option": option, "initial_options": _many(option, most)}
    rules = _shape({}, {**_COMMON, **options, **initial, **optional})

    def check(value: Any, at: str) -> list[str]:
        given = sum(value.get(name) is not None for name in options) if isinstance(value, dict) else 1
        return rules(value, at) + ([] if given == 1 else [_say(at, "must define either options or option_groups")])

    return check


def _option(text: Callable[[int], Check]) -> Check:
    return _shape({"text": text(75), "value": _string(150)}, {"description": text(75), "url": _string(3000)})


_CONFIRM = _shape(
    {"title": _plain(100), "text": _text(300), "confirm": _plain(30), "deny": _plain(30)},
    {"style": _one_of("primary", "danger")},
)
_COMMON = {"action_id": _string(255), "confirm": _CONFIRM, "focus_on_load": _any, "placeholder": _plain(150)}
_IDS = _many(_string(255), 100)
_STYLE = _one_of("primary", "danger")
_IMAGE = {"image_url": _string(3000), "slack_file": _any}


def _picker(**optional: Check) -> Check:
    return _shape({}, {**_COMMON, **optional})


def _typed(**optional: Check) -> Check:
    return _picker(initial_value=_string(3000, 0), dispatch_action_config=_any, **optional)


_SELECTS: dict[str, Check] = {
    "static_select": _with_options(100, "select"),
    "multi_static_select": _with_options(100, "select", max_selected_items=_any),
    "users_select": _picker(initial_user=_string(255)),
    "multi_users_select": _picker(initial_users=_IDS, max_selected_items=_any),
    "channels_select": _picker(initial_channel=_string(255), response_url_enabled=_any),
    "multi_channels_select": _picker(initial_channels=_IDS, max_selected_items=_any),
    "conversations_select": _picker(
        initial_conversation=_string(255), default_to_current_conversation=_any, response_url_enabled=_any, filter=_any
    ),
    "multi_conversations_select": _picker(
        initial_conversations=_IDS, default_to_current_conversation=_any, max_selected_items=_any, filter=_any
    ),
    "checkboxes": _with_options(10, "box"),
    "radio_buttons": _with_options(10, "box"),
    "datepicker": _picker(initial_date=_string(10)),
    "timepicker": _picker(initial_time=_string(5), timezone=_any),
}
_PRESSED: dict[str, Check] = {
    "button": _shape(
        {"text": _plain(75)},
        {**_COMMON, "url": _string(3000), "value": _string(2000), "style": _STYLE, "accessibility_label": _string(75)},
    ),
    "overflow": _with_options(5, "menu"),
}
_TYPED: dict[str, Check] = {
    "plain_text_input": _typed(multiline=_any, min_length=_any, max_length=_any),
    "number_input": _typed(is_decimal_allowed=_any, min_value=_any, max_value=_any),
    "email_text_input": _typed(),
    "url_text_input": _typed(),
}
_PICTURE: dict[str, Check] = {"image": _shape({"alt_text": _string(2000)}, _IMAGE)}
_IN_CONTEXT: dict[str, Check] = {
    **_PICTURE,
    "plain_text": _plain(3000),
    "mrkdwn": _text(3000),
}


def _section(value: Any, at: str) -> list[str]:
    rules = _shape(
        {},
        {
            "block_id": _string(255),
            "text": _text(3000),
            "fields": _many(_text(2000), 10),
            "accessory": _by_type({**_SELECTS, **_PRESSED, **_PICTURE}),
            "expand": _any,
        },
    )
    neither = (
        [_say(at, "must define either `text` or `fields`")] if not (value.get("text") or value.get("fields")) else []
    )
    return rules(value, at) + neither


def _rarer(value: Any, at: str) -> list[str]:
    try:
        block = Block.parse(value)
        if block is not None:
            block.to_dict()
    except (SlackObjectFormationError, TypeError, AttributeError, ValueError) as error:
        return [_say(at, str(error))]
    return []


_ID = {"block_id": _string(255)}
_BLOCKS: dict[str, Check] = {
    "section": _section,
    "header": _shape({"text": _plain(150)}, {**_ID, "level": _any}),
    "divider": _shape({}, _ID),
    "context": _shape({"elements": _many(_by_type(_IN_CONTEXT), 10)}, _ID),
    "actions": _shape({"elements": _many(_by_type({**_SELECTS, **_PRESSED}), 25)}, _ID),
    "image": _shape({"alt_text": _string(2000)}, {**_ID, **_IMAGE, "title": _plain(2000)}),
    "input": _shape(
        {"label": _plain(2000), "element": _by_type({**_SELECTS, **_TYPED})},
        {**_ID, "hint": _plain(2000), "optional": _any, "dispatch_action": _any},
    ),
    **dict.fromkeys(("rich_text", "markdown", "table", "file", "video", "card", "alert", "context_actions"), _rarer),
}
_block = _by_type(_BLOCKS)

_VIEW: dict[str, Check] = {
    "callback_id": _string(255),
    "private_metadata": _string(3000, 0),
    "external_id": _string(255),
}
_BODY: dict[str, Check] = {"blocks": _many(_block, MAX_VIEW_BLOCKS)}
_VIEWS: dict[str, Check] = {
    "modal": _shape(
        {"title": _plain(24), **_BODY},
        {
            **_VIEW,
            "submit": _plain(24),
            "close": _plain(24),
            "clear_on_close": _any,
            "notify_on_close": _any,
            "submit_disabled": _any,
        },
    ),
    "home": _shape(_BODY, _VIEW),
}


def _repeated_ids(blocks: list[dict[str, Any]]) -> list[str]:
    """Block IDs used twice in a message or view, and action IDs used twice in a block."""
    found: list[str] = []
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id in seen:
            found.append(_say(f"/blocks/{number}/block_id", "`block_id` already exists"))
        seen |= {block_id} if block_id else set()
        elements = block.get("elements") if block["type"] == "actions" else None
        ids = [element["action_id"] for element in elements or () if element.get("action_id")]
        if len(ids) != len(set(ids)):
            found.append(_say(f"/blocks/{number}/elements", "`action_id` already exists"))
    return found

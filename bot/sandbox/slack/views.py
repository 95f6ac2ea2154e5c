"""Modals and Home tabs, and what Slack reports of the elements that people press and fill in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bot.sandbox.payload import Payload
from bot.sandbox.slack.directory import APP, BOT, TEAM
from bot.sandbox.slack.messages import elements

Given = str | Sequence[str] | None
"""What a person gave: a text, an option's value, an ID; or several of them."""

_REPORTED = {
    "plain_text_input": "value",
    "number_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "static_select": "selected_option",
    "radio_buttons": "selected_option",
    "overflow": "selected_option",
    "multi_static_select": "selected_options",
    "checkboxes": "selected_options",
    "users_select": "selected_user",
    "multi_users_select": "selected_users",
    "channels_select": "selected_channel",
    "multi_channels_select": "selected_channels",
    "conversations_select": "selected_conversation",
    "multi_conversations_select": "selected_conversations",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
}
_WITHOUT_STATE = {"button", "overflow"}
_fresh = count(1)


class NotOnScreen(LookupError):
    """Nobody could have pressed that: it is not in the message or view."""


@dataclass
class View:
    """A modal or Home tab as one person has it open.

    Args:
        body: as the app gave it.
        errors: what the app said is wrong, by block ID; shown at the fields.
    """

    id: str
    user: str
    body: Payload
    hash: str
    previous_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> list[Payload]:
        """Its blocks."""
        return list(self.body["blocks"])

    def as_slack(self, values: Mapping[str, Given] | None = None) -> Payload:
        """The view as Slack gives it, with what was filled in so far."""
        return {
            "close": None,
            "submit": None,
            "callback_id": "",
            "private_metadata": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            **self.body,
            "id": self.id,
            "team_id": TEAM,
            "app_id": APP,
            "bot_id": BOT,
            "app_installed_team_id": TEAM,
            "hash": self.hash,
            "root_view_id": self.id,
            "previous_view_id": self.previous_id,
            "state": {"values": state_of(self.blocks, values or {})},
        }


def with_ids(blocks: list[Payload]) -> list[Payload]:
    """A copy of some blocks in which each has the IDs that Slack makes up where the app gave none."""
    blocks = _without_nulls(blocks)
    _give_ids(blocks)
    return blocks


def _give_ids(blocks: list[Payload]) -> None:
    for block in blocks:
        block.setdefault("block_id", f"made-{next(_fresh)}")
        for element in (block.get("accessory"), block.get("element"), *(block.get("elements") or ())):
            if isinstance(element, dict) and element.get("type") in (*_REPORTED, "button"):
                element.setdefault("action_id", f"made-{next(_fresh)}")
        _give_ids(block.get("child_blocks") or [])


def _without_nulls(node: Any) -> Any:
    """A copy without what was given as null: to Slack that is the same as not given."""
    if isinstance(node, dict):
        return {name: _without_nulls(value) for name, value in node.items() if value is not None}
    return [_without_nulls(child) for child in node] if isinstance(node, list) else node


def pick(
    blocks: list[Payload], action_id: str, block_id: str | None = None, value: Given = None
) -> tuple[Payload, Payload]:
    """The element that is meant, with its block.

    Raises:
        NotOnScreen: there is none.
    """
    for block, element in elements(blocks):
        other_button = element["type"] == "button" and value is not None and element.get("value") != value
        if element["action_id"] == action_id and block_id in (None, block["block_id"]) and not other_button:
            return block, element
    shown = [element["action_id"] for _, element in elements(blocks)]
    raise NotOnScreen(f"{action_id} (block {block_id}, value {value}) is not among {shown}")


def action_of(block: Mapping[str, Any], element: Mapping[str, Any], value: Given, at: str) -> Payload:
    """The entry in `actions` for an element that was pressed or changed."""
    action = {"type": element["type"], "action_id": element["action_id"], "block_id": block["block_id"]}
    if element["type"] == "button":
        pressed = {name: element[name] for name in ("text", "value", "style", "url") if name in element}
        return {**action, **pressed, "action_ts": at}
    return {**action, **_reported(element, value), "action_ts": at}


def state_of(blocks: list[Payload], values: Mapping[str, Given]) -> dict[str, Payload]:
    """`state.values`: what the inputs hold, as filled in or as they were at first.

    Args:
        values: what the person gave, by action ID, or by `block_id:action_id` where that is not enough.
    """
    state: dict[str, Payload] = {}
    for block, element in elements(blocks):
        if element["type"] in _WITHOUT_STATE:
            continue
        action_id = element["action_id"]
        key = f"{block['block_id']}:{action_id}"
        given = values.get(key, values.get(action_id, initial(element)))
        state.setdefault(block["block_id"], {})[action_id] = {"type": element["type"], **_reported(element, given)}
    return state


def options_of(element: Mapping[str, Any]) -> list[Payload]:
    """The options of an element, groups flattened."""
    groups = element.get("option_groups") or [element]
    return [option for group in groups for option in group.get("options") or ()]


def initial(element: Mapping[str, Any]) -> list[str]:
    """What an element holds before anybody touches it."""
    given = element.get(f"initial_{_REPORTED[element['type']].removeprefix('selected_')}")
    values = given if isinstance(given, list) else [given] if given is not None else []
    return [value["value"] if isinstance(value, dict) else str(value) for value in values]


def _reported(element: Mapping[str, Any], given: Given) -> Payload:
    name = _REPORTED[element["type"]]
    chosen = [given] if isinstance(given, str) else list(given or ())
    if name in ("selected_option", "selected_options"):
        options = {option["value"]: option for option in options_of(element)}
        unknown = [value for value in chosen if value and value not in options]
        if unknown:
            raise NotOnScreen(f"{unknown} is not among {list(options)}")
        picked = [options[value] for value in chosen if value]
        return {name: picked if name.endswith("s") else next(iter(picked), None)}
    if name.endswith("s"):
        return {name: [value for value in chosen if value]}
    return {name: next(iter(chosen), None) or None}

"""What Slack sends → typed requests. Pure; whatever is missing or odd is `Malformed`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.base.errors import BotError
from bot.base.text import clean


class Malformed(BotError):
    """The request is not one that Slack sends."""


@dataclass(frozen=True, kw_only=True)
class Requester:
    """Who asks, where, and the ways back to them.

    Args:
        delivery_key: the same for every delivery of the same command, click or mention.
        team_id: the workspace that Slack's request gives for the person.
        thread_ts: the thread that a public answer goes into; None lets the bot start one.
        asked_in: the thread in which they look; None: the channel itself.
        trigger_id: opens a modal, once, within three seconds.
    """

    delivery_key: str
    user_id: str
    team_id: str
    user_name: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    asked_in: str | None = None
    response_url: str | None = None
    trigger_id: str | None = None

    @property
    def source(self) -> str:
        """Where it was typed, as the audit names it."""
        return self.delivery_key.partition(":")[0]


def requester_of_command(body: Mapping[str, Any]) -> Requester:
    """Who typed a slash command; its trigger is the same in every delivery."""
    trigger_id = _text(body, "trigger_id")
    return Requester(
        delivery_key=f"command:{trigger_id}",
        user_id=_text(body, "user_id"),
        team_id=_text(body, "team_id"),
        user_name=_maybe(body, "user_name"),
        channel_id=_maybe(body, "channel_id"),
        response_url=_maybe(body, "response_url"),
        trigger_id=trigger_id,
    )


def requester_of_mention(event: Mapping[str, Any], team_id: str) -> Requester:
    """Who mentioned the bot; they are answered in the thread where they did."""
    channel_id, ts = _text(event, "channel"), _text(event, "ts")
    theirs = _maybe(event, "user_team") or _maybe(event, "source_team") or _maybe(event, "team") or team_id
    return Requester(
        delivery_key=f"mention:{channel_id}:{ts}",
        user_id=_text(event, "user"),
        team_id=theirs,
        channel_id=channel_id,
        thread_ts=_maybe(event, "thread_ts") or ts,
        asked_in=_maybe(event, "thread_ts"),
    )


def requester_of_click(body: Mapping[str, Any]) -> Requester:
    """Who clicked something in a message, a modal or the Home tab, or used a shortcut or submitted a modal.

    The person's workspace is `user.team_id`: in a shared channel `team.id` is ours whoever clicks.
    """
    user = _mapping(body, "user")
    container = body.get("container") if isinstance(body.get("container"), Mapping) else {}
    message = body.get("message")
    channel_id = _maybe(container, "channel_id") or _maybe(body.get("channel"), "id")
    message_ts = _maybe(container, "message_ts") or _maybe(body, "message_ts") or _maybe(message, "ts")
    asked_in = _maybe(message, "thread_ts") or _maybe(container, "thread_ts")
    ephemeral = isinstance(container, Mapping) and container.get("is_ephemeral") is True
    return Requester(
        delivery_key=_click_key(body, channel_id, message_ts, _text(user, "id")),
        user_id=_text(user, "id"),
        team_id=_maybe(user, "team_id") or _text(_mapping(body, "team"), "id"),
        user_name=_maybe(user, "username") or _maybe(user, "name"),
        channel_id=channel_id,
        thread_ts=asked_in or (None if ephemeral else message_ts),
        asked_in=asked_in,
        response_url=_maybe(body, "response_url"),
        trigger_id=_maybe(body, "trigger_id"),
    )


def _click_key(body: Mapping[str, Any], channel_id: str | None, message_ts: str | None, user_id: str) -> str:
    """What is the same in every delivery: a modal is submitted once, a button's click has its time."""
    if body.get("type") == "view_submission":
        return f"view:{_text(_mapping(body, 'view'), 'id')}"
    actions = body.get("actions")
    at = _maybe(actions[0], "action_ts") if isinstance(actions, list) and actions else _maybe(body, "action_ts")
    where = message_ts or _maybe(body.get("view"), "id")
    return f"click:{channel_id}:{where}:{at}:{user_id}"


def requester_somehow(body: Mapping[str, Any]) -> Requester | None:
    """Whose request it is, as far as that can be told."""
    try:
        if isinstance(body.get("event"), Mapping):
            return requester_of_mention(body["event"], _maybe(body, "team_id") or "")
        return requester_of_click(body) if isinstance(body.get("user"), Mapping) else requester_of_command(body)
    except Malformed:
        return None


def value_of(body: Mapping[str, Any]) -> str:
    """The value of the button that was clicked."""
    return _text(_first(body, "actions"), "value")


def _chosen(values: Mapping[str, Any], name: str) -> str | None:
    return _maybe(_input(values, name).get("selected_option"), "value")


def _input(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An input of a modal; its block and its element have the same name."""
    block = values.get(name)
    element = block.get(name) if isinstance(block, Mapping) else None
    return element if isinstance(element, Mapping) else {}


def _text(source: Any, name: str) -> str:
    value = _maybe(source, name)
    if not value:
        raise Malformed
    return value


def _maybe(source: Any, name: str) -> str | None:
    value = source.get(name) if isinstance(source, Mapping) else None
    return clean(value) if isinstance(value, str) and value else None


def _mapping(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = source.get(name)
    if not isinstance(value, Mapping):
        raise Malformed
    return value


def _first(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    values = source.get(name)
    if not isinstance(values, list) or not values or not isinstance(values[0], Mapping):
        raise Malformed
    return values[0]

"""What Slack sends → typed requests. Pure; whatever is missing or odd is `Malformed`."""

import json
from collections.abc import Mapping

from bot.base.errors import BotError
from bot.base.requester import Requester, Source
from bot.base.text import clean


class Malformed(BotError):
    """The request is not one that Slack sends."""


def requester_of_command(body: Mapping[str, object]) -> Requester:
    """Who typed a slash command; its trigger is the same in every delivery."""
    return Requester(
        delivery_key=f"command:{trigger_of(body)}",
        source=Source.COMMAND,
        user_id=text_of(body, "user_id"),
        team_id=text_of(body, "team_id"),
        user_name=text_or_none(body, "user_name"),
        channel_id=text_or_none(body, "channel_id"),
        response_url=text_or_none(body, "response_url"),
    )


def requester_of_mention(event: Mapping[str, object], team_id: str) -> Requester:
    """Who mentioned the bot; they are answered in the thread where they did."""
    channel_id, ts = text_of(event, "channel"), text_of(event, "ts")
    theirs = (
        text_or_none(event, "user_team") or text_or_none(event, "source_team") or text_or_none(event, "team") or team_id
    )
    return Requester(
        delivery_key=f"mention:{channel_id}:{ts}",
        source=Source.MENTION,
        user_id=text_of(event, "user"),
        team_id=theirs,
        channel_id=channel_id,
        thread_ts=text_or_none(event, "thread_ts") or ts,
        asked_in=text_or_none(event, "thread_ts"),
    )


def requester_of_click(body: Mapping[str, object], source: Source) -> Requester:
    """Who clicked something in a message, a modal or the Home tab, or used a shortcut or submitted a modal.

    The person's workspace is `user.team_id`: in a shared channel `team.id` is ours whoever clicks.

    Args:
        source: what it was, which the listener knows.
    """
    user = mapping_of(body, "user")
    container = body.get("container") if isinstance(body.get("container"), Mapping) else {}
    message = body.get("message")
    channel_id = text_or_none(container, "channel_id") or text_or_none(body.get("channel"), "id")
    message_ts = (
        text_or_none(container, "message_ts") or text_or_none(body, "message_ts") or text_or_none(message, "ts")
    )
    thread_ts = text_or_none(message, "thread_ts") or text_or_none(container, "thread_ts")
    # A message with replies names itself as its thread, but stands in the channel: that is where somebody looks.
    asked_in = thread_ts if thread_ts != message_ts else None
    ephemeral = isinstance(container, Mapping) and container.get("is_ephemeral") is True
    return Requester(
        delivery_key=_click_key(body, channel_id, message_ts, text_of(user, "id")),
        source=source,
        user_id=text_of(user, "id"),
        team_id=text_or_none(user, "team_id") or text_of(mapping_of(body, "team"), "id"),
        user_name=text_or_none(user, "username") or text_or_none(user, "name"),
        channel_id=channel_id,
        thread_ts=asked_in or (None if ephemeral else message_ts),
        asked_in=asked_in,
        response_url=text_or_none(body, "response_url"),
    )


def _click_key(body: Mapping[str, object], channel_id: str | None, message_ts: str | None, user_id: str) -> str:
    """What is the same in every delivery: a modal is submitted once, a button's click has its time."""
    if body.get("type") == "view_submission":
        return f"view:{text_of(mapping_of(body, 'view'), 'id')}"
    actions = body.get("actions")
    at = text_or_none(actions[0] if isinstance(actions, list) and actions else body, "action_ts")
    where = message_ts or text_or_none(body.get("view"), "id")
    return f"click:{channel_id}:{where}:{at}:{user_id}"


def requester_somehow(body: Mapping[str, object]) -> Requester | None:
    """Whose request it is, as far as that can be told, to answer them; nothing of it is recorded."""
    try:
        if isinstance(event := body.get("event"), Mapping):
            return requester_of_mention(event, text_or_none(body, "team_id") or "")
        if isinstance(body.get("user"), Mapping):
            return requester_of_click(body, Source.ALERT)
        return requester_of_command(body)
    except Malformed:
        return None


def trigger_of(body: Mapping[str, object]) -> str:
    """What opens a modal, once, within three seconds."""
    return text_of(body, "trigger_id")


def value_of(body: Mapping[str, object]) -> str:
    """The value of the button that was clicked."""
    actions = body.get("actions")
    return text_of(actions[0] if isinstance(actions, list) and actions else None, "value")


def metadata_of(body: Mapping[str, object]) -> object:
    """What a submitted modal was given to keep, in its `private_metadata`, as JSON.

    Raises:
        Malformed: it keeps none.
    """
    try:
        return json.loads(text_of(mapping_of(body, "view"), "private_metadata"))
    except ValueError:
        raise Malformed from None


def inputs_of(body: Mapping[str, object]) -> Mapping[str, object]:
    """What was filled in in a submitted modal, by block; see `input_of`."""
    return mapping_of(mapping_of(mapping_of(body, "view"), "state"), "values")


def input_of(inputs: Mapping[str, object], name: str) -> Mapping[str, object]:
    """One input of a modal, whose block and element have the same name; empty for one that is not there."""
    block = inputs.get(name)
    element = block.get(name) if isinstance(block, Mapping) else None
    return element if isinstance(element, Mapping) else {}


def chosen_in(inputs: Mapping[str, object], name: str) -> str | None:
    """The value of the option that was chosen in an input; None: none was."""
    return text_or_none(input_of(inputs, name).get("selected_option"), "value")


def text_of(source: object, name: str) -> str:
    """A text that must be there and not empty.

    Raises:
        Malformed: it is not.
    """
    value = text_or_none(source, name)
    if value is None:
        raise Malformed
    return value


def text_or_none(source: object, name: str) -> str | None:
    """A text as a database can take it; None where there is none, or an empty one, or something else."""
    value = source.get(name) if isinstance(source, Mapping) else None
    return clean(value) if isinstance(value, str) and value else None


def mapping_of(source: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A part of a payload that must be there.

    Raises:
        Malformed: it is not.
    """
    value = source.get(name)
    if not isinstance(value, Mapping):
        raise Malformed
    return value

"""What Slack sends → typed requests. Pure; whatever is missing or odd is `Malformed`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.commands import JOB_ID, Retry, clean
from bot.errors import BotError
from bot.record import Request, new_id


class Malformed(BotError):
    """The request is not one that Slack sends."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, where, and the ways back to them.

    Args:
        team_id: the workspace that Slack's request gives for the person.
        trigger_id: opens a modal, once, within three seconds.
        delivery_key: the same for every delivery of the same command, click or mention.
    """

    user_id: str
    team_id: str
    user_name: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    response_url: str | None = None
    trigger_id: str | None = None
    delivery_key: str | None = None


def asker_of_command(body: Mapping[str, Any]) -> Asker:
    """Who typed a slash command."""
    return Asker(
        user_id=_text(body, "user_id"),
        team_id=_text(body, "team_id"),
        user_name=_maybe(body, "user_name"),
        channel_id=_maybe(body, "channel_id"),
        response_url=_maybe(body, "response_url"),
        trigger_id=_maybe(body, "trigger_id"),
        delivery_key=f"command:{_maybe(body, 'trigger_id')}",
    )


def asker_of_mention(event: Mapping[str, Any], team_id: str) -> Asker:
    """Who mentioned the bot; they are answered in the thread where they did, so that only they see it."""
    theirs = _maybe(event, "user_team") or _maybe(event, "source_team") or _maybe(event, "team") or team_id
    return Asker(
        user_id=_text(event, "user"),
        team_id=theirs,
        channel_id=_maybe(event, "channel"),
        thread_ts=_maybe(event, "thread_ts"),
        delivery_key=f"mention:{_maybe(event, 'channel')}:{_maybe(event, 'ts')}",
    )


def asker_of_click(body: Mapping[str, Any]) -> Asker:
    """Who clicked something in a message, in a modal or in the Home tab, or submitted a modal.

    The person's workspace is `user.team_id`: in a shared channel `team.id` is ours whoever clicks.
    """
    user = _mapping(body, "user")
    container = body.get("container")
    return Asker(
        user_id=_text(user, "id"),
        team_id=_maybe(user, "team_id") or _text(_mapping(body, "team"), "id"),
        user_name=_maybe(user, "username") or _maybe(user, "name"),
        channel_id=_maybe(container, "channel_id") or _maybe(body.get("channel"), "id"),
        thread_ts=_maybe(container, "thread_ts"),
        response_url=_maybe(body, "response_url"),
        trigger_id=_maybe(body, "trigger_id"),
    )


def asker_somehow(body: Mapping[str, Any]) -> Asker | None:
    """Whose request it is, as far as that can be told."""
    try:
        if isinstance(body.get("event"), Mapping):
            return asker_of_mention(body["event"], _maybe(body, "team_id") or "")
        return asker_of_click(body) if isinstance(body.get("user"), Mapping) else asker_of_command(body)
    except Malformed:
        return None


def from_command(body: Mapping[str, Any], command: Retry) -> list[Request]:
    """One request per job of a slash command; its trigger is the same in every delivery."""
    trigger = _text(body, "trigger_id")
    return [
        Request(
            id=new_id(),
            delivery_key=f"command:{trigger}:{number}",
            job_id=job_id,
            source="command",
            team_id=_text(body, "team_id"),
            user_id=_text(body, "user_id"),
            user_name=_maybe(body, "user_name"),
            channel_id=_maybe(body, "channel_id"),
            reason=command.reason,
            response_url=_maybe(body, "response_url"),
        )
        for number, job_id in enumerate(command.job_ids)
    ]


def from_click(body: Mapping[str, Any]) -> Request:
    """A click on a Retry button; message and action time are the same in every delivery.

    The person's workspace is `user.team_id`: in a shared channel `team.id` is ours whoever clicks.
    """
    action = _first(body, "actions")
    user, container = _mapping(body, "user"), _mapping(body, "container")
    job_id, _, failure = _text(action, "value").partition(" ")
    if not JOB_ID.fullmatch(job_id):
        raise Malformed
    message_ts = _text(container, "message_ts")
    message = body.get("message") if isinstance(body.get("message"), Mapping) else {}
    channel_id = _maybe(container, "channel_id") or _maybe(_mapping(body, "channel"), "id")
    key = f"click:{channel_id}:{message_ts}:{_text(action, 'action_ts')}:{_text(user, 'id')}"
    thread_ts = _maybe(message, "thread_ts") or _maybe(container, "thread_ts")
    if container.get("is_ephemeral") is not True:
        thread_ts = thread_ts or message_ts
    return Request(
        id=new_id(),
        delivery_key=key,
        job_id=job_id,
        offered=failure,
        source="alert",
        channel_id=channel_id,
        team_id=_maybe(user, "team_id") or _text(_mapping(body, "team"), "id"),
        user_id=_text(user, "id"),
        user_name=_maybe(user, "username") or _maybe(user, "name"),
        thread_ts=thread_ts,
        response_url=_maybe(body, "response_url"),
    )


def from_mention(event: Mapping[str, Any], team_id: str, command: Retry) -> list[Request]:
    """One request per job of a mention; it is answered in the mention's own thread."""
    channel_id, ts = _text(event, "channel"), _text(event, "ts")
    theirs = _maybe(event, "user_team") or _maybe(event, "source_team") or _maybe(event, "team") or team_id
    return [
        Request(
            id=new_id(),
            delivery_key=f"mention:{channel_id}:{ts}:{number}",
            job_id=job_id,
            source="mention",
            team_id=theirs,
            user_id=_text(event, "user"),
            channel_id=channel_id,
            thread_ts=_maybe(event, "thread_ts") or ts,
            reason=command.reason,
        )
        for number, job_id in enumerate(command.job_ids)
    ]


def thread_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The channel and thread of the message a shortcut was used on."""
    message = _mapping(body, "message")
    ts = _maybe(message, "thread_ts") or _text(message, "ts")
    return {"channel_id": _text(_mapping(body, "channel"), "id"), "thread_ts": ts}


def from_view(body: Mapping[str, Any]) -> list[Request]:
    """One request per job picked in the retry modal; the view is the same in every delivery."""
    view, user = _mapping(body, "view"), _mapping(body, "user")
    values = _mapping(_mapping(view, "state"), "values")
    picked = _mapping(_mapping(values, "jobs"), "jobs").get("selected_options")
    reason = _maybe(_mapping(_mapping(values, "reason"), "reason"), "value")
    try:
        thread = json.loads(_text(view, "private_metadata"))
    except ValueError:
        raise Malformed from None
    job_ids = [_text(option, "value") for option in picked] if isinstance(picked, list) else []
    if not all(JOB_ID.fullmatch(job_id) for job_id in job_ids):
        raise Malformed
    return [
        Request(
            id=new_id(),
            delivery_key=f"view:{_text(view, 'id')}:{job_id}",
            job_id=job_id,
            source="shortcut",
            team_id=_maybe(user, "team_id") or _text(_mapping(body, "team"), "id"),
            user_id=_text(user, "id"),
            user_name=_maybe(user, "username") or _maybe(user, "name"),
            reason=reason,
            channel_id=_text(thread, "channel_id"),
            thread_ts=_text(thread, "thread_ts"),
        )
        for job_id in job_ids
    ]


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

"""What the Web API's methods are asked about: the channel, person, message or view meant, and content within limits.

Each function returns what is meant, or raises `Refused` with Slack's name for what is wrong.
"""

from collections.abc import Mapping
from typing import Any

from bot.sandbox.payload import Payload
from bot.sandbox.slack import block_kit
from bot.sandbox.slack.directory import APP, BOT, BOT_USER, TEAM, Channel, User
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.state import Refused, WorkspaceState

Arguments = Mapping[str, Any]

MAX_TEXT = 40_000
MAX_UPDATED_TEXT = 4_000


def user_of(state: WorkspaceState, user_id: object) -> User:
    """The person of that ID."""
    user = state.users.get(str(user_id))
    if user is None:
        raise Refused("user_not_found")
    return user


def channel_of(state: WorkspaceState, arguments: Arguments) -> Channel:
    """A channel that the app may know of: none that is private and without it."""
    channel = state.channels.get(str(arguments.get("channel")))
    if channel is None or (channel.is_private and BOT_USER not in channel.members):
        raise Refused("channel_not_found")
    return channel


def channel_to_know(state: WorkspaceState, arguments: Arguments) -> Channel:
    """A channel of which the app may know what it is."""
    channel = state.channels.get(str(arguments.get("channel")))
    needed = "groups:read" if channel is not None and channel.is_private else "channels:read"
    if needed not in state.scopes:
        raise Refused("missing_scope", needed=needed, provided=",".join(sorted(state.scopes)))
    return channel_of(state, arguments)


def channel_to_read(state: WorkspaceState, arguments: Arguments) -> Channel:
    """A channel whose messages the app may read: it is in it and has the scope."""
    channel = channel_of(state, arguments)
    needed = "im:history" if channel.person else "groups:history" if channel.is_private else "channels:history"
    if needed not in state.scopes:
        raise Refused("missing_scope", needed=needed, provided=",".join(sorted(state.scopes)))
    if BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    return channel


def channel_to_post_in(state: WorkspaceState, arguments: Arguments) -> Channel:
    """A channel, or a person's direct messages, where the app may post."""
    name = str(arguments.get("channel") or "")
    user = state.users.get(name)
    if user is not None and user.is_bot:
        raise Refused("cannot_dm_bot")
    channel = state.dm(user.id) if user else channel_of(state, arguments)
    if channel.is_archived:
        raise Refused("is_archived")
    if BOT_USER not in channel.members and "chat:write.public" not in state.scopes:
        raise Refused("not_in_channel")
    return channel


def thread_to_post_in(channel: Channel, arguments: Arguments) -> str | None:
    """The message to reply to; None for the top of the channel."""
    if not arguments.get("thread_ts"):
        return None
    root = message_of(channel, arguments["thread_ts"], "thread_not_found")
    if root.visible_to or root.thread_ts not in (None, root.ts):
        raise Refused("cannot_reply_to_message")
    return root.ts


def message_of(channel: Channel, ts: object, error: str = "message_not_found") -> Message:
    """A message that everybody in the channel sees."""
    message = channel.find(str(ts))
    if message is None or message.visible_to:
        raise Refused(error)
    return message


def own_message(
    state: WorkspaceState, arguments: Arguments, not_own: str = "cant_update_message"
) -> tuple[Channel, Message]:
    """A message of the app's own that may still be changed."""
    channel = channel_of(state, arguments)
    message = message_of(channel, arguments.get("ts"))
    if message.subtype == "tombstone":
        raise Refused("message_not_found")
    if message.user != BOT_USER:
        raise Refused(not_own)
    age = state.clock().timestamp() - float(message.ts)
    if state.edit_window is not None and age > state.edit_window.total_seconds():
        raise Refused("edit_window_closed")
    return channel, message


def content(state: WorkspaceState, arguments: Arguments, most_text: int = MAX_TEXT) -> Payload:
    """Text, blocks and attachments of a message, within Slack's limits and of the kinds that the workspace has."""
    text, blocks = str(arguments.get("text") or ""), arguments.get("blocks") or []
    attachments = arguments.get("attachments") or []
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    if not isinstance(attachments, list):
        raise Refused("invalid_attachments")
    nested = [attachment.get("blocks") or [] for attachment in attachments if isinstance(attachment, dict)]
    problems = [
        problem
        for part in (blocks, *nested)
        for problem in block_kit.problems_of_blocks(part, state.unsupported_blocks)
    ]
    if problems:
        raise invalid("invalid_blocks", problems)
    if not (text.strip() or blocks or attachments):
        raise Refused("no_text")
    if len(text) > most_text:
        raise Refused("msg_too_long")
    return {"text": text, "blocks": blocks, "attachments": attachments}


def invalid(error: str, problems: list[str]) -> Refused:
    """A refusal that says what is wrong, in the two places where Slack says it."""
    messages = [f"[ERROR] {problem}" for problem in problems]
    return Refused(error, errors=problems, response_metadata={"messages": messages})


def view_of(arguments: Arguments, kind: str) -> Payload:
    """The view given, if it is one of that kind and within Slack's limits."""
    view = arguments.get("view")
    if not isinstance(view, dict) or view.get("type") != kind:
        raise invalid("invalid_arguments", [f"must be a {kind} view [json-pointer:/view]"])
    if block_kit.too_large(view):
        raise Refused("view_too_large")
    problems = block_kit.problems_of_view(view)
    if problems:
        raise invalid("invalid_arguments", problems)
    return view


def as_slack(state: WorkspaceState, message: Message) -> Payload:
    """A message as the Web API gives it, with what is known of its thread."""
    given = {**message.as_slack(), "team": TEAM, **({"app_id": APP} if message.bot_id == BOT else {})}
    replies = state.thread(message.channel, message.ts)[1:]
    if not message.thread_ts and replies:
        people = list(dict.fromkeys(reply.user for reply in replies))
        given |= {"thread_ts": message.ts, "reply_count": len(replies), "reply_users": people}
    return given


def within(ts: str, arguments: Arguments) -> bool:
    """Whether a message is of the time asked for."""
    at, oldest, latest = float(ts), _number(arguments, "oldest", 0.0), _number(arguments, "latest", float("inf"))
    return oldest <= at <= latest and (at not in (oldest, latest) or flag(arguments, "inclusive"))


def count_of(arguments: Arguments, name: str, default: int) -> int:
    """A whole number that was given."""
    return int(_number(arguments, name, default))


def _number(arguments: Arguments, name: str, default: float) -> float:
    try:
        return float(arguments.get(name) or default)
    except (TypeError, ValueError):
        raise Refused("invalid_arguments") from None


def flag(arguments: Arguments, name: str) -> bool:
    """Whether a yes was given, in whatever form."""
    return str(arguments.get(name, "")).lower() in ("1", "true")

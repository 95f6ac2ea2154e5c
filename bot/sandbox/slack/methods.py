"""The Web API's methods, one function each: what the app asks → what changes in the workspace → the answer."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.sandbox.payload import Payload
from bot.sandbox.slack.arguments import (
    MAX_UPDATED_TEXT,
    Arguments,
    as_slack,
    channel_of,
    channel_to_know,
    channel_to_post_in,
    channel_to_read,
    content,
    count_of,
    flag,
    message_of,
    own_message,
    thread_to_post_in,
    user_of,
    view_of,
    within,
)
from bot.sandbox.slack.directory import BOT, BOT_USER, TEAM
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.state import File, Refused, WorkspaceState
from bot.sandbox.slack.views import View, with_ids

Answer = Payload
Method = Callable[[WorkspaceState, Arguments], Answer]

URL = "https://sandbox.slack.example/"
MAX_MODALS = 3


@dataclass(frozen=True)
class Known:
    """A method, with the scope it needs; an empty one for none."""

    run: Method
    scope: str = ""


def auth_test(_: WorkspaceState, _arguments: Arguments) -> Answer:
    """Whose token this is."""
    return {
        "url": URL,
        "team": "Sandbox",
        "user": "sift-retry",
        "team_id": TEAM,
        "user_id": BOT_USER,
        "bot_id": BOT,
        "is_enterprise_install": False,
    }


def chat_post_message(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Posts a message as the app."""
    channel = channel_to_post_in(state, arguments)
    given = content(state, arguments)
    thread_ts = thread_to_post_in(channel, arguments)
    message = state.post(channel.id, BOT_USER, **given, thread_ts=thread_ts)
    return {"channel": channel.id, "ts": message.ts, "message": as_slack(state, message)}


def chat_post_ephemeral(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Posts a message that one person of the channel sees."""
    channel = channel_to_post_in(state, arguments)
    user = user_of(state, arguments.get("user"))
    if BOT_USER not in channel.members:
        raise Refused("not_in_channel")
    if user.id not in channel.members or user.deleted:
        raise Refused("user_not_in_channel")
    given = content(state, arguments)
    thread_ts = thread_to_post_in(channel, arguments)
    message = state.post(channel.id, BOT_USER, **given, thread_ts=thread_ts, visible_to=user.id)
    return {"message_ts": message.ts}


def chat_update(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Replaces the content of one of the app's own messages."""
    channel, message = own_message(state, arguments)
    given = content(state, arguments, MAX_UPDATED_TEXT)
    message.text, message.attachments = given["text"], given["attachments"]
    message.blocks = with_ids(given["blocks"])
    message.edited = state.now_ts()
    state.changed()
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": as_slack(state, message)}


def chat_delete(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Deletes one of the app's own messages."""
    channel, message = own_message(state, arguments, "cant_delete_message")
    state.remove(message)
    return {"channel": channel.id, "ts": message.ts}


def users_info(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Who somebody is."""
    user = user_of(state, arguments.get("user"))
    return {"user": user.as_slack(with_email="users:read.email" in state.scopes, at=state.clock())}


def users_lookup_by_email(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Who has an e-mail address, letter case apart; those who left, and people from elsewhere, are not found."""
    email = str(arguments.get("email") or "").lower()
    for user in state.users.values():
        if email and user.email.lower() == email and not user.deleted and user.team_id == TEAM:
            return {"user": user.as_slack(with_email=True, at=state.clock())}
    raise Refused("users_not_found")


def usergroups_list(state: WorkspaceState, arguments: Arguments) -> Answer:
    """The user groups."""
    with_users = flag(arguments, "include_users")
    groups = state.groups.values()
    return {"usergroups": [group.as_slack() | ({"users": group.members} if with_users else {}) for group in groups]}


def usergroups_users_list(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Who is in a user group."""
    group = state.groups.get(str(arguments.get("usergroup")))
    if group is None:
        raise Refused("no_such_subteam")
    return {"users": list(group.members)}


def chat_get_permalink(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Where a message is."""
    channel = channel_of(state, arguments)
    message = message_of(channel, arguments.get("message_ts"))
    path = f"archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": f"{URL}{path}"}


def conversations_info(state: WorkspaceState, arguments: Arguments) -> Answer:
    """What a channel is."""
    channel = channel_to_know(state, arguments)
    return {
        "channel": {
            "id": channel.id,
            "name": channel.name,
            "is_archived": channel.is_archived,
            "is_private": channel.is_private,
            "is_ext_shared": channel.is_ext_shared,
            "is_member": BOT_USER in channel.members,
        }
    }


def conversations_history(state: WorkspaceState, arguments: Arguments) -> Answer:
    """The messages of a channel, newest first, without the replies."""
    channel = channel_to_read(state, arguments)
    roots = [message for message in reversed(channel.messages) if message.thread_ts in (None, message.ts)]
    return _page(state, [message for message in roots if within(message.ts, arguments)], arguments)


def conversations_replies(state: WorkspaceState, arguments: Arguments) -> Answer:
    """A message and its replies, oldest first."""
    channel = channel_to_read(state, arguments)
    found = message_of(channel, arguments.get("ts"), "thread_not_found")
    root, *replies = channel.thread(found.thread_ts or found.ts)
    return _page(state, [root, *(reply for reply in replies if within(reply.ts, arguments))], arguments)


def conversations_open(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Opens the direct messages with somebody."""
    users = str(arguments.get("users") or "").split(",")
    if len(users) != 1:
        raise Refused("method_not_supported_for_channel_type")
    user = user_of(state, users[0])
    if user.is_bot:
        raise Refused("cannot_dm_bot")
    return {"no_op": False, "already_open": False, "channel": {"id": state.dm(user.id).id}}


def views_open(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Opens a modal for whoever just did something; a further one is pushed on top."""
    view = view_of(arguments, "modal")
    trigger = state.use_trigger(arguments.get("trigger_id"))
    stack = state.modals[trigger.user]
    if len(stack) >= MAX_MODALS:
        raise Refused("push_limit_reached")
    previous = stack[-1].id if stack else None
    stack.append(View(state.new_id("V"), trigger.user, _with_ids(view), state.new_id("h"), previous))
    state.changed()
    return {"view": stack[-1].as_slack()}


def views_update(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Replaces what a modal shows."""
    view = state.view(str(arguments.get("view_id"))) or _by_external_id(state, arguments.get("external_id"))
    if view is None:
        raise Refused("not_found")
    body = view_of(arguments, view.body["type"])
    if arguments.get("hash") not in (None, view.hash):
        raise Refused("hash_conflict")
    view.body, view.hash, view.errors = _with_ids(body), state.new_id("h"), {}
    state.changed()
    return {"view": view.as_slack()}


def views_publish(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Shows somebody their Home tab."""
    user = user_of(state, arguments.get("user_id"))
    body = view_of(arguments, "home")
    known = state.homes.get(user.id)
    if known and arguments.get("hash") not in (None, known.hash):
        raise Refused("hash_conflict")
    view_id = known.id if known else state.new_id("V")
    view = state.homes[user.id] = View(view_id, user.id, _with_ids(body), state.new_id("h"))
    state.changed()
    return {"view": view.as_slack()}


def files_get_upload_url_external(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Where to send a file."""
    name = str(arguments.get("filename") or "")
    if not name or not str(arguments.get("length") or "").isdigit():
        raise Refused("invalid_arguments")
    file = File(state.new_id("F"), name, alt_txt=str(arguments.get("alt_txt") or ""))
    state.files[file.id] = file
    return {"upload_url": f"{state.base_url}/upload/{file.id}", "file_id": file.id}


def files_complete_upload_external(state: WorkspaceState, arguments: Arguments) -> Answer:
    """Shares uploaded files with a channel, in one message."""
    given = arguments.get("files")
    known = [state.files.get(str(file.get("id"))) for file in given or () if isinstance(file, dict)]
    if not isinstance(given, list) or not known or None in known:
        raise Refused("file_not_found")
    shared = [
        {
            "id": file.id,
            "name": file.name,
            "title": title.get("title") or file.name,
            "size": len(file.content),
            **({"alt_txt": file.alt_txt} if file.alt_txt else {}),
            "url_private": f"{state.base_url}/files/{file.id}/{file.name}",
        }
        for file, title in zip(known, given, strict=True)
        if file is not None
    ]
    if arguments.get("channel_id"):
        channel = channel_to_post_in(state, {"channel": arguments["channel_id"]})
        text = str(arguments.get("initial_comment") or "")
        thread_ts = thread_to_post_in(channel, arguments)
        state.post(channel.id, BOT_USER, text, files=shared, thread_ts=thread_ts)
    return {"files": shared}


def _with_ids(view: Payload) -> Payload:
    return {**view, "blocks": with_ids(view["blocks"])}


def _by_external_id(state: WorkspaceState, external_id: object) -> View | None:
    views = [view for stack in state.modals.values() for view in stack]
    return next((view for view in views if external_id and view.body.get("external_id") == external_id), None)


def _page(state: WorkspaceState, messages: list[Message], arguments: Arguments) -> Answer:
    """One page of messages; the cursor is simply where the next one begins."""
    start, limit = count_of(arguments, "cursor", 0), min(count_of(arguments, "limit", 100), 999)
    page, more = messages[start : start + limit], len(messages) > start + limit
    return {
        "messages": [as_slack(state, message) for message in page],
        "has_more": more,
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


METHODS: dict[str, Known] = {
    "auth.test": Known(auth_test),
    "chat.postMessage": Known(chat_post_message, "chat:write"),
    "chat.postEphemeral": Known(chat_post_ephemeral, "chat:write"),
    "chat.update": Known(chat_update, "chat:write"),
    "chat.delete": Known(chat_delete, "chat:write"),
    "chat.getPermalink": Known(chat_get_permalink),
    "users.info": Known(users_info, "users:read"),
    "users.lookupByEmail": Known(users_lookup_by_email, "users:read.email"),
    "usergroups.list": Known(usergroups_list, "usergroups:read"),
    "usergroups.users.list": Known(usergroups_users_list, "usergroups:read"),
    "conversations.info": Known(conversations_info),
    "conversations.history": Known(conversations_history),
    "conversations.replies": Known(conversations_replies),
    "conversations.open": Known(conversations_open, "im:write"),
    "views.open": Known(views_open),
    "views.push": Known(views_open),
    "views.update": Known(views_update),
    "views.publish": Known(views_publish),
    "files.getUploadURLExternal": Known(files_get_upload_url_external, "files:write"),
    "files.completeUploadExternal": Known(files_complete_upload_external, "files:write"),
}
"""Every method there is, but for `apps.connections.open`, which takes the other token."""

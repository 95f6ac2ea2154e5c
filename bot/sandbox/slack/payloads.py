"""What Slack sends to the app when somebody does something, field by field as Slack does."""

from typing import Any

from bot.sandbox.payload import Payload
from bot.sandbox.slack.directory import APP, BOT_USER, TEAM, TEAM_DOMAIN, Channel, User
from bot.sandbox.slack.messages import Message

VERIFICATION_TOKEN = "sandbox-verification"  # noqa: S105  # Slack's outdated token; the bot must not look at it


def command(user: User, channel: Channel, name: str, text: str, trigger_id: str, response_url: str) -> Payload:
    """A slash command; the only payload that is flat, for it travels as a form."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": user.team_id,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": _channel_name(channel),
        "user_id": user.id,
        "user_name": user.handle,
        "command": name,
        "text": text,
        "api_app_id": APP,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def click_in_message(
    user: User, channel: Channel, message: Message, shown: Payload, action: Payload, trigger_id: str, response_url: str
) -> Payload:
    """A click in a message; of one that only this person sees Slack gives no `message`.

    Args:
        shown: the message as the Web API gives it.
    """
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.visible_to is not None,
        **({"thread_ts": shown["thread_ts"]} if "thread_ts" in shown else {}),
    }
    return {
        **_interaction("block_actions", user, trigger_id),
        "container": container,
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        **({} if message.visible_to else {"message": shown}),
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [action],
    }


def click_in_view(user: User, view: Payload, action: Payload, trigger_id: str) -> Payload:
    """A click in a modal or a Home tab."""
    return {
        **_interaction("block_actions", user, trigger_id),
        "container": {"type": "view", "view_id": view["id"]},
        "view": view,
        "actions": [action],
    }


def submission(user: User, view: Payload, trigger_id: str) -> Payload:
    """A modal, submitted."""
    return {**_interaction("view_submission", user, trigger_id), "view": view, "response_urls": []}


def closing(user: User, view: Payload) -> Payload:
    """A modal, closed by the person; sent only where the app asked for it."""
    payload = _interaction("view_closed", user, "")
    del payload["trigger_id"]
    return {**payload, "view": view, "is_cleared": False}


def message_shortcut(
    user: User, channel: Channel, shown: Payload, callback_id: str, trigger_id: str, response_url: str, at: str
) -> Payload:
    """A message shortcut, taken from the menu of a message."""
    return {
        **_interaction("message_action", user, trigger_id),
        "action_ts": at,
        "callback_id": callback_id,
        "channel": {"id": channel.id, "name": _channel_name(channel)},
        "message_ts": shown["ts"],
        "message": shown,
        "response_url": response_url,
    }


def event(kind: str, user: User, event_id: str, at: str, **fields: Any) -> Payload:
    """An event of the Events API, in its wrapper."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM,
        "api_app_id": APP,
        "event": {"type": kind, "user": user.id, "event_ts": at, **fields},
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(float(at)),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM,
                "user_id": BOT_USER,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }


def _interaction(kind: str, user: User, trigger_id: str) -> Payload:
    """What all interactions share; in a shared channel `team` is the app's whoever clicks, `user.team_id` theirs."""
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.handle, "name": user.handle, "team_id": user.team_id},
        "api_app_id": APP,
        "token": VERIFICATION_TOKEN,
        "team": {"id": TEAM, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
        "trigger_id": trigger_id,
    }


def _channel_name(channel: Channel) -> str:
    return "directmessage" if channel.person else "privategroup" if channel.is_private else channel.name

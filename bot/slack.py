"""Slack's Web API as the bot uses it: who is this, post, update, find, answer privately. Knows Slack's error names."""

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import aiohttp
import structlog
from cachetools import TTLCache
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError
from bot.policy import Person
from bot.redactor import Redactor

log = structlog.get_logger(__name__)

T = TypeVar("T")

PERSON_SECONDS = 30
"""How long a person's standing (guest, deactivated, …) may be remembered."""

MEMBERS_SECONDS = 60
"""How long a user group's members may be remembered: `usergroups.users.list` allows about 20 calls a minute."""

CALL_SECONDS = 10

_CANNOT_POST = {
    "not_in_channel",
    "channel_not_found",
    "is_archived",
    "restricted_action",
    "restricted_action_thread_locked",
    "restricted_action_read_only_channel",
    "restricted_action_non_threadable_channel",
    "no_permission",
    "not_allowed",
    "team_access_not_granted",
    "channel_is_limited_access",
    "messages_tab_disabled",
    "user_not_in_channel",
}
_OPEN_CONNECTION = "apps.connections.open"
_NOT_TWICE = {"chat.postMessage", "views.open"}
_GONE = {"message_not_found", "edit_window_closed", "cant_update_message", "msg_too_long", "thread_not_found"}


class SlackError(BotError):
    """Slack refused the call."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Slack answered: {error}")
        self.error = error


class CannotPost(SlackError):
    """The bot may not post there."""


class MessageGone(SlackError):
    """The message can no longer be updated."""


class SlackUnavailable(SlackError):
    """Slack did not answer; whether the call was carried out is not known."""


@dataclass(frozen=True)
class Message:
    """What is shown: the blocks, and the text for notifications and screen readers."""

    text: str
    blocks: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Workspace:
    """Where the bot's token belongs (`auth.test`)."""

    team_id: str
    url: str
    bot_user_id: str
    bot_id: str
    scopes: frozenset[str]
    enterprise_id: str | None = None

    def link(self, channel_id: str | None, ts: str | None) -> str | None:
        """A message's permalink, in the form `chat.getPermalink` gives."""
        return permalink(self.url, channel_id, ts) if channel_id and ts else None


def permalink(workspace_url: str, channel_id: str, ts: str) -> str:
    """A message's permalink."""
    return f"{workspace_url}archives/{channel_id}/p{ts.replace('.', '')}"


class Slack:
    """The bot's side of one workspace.

    Args:
        client: with the token, the base URL and the process's one HTTP session.
        timer: monotonic seconds, for the caches.
        redactor: takes secrets out of what is shown, and out of what Slack answers.
    """

    def __init__(self, client: AsyncWebClient, timer: Callable[[], float], redactor: Redactor) -> None:
        self.client = client
        self._redactor = redactor
        self._people: TTLCache[str, asyncio.Task[Person | None]] = TTLCache(2_000, PERSON_SECONDS, timer)
        self._members: TTLCache[str, asyncio.Task[frozenset[str] | None]] = TTLCache(200, MEMBERS_SECONDS, timer)
        self._can_look_back = True

    async def identify(self) -> Workspace:
        """Asks Slack whose token this is, and what it may do."""
        response = await self._call("auth.test")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Workspace(
            team_id=response["team_id"],
            url=response.get("url") or "https://slack.com/",
            bot_user_id=response.get("user_id") or "",
            bot_id=response.get("bot_id") or "",
            scopes=frozenset(scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",") if scope.strip()),
            enterprise_id=response.get("enterprise_id"),
        )

    async def open_connection(self, app_token: str) -> None:
        """Asks for a Socket Mode connection, to see whether the app-level token may have one."""
        await self._call(_OPEN_CONNECTION, app_token=app_token)

    async def person(self, user_id: str, team_id: str) -> Person | None:
        """Who somebody is now; None if Slack cannot say.

        Args:
            team_id: the workspace that Slack's request gave for the user: in a shared channel not always ours.
        """
        known = await self._shared(self._people, user_id, lambda: self._ask_person(user_id, team_id))
        if known is None or known.team_id == team_id:
            return known
        return replace(known, team_id=team_id, is_stranger=True)

    async def members(self, group_id: str) -> Collection[str] | None:
        """Who is in a user group; None if Slack cannot say."""
        return await self._shared(self._members, group_id, lambda: self._ask_members(group_id))

    async def groups(self) -> list[tuple[str, str]]:
        """The workspace's user groups, as (ID, handle); none where the plan has none."""
        try:
            found = (await self._call("usergroups.list"))["usergroups"]
        except (SlackError, KeyError):
            return []
        return [(str(group["id"]), str(group.get("handle") or group.get("name") or group["id"])) for group in found]

    async def _ask_person(self, user_id: str, team_id: str) -> Person | None:
        try:
            user = (await self._call("users.info", user=user_id))["user"]
        except (SlackError, KeyError) as error:
            log.warning("slack.person_unknown", user_id=user_id, error=str(error))
            return None
        return _person(user, user_id, team_id)

    async def _ask_members(self, group_id: str) -> frozenset[str] | None:
        try:
            return frozenset((await self._call("usergroups.users.list", usergroup=group_id))["users"])
        except (SlackError, KeyError) as error:
            log.warning("slack.group_unknown", group_id=group_id, error=str(error))
            return None

    async def _shared(
        self, cache: "TTLCache[str, asyncio.Task[T | None]]", key: str, ask: Callable[[], Coroutine[Any, Any, T | None]]
    ) -> T | None:
        """Asks once for everybody who wants to know at the same time, and soon after; a failure is not remembered."""
        task = cache.get(key)
        if task is None:
            task = cache[key] = asyncio.create_task(ask())
        known = await asyncio.shield(task)
        if known is None and cache.get(key) is task:
            del cache[key]
        return known

    async def post(self, channel_id: str, message: Message, thread_ts: str | None = None) -> str:
        """Posts a message; answers its ts.

        Raises:
            CannotPost: the bot may not post there.
            SlackUnavailable: it may or may not be there now.
        """
        response = await self._call(
            "chat.postMessage",
            channel=channel_id,
            text=message.text,
            blocks=list(message.blocks),
            unfurl_links=False,
            unfurl_media=False,
            **({"thread_ts": thread_ts} if thread_ts else {}),
        )
        return str(response["ts"])

    async def update(self, channel_id: str, ts: str, message: Message) -> None:
        """Replaces a message's content.

        Raises:
            MessageGone: it was deleted, is too old, or may not be changed.
        """
        await self._call("chat.update", channel=channel_id, ts=ts, text=message.text, blocks=list(message.blocks))

    async def find(self, channel_id: str, thread_ts: str | None, marker: str, since: datetime) -> str | None:
        """Looks for a message of the bot by a part of its block IDs; None also where the scopes do not allow it."""
        if not self._can_look_back:
            return None
        where = {"ts": thread_ts} if thread_ts else {"oldest": f"{since.timestamp() - 5:.6f}"}
        method = "conversations.replies" if thread_ts else "conversations.history"
        try:
            response = await self._call(method, channel=channel_id, limit=200, **where)
        except SlackError as error:
            if error.error == "missing_scope":
                self._can_look_back = False
                log.info("slack.cannot_look_back", needs="channels:history, groups:history")
            return None
        for message in response.get("messages") or []:
            if any(marker in str(block.get("block_id", "")) for block in message.get("blocks") or []):
                return str(message["ts"])
        return None

    async def tell(
        self,
        user_id: str,
        message: Message,
        *,
        channel_id: str | None = None,
        thread_ts: str | None = None,
        response_url: str | None = None,
        replace: bool = False,
    ) -> None:
        """Answers one person privately: by the request's own way back, as an ephemeral message, or directly.

        Args:
            replace: whether the answer takes the place of the message that was clicked on.

        Raises:
            SlackError: none of the three was possible.
        """
        if response_url is not None and await self._respond(response_url, message, thread_ts, replace):
            return
        arguments: dict[str, Any] = {"text": message.text, "blocks": list(message.blocks)}
        if channel_id is not None:
            try:
                in_thread = {"thread_ts": thread_ts} if thread_ts else {}
                await self._call("chat.postEphemeral", channel=channel_id, user=user_id, **arguments, **in_thread)
            except CannotPost:
                pass
            else:
                return
        await self._call("chat.postMessage", channel=user_id, **arguments, unfurl_links=False)

    async def send_file(
        self, user_id: str, message: Message, content: bytes, name: str, alternative: str | None = None
    ) -> None:
        """Writes to somebody directly, and sends a file after it.

        Args:
            alternative: what the file shows, for who cannot see it.
        """
        posted = await self._call(
            "chat.postMessage", channel=user_id, text=message.text, blocks=list(message.blocks), unfurl_links=False
        )
        asked: dict[str, Any] = {"filename": name, "length": len(content)}
        place = await self._call(
            "files.getUploadURLExternal", **asked, **({"alt_txt": alternative} if alternative else {})
        )
        await self._put(str(place["upload_url"]), content)
        await self._call(
            "files.completeUploadExternal",
            files=[{"id": place["file_id"], "title": name}],
            channel_id=posted["channel"],
        )

    async def _put(self, url: str, content: bytes) -> None:
        session = self.client.session
        if session is None:
            raise SlackUnavailable("no session")
        try:
            async with session.post(url, data=content, timeout=aiohttp.ClientTimeout(CALL_SECONDS)) as response:
                if response.status != 200:
                    raise SlackUnavailable(f"HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SlackUnavailable(type(error).__name__) from error

    async def open_view(self, trigger_id: str, view: Mapping[str, Any]) -> str:
        """Opens a modal, and answers its ID; the trigger lives for three seconds."""
        return str((await self._call("views.open", trigger_id=trigger_id, view=dict(view)))["view"]["id"])

    async def update_view(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Replaces what a modal shows, if it is still open."""
        try:
            await self._call("views.update", view_id=view_id, view=dict(view))
        except SlackError as error:
            if error.error != "not_found":
                raise

    async def publish_home(self, user_id: str, view: Mapping[str, Any]) -> None:
        """Shows somebody their Home tab."""
        await self._call("views.publish", user_id=user_id, view=dict(view))

    async def _respond(self, response_url: str, message: Message, thread_ts: str | None, replace: bool) -> bool:
        """Uses a response URL; it may be used 5 times within 30 minutes, so a no is nothing unusual."""
        payload = {
            "response_type": "ephemeral",
            "replace_original": replace,
            "text": message.text,
            "blocks": list(message.blocks),
            **({"thread_ts": thread_ts} if thread_ts else {}),
        }
        session = self.client.session
        if session is None:
            return False
        try:
            limit = aiohttp.ClientTimeout(CALL_SECONDS)
            async with session.post(response_url, json=self._redactor.clean_all(payload), timeout=limit) as response:
                body = await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return response.status == 200 and not _says_no(body)

    async def _call(self, method: str, **arguments: Any) -> Any:
        """Calls one method, and once more where that repeats nothing and the connection turned out to be stale."""
        try:
            return await self._once(method, arguments)
        except SlackUnavailable:
            if method in _NOT_TWICE:
                raise
            return await self._once(method, arguments)

    async def _once(self, method: str, arguments: dict[str, Any]) -> Any:
        """Calls one method, and turns its refusals into this module's errors."""
        if method != _OPEN_CONNECTION:  # the one that takes a secret
            arguments = self._redactor.clean_all(arguments)
        try:
            return await getattr(self.client, method.replace(".", "_"))(**arguments)
        except SlackApiError as error:
            raise _typed(self._redactor.scrub(_error_name(error))[:100]) from error
        except (SlackClientError, aiohttp.ClientError, TimeoutError) as error:
            raise SlackUnavailable(type(error).__name__) from error


def web_client(token: str, base_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client that shares the process's HTTP session and waits when Slack asks it to."""
    return AsyncWebClient(
        token=token,
        base_url=base_url.rstrip("/") + "/",
        session=session,
        timeout=CALL_SECONDS,
        # Not the SDK's own handler for lost connections: it would post a message twice.
        retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=3)],
    )


def _person(user: Mapping[str, Any], user_id: str, team_id: str) -> Person:
    profile = user.get("profile") or {}
    return Person(
        team_id=user.get("team_id") or team_id,
        user_id=user_id,
        email=profile.get("email") or None,
        name=profile.get("display_name") or profile.get("real_name") or user.get("real_name") or user.get("name") or "",
        deleted=bool(user.get("deleted")),
        is_bot=bool(user.get("is_bot")) or user_id == "USLACKBOT",
        is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        is_stranger=bool(user.get("is_stranger")),
    )


def _error_name(error: SlackApiError) -> str:
    data = getattr(error.response, "data", None)
    name = data.get("error") if isinstance(data, Mapping) else None
    return str(name) if name else "unreadable answer"


def _typed(name: str) -> SlackError:
    if name in _CANNOT_POST:
        return CannotPost(name)
    if name in _GONE:
        return MessageGone(name)
    # Slack's own trouble; the call may have been carried out.
    if name in ("fatal_error", "internal_error", "request_timeout", "service_unavailable", "unreadable answer"):
        return SlackUnavailable(name)
    return SlackError(name)


def _says_no(body: str) -> bool:
    """Whether a response URL's answer is an error: it is `ok` as plain text, or JSON."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("ok") is False

"""Slack's Web API as the bot uses it: who is this, post, update, find, answer privately. Knows Slack's error names."""

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine, Mapping, MutableMapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import aiohttp
import structlog
from cachetools import TTLCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.base.redactor import Redactor
from bot.slack.answers import part, refusal_of, text_of
from bot.slack.errors import UNREADABLE, CannotPost, RateLimited, SlackError, SlackUnavailable
from bot.slack.limits import Waits
from bot.slack.links import Workspace
from bot.slack.message import Message
from bot.slack.people import LOOK_UP_SECONDS, MEMBERS_SECONDS, PERSON_SECONDS, Person, _person

log = structlog.get_logger(__name__)

T = TypeVar("T")

CALL_SECONDS = 10.0
"""The whole time for one call: waits that Slack asks for, and a second try where one is made, included."""

CONNECT_SECONDS = 5.0
"""So that a stale or silent address leaves time for a second try."""

MAX_CONNECTIONS = 150
"""More than all displays have places, so that looking somebody up never waits for a connection."""

MAX_BYTES = 10_000_000
"""More than any answer that the bot asks for; 200 messages with everything in them are a few million."""

LOOK_BACK_PAGES = 20
"""So many pages of 200 messages are looked through for one that may have been posted."""

LOOK_BACK_MARGIN = 60
"""Seconds by which our clock may be ahead of Slack's."""

CANNOT_READ_SECONDS = 3_600
"""How long it is remembered that a channel may not be read."""

HISTORY_SCOPES = frozenset({"channels:history", "groups:history"})
"""The optional scopes with which the bot finds a message whose posting was interrupted."""

_OPEN_CONNECTION = "apps.connections.open"
_NOT_TWICE = {"chat.postMessage", "views.open"}

_MAY_NOT_READ = {"missing_scope", "not_in_channel", "channel_not_found", "thread_not_found", "no_permission"}


class Slack:
    """The bot's side of one workspace.

    Args:
        client: with the token, the base URL and the process's one HTTP session.
        timer: monotonic seconds, for the caches.
        redactor: takes secrets out of what is shown, and out of what Slack answers.
        call_seconds: the whole time for one call.
        look_up_seconds: the same for looking up a person or a group.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        timer: Callable[[], float],
        redactor: Redactor,
        call_seconds: float = CALL_SECONDS,
        look_up_seconds: float = LOOK_UP_SECONDS,
    ) -> None:
        self.client = client
        self._redactor = redactor
        self._call_seconds = call_seconds
        self._look_up_seconds = look_up_seconds
        self._waits = Waits(timer)
        self._people: TTLCache[str, asyncio.Task[Person | None]] = TTLCache(2_000, PERSON_SECONDS, timer)
        self._members: TTLCache[str, asyncio.Task[frozenset[str] | None]] = TTLCache(200, MEMBERS_SECONDS, timer)
        self._unreadable: TTLCache[str, bool] = TTLCache(1_000, CANNOT_READ_SECONDS, timer)
        self._scopes: frozenset[str] = frozenset()

    async def identify(self) -> Workspace:
        """Asks Slack whose token this is, and what it may do."""
        response = await self._call("auth.test")
        headers = {name.lower(): value for name, value in response.headers.items()}
        granted = headers.get("x-oauth-scopes", "").split(",")
        self._scopes = frozenset(scope.strip() for scope in granted if scope.strip())
        return Workspace(
            team_id=text_of(response, "team_id"),
            url=str(response.get("url") or "https://slack.com/"),
            bot_user_id=response.get("user_id") or "",
            bot_id=response.get("bot_id") or "",
            scopes=self._scopes,
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

    def remembers(self, user_id: str) -> bool:
        """Whether what Slack last said of somebody is recent enough to go by, so that nobody is asked again."""
        task = self._people.get(user_id)
        return task is not None and task.done()

    @property
    def look_up_wait(self) -> float:
        """For how many seconds Slack wants no question about a person or a group; 0: none."""
        return max(self._waits.left(method, {}) for method in ("users.info", "usergroups.users.list"))

    async def groups(self) -> list[tuple[str, str]]:
        """The workspace's user groups, as (ID, handle); none where the plan has none."""
        try:
            found = part(await self._look_up("usergroups.list"), "usergroups", list)
        except SlackError:
            return []
        named = [group for group in found if isinstance(group, Mapping) and group.get("id")]
        return [(str(group["id"]), str(group.get("handle") or group.get("name") or group["id"])) for group in named]

    async def _ask_person(self, user_id: str, team_id: str) -> Person | None:
        try:
            answer = await self._look_up("users.info", user=user_id)
            return _person(part(answer, "user", dict), user_id, team_id)
        except SlackError as error:
            log.warning("slack.person_unknown", user_id=user_id, error=str(error))
            return None

    async def _ask_members(self, group_id: str) -> frozenset[str] | None:
        try:
            answer = await self._look_up("usergroups.users.list", usergroup=group_id)
            return frozenset(str(user_id) for user_id in part(answer, "users", list))
        except SlackError as error:
            log.warning("slack.group_unknown", group_id=group_id, error=str(error))
            return None

    async def _shared(
        self, cache: "TTLCache[str, asyncio.Task[T | None]]", key: str, ask: Callable[[], Coroutine[Any, Any, T | None]]
    ) -> T | None:
        """Asks once for everybody who wants to know at the same time, and soon after; a failure is not remembered."""
        task = cache.get(key)
        if task is None:
            task = cache[key] = asyncio.create_task(ask())
            task.add_done_callback(lambda done: _forget_failure(cache, key, done))
        return await asyncio.shield(task)

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
        return text_of(response, "ts")

    async def update(self, channel_id: str, ts: str, message: Message) -> None:
        """Replaces a message's content.

        Raises:
            MessageGone: it was deleted, is too old, or may not be changed.
        """
        await self._call("chat.update", channel=channel_id, ts=ts, text=message.text, blocks=list(message.blocks))

    async def find(self, channel_id: str, thread_ts: str | None, marker: str, since: datetime) -> str | None:
        """Looks for a message of the bot by a part of its block IDs; None also where the bot may not look.

        Args:
            since: how far back it may be.

        Raises:
            SlackUnavailable: Slack did not say.
            RateLimited: it did not yet.
        """
        if not self._may_read(channel_id):
            return None
        method = "conversations.replies" if thread_ts else "conversations.history"
        where = {"channel": channel_id, "limit": 200, "oldest": f"{since.timestamp() - LOOK_BACK_MARGIN:.6f}"}
        if thread_ts:
            where["ts"] = thread_ts
        for _ in range(LOOK_BACK_PAGES):
            try:
                page = await self._call(method, **where)
            except SlackError as error:
                if error.error not in _MAY_NOT_READ:
                    raise
                self._note_unreadable(channel_id, error.error)
                return None
            found = _marked(part(page, "messages", list), marker)
            where["cursor"] = _next_cursor(page)
            if found is not None or not where["cursor"]:
                return found
        log.warning("slack.looked_back_far_enough", channel_id=channel_id, pages=LOOK_BACK_PAGES)
        return None

    def _may_read(self, channel_id: str) -> bool:
        """Whether a channel's messages may perhaps be read: what kind it is, its ID does not always say."""
        if channel_id.startswith("D"):
            return "im:history" in self._scopes
        granted = not self._scopes or bool(self._scopes & HISTORY_SCOPES)
        return granted and channel_id not in self._unreadable

    def _note_unreadable(self, channel_id: str, error: str) -> None:
        if error == "missing_scope":
            self._unreadable[channel_id] = True
        log.info("slack.cannot_look_back", channel_id=channel_id, error=error)

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
        await self._put(text_of(place, "upload_url"), content)
        await self._call(
            "files.completeUploadExternal",
            files=[{"id": text_of(place, "file_id"), "title": name}],
            channel_id=text_of(posted, "channel"),
        )

    async def _put(self, url: str, content: bytes) -> None:
        session = self.client.session
        if session is None:
            raise SlackUnavailable("no session")
        try:
            async with asyncio.timeout(self._call_seconds), session.post(url, data=content) as response:
                if response.status != 200:
                    raise SlackUnavailable(f"HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SlackUnavailable(type(error).__name__) from error

    async def open_view(self, trigger_id: str, view: Mapping[str, Any]) -> str:
        """Opens a modal, and answers its ID; the trigger lives for three seconds."""
        opened = await self._call("views.open", trigger_id=trigger_id, view=dict(view))
        return text_of(part(opened, "view", dict), "id")

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
            payload = self._redactor.clean_all(payload)
            async with asyncio.timeout(self._call_seconds), session.post(response_url, json=payload) as response:
                body = await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        return response.status == 200 and not _says_no(body)

    async def _call(self, method: str, **arguments: Any) -> Any:
        """Calls one method within the time for a call."""
        return await self._within(self._call_seconds, method, arguments)

    async def _look_up(self, method: str, **arguments: Any) -> Any:
        """Calls one method within the time for looking somebody up."""
        return await self._within(self._look_up_seconds, method, arguments)

    async def _within(self, seconds: float, method: str, arguments: dict[str, Any]) -> Any:
        """Calls one method, before one deadline: what Slack asks to wait for and a second try are part of it.

        Raises:
            RateLimited: Slack asks for a longer wait than is left.
            SlackUnavailable: there was no answer in time, or none that can be read.
        """
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._until_answered(method, arguments, until)
        except TimeoutError as error:
            raise SlackUnavailable(type(error).__name__) from error

    async def _until_answered(self, method: str, arguments: dict[str, Any], until: float) -> Any:
        """Calls when Slack allows it, and once more where that repeats nothing and a connection turned out stale."""
        stale = False
        while True:
            if wait := self._waits.left(method, arguments):
                if asyncio.get_running_loop().time() + wait >= until:
                    raise RateLimited(wait)
                await asyncio.sleep(wait)
            try:
                return await self._once(method, arguments)
            except RateLimited as error:
                log.info("slack.rate_limited", method=method, seconds=error.retry_after)
                self._waits.remember(method, arguments, error.retry_after)
            except SlackUnavailable:
                if stale or method in _NOT_TWICE:
                    raise
                stale = True

    async def _once(self, method: str, arguments: dict[str, Any]) -> Any:
        """Calls one method, and turns its refusals, and answers that are none, into this module's errors."""
        if method != _OPEN_CONNECTION:  # the one that takes a secret
            arguments = self._redactor.clean_all(arguments)
        try:
            return await getattr(self.client, method.replace(".", "_"))(**arguments)
        except SlackApiError as error:
            raise refusal_of(error, self._redactor.scrub) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SlackUnavailable(type(error).__name__) from error
        except Exception as error:  # the SDK trusts the shape of an answer: no JSON, no UTF-8, no object
            log.warning("slack.unreadable", method=method, error=type(error).__name__)
            raise SlackUnavailable(UNREADABLE) from error


class _Bounded(aiohttp.ClientResponse):
    """An answer that is not read any further than `MOST_BYTES`, decompressed."""

    async def read(self) -> bytes:
        """Reads the whole body.

        Raises:
            aiohttp.ClientPayloadError: it is larger than that.
        """
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    self.close()
                    raise aiohttp.ClientPayloadError("too large")
            self._body = bytes(body)
        return self._body


def http_session(call_seconds: float = CALL_SECONDS) -> aiohttp.ClientSession:
    """The HTTP session for everything that is asked of Slack.

    The limits stand here, since the SDK ignores its own `timeout` when it is given a session.
    """
    limits = aiohttp.ClientTimeout(total=call_seconds, connect=CONNECT_SECONDS, sock_read=call_seconds)
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
    return aiohttp.ClientSession(
        connector=connector, timeout=limits, cookie_jar=aiohttp.DummyCookieJar(), response_class=_Bounded
    )


def web_client(token: str, base_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client that shares the process's HTTP session, and repeats nothing by itself: `Slack` does, within limits."""
    return AsyncWebClient(
        token=token,
        base_url=base_url.rstrip("/") + "/",
        session=session,
        # Neither the SDK's handler for lost connections, which would post a message twice, nor the one for rate
        # limits, which waits for as long as it is told.
        retry_handlers=[],
    )


def _marked(messages: list[Any], marker: str) -> str | None:
    """The ts of the first message of which a block ID has a part of it."""
    for message in messages:
        blocks = message.get("blocks") if isinstance(message, Mapping) else None
        if any(marker in str(block.get("block_id", "")) for block in blocks or [] if isinstance(block, Mapping)):
            return text_of(message, "ts")
    return None


def _next_cursor(page: Any) -> str | None:
    more = page.get("response_metadata")
    return str(more.get("next_cursor") or "") or None if isinstance(more, Mapping) else None


def _forget_failure(cache: MutableMapping[str, Any], key: str, done: "asyncio.Task[Any]") -> None:
    """Has a question asked again the next time that brought no answer."""
    failed = done.cancelled() or done.exception() is not None or done.result() is None
    if failed and cache.get(key) is done:
        del cache[key]


def _says_no(body: str) -> bool:
    """Whether a response URL's answer is an error: it is `ok` as plain text, or JSON."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("ok") is False

"""Slack's Web API as the bot uses it: who is this, post, update, find, answer privately. Knows Slack's error names."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

import structlog
from cachetools import TTLCache
from slack_sdk.web.async_client import AsyncWebClient

from bot.base.redactor import Redactor
from bot.slack.answers import Answer, part, text_of
from bot.slack.errors import MessageGone, RateLimited, SlackError, SlackUnavailable
from bot.slack.links import Workspace
from bot.slack.message import Message
from bot.slack.pace import RATES, Rate, Turn
from bot.slack.web import CALL_SECONDS, OPEN_CONNECTION, Observe, WebApi

log = structlog.get_logger(__name__)

LOOK_BACK_PAGES = 20
"""So many pages of 200 messages are looked through for one that may have been posted."""

LOOK_BACK_MARGIN = 86_400
"""Seconds by which our clock may have been ahead of Slack's: more than a wrong time zone makes."""

CANNOT_READ_SECONDS = 3_600
"""How long it is remembered that a channel may not be read."""

HISTORY_SCOPES = frozenset({"channels:history", "groups:history"})
"""The optional scopes with which the bot finds a message whose posting was interrupted."""

_MAY_NOT_READ = {"missing_scope", "not_in_channel", "channel_not_found", "thread_not_found", "no_permission"}


class Slack:
    """The bot's side of one workspace.

    Args:
        client: with the token, the base URL and the process's one HTTP session.
        timer: monotonic seconds, for the caches.
        redactor: takes secrets out of what is shown, and out of what Slack answers.
        call_seconds: the whole time for one call.
        rates: how often which method is called at most.
        observe: told of every call: method, seconds, result.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        timer: Callable[[], float],
        redactor: Redactor,
        call_seconds: float = CALL_SECONDS,
        rates: Mapping[str, Rate] = RATES,
        observe: Observe = lambda _method, _seconds, _result: None,
    ) -> None:
        self.client = client
        self.web = WebApi(client, timer, redactor, call_seconds, rates, observe)
        self._unreadable: TTLCache[str, bool] = TTLCache(1_000, CANNOT_READ_SECONDS, timer)
        self._scopes: frozenset[str] = frozenset()

    async def identify(self) -> Workspace:
        """Asks Slack whose token this is, and what it may do.

        Returns:
            The workspace, with the scopes that the header `x-oauth-scopes` lists
            (docs.slack.dev/reference/methods/auth.test).
        """
        response = await self.web.call("auth.test")
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

    async def open_connection(self, app_token: str) -> str:
        """Asks for a Socket Mode connection; returns its address, which holds a ticket and is as good as a secret."""
        return text_of(await self.web.call(OPEN_CONNECTION, app_token=app_token), "url")

    async def post(
        self, channel_id: str, message: Message, thread_ts: str | None = None, turn: Turn | None = None
    ) -> str:
        """Posts a message; returns its ts, by which Slack knows it in its channel.

        Args:
            turn: whose turn it is, of somebody who comes back when told to wait; None: the call waits.

        Raises:
            CannotPost: the bot may not post there.
            RateLimited: it is to be posted later.
            SlackUnavailable: it may or may not be there now.
        """
        response = await self.web.call(
            "chat.postMessage",
            None,
            turn,
            channel=channel_id,
            text=message.text,
            blocks=list(message.blocks),
            unfurl_links=False,
            unfurl_media=False,
            **({"thread_ts": thread_ts} if thread_ts else {}),
        )
        return text_of(response, "ts")

    async def update(self, channel_id: str, ts: str, message: Message, turn: Turn | None = None) -> None:
        """Replaces a message's content.

        Args:
            turn: as for `post`.

        Raises:
            MessageGone: it was deleted, is too old, or may not be changed.
            RateLimited: it is to be updated later.
        """
        content = {"text": message.text, "blocks": list(message.blocks)}
        await self.web.call("chat.update", None, turn, channel=channel_id, ts=ts, **content)

    async def take_back(self, channel_id: str, ts: str) -> bool:
        """Deletes a message of the bot's; returns whether it is gone.

        Raises:
            RateLimited: it is to be deleted later.
            SlackUnavailable: it may or may not be gone.
        """
        try:
            await self.web.call("chat.delete", channel=channel_id, ts=ts)
        except MessageGone:
            return True
        except (RateLimited, SlackUnavailable):
            raise
        except SlackError as error:
            log.info("slack.not_taken_back", channel_id=channel_id, error=error.error)
            return False
        return True

    async def find(
        self,
        channel_id: str,
        thread_ts: str | None,
        marker: str,
        since: datetime,
        apart_from: Collection[str | None] = (),
    ) -> str | None:
        """Looks for a message of the bot by a part of its block IDs.

        Args:
            since: how far back it may be.
            apart_from: the ts of messages that are known.

        Returns:
            Its ts; None if there is none, or the bot may not look.

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
                page = await self.web.call(method, **where)
            except SlackError as error:
                if error.error not in _MAY_NOT_READ:
                    raise
                self._note_unreadable(channel_id, error.error)
                return None
            found = _marked(part(page, "messages", list), marker, apart_from)
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
        arguments: dict[str, object] = {"text": message.text, "blocks": list(message.blocks)}
        if channel_id is not None:
            try:
                in_thread = {"thread_ts": thread_ts} if thread_ts else {}
                await self.web.call("chat.postEphemeral", channel=channel_id, user=user_id, **arguments, **in_thread)
                return
            except SlackUnavailable:  # it may be there
                raise
            except SlackError:  # who waits for an answer does not wait for a channel
                pass
        await self.web.call("chat.postMessage", channel=user_id, **arguments, unfurl_links=False)

    async def send_file(
        self, user_id: str, message: Message, content: bytes, name: str, alternative: str | None = None
    ) -> None:
        """Writes to somebody directly, and sends a file after it.

        Args:
            alternative: what the file shows, for who cannot see it.
        """
        posted = await self.web.call(
            "chat.postMessage", channel=user_id, text=message.text, blocks=list(message.blocks), unfurl_links=False
        )
        file: dict[str, object] = {"filename": name, "length": len(content)}
        place = await self.web.call(
            "files.getUploadURLExternal", **file, **({"alt_txt": alternative} if alternative else {})
        )
        await self.web.upload(text_of(place, "upload_url"), content)
        await self.web.call(
            "files.completeUploadExternal",
            files=[{"id": text_of(place, "file_id"), "title": name}],
            channel_id=text_of(posted, "channel"),
        )

    async def open_view(self, trigger_id: str, view: Mapping[str, object]) -> str:
        """Opens a modal, and returns its ID; the trigger lives for three seconds."""
        opened = await self.web.call("views.open", trigger_id=trigger_id, view=dict(view))
        return text_of(part(opened, "view", dict), "id")

    async def push_view(self, trigger_id: str, view: Mapping[str, object]) -> str:
        """Opens a modal on top of the one whose button gave the trigger, and returns its ID; at most three stand so."""
        opened = await self.web.call("views.push", trigger_id=trigger_id, view=dict(view))
        return text_of(part(opened, "view", dict), "id")

    async def update_view(self, view_id: str, view: Mapping[str, object]) -> None:
        """Replaces what a modal shows, if it is still open."""
        try:
            await self.web.call("views.update", view_id=view_id, view=dict(view))
        except SlackError as error:
            if error.error != "not_found":
                raise

    async def publish_home(self, user_id: str, view: Mapping[str, object]) -> None:
        """Shows somebody their Home tab."""
        await self.web.call("views.publish", user_id=user_id, view=dict(view))

    async def _respond(self, response_url: str, message: Message, thread_ts: str | None, replace: bool) -> bool:
        """Uses a response URL; it may be used 5 times within 30 minutes, so a no is nothing unusual."""
        payload = {
            "response_type": "ephemeral",
            "replace_original": replace,
            "text": message.text,
            "blocks": list(message.blocks),
            **({"thread_ts": thread_ts} if thread_ts else {}),
        }
        return await self.web.respond(response_url, payload)


def _marked(messages: Iterable[object], marker: str, apart_from: Collection[str | None]) -> str | None:
    """The ts of the first message of which a block ID has a part of it."""
    for message in messages:
        if not isinstance(message, Mapping) or message.get("ts") in apart_from:
            continue
        blocks = message.get("blocks") or []
        if any(marker in str(block.get("block_id", "")) for block in blocks if isinstance(block, Mapping)):
            return text_of(message, "ts")
    return None


def _next_cursor(page: Answer) -> str | None:
    more = page.get("response_metadata")
    return str(more.get("next_cursor") or "") or None if isinstance(more, Mapping) else None

"""The Socket Mode connection: opened, watched, and rebuilt from nothing when it stays unconnected."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from bot.base.loops import Loop, looping

log = structlog.get_logger(__name__)

PING_SECONDS = 3.0
"""How often the socket is tried; a cut one is noticed, and opened anew, within about this time."""

CHECK_SECONDS = 1.0
"""How often it is looked at whether the socket is connected."""

RECONNECT_AFTER_SECONDS = 10.0
"""A socket that has not been connected for so long is rebuilt; the SDK itself needs about the time of a ping."""

LONGEST_PAUSE_SECONDS = 40.0
"""While rebuilding does not help, the pauses grow to this, since Slack limits how often connections are opened."""

CLOSE_SECONDS = 0.5
"""How long a connection may take to close."""


class SocketMode:
    """Keeps one Socket Mode connection up.

    A connection that stays away is thrown away, client and all: the SDK's client tries one address for ever, even one
    that never answers (python-slack-sdk#1379), and stays away at times (bolt-python#1529, #470). A new client asks
    Slack for a new address, and nothing here waits for it.

    Args:
        app: what handles the requests.
        token: the app-level token.
        reconnect_after: seconds that it may be unconnected before it is rebuilt.
        check_seconds: how often that is looked at.
        observe: told at each look whether it is connected, and whether by another connection than before.
    """

    def __init__(
        self,
        app: AsyncApp,
        token: str,
        *,
        reconnect_after: float = RECONNECT_AFTER_SECONDS,
        check_seconds: float = CHECK_SECONDS,
        observe: Callable[[bool, bool], None] = lambda _connected, _new: None,
    ) -> None:
        self._app = app
        self._token = token
        self._reconnect_after = reconnect_after
        self._check_seconds = check_seconds
        self._observe = observe
        self._seen: object = None
        self._patience = reconnect_after
        self._heard_at = 0.0
        self._handler: AsyncSocketModeHandler | None = None
        self._connecting: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keeps the connection up until the block ends."""
        self._open()
        try:
            async with looping([Loop("socket", self._check_seconds, self._watch)]):
                yield
        finally:
            await self._close()

    async def hears(self) -> bool:
        """Whether Slack can reach the bot now."""
        return self._handler is not None and bool(await self._handler.client.is_connected())

    def renew(self, token: str) -> None:
        """Opens the next connection with another token; the present one stays until Slack ends it."""
        self._token = token
        if self._handler is not None:
            self._handler.client.app_token = token

    async def _watch(self) -> None:
        now, hears = asyncio.get_running_loop().time(), await self.hears()
        session = self._handler.client.current_session if hears and self._handler is not None else self._seen
        self._observe(hears, session is not self._seen)
        self._seen = session
        if hears:
            self._heard_at, self._patience = now, self._reconnect_after
        elif now - self._heard_at >= self._patience:
            log.warning("socket.rebuilding", unconnected_seconds=round(now - self._heard_at))
            self._patience = min(self._patience * 2, max(LONGEST_PAUSE_SECONDS, self._reconnect_after))
            await self._close()
            self._open()

    def _open(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._handler = AsyncSocketModeHandler(
            self._app, self._token, web_client=self._app.client, ping_interval=PING_SECONDS
        )
        connect = self._handler.client.connect()  # type: ignore[no-untyped-call]  # the SDK has no types here
        self._connecting = asyncio.create_task(connect, name="socket")

    async def _close(self) -> None:
        """Ends the client with everything it has under way; one that does not close is left behind."""
        handler, connecting = self._handler, self._connecting
        self._handler = self._connecting = None
        if handler is None or connecting is None:
            return
        connecting.cancel()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await handler.client.close()  # type: ignore[no-untyped-call]  # nor here
        except Exception as error:  # noqa: BLE001  # whatever it is, the connection is of no more use
            log.info("socket.not_closed", error=type(error).__name__)
            await _abandon(handler)


async def _abandon(handler: AsyncSocketModeHandler) -> None:
    """Does what `close` would have done after the step that failed."""
    client = handler.client
    for task in (client.message_processor, client.current_session_monitor, client.message_receiver):
        if task is not None:
            task.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.aiohttp_client_session.close()

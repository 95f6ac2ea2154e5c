"""One call of Slack's Web API: before one deadline, no sooner than Slack asks, with errors that have types."""

import asyncio
import json
from collections.abc import Callable, Mapping

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.base import tracing
from bot.base.redactor import Redactor
from bot.slack.answers import Response, refusal_of
from bot.slack.errors import UNREADABLE, RateLimited, SlackError, SlackUnavailable
from bot.slack.pace import RATES, Pace, Rate, Turn

log = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
"""The whole time for one call: waits that Slack asks for, and a second try where one is made, included."""

CONNECT_SECONDS = 5.0
"""So that a stale or silent address leaves time for a second try."""

MAX_CONNECTIONS = 300
"""More than all displays have places, so that looking somebody up never waits for a connection."""

MAX_BYTES = 10_000_000
"""More than any answer that the bot asks for; 200 messages with everything in them are a few million."""

OPEN_CONNECTION = "apps.connections.open"
_NOT_TWICE = {"chat.postMessage", "views.open"}


Observe = Callable[[str, float, str], None]


class WebApi:
    """Calls Slack's methods.

    Args:
        client: with the token, the base URL and the process's one HTTP session.
        timer: monotonic seconds, for how long Slack asks to wait.
        redactor: takes secrets out of what is sent, and out of what Slack answers.
        call_seconds: the whole time for one call.
        rates: how often which method is called at most.
        observe: told of every call: method, seconds, and Slack's name for what was wrong, or `ok`; and of waits that
            Slack asks for, as `WAITED`.
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
        self._client = client
        self._timer = timer
        self._observe = observe
        self._redactor = redactor
        self._call_seconds = call_seconds
        self._pace = Pace(timer, rates)

    async def call(
        self, method: str, seconds: float | None = None, turn: Turn | None = None, /, **arguments: object
    ) -> Response:
        """Calls one method, before one deadline: what Slack asks to wait for and a second try are part of it.

        Args:
            method: as Slack names it, such as `chat.postMessage`.
            seconds: the whole time for this call; None: what a call usually has.
            turn: whose it is, of somebody who comes back when told to wait; None: the call itself waits.
            arguments: the method's.

        Returns:
            The SDK's response: a mapping, with `headers`.

        Raises:
            RateLimited: it is to be made later: than there is time for, or than now where it is somebody's turn.
            SlackUnavailable: there was no answer in time, or none that can be read.
            SlackError: Slack refused.
        """
        seconds = self._call_seconds if seconds is None else seconds
        until = asyncio.get_running_loop().time() + seconds
        try:
            with tracing.span(f"Slack {method}"):
                async with asyncio.timeout(seconds):
                    return await self._until_answered(method, arguments, until, turn)
        except TimeoutError as error:
            raise SlackUnavailable(type(error).__name__) from error

    def wait_left(self, method: str) -> float:
        """For how many seconds Slack wants no call of a method that it does not limit by channel; 0: none."""
        return self._pace.left(method)

    async def respond(self, response_url: str, payload: Mapping[str, object]) -> bool:
        """Uses a response URL; it may be used 5 times within 30 minutes, so a no is nothing unusual
        (docs.slack.dev/interactivity/handling-user-interaction).

        Returns:
            Whether Slack took it.
        """
        session = self._client.session
        if session is None:
            return False
        try:
            clean = self._redactor.clean_all(payload)
            async with asyncio.timeout(self._call_seconds), session.post(response_url, json=clean) as response:
                body = await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        return response.status == 200 and not _says_no(body)

    async def upload(self, url: str, content: bytes) -> None:
        """Sends a file's content to where Slack said.

        Raises:
            SlackUnavailable: it did not arrive.
        """
        session = self._client.session
        if session is None:
            raise SlackUnavailable("no session")
        try:
            async with asyncio.timeout(self._call_seconds), session.post(url, data=content) as response:
                if response.status != 200:
                    raise SlackUnavailable(f"HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SlackUnavailable(type(error).__name__) from error

    async def _until_answered(
        self, method: str, arguments: dict[str, object], until: float, turn: Turn | None
    ) -> Response:
        """Calls when Slack allows it, and once more where that repeats nothing and a connection turned out stale."""
        stale, mine = False, turn or Turn(object())
        while True:
            if wait := self._pace.ask(method, arguments, mine):
                self._observe(method, wait, tracing.WAITED)
                if turn is not None:
                    raise RateLimited(wait)
                if asyncio.get_running_loop().time() + wait >= until:
                    self._pace.leave(method, arguments, mine)
                    raise RateLimited(wait)
                await asyncio.sleep(wait)
                continue
            try:
                return await self._observed(method, arguments)
            except RateLimited as error:
                log.info("slack.rate_limited", method=method, seconds=error.retry_after)
                self._pace.slow_down(method, arguments, error.retry_after)
            except SlackUnavailable:
                if stale or method in _NOT_TWICE:
                    raise
                stale = True

    async def _observed(self, method: str, arguments: dict[str, object]) -> Response:
        """Calls once, and tells how that went."""
        began, result = self._timer(), "ok"
        try:
            return await self._once(method, arguments)
        except SlackError as error:
            result = error.error
            raise
        finally:
            self._observe(method, self._timer() - began, result)

    async def _once(self, method: str, arguments: dict[str, object]) -> Response:
        """Calls one method, and turns its refusals, and answers that are none, into errors with types."""
        if method != OPEN_CONNECTION:  # the one that takes a secret
            arguments = self._redactor.clean_all(arguments)
        try:
            response: Response = await getattr(self._client, method.replace(".", "_"))(**arguments)
        except SlackApiError as error:
            raise refusal_of(error, self._redactor.scrub) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SlackUnavailable(type(error).__name__) from error
        except Exception as error:  # the SDK trusts the shape of an answer: no JSON, no UTF-8, no object
            log.warning("slack.unreadable", method=method, error=type(error).__name__)
            raise SlackUnavailable(UNREADABLE) from error
        return response


class _Bounded(aiohttp.ClientResponse):
    """An answer that is not read any further than `MAX_BYTES`, decompressed."""

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
    """A client that shares the process's HTTP session, and repeats nothing by itself: `WebApi` does, within limits."""
    return AsyncWebClient(
        token=token,
        base_url=base_url.rstrip("/") + "/",
        session=session,
        # Neither the SDK's handler for lost connections, which would post a message twice, nor the one for rate
        # limits, which waits for as long as it is told.
        retry_handlers=[],
    )


def _says_no(body: str) -> bool:
    """Whether a response URL's answer is an error: it is `ok` as plain text, or JSON."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("ok") is False

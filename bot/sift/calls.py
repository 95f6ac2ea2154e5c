"""One call of Sift: its tries, its limits, what Sift asks to wait, and who is told of it.

A call is sent again only after an answer which proves that Sift did not process it: 429, or a connection that was never
made. Everything else that is no clear answer is `OutcomeUnknown`. What only reads is sent again where its connection
was lost at once, too.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from bot.base import tracing
from bot.sift import responses
from bot.sift.body import ENCODINGS, bytes_of
from bot.sift.errors import ConnectionLost, MustWait, OutcomeUnknown, RateLimited, SiftError, Unreachable

T = TypeVar("T")

CONNECT_SECONDS = 5.0
LIST_BYTES = 16_000_000
ANSWER_BYTES = 2_000_000
"""The largest answers that are read: of a list, a page of which takes 1 to 2 MB, and of everything else."""

TRIES = 4
STALE_SECONDS = 1.0
"""An idle connection that was closed is noticed at once; a read whose connection is lost later is not sent again."""

PATIENCE_SECONDS = 30.0
"""A call is not sent once more later than this after its first try: with that, its turn stays within its lease."""

LONGEST_WAIT = 600.0
"""Seconds that Sift is left alone for at most when it asks for that; then it is asked again."""

PLAUSIBLE = timedelta(days=1)
"""Sift's clock may differ from ours by so much; beyond that, something on the way set the date."""

Observe = Callable[[str, float, str], None]
"""Told of every call: operation, seconds, result; and of waits that Sift asks for, whose result is `WAITED`."""


class Calls:
    """Calls over one client with keep-alive.

    Args:
        base_url: such as `https://api.siftstack.com`.
        api_key: sent as Bearer token.
        timeout_seconds: the whole of one request, its answer included.
        sleep: waits between tries.
        jitter: a number from 0 to 1 at each call.
        observe: told of every request.
        timer: monotonic seconds, for how long Sift asks to wait.
        scrub: takes secrets out of what Sift answers.
        transport: sends the requests; None: over connections that are kept.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        timeout_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        observe: Observe = lambda _operation, _seconds, _result: None,
        timer: Callable[[], float] = time.monotonic,
        scrub: Callable[[str], str] = str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = _client(base_url, api_key, timeout_seconds, transport or _connections())
        self._timeout = timeout_seconds
        self._sleep = sleep
        self._jitter = jitter
        self._observe = observe
        self._timer = timer
        self._scrub = scrub
        self._said_now: tuple[datetime, float] | None = None
        self._held_until: dict[str, float] = {}

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()

    def renew(self, api_key: SecretStr) -> None:
        """Sends another key with every call from now on."""
        self._client.headers["Authorization"] = f"Bearer {api_key.get_secret_value()}"

    def must_wait(self, operation: str) -> float:
        """Seconds that Sift still asks to wait before the next call of a kind; 0: none."""
        return max(0.0, self._held_until.get(operation, 0.0) - self._timer())

    def now(self, ours: datetime) -> datetime:
        """The present moment by Sift's clock, as far as its answers tell; our own where they do not.

        Args:
            ours: the present moment by our clock.
        """
        if self._said_now is None:
            return ours
        said, at = self._said_now
        now = said + timedelta(seconds=self._timer() - at)
        return now if abs(now - ours) <= PLAUSIBLE else ours

    async def in_time(self, reading: Awaitable[T]) -> T:
        """Ends a reading that takes longer, with all its pages and waits, than anybody has patience for."""
        try:
            async with asyncio.timeout(max(PATIENCE_SECONDS, self._timeout)):
                return await reading
        except TimeoutError:
            raise OutcomeUnknown("no answer in time") from None

    async def request(
        self,
        operation: str,
        method: str,
        path: str,
        parameters: dict[str, str] | None = None,
        *,
        body: dict[str, Any] | None = None,
        most: int = ANSWER_BYTES,
    ) -> dict[str, Any]:
        """Sends a request, and again while that is proved safe and patience lasts.

        Args:
            operation: what Sift's limits, and those who observe, know the call by.
            body: sent as JSON.
            most: bytes of the answer.
        """
        began = self._timer()
        for number in range(1, TRIES + 1):
            await self._wait(operation, began)
            try:
                return await self._once(
                    operation, self._client.build_request(method, path, params=parameters, json=body), most
                )
            except RateLimited as error:
                pause = self._pause(error.retry_after, number)
                self._held_until[operation] = self._timer() + pause  # for everybody's sake
                if self._timer() - began + pause > PATIENCE_SECONDS:
                    self._observe(operation, pause, tracing.WAITED)
                    raise MustWait(error.said, error.retry_after or pause) from error
                if number == TRIES:
                    raise
            except ConnectionLost:
                late = self._timer() - began > STALE_SECONDS
                if method != "GET" or number == TRIES or late:  # anything else may have been done
                    raise
            except Unreachable:
                pause = self._pause(None, number)
                if number == TRIES or self._timer() - began + pause > PATIENCE_SECONDS:
                    raise
                await self._sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _wait(self, operation: str, began: float) -> None:
        seconds = self.must_wait(operation)
        if seconds > 0:
            self._observe(operation, seconds, tracing.WAITED)
        if self._timer() - began + seconds > PATIENCE_SECONDS:
            raise MustWait(None, seconds)
        if seconds > 0:
            await self._sleep(seconds)

    def _pause(self, asked: float | None, number: int) -> float:
        least = min(asked, LONGEST_WAIT) if asked is not None else 0.25 * 2**number
        return least + self._jitter() * min(least, 1.0)

    async def _once(self, operation: str, request: httpx.Request, most: int) -> dict[str, Any]:
        began = time.perf_counter()
        result = "ok"
        try:
            with tracing.span(f"Sift {operation}"):
                return await self._answer(request, most)
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            problem = responses.no_answer(error)
            result = problem.name
            raise problem from error
        except SiftError as error:
            result = error.name
            raise
        finally:
            self._observe(operation, time.perf_counter() - began, result)

    async def _answer(self, request: httpx.Request, most: int) -> dict[str, Any]:
        # The client's own limits hold for each read; only this one holds for the whole answer.
        async with asyncio.timeout(self._timeout):
            response = await self._client.send(request, stream=True)
            try:
                content = await bytes_of(response, most)
            finally:
                await response.aclose()
        if (date := responses.date(response)) is not None:
            self._said_now = date, self._timer()
        return responses.answer(response, content, self._scrub)


def _connections() -> httpx.AsyncBaseTransport:
    # The session has a TLS context of its own, so the transport's is never used: an empty one trusts nobody.
    return AiohttpTransport(
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        client=lambda: aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()),
    )


def _client(
    base_url: str, api_key: SecretStr, timeout_seconds: float, transport: httpx.AsyncBaseTransport
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url,
        headers={
            "Authorization": f"Bearer {api_key.get_secret_value()}",
            "Accept": "application/json",
            "Accept-Encoding": ENCODINGS,
        },
        timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        transport=transport,
    )

"""What a stranger may hold of the HTTP server: connections, time, bytes; with real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import httpx
import pytest
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.app.http import slack_route, web_app
from bot.app.limits import Limits
from bot.app.server import serving

LIMITS = Limits(connections=4, request_seconds=0.3, head_bytes=4_096, request_bytes=1_100_000)
PATIENT = replace(LIMITS, request_seconds=30)
SLACK = b"POST /slack/events HTTP/1.1\r\nhost: x\r\n"


@dataclass
class Stranger:
    """One raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def sends(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def hears(self) -> bytes:
        """What the server says until it closes the connection, or pauses."""
        said = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                while chunk := await self.reader.read(65_536):
                    said += chunk
                    if said.endswith((b"ok", b"slow", b"Slack", b"large")):
                        break
        return said

    async def is_cut_off(self) -> bool:
        try:
            async with asyncio.timeout(5):
                return await self.reader.read() == b""
        except ConnectionError:
            return True

    @property
    def is_open(self) -> bool:
        return not self.reader.at_eof() and self.reader.exception() is None


async def _answered(_: Request, __: str) -> Response:
    return PlainTextResponse("ok")


async def _no_problems() -> dict[str, str]:
    return {}


async def _no_metrics() -> bytes:
    return b""


def app(body_seconds: float = 5) -> Starlette:
    app = web_app(_no_problems, dict, _no_metrics, lambda: False)
    app.router.routes.append(slack_route(SignatureVerifier("secret"), _answered, body_seconds=body_seconds))
    return app


Meet = Callable[[], Awaitable[Stranger]]


@contextlib.asynccontextmanager
async def strangers(limits: Limits | None, body_seconds: float = 5) -> AsyncIterator[tuple[str, Meet]]:
    met: list[Stranger] = []

    async def meet() -> Stranger:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        met.append(Stranger(reader, writer))
        return met[-1]

    async with serving(app(body_seconds), limits=limits) as url:
        try:
            yield url, meet
        finally:
            for one in met:
                one.writer.close()
                with contextlib.suppress(ConnectionError):
                    await one.writer.wait_closed()


def looks_signed(length: int) -> bytes:
    """A head whose signature looks like Slack's, and is not."""
    import time

    stamp = f"x-slack-request-timestamp: {int(time.time())}\r\n".encode()
    return SLACK + stamp + b"x-slack-signature: v0=" + b"0" * 64 + f"\r\ncontent-length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: "])
async def test_a_head_that_never_ends_is_cut_off(begun: bytes) -> None:
    async with strangers(LIMITS) as (_, meet):
        stranger = await meet()
        await stranger.sends(begun)
        assert await stranger.is_cut_off()


async def test_a_head_that_is_dripped_is_cut_off() -> None:
    async with strangers(LIMITS) as (_, meet):
        stranger = await meet()
        await stranger.sends(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        for _ in range(100):
            await stranger.sends(b"x-a: b\r\n")
            await asyncio.sleep(0.05)
            if not stranger.is_open:
                return
        raise AssertionError("dripping goes on")


async def test_the_second_request_of_a_connection_is_bounded_too() -> None:
    async with strangers(LIMITS) as (_, meet):
        stranger = await meet()
        await stranger.sends(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await stranger.hears()).endswith(b"ok")
        await stranger.sends(b"GET /healthz HT")
        assert await stranger.is_cut_off()


async def test_a_head_beyond_all_measure_is_cut_off() -> None:
    async with strangers(PATIENT) as (_, meet):
        stranger = await meet()
        await stranger.sends(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 20_000)
        assert await stranger.is_cut_off()


async def test_a_request_beyond_all_measure_is_cut_off() -> None:
    async with strangers(PATIENT) as (_, meet):
        stranger = await meet()
        await stranger.sends(b"GET /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        assert (await stranger.hears()).endswith(b"ok")
        for _ in range(40):
            await stranger.sends(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        assert await stranger.is_cut_off()


async def test_the_one_waited_for_the_longest_makes_room() -> None:
    async with strangers(PATIENT) as (url, meet):
        crowd = [await meet() for _ in range(PATIENT.connections)]
        for stranger in crowd:
            await stranger.sends(b"GET /healthz HT")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200
        assert await crowd[0].is_cut_off()
        assert [one.is_open for one in crowd[1:]] == [True] * (PATIENT.connections - 1)


async def test_whoever_cannot_have_signed_is_refused_before_the_body() -> None:
    async with strangers(PATIENT) as (_, meet):
        stranger = await meet()
        await stranger.sends(SLACK + b"content-length: 900000\r\n\r\n" + b"x" * 1_000)
        assert (await stranger.hears()).startswith(b"HTTP/1.1 401")


async def test_a_body_too_large_is_refused_before_it_comes() -> None:
    async with strangers(PATIENT) as (_, meet):
        stranger = await meet()
        await stranger.sends(looks_signed(1_000_001))
        assert (await stranger.hears()).startswith(b"HTTP/1.1 413")


async def test_a_body_that_never_ends_is_not_waited_for() -> None:
    async with strangers(PATIENT, body_seconds=0.2) as (_, meet):
        stranger = await meet()
        await stranger.sends(looks_signed(900) + b"x")
        assert (await stranger.hears()).startswith(b"HTTP/1.1 408")


async def test_small_bodies_are_read_though_large_ones_fill_what_is_allowed() -> None:
    crowded = replace(PATIENT, connections=64)
    async with strangers(crowded) as (_, meet):
        crowd = [await meet() for _ in range(24)]
        for stranger in crowd:
            await stranger.sends(looks_signed(900_000) + b"x" * 800_000)
        refused = [stranger for stranger in crowd if await _has(stranger, b"HTTP/1.1 503")]
        assert refused
        small = await meet()
        await small.sends(looks_signed(1_000) + b"x" * 1_000)
        assert (await small.hears()).startswith(b"HTTP/1.1 401")


async def _has(stranger: Stranger, start: bytes) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            return (await stranger.reader.read(65_536)).startswith(start)
    return False

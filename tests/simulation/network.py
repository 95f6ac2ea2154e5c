"""The network between the bot and the embedded Slack and Sift: their own applications, called without sockets.

Whatever can go wrong on the way does, if the world says so: a request that never arrives, or late; an answer that never
comes back, or is garbage; an error before or after the effect.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from starlette.types import ASGIApp, Message

from tests.simulation.loop import PROCESS, Process

FAR_AWAY = 100_000.0


@dataclass
class Call:
    """One HTTP call from a process to a peer, or from Slack to a process."""

    peer: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    query: str = ""

    @property
    def secret(self) -> str:
        """What the caller proves by who it is."""
        return next((value for name, value in self.headers.items() if name.lower() == "authorization"), "")

    @property
    def acts(self) -> bool:
        """Whether Sift is to do something that must not be done twice."""
        return self.peer == "sift" and self.path.endswith((":retry", ":cancel"))


@dataclass
class Answered:
    """What came back."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Weather:
    """What becomes of one call.

    Args:
        there: seconds that the request takes; it has its effect then.
        back: seconds that the answer takes.
        refused: no connection is made: proof that nothing arrived.
        lost: the request never arrives.
        cut: the connection breaks where the answer should come; otherwise nothing ever comes.
        answer: what the caller gets instead of the answer.
        carried_out: whether the request has its effect all the same.
        dies: whether the process that makes the call is killed once it has left.
    """

    there: float = 0.05
    back: float = 0.05
    refused: bool = False
    lost: bool = False
    cut: bool = False
    silent: bool = False
    answer: Answered | None = None
    carried_out: bool = True
    dies: bool = False
    name: str = "fair"


class Refused(Exception):
    """No connection was made."""


class Broken(Exception):
    """The connection broke."""


async def serve(app: ASGIApp, call: Call, root: str = "") -> Answered | None:
    """Has an application answer a call; None if it drops the connection."""
    sent, aborted = Answered(500), asyncio.Event()
    body = [call.body]

    async def receive() -> Message:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await aborted.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.status = message["status"]
            sent.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            sent.body += message.get("body", b"")

    headers = {"host": "world", "content-length": str(len(call.body)), **call.headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": root + call.path,
        "raw_path": (root + call.path).encode(),
        "root_path": root,
        "query_string": call.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("world", 80),
        "sandbox.abort": aborted.set,
    }
    await app(scope, receive, send)
    return None if aborted.is_set() else sent


class Network:
    """The way to the peers.

    Args:
        apps: the peers' applications, by name.
        weather: what becomes of a call.
        arrives: told of each call that reaches its peer.
        leaves: told of each call when the bot makes it.
    """

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        weather: Callable[[Call], Weather],
        leaves: Callable[[Call, Weather], None],
        world: Context,
    ) -> None:
        self._apps = apps
        self._weather = weather
        self._leaves = leaves
        self._world = world

    async def call(self, call: Call) -> Answered:
        """Makes a call, as the caller sees it.

        Raises:
            Refused: no connection was made.
            Broken: the connection was lost.
        """
        weather = self._weather(call)
        self._leaves(call, weather)
        if weather.refused:
            await asyncio.sleep(weather.there)
            raise Refused
        if weather.lost:
            await asyncio.sleep(weather.there)
            if weather.cut:
                raise Broken
            await asyncio.sleep(FAR_AWAY)
        loop = asyncio.get_running_loop()
        # The peer goes on with it whatever becomes of the caller.
        answering = loop.create_task(self._carry_out(call, weather, PROCESS.get()), context=self._world.copy())
        answer = await asyncio.shield(answering)
        if weather.silent:
            await asyncio.sleep(FAR_AWAY)
        await asyncio.sleep(weather.back)
        if weather.cut or answer is None:
            raise Broken
        return answer

    async def _carry_out(self, call: Call, weather: Weather, caller: Process | None) -> Answered | None:
        await asyncio.sleep(weather.there)
        if call.peer == "slack" and caller is not None and not caller.alive:
            return None  # what arrives after the next process has looked for it cannot be known of; so it is gone
        if not weather.carried_out:
            return weather.answer
        answer = await serve(self._apps[call.peer], call, f"/{call.peer}")
        return weather.answer or answer


class SiftTransport(httpx.AsyncBaseTransport):
    """What the bot's Sift client sends its requests with."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        url = request.url
        call = Call(
            "sift",
            request.method,
            url.path.removeprefix("/sift"),
            dict(request.headers),
            await request.aread(),
            url.query.decode(),
        )
        try:
            answer = await self._network.call(call)
        except Refused:
            raise httpx.ConnectError("refused") from _refused()
        except Broken:
            raise httpx.ReadError("broken", request=request) from None
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status, headers=headers, stream=_Stream(answer.body), request=request)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def _refused() -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(
        ConnectionKey("world", 80, False, True, None, None, None), OSError("nobody there")
    )


class SlackSession:
    """What the bot calls Slack with: as much of `aiohttp.ClientSession` as the SDK and the bot use."""

    closed = False

    def __init__(self, network: Network) -> None:
        self._network = network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    def request(self, method: str, url: str, **more: Any) -> "_Requesting":
        """One call, to be awaited in a `with` block."""
        return _Requesting(self._network, method, url, more)

    def post(self, url: str, **more: Any) -> "_Requesting":
        """The same, with POST."""
        return self.request("POST", url, **more)


class _Requesting:
    def __init__(self, network: Network, method: str, url: str, more: dict[str, Any]) -> None:
        self._network = network
        self._method, self._url, self._more = method, url, more

    async def __aenter__(self) -> "_SlackResponse":
        parts, headers = urlsplit(self._url), {**(self._more.get("headers") or {})}
        body, kind = _encoded(self._more)
        headers = {name: str(value) for name, value in headers.items() if name.lower() != "content-type"}
        if kind:
            headers["content-type"] = kind
        query = urlencode({name: _plain(value) for name, value in (self._more.get("params") or {}).items()})
        path = parts.path.removeprefix("/slack")
        try:
            answer = await self._network.call(Call("slack", self._method, path, headers, body, query or parts.query))
        except Refused:
            raise _refused() from None
        except Broken:
            raise aiohttp.ServerDisconnectedError from None
        return _SlackResponse(answer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        return None


class _SlackResponse:
    def __init__(self, answer: Answered) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self.content_type = answer.headers.get("content-type", "application/octet-stream").partition(";")[0]

    async def json(self) -> Any:
        """The body as JSON."""
        if self.content_type != "application/json":
            raise aiohttp.ContentTypeError(None, (), message="no JSON")  # type: ignore[arg-type]  # nobody reads those
        return json.loads(self._answer.body)

    async def text(self, errors: str = "strict") -> str:
        """The body as text."""
        return self._answer.body.decode(errors=errors)

    async def read(self) -> bytes:
        """The body."""
        return self._answer.body


def _encoded(more: dict[str, Any]) -> tuple[bytes, str | None]:
    if more.get("json") is not None:
        return json.dumps(more["json"]).encode(), "application/json"
    data = more.get("data")
    if isinstance(data, dict):
        form = {name: _plain(value) for name, value in data.items() if value is not None}
        return urlencode(form).encode(), "application/x-www-form-urlencoded"
    if isinstance(data, str):
        return data.encode(), "application/x-www-form-urlencoded"
    return data or b"", None


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)

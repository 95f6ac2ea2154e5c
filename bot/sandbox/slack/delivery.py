"""How requests reach the app: over its Socket Mode connections, or signed over HTTP."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox.payload import Payload
from bot.sandbox.slack.directory import APP

MAX_CONNECTIONS = 10

COMMAND = "slash_commands"
INTERACTIVE = "interactive"
EVENT = "events_api"


@dataclass(frozen=True)
class Answer:
    """What came back from the app.

    Args:
        status: the HTTP status, 200 for a Socket Mode ack; None if nothing came in time.
        body: what the ack carried: JSON, a text, or None.
    """

    status: int | None = None
    body: Any = None

    @property
    def ok(self) -> bool:
        """Whether the app acknowledged the request."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Request:
    """One request to the app, to be delivered once or again.

    Args:
        kind: `slash_commands`, `interactive` or `events_api`, as Socket Mode names them.
        retry: how often it was delivered before.
    """

    kind: str
    payload: Payload
    retry: int = 0


class Transport(Protocol):
    """A way to the app."""

    async def deliver(self, request: Request, seconds: float) -> Answer:
        """Delivers a request and waits so long for its ack."""
        ...


@dataclass(eq=False)
class _Connection:
    websocket: WebSocket
    waiting: dict[str, asyncio.Future[Answer]] = field(default_factory=dict)


class Sockets:
    """The app's Socket Mode connections; each request goes to one of them, in turn.

    Args:
        changed: told when a connection comes or goes.

    Attributes:
        opened: how many connections there were so far.
        silent: so many of the next addresses that are handed out never answer.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.opened = 0
        self.silent = 0
        self._connections: list[_Connection] = []
        self._tickets: set[str] = set()
        self._turn = count()

    def __len__(self) -> int:
        return len(self._connections)

    def ticket(self) -> str:
        """What one connection is opened with."""
        ticket = str(uuid.uuid4())
        self._tickets.add(ticket)
        return ticket

    def path(self) -> str:
        """Where the next connection is opened."""
        if not self.silent:
            return "link"
        self.silent -= 1
        return "silent"

    async def keep_waiting(self, websocket: WebSocket) -> None:
        """Takes a connection and never completes its handshake."""
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass

    async def serve(self, websocket: WebSocket) -> None:
        """Serves one connection until either side ends it."""
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await websocket.close(4001)
            return
        self._tickets.discard(ticket)
        await websocket.accept()
        if len(self._connections) >= MAX_CONNECTIONS:
            await websocket.send_json(_goodbye("too_many_websockets"))
            await websocket.close()
            return
        connection = _Connection(websocket)
        self._connections.append(connection)
        self.opened += 1
        try:
            await websocket.send_json(self._hello())
            self._changed()
            async for text in websocket.iter_text():
                _acknowledge(connection, text)
        finally:
            self._forget(connection)

    async def deliver(self, request: Request, seconds: float) -> Answer:
        """Sends an envelope over one connection and waits for its ack."""
        if not self._connections:
            return Answer()
        connection = self._connections[next(self._turn) % len(self._connections)]
        envelope = _envelope(request)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope["envelope_id"]] = answer
        try:
            async with asyncio.timeout(seconds):
                await connection.websocket.send_json(envelope)
                return await answer
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return Answer()
        finally:
            connection.waiting.pop(envelope["envelope_id"], None)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Asks every connection to be opened anew, as Slack does every few hours; the app closes the old one."""
        for connection in list(self._connections):
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await connection.websocket.send_json(_goodbye(reason))

    def cut(self) -> None:
        """Cuts every connection without a word."""
        for connection in list(self._connections):
            self._forget(connection)
            connection.websocket.scope["sandbox.abort"]()

    def _forget(self, connection: _Connection) -> None:
        with contextlib.suppress(ValueError):
            self._connections.remove(connection)
        for answer in connection.waiting.values():
            if not answer.done():
                answer.set_result(Answer())
        self._changed()

    def _hello(self) -> Payload:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "debug_info": {"host": "sandbox", "approximate_connection_time": 18060},
            "connection_info": {"app_id": APP},
        }


class SignedHttp:
    """Requests as Slack sends them to a request URL.

    Args:
        request_url: where the app listens.
        signing_secret: what they are signed with.
    """

    def __init__(self, request_url: str, signing_secret: str) -> None:
        self.request_url = request_url
        self.signing_secret = signing_secret

    async def deliver(self, request: Request, seconds: float) -> Answer:
        """Posts a request and waits for the response."""
        body, content_type = _encoded(request)
        headers = {"Content-Type": content_type, **signature(self.signing_secret, body)}
        if request.retry and request.kind == EVENT:
            headers |= {"X-Slack-Retry-Num": str(request.retry), "X-Slack-Retry-Reason": "http_timeout"}
        timeout = aiohttp.ClientTimeout(seconds)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self.request_url, data=body, headers=headers) as response,
            ):
                return Answer(response.status, _decoded(response.content_type, await response.text()))
        return Answer()


def signature(secret: str, body: bytes, timestamp: int | None = None) -> dict[str, str]:
    """The headers that prove a request to be Slack's.

    Args:
        timestamp: when it was sent; now by default.
    """
    sent_at = str(int(time.time()) if timestamp is None else timestamp)
    digest = hmac.new(secret.encode(), f"v0:{sent_at}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": sent_at, "X-Slack-Signature": f"v0={digest}"}


def _encoded(request: Request) -> tuple[bytes, str]:
    if request.kind == EVENT:
        return json.dumps(request.payload).encode(), "application/json"
    form = request.payload if request.kind == COMMAND else {"payload": json.dumps(request.payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def _decoded(content_type: str, text: str) -> Any:
    if content_type == "application/json":
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return text or None


def _envelope(request: Request) -> Payload:
    envelope = {
        "envelope_id": str(uuid.uuid4()),
        "type": request.kind,
        "payload": request.payload,
        "accepts_response_payload": request.kind != EVENT,
    }
    if request.kind == EVENT:
        envelope |= {"retry_attempt": request.retry, "retry_reason": "timeout" if request.retry else ""}
    return envelope


def _acknowledge(connection: _Connection, text: str) -> None:
    """Takes an ack; whatever else the app sends is none of Slack's business."""
    with contextlib.suppress(ValueError, AttributeError):
        message = json.loads(text)
        answer = connection.waiting.pop(message.get("envelope_id"), None)
        if answer is not None and not answer.done():
            answer.set_result(Answer(200, message.get("payload") or None))


def _goodbye(reason: str) -> Payload:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}

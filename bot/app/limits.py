"""Bounds what strangers may hold of an HTTP server: connections, the time for a request, the bytes of one.

uvicorn bounds none of the three: a head that never ends stays open, and its headers are gathered, for ever.
"""

import asyncio
import resource
from dataclasses import dataclass, field
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 200
"""More than Slack and a load balancer ever hold open."""


def _share_of_descriptors() -> int:
    """A quarter of what the process may open: the rest is for the database and for our own calls."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if allowed == resource.RLIM_INFINITY else max(8, min(MAX_CONNECTIONS, allowed // 4))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one server allows.

    Args:
        connections: so many at a time; beyond, the one that has been waited for the longest makes room.
        request_seconds: from its first byte, or from the connection's start, to the last byte of its body.
        head_bytes: of a request's line and headers.
        request_bytes: of all of it.
    """

    connections: int = field(default_factory=_share_of_descriptors)
    request_seconds: float = 8
    head_bytes: int = 32_768
    request_bytes: int = 2_000_000


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, within limits; what exceeds them is cut off."""

    def __init__(self, *args: Any, limits: Limits, **more: Any) -> None:
        super().__init__(*args, **more)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._received = 0
        self._since = 0.0

    @property
    def waits(self) -> bool:
        """Whether it is the other side that something is waited for from."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._arm()
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None:
            self._arm()
        super().data_received(data)
        self._received += len(data)
        most = self._limits.head_bytes if self._in_head else self._limits.request_bytes
        if self._timer is not None and self._received > most:
            self._cut_off("too many bytes")

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._received = 0
        if self._timer is None:
            self._arm()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._disarm()
        super().on_message_complete()

    def _arm(self) -> None:
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self._limits.request_seconds, self._cut_off, "too slow")

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut_off(self, why: str) -> None:
        log.info("http.cut_off", why=why)
        self.connections.discard(self)  # at once, so that nobody counts it any more
        self.transport.abort()

    def _make_room(self) -> None:
        """Drops the oldest connection that is only waited for, which may be this one."""
        waiting = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.waits]
        oldest = min(waiting, key=lambda one: one._since, default=self)
        oldest._cut_off("too many connections")

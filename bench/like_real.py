"""Peers that take as long as the real ones."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLACK_SECONDS = 0.12
READ_SECONDS = 0.08
RETRY_SECONDS = 0.15
"""What a call takes: of Slack's, one that reads from Sift, one that retries."""


@dataclass(frozen=True)
class Retried:
    """Calls of Sift's retry endpoint.

    Args:
        calls: how many ended.
        seconds: how long they were under way, added up.
    """

    calls: int
    seconds: float

    def __sub__(self, before: "Retried") -> "Retried":
        return Retried(self.calls - before.calls, self.seconds - before.seconds)


class LikeReal:
    """The sandbox, each answer of which takes its time; what was asked is carried out at once.

    Args:
        app: the sandbox.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.on = False
        self._calls = 0
        self._seconds = 0.0
        self._began: list[float] = []

    @property
    def retried(self) -> "Retried":
        """The calls of Sift's retry endpoint so far."""
        now = time.perf_counter()
        return Retried(self._calls, self._seconds + sum(now - began for began in self._began))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""

        async def later(message: Message) -> None:
            if self.on and message["type"] == "http.response.start":
                await asyncio.sleep(_seconds(scope))
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self._counted() if scope["path"].endswith(":retry") else contextlib.nullcontext():
            await self.app(scope, receive, later)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.perf_counter()
        self._began.append(began)
        try:
            yield
        finally:
            self._began.remove(began)
            self._calls += 1
            self._seconds += time.perf_counter() - began


def _seconds(scope: Scope) -> float:
    if "/api/v1/" not in scope["path"] and "/api/v2/" not in scope["path"]:
        return SLACK_SECONDS
    return RETRY_SECONDS if scope["method"] == "POST" else READ_SECONDS

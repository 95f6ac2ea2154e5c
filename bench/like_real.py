"""Peers that take as long as the real ones."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLACK_SECONDS = 0.12
READ_SECONDS = 0.08
RETRY_SECONDS = 0.15
"""What a call takes: of Slack's, one that reads from Sift, one that retries."""


class LikeReal:
    """The sandbox, each answer of which takes its time; what was asked is carried out at once.

    Args:
        app: the sandbox.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.on = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""

        async def later(message: Message) -> None:
            if self.on and message["type"] == "http.response.start":
                await asyncio.sleep(_seconds(scope))
            await send(message)

        await self.app(scope, receive, later if scope["type"] == "http" else send)


def _seconds(scope: Scope) -> float:
    if "/api/v1/" not in scope["path"] and "/api/v2/" not in scope["path"]:
        return SLACK_SECONDS
    return RETRY_SECONDS if scope["method"] == "POST" else READ_SECONDS

"""Dropping a connection instead of answering, which the embedded Slack and the embedded Sift both do on demand."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_ABORT = "sandbox.abort"


class NoAnswer(Response):
    """Drops the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Aborts the transport, then waits until the server has noticed."""
        abort = scope.get(_ABORT)
        if abort is None:
            raise ConnectionResetError("this server does not let go of its connections")
        abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class Droppable:
    """Lets what is inside drop a connection: ASGI itself has no way to say so, uvicorn's cycle has its transport."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request on, with the way to its transport."""
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope[_ABORT] = transport.abort
        await self.app(scope, receive, send)

"""Serves an ASGI application on uvicorn inside the running event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from bot.app.limits import BoundedProtocol, Limits
from bot.base.errors import CannotListen


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to whoever runs it, and wakes once a second, not ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._over = asyncio.Event()

    def end(self) -> None:
        """Has it stop."""
        self.should_exit = True
        self._over.set()

    async def main_loop(self) -> None:
        """Keeps the date of its answers."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._over.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None
) -> AsyncIterator[str]:
    """Serves `app` until the block ends, then lets open requests finish for a moment.

    Args:
        app: an ASGI application.
        host: the address to bind.
        port: the port to bind; 0 takes a free one.
        limits: what strangers may hold; None serves whoever comes, and WebSockets too.

    Yields:
        The base URL, `http://host:port`.

    Raises:
        CannotListen: the address is in use or cannot be bound.
    """
    listener = _bind(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        # A factory where uvicorn names a class: it only ever calls it.
        http="httptools" if limits is None else partial(BoundedProtocol, limits=limits),  # type: ignore[arg-type]
        ws="websockets-sansio" if limits is None else "none",
        # So many may come at once before one of them is looked at, and each takes a descriptor.
        backlog=2_048 if limits is None else limits.connections,
        lifespan="off",
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn tells it no other way
            await asyncio.sleep(0.005)
        bound = listener.getsockname()[1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        server.end()
        await task
        listener.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol lets asyncio switch Nagle off; without it each keep-alive answer takes 40 ms on its own loop.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotListen(host=host, port=port, why=error.strerror or str(error)) from error
    return listener

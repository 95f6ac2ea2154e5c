"""A relay on loopback TCP before PostgreSQL's Unix socket, which goes silent like a host that is gone."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

from sqlalchemy import make_url


class Relay:
    """What a test may do to the network.

    Args:
        port: where it listens on 127.0.0.1.
        accepted: how many connections there were.
        unheard: once all of these were asked, one after the other, nothing is answered any more.
    """

    def __init__(self, server: str) -> None:
        self.port = 0
        self.accepted = 0
        self.unheard: list[bytes] = []
        self._server = server
        self.started = threading.Event()
        self.stop: Callable[[], object] = lambda: None
        self._open = threading.Event()
        self._open.set()
        self._silenced: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def silence(self) -> None:
        """Forwards nothing from here on, in either direction, on no connection; each is accepted all the same."""
        self._open.clear()

    def speak(self) -> None:
        """Forwards again, what was held back included."""
        self._open.set()

    def forget(self) -> None:
        """Leaves the connections there are silent for ever; new ones work."""
        self._silenced |= self._writers
        self._open.set()

    def lead_to(self, server: str) -> None:
        """Has new connections reach another server's socket."""
        self._server = server

    async def serve(self) -> None:
        """Relays until it is stopped."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        self.stop = lambda: loop.call_soon_threadsafe(stop.set)
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        await stop.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            there, back = await asyncio.open_unix_connection(self._server)
        except OSError:  # nobody listens there just now
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):  # the end of the test is one, too
            await asyncio.gather(self._pump(reader, back, asks=True), self._pump(there, writer))
        for one in (writer, back):
            one.transport.abort()
            self._writers.discard(one)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asks: bool = False) -> None:
        while data := await reader.read(65_536):
            if asks and self.unheard and self.unheard[0] in data:
                del self.unheard[0]
                writer.write(data)
                if not self.unheard:
                    self.silence()
            else:
                while not self._open.is_set() or writer in self._silenced:
                    await asyncio.sleep(0.005)
                writer.write(data)
        writer.close()


@contextlib.contextmanager
def relayed(url: str) -> Iterator[tuple[Relay, str]]:
    """Relays to the database of a URL; yields the relay, and the URL that goes through it."""
    parts = make_url(url)
    relay = Relay(f"{parts.query['host']}/.s.PGSQL.5432")
    thread = threading.Thread(target=lambda: asyncio.run(relay.serve()))
    thread.start()
    relay.started.wait(5)
    through = parts.set(host="127.0.0.1", port=relay.port, query={"sslmode": "disable", "gssencmode": "disable"})
    try:
        yield relay, through.render_as_string(hide_password=False)
    finally:
        relay.stop()
        thread.join(5)

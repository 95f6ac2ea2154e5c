"""People who type commands, in a process of their own, so that nothing else delays what they measure.

Reads one JSON line per round from stdin, `{"url": …, "secret": …, "pause": seconds, "people": [[job ID, …], …]}`, and
answers each with `{"took": [seconds, …], "seconds": …}`. Everybody keeps one connection open, as Slack keeps its own.
"""

import asyncio
import itertools
import json
import sys
import time
from urllib.parse import urlencode, urlsplit

import uvloop

from bench.people import PEOPLE
from bot.sandbox.slack.delivery import signature

_triggers = itertools.count()


def request(host: str, secret: str, user_id: str, text: str) -> bytes:
    """One signed slash command, as HTTP/1.1."""
    body = urlencode(
        {
            "command": "/sift-retry",
            "text": text,
            "user_id": user_id,
            "user_name": "typist",
            "team_id": "T0SANDBOX",
            "team_domain": "sandbox",
            "channel_id": "C0LAUNCHOPS",
            "trigger_id": f"{time.time_ns()}.{next(_triggers)}",
            "token": "",
        }
    ).encode()
    headers = {
        "Host": host,
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
        **signature(secret, body),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /slack/events HTTP/1.1\r\n{head}\r\n".encode() + body


class Typist:
    """One person's connection."""

    def __init__(self, url: str, user_id: str) -> None:
        self.user_id = user_id
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def types(self, secret: str, text: str) -> float:
        """Types a command; returns how many seconds the ack took, a new connection included where one is needed."""
        message = request(f"{self.host}:{self.port}", secret, self.user_id, text)
        began = time.perf_counter()
        try:
            await self._send(message)
        except (asyncio.IncompleteReadError, ConnectionError):  # the server had closed a connection that lay idle
            self.streams = None
            await self._send(message)
        return time.perf_counter() - began

    async def _send(self, message: bytes) -> None:
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.streams
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode().splitlines()[0])
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        if b"connection: close" in head:
            writer.close()
            self.streams = None


async def play(typists: list[Typist], order: dict[str, object]) -> dict[str, object]:
    """One round: everybody types what they are given, one command after the other."""
    secret, pause, people = str(order["secret"]), float(str(order["pause"])), order["people"]
    assert isinstance(people, list)

    async def type_all(typist: Typist, texts: list[str]) -> list[float]:
        took = []
        for text in texts:
            took.append(await typist.types(secret, text))
            if pause:
                await asyncio.sleep(pause)
        return took

    began = time.perf_counter()
    took = await asyncio.gather(*(type_all(*pair) for pair in zip(typists, people, strict=True)))
    return {"took": [one for some in took for one in some], "seconds": time.perf_counter() - began}


async def main() -> None:
    """Plays round after round until stdin ends."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    crowds: dict[str, list[Typist]] = {}
    while line := await reader.readline():
        order = json.loads(line)
        crowd = crowds.setdefault(order["url"], [])
        crowd += [Typist(order["url"], user_id) for user_id in PEOPLE[len(crowd) : len(order["people"])]]
        sys.stdout.write(json.dumps(await play(crowd[: len(order["people"])], order)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())

"""Processes to measure, people who type commands, and what a process uses."""

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp

from bot.sandbox import LAUNCH_OPS, OPERATOR, Sandbox
from bot.sandbox.slack_delivery import signature

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Running:
    """A process under measurement."""

    pid: int
    url: str
    seconds_to_start: float


@contextlib.contextmanager
def process(*command: str, port: int, **environment: str) -> Iterator[int]:
    """Runs a command for as long as the block lasts; yields its process ID."""
    started = subprocess.Popen(
        command,
        env={**os.environ, **environment, "PORT": str(port)},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield started.pid
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(12)
        started.kill()


@contextlib.asynccontextmanager
async def up(*command: str, path: str, **environment: str) -> AsyncIterator[Running]:
    """Runs a command that serves HTTP, and waits until `path` answers well."""
    port = free_port()
    filled = [part.format(port=port) for part in command]
    began = time.perf_counter()
    with process(*filled, port=port, **environment) as pid:
        url = f"http://127.0.0.1:{port}"
        await _answers(url + path)
        yield Running(pid, url, time.perf_counter() - began)


async def _answers(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as response:
                    if response.status in (200, 405):
                        return
            await asyncio.sleep(0.005)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Person:
    """Somebody who types commands, over one connection that is kept open, as Slack keeps its own."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self._sandbox = sandbox
        self._url = f"{url}/slack/events"
        self._session = aiohttp.ClientSession()

    async def types(self, text: str) -> float:
        """Types the command; answers how many seconds the ack took."""
        slack = self._sandbox.slack
        fields = {
            "command": "/sift-retry",
            "text": text,
            "user_id": OPERATOR,
            "user_name": "operator",
            "team_id": "T0SANDBOX",
            "channel_id": LAUNCH_OPS,
            "trigger_id": slack.new_trigger(OPERATOR),
            "response_url": slack.new_response_url(OPERATOR, LAUNCH_OPS),
            "token": "",
            "team_domain": "sandbox",
        }
        body = urlencode(fields)
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            **signature(slack.signing_secret, body.encode()),
        }
        began = time.perf_counter()
        async with self._session.post(self._url, data=body, headers=headers) as response:
            await response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status} from {self._url}")
        return time.perf_counter() - began

    async def close(self) -> None:
        """Hangs up."""
        await self._session.close()


@contextlib.asynccontextmanager
async def people(sandbox: Sandbox, url: str, count: int) -> AsyncIterator[list[Person]]:
    """So many people, each on a connection of their own."""
    group = [Person(sandbox, url) for _ in range(count)]
    try:
        yield group
    finally:
        await asyncio.gather(*(person.close() for person in group))


def cpu_seconds(pid: int) -> float:
    """The processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """The memory a process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def milliseconds(samples: list[float]) -> float:
    """The median, in milliseconds."""
    return statistics.median(samples) * 1e3

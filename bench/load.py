"""Processes to measure, people who type commands, and what a process uses."""

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Without what would have every start compile the bot anew: one that is installed is compiled."""


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
        env={**_ENVIRONMENT, **environment, "PORT": str(port)},
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


class Typists:
    """People who type commands: `bench.typists`, a process of its own."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "bench.typists")
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT, limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()

    async def type(self, url: str, people: list[list[str]], pause: float = 0.0) -> tuple[list[float], float]:
        """Each person types their commands, one after the other.

        Args:
            url: whom they type to.
            people: the job IDs that each of them types.
            pause: seconds after each command.

        Returns:
            How many seconds each ack took, and how many all of it.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"url": url, "secret": self._secret, "pause": pause, "people": people}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline())
        return answer["took"], answer["seconds"]


def cpu_seconds(pid: int) -> float:
    """The processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_cpu_seconds(pid: int) -> float:
    """The processor time a process and its children have used."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_seconds(pid) + sum(tree_cpu_seconds(int(child)) for child in children)


def resident_megabytes(pid: int) -> float:
    """The memory a process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def milliseconds(samples: list[float]) -> float:
    """The median, in milliseconds."""
    return statistics.median(samples) * 1e3

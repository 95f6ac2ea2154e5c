"""Real processes of the bot, started anew whenever they end, as a platform does."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.scenarios.test_crash import free_port

ROOT = Path(__file__).parent.parent.parent

START_SECONDS = 200.0
"""A process is ready within so long once its database is there, on a busy machine."""

STOP_SECONDS = 10.0
"""A stop takes no longer (docs/operating.md)."""

PAUSE_SECONDS = 0.2


class Replica:
    """One process, and those that follow it.

    Args:
        environment: its settings, but for the port.
        log: the file that its errors go to.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self._environment = {**os.environ, **environment, "PORT": str(self.port)}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._supervising: asyncio.Task[None] | None = None
        self.ready = False
        self.stopped = False
        self.ended_by_itself = 0

    @property
    def request_url(self) -> str:
        """Where Slack's requests go."""
        return f"http://127.0.0.1:{self.port}/slack/events"

    def start(self) -> None:
        """Keeps a process running from now on."""
        self._supervising = asyncio.create_task(self._supervise())

    async def _supervise(self) -> None:
        while True:
            with self._log.open("ab") as log:
                command = (sys.executable, "-m", "bench.unpaced")
                self._process = await asyncio.create_subprocess_exec(
                    *command, env=self._environment, cwd=ROOT, stdout=log, stderr=log
                )
            becoming_ready = asyncio.create_task(self._become_ready())
            try:
                code = await self._process.wait()
            finally:
                becoming_ready.cancel()
                self.ready = self.stopped = False
            if code != -signal.SIGKILL:
                self.ended_by_itself += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _become_ready(self) -> None:
        async with httpx.AsyncClient() as client:
            while not self.ready:
                with contextlib.suppress(httpx.HTTPError):
                    answer = await client.get(f"http://127.0.0.1:{self.port}/readyz", timeout=3)
                    self.ready = answer.status_code == 200
                await asyncio.sleep(PAUSE_SECONDS)

    def kill(self) -> None:
        """Ends the process where it is."""
        self.ready = False
        self._signal(signal.SIGKILL)

    def pause(self, seconds: float) -> None:
        """Stops the process where it is, for a while."""
        process = self._process
        self.stopped = True
        self._signal(signal.SIGSTOP)
        asyncio.get_running_loop().call_later(seconds, self._wake, process)

    def wake(self) -> None:
        """Lets it go on."""
        if self.stopped:
            self.stopped = False
            self._signal(signal.SIGCONT)

    def _wake(self, process: asyncio.subprocess.Process | None) -> None:
        if process is self._process:
            self.wake()

    def limit_files(self, size: int) -> None:
        """Has no file of the process grow beyond a size in bytes, as on a full disk; -1: any may."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def stop(self) -> int | None:
        """Ends the process as a platform does; returns its exit code, None if it does not end in time."""
        assert self._process is not None
        assert self._supervising is not None
        self._supervising.cancel()
        await asyncio.wait([self._supervising])
        self.wake()
        self._signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            return None
        finally:
            await self.end()

    async def end(self) -> None:
        """Leaves nothing running, whatever happened."""
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.wait([self._supervising])
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

"""The bot as a process, flooded by strangers over HTTP: it goes on, in the memory and the descriptors it has."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import Process

FEW_DESCRIPTORS = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from bot.__main__ import main
sys.argv[1:] = ["run"]
main()
"""
HEAD = b"POST /slack/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"


def looks_signed() -> bytes:
    stamp = f"x-slack-request-timestamp: {int(time.time())}\r\n".encode()
    return HEAD + stamp + b"x-slack-signature: v0=" + b"0" * 64 + b"\r\n"


@contextlib.asynccontextmanager
async def flood(world: World, count: int, data: bytes) -> AsyncIterator[None]:
    """So many connections that each say this, and then nothing more, until the block ends."""
    address = urlsplit(world.slack.request_url or "")
    writers: list[asyncio.StreamWriter] = []
    for _ in range(count):
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection(address.hostname, address.port)
            writers.append(writer)
            writer.write(data)
    await asyncio.sleep(0.3)
    try:
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


def memory(process: asyncio.subprocess.Process) -> int:
    """Megabytes that the process holds."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


async def test_half_sent_heads_leave_descriptors_for_our_own_calls(world: World) -> None:
    process = Process(world)
    async with process.running("-c", FEW_DESCRIPTORS):
        async with flood(world, 300, b"POST /slack/events HT"):
            job = world.sift.add()
            assert (await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked
            await world.until(lambda: len(world.replies()) == 2, timeout=8)
        assert world.sift.count("retry", job.job_id) == 1


async def test_unfinished_bodies_take_no_memory(world: World) -> None:
    process = Process(world)
    body = b"content-length: 990000\r\n\r\n" + b"x" * 980_000
    async with process.running() as running:
        before = memory(running)
        async with flood(world, 400, HEAD + body):
            assert memory(running) - before < 60
        async with flood(world, 400, looks_signed() + body):
            assert memory(running) - before < 120
            assert (await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)).acked

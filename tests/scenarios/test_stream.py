"""`AUDIT_STREAM=stdout`: whoever collects a process's stdout gets every entry, and nothing else."""

import asyncio
import json
import subprocess
import sys
from typing import Any

from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import free_port, until_ready
from tests.scenarios.test_process import ROOT, environment, output


async def collected(world: World, expected: int) -> list[dict[str, Any]]:
    """Runs the bot until it has written so many lines, one retry included; returns them."""
    port = str(free_port())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "run"),
        env={**environment(world, AUDIT_STREAM="stdout", PORT=port), "PYTHONPATH": str(ROOT)},
        cwd=world.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        await until_ready(f"http://127.0.0.1:{port}/readyz")
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        async with asyncio.timeout(20):
            return [json.loads(await process.stdout.readline()) for _ in range(expected)]
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 12)


async def test_stdout_gets_every_entry_and_goes_on_where_it_was(world: World) -> None:
    assert (await output(world, "access", "grant", OPERATOR))[0] == 0
    lines = await collected(world, 4)
    assert [line["metadata"]["sequence"] for line in lines] == [1, 2, 3, 4]
    assert [line["message"] for line in lines] == ["grant", "request requested", "request sending", "request accepted"]
    more = await collected(world, 2)
    assert more[0]["metadata"]["sequence"] > 4, "what was sent is not sent again"

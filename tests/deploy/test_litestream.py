"""Litestream copies the bot's SQLite file while it is at work, and what it restores is whole."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from bot.audit import log as audit
from bot.audit import verification
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.deploy.conftest import Tool
from tests.scenarios.conftest import World

CONFIG = Path(__file__).parent.parent.parent / "deploy" / "litestream.yml"


@contextlib.asynccontextmanager
async def copying(litestream: str, environment: dict[str, str]) -> AsyncIterator[None]:
    """Runs Litestream as compose.sqlite.yml does, and ends it as Docker would."""
    process = await asyncio.create_subprocess_exec(
        litestream, "replicate", "-config", str(CONFIG), env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def test_a_copy_made_at_work_restores_into_a_log_that_verifies(world: World, tool: Tool, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE": f"{world.directory}/bot.db",
        "REPLICA_URL": f"file://{tmp_path}/copy",
    }
    async with world.running() as bot:
        world.allow()
        async with copying(tool("litestream"), environment):
            for _ in range(5):
                await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
                await world.until_outcome("finished", timeout=10)
            with bot.database.reading() as connection:
                written = audit.head(connection)
    restored = tmp_path / "restored.db"
    command = [tool("litestream"), "restore", "-config", str(CONFIG), "-o", str(restored), environment["DATABASE"]]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    database = Database(f"sqlite:///{restored}", utc_now)
    assert verification.verify(database, None, (), None, lambda _: iter).head == written
    database.close()
    async with world.running(DATABASE_URL=f"sqlite:///{restored}"):
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await world.until_outcome("finished")

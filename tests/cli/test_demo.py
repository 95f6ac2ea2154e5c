"""`sift-retry demo` as a process: an alert waits, nothing is left behind, and no real workspace is touched."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.base.clock import utc_now
from bot.db import marks
from bot.db.database import Database, migrate
from bot.db.tables import grants
from tests.scenarios.test_crash import free_port, until_ready


@contextlib.asynccontextmanager
async def demo(
    folder: Path, port: int, *options: str, command: str = "demo", **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the demo, or another command, in an empty folder, with temporary files in one beside it."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", command, *options),
        cwd=folder,
        env={**kept, "PYTHONPATH": str(Path(__file__).parents[2]), "PORT": str(port), "TMPDIR": str(temporary), **more},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    """What a process wrote by the time it ended."""
    _, error = await asyncio.wait_for(process.communicate(), 60)  # on a busy machine
    return error.decode()


async def test_an_alert_waits_and_nothing_is_left_behind(tmp_path: Path) -> None:
    port = free_port()
    async with demo(tmp_path, port) as process, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await until_ready(f"http://127.0.0.1:{port}/readyz")
        async with asyncio.timeout(60):
            while 'data-testid="action-retry"' not in (page := (await http.get("/")).text):
                await asyncio.sleep(0.2)
        assert page.count('data-testid="message"') == 1, "what failed before is nobody's news"
        (folder,) = (tmp_path / "tmp").iterdir()
        process.send_signal(signal.SIGTERM)
        error = await said(process)
        assert process.returncode == 0
        assert f"The demo is at http://127.0.0.1:{port}/ (Ctrl-C ends it)" in error
        assert f"from another terminal: DATABASE_URL=sqlite:///{folder}/demo.db python -m bot audit list" in error
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_slack_and_sift_alone_serve_a_bot_that_is_run_by_itself(tmp_path: Path) -> None:
    port = free_port()
    async with demo(tmp_path, port, "--without-bot") as sandbox:
        assert sandbox.stdout
        lines = [(await asyncio.wait_for(sandbox.stdout.readline(), 60)).decode().strip() for _ in range(9)]
        given = {name: value for name, _, value in (line.partition("=") for line in lines)}
        assert given["PORT"] == str(port + 1)
        settings = given | {"PORT": str(free_port()), "ALERT_POLL_SECONDS": "1"}
        async with demo(tmp_path / "bot", 0, command="doctor", **settings) as doctor:
            await said(doctor)
            assert doctor.returncode == 0
        async with (
            demo(tmp_path / "bot", 0, command="run", **settings) as bot,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
        ):
            await until_ready(f"http://127.0.0.1:{settings['PORT']}/readyz")
            async with asyncio.timeout(60):
                while 'data-testid="action-retry"' not in (await http.get("/")).text:
                    await asyncio.sleep(0.2)
            bot.send_signal(signal.SIGTERM)
            await said(bot)
        sandbox.send_signal(signal.SIGTERM)
        assert f"Slack and Sift are at http://127.0.0.1:{port}/ and wait for a bot" in await said(sandbox)
        assert sandbox.returncode == 0


async def test_a_taken_port_is_one_line_with_what_to_type(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        async with demo(tmp_path, port) as process:
            assert await said(process) == (
                f"sift-retry: Port {port} is taken; use another: PORT={port + 1} make demo"
                f" (without make: PORT={port + 1} sift-retry demo)\n"
            )
            assert process.returncode == 1


@pytest.mark.parametrize("workspace", ["T0REAL", "T0SANDBOX"])
async def test_a_named_database_is_used_unless_it_is_a_real_workspaces(tmp_path: Path, workspace: str) -> None:
    database, port = Database(f"sqlite:///{tmp_path}/named.db", utc_now), free_port()
    migrate(database.engine)
    with database.transaction() as connection:
        marks.add(connection, "workspace", workspace, utc_now())
    database.close()
    async with demo(tmp_path, port, DATABASE_URL=f"sqlite:///{tmp_path}/named.db") as process:
        if workspace == "T0SANDBOX":
            await until_ready(f"http://127.0.0.1:{port}/readyz")
            process.send_signal(signal.SIGTERM)
        error = await said(process)
        assert process.returncode == (1 if workspace == "T0REAL" else 0), error
    if workspace == "T0REAL":
        assert error.splitlines()[-1] == (
            "sift-retry: The database belongs to workspace T0REAL, the bot token to T0SANDBOX;"
            " set DATABASE_URL to another."
        )
    database = Database(f"sqlite:///{tmp_path}/named.db", utc_now)
    with database.reading() as connection:
        assert bool(connection.execute(grants.select()).all()) == (workspace == "T0SANDBOX")
    database.close()

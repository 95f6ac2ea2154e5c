"""The bot as it is deployed: from a wheel, by the Procfile, looked at by the doctor, beside a second one."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.sandbox import LAUNCH_OPS, ON_CALL_GROUP, OPERATOR, PRIVATE
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import Process, free_port, until_ready

ROOT = Path(__file__).parent.parent.parent


def environment(world: World, **more: str) -> dict[str, str]:
    """What the process sees: nothing of this machine's own settings."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    own = world.sandbox.environment(world.url)
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"
    return {**kept, **own, "DATABASE_URL": world.database_url, "PATH": path, **more}


async def output(world: World, *arguments: str, **more: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        cwd=world.directory,
        env={**environment(world), "PYTHONPATH": str(ROOT), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, out.decode(), error.decode()


@pytest.mark.sqlite
async def test_the_doctor_finds_everything_well_and_changes_nothing(world: World) -> None:
    more = {"ALERT_CHANNEL": LAUNCH_OPS, "ONCALL_GROUP": ON_CALL_GROUP, "PORT": str(free_port())}
    code, out, _ = await output(world, "doctor", **more)
    assert code == 0, out
    names = [line[6:].partition(":")[0] for line in out.splitlines() if "scope" not in line]
    assert names == [
        *("settings", "port", "database", "signing key", "slack", "clock", f"channel {LAUNCH_OPS}", "group S0ONCALL"),
        *("socket mode", "sift", "sift key", "sift jobs"),
    ]
    assert all(line.startswith("ok ") for line in out.splitlines())
    assert "will be created" in out
    assert not (world.directory / "bot.db").exists()
    assert {call.operation for call in world.sift.calls} == {"ping", "me", "list"}
    assert not world.messages()
    assert "of bot@sandbox.example" in out
    code, out, _ = await output(world, "doctor", "--json", **more)
    assert [check["name"] for check in json.loads(out) if "scope" not in check["name"]] == names


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-wrong"}, "FAIL  slack: Slack answered: invalid_auth; set SLACK_BOT_TOKEN"),
        ({"SLACK_APP_TOKEN": "xapp-wrong"}, "FAIL  socket mode: Slack answered: invalid_auth; set SLACK_APP_TOKEN"),
        (
            {"SIFT_API_KEY": "wrong"},
            "FAIL  sift: Sift does not accept the bot's API key. (Sift: invalid API key); set SIFT_API_KEY to",
        ),
        (
            {"SIFT_REST_URI": "http://127.0.0.1:9"},
            "FAIL  sift: Sift cannot be reached: no connection was made; check SIFT_REST_URI",
        ),
        (
            {"SLACK_API_URL": "https://nowhere.invalid/api"},
            "FAIL  slack: Slack could not be reached: its name does not resolve; check SLACK_API_URL",
        ),
        (
            {"ALERT_CHANNEL": "C0MISTYPED"},
            "FAIL  channel C0MISTYPED: no such channel, or a private one without the bot",
        ),
        ({"ALERT_CHANNELS": f"data_export={PRIVATE}"}, f"FAIL  channel {PRIVATE}: no such channel, or a private one"),
        ({"ONCALL_GROUP": "S0GONE"}, "FAIL  group S0GONE: there is no such user group"),
        ({"AUDIT_SIGNING_KEY_FILE": "/nowhere"}, "FAIL  signing key: AUDIT_SIGNING_KEY_FILE: wrong"),
        (
            {"DATABASE_URL": "sqlite:////nowhere/at/all.db"},
            "FAIL  database: no /nowhere/at; make that folder, or set DATABASE_URL",
        ),
        ({"DATABASE_URL": "sqlite:////proc/new.db"}, "FAIL  database: /proc: may not be written; let the bot do so"),
        (
            {"DATABASE_URL": "postgresql://bot@127.0.0.1:9/bot"},
            "Connection refused; check DATABASE_URL, and whether the bot may write there",
        ),
        ({"PORT": "x"}, "FAIL  settings: PORT: wrong; expected a port from 1 to 65535"),
    ],
)
async def test_the_doctor_names_what_is_wrong(world: World, settings: dict[str, str], line: str) -> None:
    code, out, _ = await output(world, "doctor", **settings)
    assert code == 1
    assert line in out


@pytest.mark.sqlite
async def test_the_doctor_names_a_newer_schema(world: World) -> None:
    await output(world, "migrate")
    file = sqlite3.connect(world.directory / "bot.db")
    file.execute("UPDATE alembic_version SET version_num = '9999'")
    file.commit()
    file.close()
    code, out, _ = await output(world, "doctor")
    assert code == 1
    assert "FAIL  database: " in out
    assert "newer than this bot knows" in out


async def test_the_doctor_names_missing_scopes(world: World) -> None:
    world.slack.scopes -= {"users:read"}
    code, out, _ = await output(world, "doctor")
    assert code == 1
    assert "FAIL  scope users:read: not granted (knows guests, bots and deactivated people): reinstall the app" in out


@pytest.mark.parametrize(
    ("declined", "where"),
    [
        ({"groups:history"}, ("private channels",)),
        ({"channels:history", "groups:history"}, ("public channels", "private channels")),
    ],
)
async def test_the_doctor_says_what_a_crash_may_repeat(
    world: World, declined: set[str], where: tuple[str, ...]
) -> None:
    world.slack.scopes -= declined
    code, out, _ = await output(world, "doctor")
    assert code == 0, "they are optional"
    for scope, channels in zip(sorted(declined), where, strict=True):
        assert f"scope {scope}: not granted: without it a crash may repeat the message being posted then in" in out
        assert f"in {channels}, never a retry" in out


async def test_the_doctor_sees_an_archived_channel_and_a_taken_port(world: World) -> None:
    world.slack.channels[LAUNCH_OPS].is_archived = True
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, out, _ = await output(world, "doctor", ALERT_CHANNEL=LAUNCH_OPS, PORT=port)
    assert code == 1
    assert f"FAIL  channel {LAUNCH_OPS}: the channel is archived: unarchive it, or name another one" in out
    assert f"FAIL  port: 127.0.0.1:{port}: Address already in use; set PORT" in out


async def test_a_token_that_slack_refuses_ends_the_bot_with_one_line(world: World) -> None:
    code, out, error = await output(world, "run", SLACK_BOT_TOKEN="xoxb-wrong", PORT=str(free_port()))
    assert (code, out) == (1, "")
    assert error.splitlines()[-1] == (
        "sift-retry: Slack does not take SLACK_BOT_TOKEN (invalid_auth): set it to the app's (OAuth & Permissions), "
        "of the same Slack."
    )
    assert "Traceback" not in error


@pytest.mark.sqlite
async def test_a_second_bot_on_the_same_file_is_refused(world: World) -> None:
    async with world.running():
        code, _, error = await output(world, "run", PORT=str(free_port()))
    assert code == 1
    assert "is in use by another bot" in error


async def test_a_database_of_another_workspace_is_refused(world: World) -> None:
    async with world.running() as bot:
        with bot.database.transaction() as connection:
            connection.exec_driver_sql("UPDATE marks SET value = 'T0OTHER'")
    code, _, error = await output(world, "run", PORT=str(free_port()))
    assert code == 1
    assert "belongs to workspace T0OTHER" in error


async def test_no_secret_is_in_the_log(world: World) -> None:
    process = Process(world)
    port = str(free_port())
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "run",
        cwd=ROOT,
        stderr=subprocess.PIPE,
        env=environment(world, DATABASE_URL=process.url, PORT=port, LOG_LEVEL="debug", LOG_FORMAT="json"),
    )
    await until_ready(f"http://127.0.0.1:{port}/readyz")
    await world.slack.command(OPERATOR, LAUNCH_OPS, f"{world.sift.add().job_id} a reason")
    await world.until(lambda: len(world.replies()) == 1)
    running.send_signal(signal.SIGTERM)
    _, error = await asyncio.wait_for(running.communicate(), 10)
    assert running.returncode == 0
    assert b"retry.outcome" in error
    for secret in (world.slack.bot_token, world.slack.app_token, world.sift.api_key, "/response/"):
        assert secret.encode() not in error


@contextlib.asynccontextmanager
async def honcho(world: World, name: str, **more: str) -> AsyncIterator[str]:
    """Runs one line of the Procfile as honcho does; yields where it serves."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "honcho"),
        "-f",
        str(ROOT / "Procfile"),
        "-d",
        str(world.directory),
        "start",
        "-p",
        str(port),
        name,
        env=environment(world, **more),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 12)


@pytest.mark.parametrize("name", ["worker", "web"])
async def test_the_procfile_s_processes_start(world: World, name: str) -> None:
    async with (
        honcho(world, name, SLACK_SIGNING_SECRET=world.slack.signing_secret) as url,
        httpx.AsyncClient() as client,
    ):
        await until_ready(f"{url}/readyz")
        expected = 401 if name == "web" else 404
        assert (await client.post(f"{url}/slack/events")).status_code == expected


@pytest.mark.sqlite
async def test_the_procfile_s_release_migrates(world: World) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "honcho"),
        "-f",
        str(ROOT / "Procfile"),
        "-d",
        str(world.directory),
        "start",
        "release",
        env=environment(world),
        stdout=subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert (world.directory / "bot.db").exists()


def run_alone(script: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a script in a process of its own, with the bot and nothing else of this one's environment."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )


def test_the_bot_needs_no_extra(tmp_path: Path) -> None:
    script = (
        "import sys; extras = 'cel', 'jinja2', 'markupsafe', 'matplotlib', 'opentelemetry', 'websockets'; "
        "sys.modules.update(dict.fromkeys(extras)); "
        "import bot.app.bot, bot.cli.audit, bot.cli.doctor, bot.records.chart, runpy, uvicorn; "
        "uvicorn.Config(None, http='httptools', ws='none').load(); "
        "sys.argv = ['sift-retry', '--help']; runpy.run_module('bot', run_name='__main__')"
    )
    done = run_alone(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Runs the bot" in done.stdout


def test_the_bot_on_sqlite_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    heavy = "alembic", "cryptography", "matplotlib", "opentelemetry", "psycopg", "sqlalchemy.dialects.postgresql"
    ours = "bot.cli.access", "bot.cli.audit", "bot.cli.database", "bot.cli.doctor", "bot.sandbox"
    script = (
        "import sys, click; from bot.__main__ import cli; light = 'sqlalchemy' not in sys.modules; "
        "assert cli.get_command(click.Context(cli), 'run'); import bot.app.bot; "
        "from bot.base.clock import utc_now; from bot.db.database import Database; "
        "Database('sqlite:///x.db', utc_now); "
        f"print(light, [name for name in {(*heavy, *ours)!r} if name in sys.modules])"
    )
    done = run_alone(script, tmp_path)
    assert (done.stdout, done.stderr) == ("True []\n", "")


def test_an_installed_wheel_has_its_migrations_and_its_page(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        assert {name.split("/")[0] for name in archive.namelist() if ".dist-info" not in name} == {"bot"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    script = (
        "import bot, bot.sandbox; print(bot.__file__); bot.sandbox.Sandbox(); import runpy, sys; "
        "sys.argv = ['sift-retry', 'migrate']; runpy.run_module('bot', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**kept, "PYTHONPATH": str(tmp_path / "installed"), "DATABASE_URL": f"sqlite:///{tmp_path}/x.db"},
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "version 0005" in done.stderr

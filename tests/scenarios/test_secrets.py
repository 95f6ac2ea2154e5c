"""Sift and Slack echo every secret they were sent, people paste them: and yet none turns up anywhere."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import time
import unittest.mock
from collections.abc import AsyncIterator, Sequence

import aiohttp
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import MetaData, make_url, select
from starlette.responses import HTMLResponse, JSONResponse, Response

from bot.__main__ import main
from bot.base.clock import utc_now
from bot.base.redactor import Redactor
from bot.db.database import Database
from bot.sandbox import ADMIN, LAUNCH_OPS, OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, IMPORT
from bot.sift.client import Sift
from bot.sift.errors import Unauthenticated
from bot.sift.subjects import Subjects
from bot.slack.blocks import section
from bot.slack.client import Slack
from bot.slack.errors import SlackError
from bot.slack.message import Message
from bot.slack.web import web_client
from tests.scenarios.conftest import FAST, World
from tests.scenarios.test_crash import free_port, until_ready
from tests.scenarios.test_process import ROOT, environment

PASSWORD = "pg-canary-4d7e1"


def echo(world: World, status: int, code: int = 2) -> JSONResponse:
    """An error that repeats what it was sent, as some proxies do."""
    said = f"cannot serve: Authorization: Bearer {world.sift.api_key}; key={world.sift.api_key}"
    return JSONResponse({"code": code, "message": said, "details": [said]}, status)


def page(world: World) -> Response:
    return HTMLResponse(f"<pre>GET /api Authorization: Bearer {world.sift.api_key}</pre>", 502)


class Deployed:
    """The bot as a process of its own, and everything it said."""

    def __init__(self, world: World, database_url: str, log_format: str, socket_mode: bool) -> None:
        self.world = world
        self.database_url = database_url
        self.password = [PASSWORD] if PASSWORD in database_url else []
        self.socket_mode = socket_mode
        self.said = b""
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.settings = {
            **FAST,
            "SLACK_APP_TOKEN": "",
            **world.sandbox.environment(world.url, socket_mode=socket_mode),
            "DATABASE_URL": database_url,
            "ALERT_CHANNEL": LAUNCH_OPS,
            "ALERT_POLL_SECONDS": "0.05",
            "APPROVAL_AFTER": "9",
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": log_format,
            "PORT": str(port),
        }

    @property
    def secrets(self) -> list[str]:
        """What it was given that nobody may see."""
        names = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "SIFT_API_KEY")
        return [*filter(None, (self.settings.get(name) for name in names)), *self.password]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        given = environment(self.world, **self.settings)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", cwd=ROOT, stderr=subprocess.PIPE, env=given
        )
        saying = asyncio.create_task(process.communicate())
        self.world.slack.request_url = None if self.socket_mode else f"{self.address}/slack/events"
        try:
            await until_ready(f"{self.address}/readyz")
            yield
        finally:
            process.terminate()
            self.said += (await asyncio.wait_for(saying, 12))[1]

    async def command_line(self, *arguments: str) -> None:
        """Runs a command here, in a thread: a process for each takes too long."""
        out, error = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with (
            unittest.mock.patch.dict(os.environ, self.settings),
            unittest.mock.patch.object(sys, "argv", ["sift-retry", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(error),
            contextlib.suppress(SystemExit),
        ):
            await asyncio.to_thread(main)
        out.flush()
        self.said += out.buffer.getvalue() + error.getvalue().encode()

    async def asked(self, *paths: str) -> None:
        async with httpx.AsyncClient(base_url=self.address) as client:
            for path in paths:
                self.said += (await client.get(path)).content

    def stored(self) -> bytes:
        """Every byte of the SQLite file and its log, or every row of PostgreSQL."""
        files = sorted(self.world.directory.glob("bot.db*"))
        if files:
            return b"".join(file.read_bytes() for file in files)
        database, tables = Database(self.database_url, utc_now), MetaData()
        with database.reading() as connection:
            tables.reflect(connection)
            rows = [connection.execute(select(table)).all() for table in tables.sorted_tables]
        database.close()
        return repr(rows).encode()


async def retries_fail_in_every_way(world: World, secrets: Sequence[str]) -> None:
    """Each retry gets another error that holds the key, and the key as its reason."""
    troubles = [echo(world, 401, 16), echo(world, 400, 9), echo(world, 404, 5), echo(world, 500), page(world)]
    for trouble in troubles:
        job = world.sift.add(EXPORT, reason=f"403 from s3: Bearer {world.sift.api_key}")
        world.sift.answer("retry", trouble)
        await world.slack.command(OPERATOR, LAUNCH_OPS, f"{job.job_id} because of {world.sift.api_key}")
    world.sift.answer("list", echo(world, 503, 14), times=3)
    await world.slack.command(OPERATOR, LAUNCH_OPS, f"{job.job_id} once more")
    for reason in secrets:
        done = world.sift.add(IMPORT, reason=f"no access: {reason}")
        await world.slack.command(OPERATOR, LAUNCH_OPS, f"{done.job_id} {reason}")
    await world.until(lambda: [one for one in world.replies() if done.job_id in one.text_shown()], timeout=60)


async def everything_is_read(world: World) -> None:
    """Commands of every kind, of people who may and who may not, each with a secret in it."""
    key, token = world.sift.api_key, world.slack.bot_token
    for user_id, text in (
        (OPERATOR, "list"),
        (OPERATOR, f"status {next(iter(world.sift.jobs))}"),
        (OPERATOR, f"status {key}"),
        (UNLISTED, f"{next(iter(world.sift.jobs))} {key}"),
        (ADMIN, f"allow <@{UNLISTED}> auditor because {token}"),
        (ADMIN, f"allow {token}"),
        (ADMIN, f"revoke {key}"),
        (ADMIN, "access"),
        (ADMIN, "audit"),
        (ADMIN, f"audit {key}"),
        (ADMIN, "stats"),
    ):
        await world.slack.command(user_id, LAUNCH_OPS, text)
    await world.slack.home_opened(ADMIN)


def slack_echoes(world: World) -> None:
    """Slack's errors hold the token they were sent."""
    said = f"invalid header: Authorization: Bearer {world.slack.bot_token}"
    for method in ("chat.postMessage", "users.info", "chat.update", "views.publish", "chat.postEphemeral"):
        world.slack.fail(method, said, times=2)


@pytest.mark.parametrize(
    ("kind", "log_format", "socket_mode"),
    [("sqlite", "console", True), ("postgresql", "json", False)],
)
async def test_no_secret_turns_up_anywhere(
    world: World, kind: str, log_format: str, socket_mode: bool, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{world.directory}/bot.db"
    if kind == "postgresql":
        url = make_url(request.getfixturevalue("postgres_url")).set(password=PASSWORD).render_as_string(False)
    deployed = Deployed(world, url, log_format, socket_mode)
    await deployed.command_line("migrate")
    await deployed.command_line("access", "grant", OPERATOR, "--reason", f"has {world.sift.api_key}")
    async with deployed.running():
        await retries_fail_in_every_way(world, deployed.secrets)
        slack_echoes(world)
        world.sift.outage(3)
        world.sift.answer("list", page(world), times=2)
        await everything_is_read(world)
        await world.until(lambda: all(fault.method != "chat.postMessage" for fault in world.slack.faults), timeout=30)
        world.slack.fail("apps.connections.open", f"no: {world.slack.app_token}", times=1)
        if socket_mode:
            await world.slack.cut()
        for operation in ("ping", "me", "list"):
            world.sift.answer(operation, echo(world, 500), times=2)
        await deployed.command_line("doctor")
        await deployed.asked("/readyz", "/healthz", "/metrics", "/", f"/{world.sift.api_key}/..")
        stored = deployed.stored()  # the write-ahead log among it: it is gone once the bot is
    for arguments in (("list",), ("export", "--format", "csv"), ("export", "--format", "jsonl"), ("verify",)):
        await deployed.command_line("audit", *arguments)
    await deployed.command_line("access", "list")
    await deployed.command_line("access", "grant", world.sift.api_key)
    await deployed.command_line("access", "revoke", "U0NOBODY")
    await deployed.command_line("audit", "show", world.slack.bot_token)
    assert b"unbroken" in deployed.said
    assert b"retry.outcome" in deployed.said
    assert b"loop.failing" in deployed.said
    assert b"invalid header: Authorization: Bearer [secret]" in deployed.said
    assert b"cannot serve: Authorization: Bearer [secret]" in deployed.said
    told = repr((world.slack.channels, world.slack.homes, world.slack.modals, world.slack.files, world.slack.calls))
    assert "[secret]" in told
    for canary in deployed.secrets:
        assert canary.encode() not in deployed.said
        assert canary.encode() not in stored + deployed.stored()
        assert canary not in told
    for address in (b"/response/", b"/upload/", b"ticket="):
        assert address not in deployed.said


async def test_what_sift_and_slack_say_is_cleaned_where_it_is_read(world: World) -> None:
    key, token = world.sift.api_key, world.slack.bot_token
    redactor = Redactor([key, token])
    async with aiohttp.ClientSession() as session:
        sift = Sift(f"{world.url}/sift", SecretStr(key), scrub=redactor.scrub)
        slack = Slack(web_client(token, f"{world.url}/slack/api/", session), time.monotonic, redactor)
        job = world.sift.add(IMPORT, reason=f"denied: Bearer {key}")
        found = await sift.job(job.job_id)
        assert found is not None
        about = await Subjects(sift.lookups).about([found])
        assert about[found.job_id].why.message == "denied: Bearer [secret]"
        world.sift.answer("retry", echo(world, 401, 16))
        with pytest.raises(Unauthenticated) as refused:
            await sift.retry(job.job_id)
        assert refused.value.said == "cannot serve: Authorization: Bearer [secret]; key=[secret]"
        await sift.aclose()
        world.slack.fail("chat.postMessage", f"no: {token} xoxb-of-another-1")
        with pytest.raises(SlackError) as said:
            await slack.post(LAUNCH_OPS, Message("hello"))
        assert said.value.error == "no: [secret] [secret]"
        ts = await slack.post(LAUNCH_OPS, Message(f"the key is {key}", [section(f"it is {token}")]))
    (message,) = world.slack.thread(LAUNCH_OPS, ts)
    assert message.text == "the key is [secret]"
    assert message.text_shown() == "it is [secret]"


async def test_an_ack_holds_no_secret(both: World) -> None:
    delivered = await both.slack.command(OPERATOR, LAUNCH_OPS, f"status {both.sift.api_key}")
    assert delivered.acked
    assert both.sift.api_key not in repr(both.slack.channels)
    assert "[secret]" in repr(both.slack.channels)

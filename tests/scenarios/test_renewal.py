"""SIGHUP: new secrets are taken over while the bot runs; a wrong one changes nothing."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from bot.audit import log as audit
from bot.audit.entry import Filters
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import free_port, until_ready
from tests.scenarios.test_process import ROOT, environment, output

SECRETS = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "SIFT_API_KEY")


class Running:
    """A bot with every secret in a file."""

    def __init__(self, world: World, process: asyncio.subprocess.Process) -> None:
        self.world = world
        self.process = process
        self.log = b""
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(10_000):
            self.log += chunk

    async def renew(self, expected: str, **secrets: str) -> None:
        """Writes new secrets into their files, and waits until the log says what became of them."""
        for name, value in secrets.items():
            (self.world.directory / name).write_text(value + "\n")
        before = len(self.log)
        self.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while expected not in self.log[before:].decode():
                await asyncio.sleep(0.02)

    async def retry(self) -> None:
        job = self.world.sift.add()
        answer = await self.world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        assert answer.acked, answer
        async with asyncio.timeout(10):
            while "finished" not in self.outcomes(job.job_id):
                await asyncio.sleep(0.05)

    def outcomes(self, job_id: str) -> list[str]:
        with (
            contextlib.closing(Database(self.world.database_url, utc_now)) as database,
            database.reading() as connection,
        ):
            return [row.outcome for row in audit.export(connection, Filters(job_id=job_id))]


@contextlib.asynccontextmanager
async def running(world: World, socket_mode: bool) -> AsyncIterator[Running]:
    port = str(free_port())
    given = world.sandbox.environment(world.url, socket_mode=socket_mode)
    for name in SECRETS:
        if name in given:
            (world.directory / name).write_text(given.pop(name))
            given[f"{name}_FILE"] = str(world.directory / name)
    whole = {name: value for name, value in environment(world).items() if name not in SECRETS}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "run"),
        env={**whole, **given, "PORT": port, "PYTHONPATH": str(ROOT), "FOLLOW_POLL_SECONDS": "0.1"},
        cwd=world.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if not socket_mode:
        world.slack.request_url = f"http://127.0.0.1:{port}/slack/events"
    bot = Running(world, process)
    try:
        await until_ready(f"http://127.0.0.1:{port}/readyz")
        yield bot
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 12)
        await bot.reading


@pytest.mark.parametrize("socket_mode", [True, False])
async def test_every_secret_is_taken_over_without_a_restart(world: World, socket_mode: bool) -> None:
    assert (await output(world, "access", "grant", OPERATOR))[0] == 0
    slack, sift = world.slack, world.sift
    async with running(world, socket_mode) as bot:
        await bot.retry()
        slack.bot_token, sift.api_key = "xoxb-renewed-4711", "sift-renewed-4711"
        new = {"SLACK_BOT_TOKEN": slack.bot_token, "SIFT_API_KEY": sift.api_key}
        if socket_mode:
            new["SLACK_APP_TOKEN"] = slack.app_token = "xapp-renewed-4711"
        else:
            new["SLACK_SIGNING_SECRET"] = slack.signing_secret = "signing-renewed-4711"
        await bot.renew("secrets.renewed", **new)
        if socket_mode:
            await slack.disconnect()
            async with asyncio.timeout(10):
                while slack.sockets.opened < 2 or not len(slack.sockets):
                    await asyncio.sleep(0.05)
        await bot.retry()
    log = bot.log.decode()
    assert "renewed-4711" not in log
    assert [name for name in new if name not in log.partition("secrets.renewed")[2]] == [], log


async def test_a_wrong_secret_changes_nothing(world: World) -> None:
    assert (await output(world, "access", "grant", OPERATOR))[0] == 0
    async with running(world, socket_mode=False) as bot:
        await bot.renew("secret.not_renewed", SLACK_BOT_TOKEN="xoxb-of-nobody-4711")
        await bot.retry()
        await bot.renew("secrets.not_renewed", SLACK_BOT_TOKEN="no token at all")
        await bot.retry()
    assert "of-nobody-4711" not in bot.log.decode()

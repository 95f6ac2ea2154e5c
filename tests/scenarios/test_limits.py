"""Nothing waits for ever, and one slow person, address or peer never takes all the places."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.app.bolt import bolt_app
from bot.app.socket_mode import SocketMode
from bot.base.clock import utc_now
from bot.base.metrics import Metrics
from bot.base.redactor import Redactor
from bot.db.tables import retries
from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR
from bot.slack.client import Slack
from bot.slack.web import http_session, web_client
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import free_port

ROOT = Path(__file__).parent.parent.parent


async def test_one_person_s_slow_look_up_delays_nobody_else(live: World) -> None:
    live.allow(SECOND_OPERATOR)
    live.slack.delay("users.info", 2.5, user=SECOND_OPERATOR)
    slow = [live.slack.command(SECOND_OPERATOR, LAUNCH_OPS, job.job_id) for job in live.sift.outage(40)]
    await asyncio.gather(*slow)
    job = live.sift.add()
    await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await live.until_outcome("accepted", "finished", job_id=job.job_id)
    assert set(live.outcomes(user_id=SECOND_OPERATOR)) == {"requested"}, "they are still being looked up"
    assert [call.arguments for call in live.slack.calls if call.method == "users.info"].count(
        {"user": SECOND_OPERATOR}
    ) == 1


async def test_a_wait_that_slack_asks_for_before_it_says_who_somebody_is_denies_nobody(live: World) -> None:
    assert live.bot is not None
    live.slack.fail("users.info", "ratelimited", status=429, retry_after=60)
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)

    def due() -> Any:
        with live.bot.database.reading() as connection:  # type: ignore[union-attr]  # it runs
            return connection.scalar(select(retries.c.due_at))

    async with asyncio.timeout(5):
        while due() - utc_now() < timedelta(seconds=45):
            await asyncio.sleep(0.01)
    assert live.outcomes() == ["requested"]
    live.forget()
    with live.bot.database.transaction() as connection:
        connection.execute(update(retries).values(due_at=utc_now()))
    await live.until_outcome("finished")


async def until_read(world: World, times: int) -> None:
    async with asyncio.timeout(5):
        while world.sift.count("list") < times:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("together", [True, False])
async def test_who_was_deactivated_while_their_retries_waited_retries_nothing_more(
    world: World, together: bool
) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1"):
        world.allow()
        jobs = world.sift.outage(5)
        held = world.sift.hold("retry")
        for text in [" ".join(job.job_id for job in jobs)] if together else [job.job_id for job in jobs]:
            await world.slack.command(OPERATOR, LAUNCH_OPS, text)
        await asyncio.wait_for(held.entered.wait(), 5)
        await until_read(world, 1 if together else 2)
        world.slack.users[OPERATOR].deleted = True
        world.forget()
        held.release()
        async with asyncio.timeout(5):
            while world.outcomes().count("denied") < 4:
                await asyncio.sleep(0.01)
        assert world.sift.count("retry") == 1


async def test_asking_again_who_somebody_is_keeps_no_place_from_others(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1"):
        world.allow()
        world.allow(SECOND_OPERATOR)
        held = world.sift.hold("retry")
        jobs = world.sift.outage(3)
        for number, user_id in enumerate((OPERATOR, SECOND_OPERATOR, OPERATOR)):
            await world.slack.command(user_id, LAUNCH_OPS, jobs[number].job_id)
            await until_read(world, number + 1)
        world.forget()
        world.slack.delay("users.info", 2, user=SECOND_OPERATOR)
        held.release()
        await world.until_outcome("accepted", "finished", job_id=jobs[2].job_id)
        assert world.outcomes(job_id=jobs[1].job_id) == ["requested"]


async def test_an_address_that_never_answers_is_given_up(world: World) -> None:
    async with http_session() as session:
        client = web_client(world.slack.bot_token, f"{world.url}/slack/api/", session)
        app = bolt_app(client, await Slack(client, time.monotonic, Redactor([])).identify(), Redactor([]))
        world.slack.sockets.silent = 2
        metrics = Metrics()
        assert metrics.socket is not None
        observe = metrics.socket.looked_at
        socket = SocketMode(app, world.slack.app_token, reconnect_after=0.2, check_seconds=0.02, observe=observe)
        async with socket.connected():
            await world.until(lambda: len(world.slack.sockets) == 1)
            tell = metrics.registry.get_sample_value
            async with asyncio.timeout(2):
                while not await socket.hears() or tell("sift_retry_socket_connections_total") != 1:
                    await asyncio.sleep(0.01)
            world.slack.sockets.silent = 1
            await world.slack.disconnect()  # the SDK's client asks for a new address, and hangs on it
            await world.until(lambda: world.slack.sockets.opened == 2)
            async with asyncio.timeout(5):
                while (tell("sift_retry_socket_connections_total"), tell("sift_retry_socket_connected")) != (2.0, 1.0):
                    await asyncio.sleep(0.01)
        assert not await socket.hears()


async def stopped(process: asyncio.subprocess.Process, seconds: float) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return await asyncio.wait_for(process.wait(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def started(world: World, **more: str) -> asyncio.subprocess.Process:
    own = {**world.sandbox.environment(world.url), "DATABASE_URL": world.database_url}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "run",
        cwd=ROOT,
        env={**os.environ, **own, "PORT": str(free_port()), **more},
        stderr=subprocess.DEVNULL,
    )


async def test_a_start_that_slack_does_not_answer_can_be_stopped(world: World) -> None:
    world.slack.delay("auth.test", 30, times=9)
    process = await started(world)
    await world.until(lambda: world.slack.calls, timeout=10)
    assert await stopped(process, 5) == 0


async def test_a_stop_ends_in_time_whoever_does_not_answer(world: World) -> None:
    async with world.running():
        world.allow()
    process = await started(world, SIFT_TIMEOUT_SECONDS="25")
    await world.until(lambda: len(world.slack.sockets) == 1, timeout=10)
    retry, reading = world.sift.hold("retry"), world.sift.hold("list")
    world.slack.delay("chat.postMessage", 9, times=9)
    await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
    await asyncio.wait_for(reading.entered.wait(), 5)
    reading.release()
    await asyncio.wait_for(retry.entered.wait(), 5)
    world.slack.delay("users.info", 9, times=9)
    await world.slack.command(SECOND_OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
    assert await stopped(process, 10) == 0
    retry.release()

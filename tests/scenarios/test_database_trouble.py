"""The database silent, locked, replaced, or busy with readers: everybody is answered in time, and truly."""

import asyncio
import sqlite3
import threading
from typing import Any

import httpx
import pytest

from bot.access.policy import Role
from bot.records import store
from bot.sandbox import ADMIN, AUDITOR, LAUNCH_OPS, OPERATOR
from tests.relay import relayed
from tests.scenarios.conftest import World
from tests.scenarios.test_http import command, post

NOT_RECORDED = "could not be recorded, so nothing was retried"


async def asked(world: World, text: str) -> str:
    """What somebody is told in the answer to one command."""
    answer = await post(world, command(text=text, trigger_id=text))
    return str(answer.json()["text"]) if answer.content else ""


async def health(world: World) -> tuple[int, int]:
    async with httpx.AsyncClient(base_url=world.url) as client:
        return (await client.get("/healthz")).status_code, (await client.get("/readyz")).status_code


async def test_a_silent_database_host_is_told_in_time_and_the_bot_recovers(world: World, postgres_url: str) -> None:
    jobs = world.sift.outage(20)
    with relayed(postgres_url) as (relay, url):
        async with world.running(socket_mode=False, DATABASE_URL=url) as bot:
            world.allow()
            relay.silence()
            async with asyncio.timeout(bot.database.patience - 1):  # sooner than what nobody waits for
                answers = await asyncio.gather(*(asked(world, job.job_id) for job in jobs))
            assert all(NOT_RECORDED in said for said in answers)
            assert await health(world) == (200, 503)
            relay.speak()  # what was under way arrives after all, and must not count
            async with asyncio.timeout(15):
                while await asked(world, jobs[0].job_id):
                    await asyncio.sleep(0.2)
            await world.until(lambda: world.sift.count("retry", jobs[0].job_id))
            assert await health(world) == (200, 200)
    assert {job.job_id for job in jobs if world.sift.count("retry", job.job_id)} == {jobs[0].job_id}


async def test_of_a_lost_commit_a_person_is_told_that_nobody_knows(world: World, postgres_url: str) -> None:
    job = world.sift.add()
    with relayed(postgres_url) as (relay, url):
        async with world.running(socket_mode=False, DATABASE_URL=url):
            world.allow()
            relay.unheard = [job.job_id.encode(), b"COMMIT"]
            said = await asked(world, job.job_id)
            assert "cannot say whether your request was recorded" in said
            relay.speak()
            await world.until_outcome("finished", timeout=15)
    assert world.sift.count("retry") == 1


@pytest.mark.sqlite
async def test_what_is_neither_recorded_nor_told_is_not_acknowledged(live: World) -> None:
    """Then Slack sends a mention again, and shows that a click failed."""
    file = live.directory / "bot.db"
    aside = file.rename(live.directory / "aside.db")
    live.slack.fail("chat.postEphemeral", "fatal_error", times=99)
    job = live.sift.add()
    mention = await live.slack.mention(OPERATOR, LAUNCH_OPS, job.job_id)
    assert not mention.acked
    live.slack.faults.clear()
    told = await live.slack.mention(OPERATOR, LAUNCH_OPS, job.job_id)
    assert told.acked
    assert all(NOT_RECORDED in said for said in live.whispers())
    aside.rename(file)
    await live.slack.redeliver(mention)
    await live.until_outcome("finished")
    assert live.sift.count("retry") == 1


@pytest.mark.sqlite
async def test_a_locked_sqlite_file_is_told_in_time(live: World) -> None:
    other = sqlite3.connect(f"{live.directory}/bot.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    said = await asked(live, live.sift.add().job_id)
    other.execute("ROLLBACK")
    other.close()
    assert NOT_RECORDED in said
    assert await asked(live, live.sift.add().job_id) == ""


@pytest.mark.sqlite
async def test_a_deleted_database_is_not_ready_and_takes_nothing(live: World) -> None:
    assert live.bot is not None
    file = live.directory / "bot.db"
    aside = file.rename(live.directory / "aside.db")
    assert NOT_RECORDED in await asked(live, live.sift.add().job_id)
    assert "database" in await live.bot.readiness.not_ready()
    aside.rename(file)
    assert not await live.bot.readiness.not_ready()


async def test_a_stuck_thread_is_not_healthy(live: World) -> None:
    assert live.bot is not None
    go_on = threading.Event()
    live.bot.database.worker.stuck_seconds = 0.1
    holding = asyncio.create_task(live.bot.database.run(lambda _: go_on.wait(10)))
    async with asyncio.timeout(5):
        while not live.bot.database.worker.stuck:
            await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=live.url) as client:
        assert (await client.get("/healthz")).status_code == 503
    go_on.set()
    await holding
    live.bot.database.worker.stuck_seconds = 30
    assert await health(live) == (200, 200)


async def test_neither_home_nor_statistics_nor_exports_hold_up_a_command(
    live: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.allow(AUDITOR, Role.AUDITOR)
    go_on, counting = threading.Event(), []

    def slowly(*arguments: Any) -> Any:
        counting.append(arguments)
        go_on.wait(10)
        return counted(*arguments)

    counted = store.counted
    monkeypatch.setattr("bot.records.counts.counted", slowly)
    for reader in (ADMIN, OPERATOR):
        await live.slack.home_opened(reader)
    await live.slack.command(AUDITOR, LAUNCH_OPS, "stats 7d")
    async with asyncio.timeout(5):
        while len(counting) < 2:
            await asyncio.sleep(0.01)
    await live.retried(live.sift.add())
    assert len(counting) == 2, "two read at a time, and neither is in the way"
    go_on.set()
    await live.until(lambda: live.slack.homes.get(ADMIN) and live.told(AUDITOR), timeout=20)
    for _ in range(2):
        await live.slack.home_opened(ADMIN)
        await asyncio.sleep(0.1)
    assert len(counting) == 3, "remembered for a minute"


async def test_eight_exports_at_once_hold_up_nobody(live: World) -> None:
    live.allow(AUDITOR, Role.AUDITOR)
    await live.slack.command(AUDITOR, LAUNCH_OPS, "audit")
    message = (await live.until(lambda: live.slack.ephemerals(AUDITOR)))[0]
    exports = [live.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_export:export") for _ in range(8)]
    await asyncio.gather(*exports, live.retried(live.sift.add()))
    await live.until(lambda: len(live.slack.files) == 8, timeout=20)


async def test_who_finds_all_places_taken_is_told_to_try_again(live: World) -> None:
    assert live.bot is not None
    live.allow(AUDITOR, Role.AUDITOR)
    go_on = threading.Event()
    held = [asyncio.create_task(live.bot.database.read(lambda _: go_on.wait(10))) for _ in range(2)]
    await asyncio.sleep(0)
    live.bot.database.read_seconds = 0.1
    for text in ("audit", "stats"):
        await live.slack.command(AUDITOR, LAUNCH_OPS, text)
    await live.until(lambda: [said for said in live.whispers(AUDITOR) if "many are reading at once" in said][1:])
    live.bot.database.read_seconds = 5
    go_on.set()
    await asyncio.gather(*held)
    await live.slack.command(AUDITOR, LAUNCH_OPS, "audit")
    await live.until(lambda: "newest first" in live.whispers(AUDITOR)[-1])

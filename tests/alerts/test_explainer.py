"""What failures are about is found out in few requests, whatever their number, and by whoever is there."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from bot.alerts import store, storms
from bot.alerts.explainer import LEFT_BEHIND, Explainer
from bot.app.server import serving
from bot.db.database import Database
from bot.db.tables import alerts
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import IMPORT
from bot.sift.client import Sift
from bot.sift.job import Job
from bot.sift.subjects import Subjects
from tests.conftest import HandClock
from tests.sift.test_client import KEY


def fail(database: Database, embedded: EmbeddedSift, clock: HandClock, count: int, runs: int) -> None:
    """Has imports of several runs fail at once, and writes them down as one storm."""
    about = [embedded.add_run(f"hotfire-{200 + number}") for number in range(runs)]
    made = [embedded.add(IMPORT, run=about[number % runs]).as_sift(clock()) for number in range(count)]
    jobs = [Job.model_validate(one) for one in made]
    with database.transaction() as connection:
        for start in range(0, count, 100):
            store.note_failures(connection, {"C1": jobs[start : start + 100]}, clock())
        store.fold(connection, 1, clock())


def known(database: Database) -> tuple[int, int]:
    """How many failures name their run, and how many are still looked up."""
    query = select(func.count(alerts.c.topic), func.count(alerts.c.look_up_until))
    with database.reading() as connection:
        named, left = connection.execute(query).one()
    return named, left


async def until_ended(database: Database, explainer: Explainer) -> None:
    async with asyncio.timeout(60):
        while known(database)[1]:
            await asyncio.sleep(0.05)
    await explainer.stop()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_5000_failures_of_40_runs_take_at_most_40_look_ups(database: Database, clock: HandClock) -> None:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    fail(database, embedded, clock, 5_000, 40)
    async with serving(embedded.app) as url:
        sift = Sift(url, KEY, timeout_seconds=25)
        subjects = Subjects(sift.lookups)
        explainer = Explainer(
            database=database, subjects=subjects, clock=clock, watching=lambda: True, changed=lambda: None
        )
        await explainer.step()
        await until_ended(database, explainer)
        await sift.aclose()
    assert len(embedded.calls) <= 40
    assert known(database)[0] == 5_000
    with database.transaction() as connection:
        (storm,) = storms.outbox.claim(connection, database.now(connection) + timedelta(seconds=10))
    assert {group.topic for group in storm.groups} == {f"hotfire-{200 + number}" for number in range(40)}
    assert storm.total == 5_000


async def test_what_another_process_found_is_left_to_it_for_a_while(database: Database, clock: HandClock) -> None:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    fail(database, embedded, clock, 3, 1)
    async with serving(embedded.app) as url:
        sift = Sift(url, KEY, timeout_seconds=5)
        explainer = Explainer(
            database=database,
            subjects=Subjects(sift.lookups),
            clock=clock,
            watching=lambda: False,
            changed=lambda: None,
        )
        await explainer.step()
        await asyncio.sleep(0.1)
        assert embedded.calls == []
        clock.advance(LEFT_BEHIND.total_seconds())
        await explainer.step()
        await until_ended(database, explainer)
        await sift.aclose()
    assert known(database) == (3, 0)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # whose clock is the hand's
async def test_a_look_up_that_takes_long_is_not_repeated_while_its_process_lives(
    database: Database, clock: HandClock
) -> None:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    fail(database, embedded, clock, 3, 1)
    held = [embedded.hold("data_imports") for _ in range(4)]
    async with serving(embedded.app) as url:
        sifts = [Sift(url, KEY, timeout_seconds=5) for _ in range(2)]
        finder, other = (
            Explainer(
                database=database,
                subjects=Subjects(sift.lookups),
                clock=clock,
                watching=lambda watching=watching: watching,  # type: ignore[misc]  # bound here
                changed=lambda: None,
            )
            for sift, watching in zip(sifts, (True, False), strict=True)
        )
        await finder.step()
        while not embedded.calls:
            await asyncio.sleep(0.01)
        begun = len(embedded.calls)
        for _ in range(4):
            clock.advance(LEFT_BEHIND.total_seconds() / 2)
            await finder.step()
            await other.step()
        await asyncio.sleep(0.1)
        assert len(embedded.calls) == begun
        await finder.stop()
        clock.advance(LEFT_BEHIND.total_seconds())
        await other.step()
        while len(embedded.calls) == begun:
            await asyncio.sleep(0.01)
        await other.stop()
        for call in held:
            call.release()
        for sift in sifts:
            await sift.aclose()

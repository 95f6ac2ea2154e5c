"""The watch over Sift, against an embedded one and both databases: no job, date or failed write blinds it."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text, update
from sqlalchemy.exc import OperationalError
from structlog.testing import CapturingLogger

from bot.alerts.watcher import WATCHER, Watcher
from bot.app.server import serving
from bot.base.clock import rfc3339
from bot.base.errors import DatabaseUnavailable
from bot.db.database import Database
from bot.db.tables import alerts, marks
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import EXPORT
from bot.sift.client import Sift
from tests.conftest import HandClock
from tests.sift.test_client import KEY

FAR = "2099-06-01T00:00:00Z"


@dataclass
class Watch:
    """A watcher, the Sift it watches, and what it told."""

    watcher: Watcher
    embedded: EmbeddedSift
    database: Database
    clock: HandClock
    left_out: list[str] = field(default_factory=list)
    polled: list[datetime] = field(default_factory=list)

    async def alerted(self, count: int = 1) -> list[str]:
        """Polls so often, a quarter of a minute apart; answers the jobs that have alerts."""
        for _ in range(count):
            self.clock.advance(15)
            await self.watcher.step()
        return await self.rows()

    async def rows(self) -> list[str]:
        return await self.database.run(lambda c: list(c.scalars(select(alerts.c.job_id).order_by(alerts.c.created_at))))

    async def mark(self, name: str) -> datetime | None:
        value = await self.database.run(lambda c: c.scalar(select(marks.c.value).where(marks.c.name == name)))
        return datetime.fromisoformat(value) if value else None


@contextlib.asynccontextmanager
async def watching(database: Database, clock: HandClock) -> AsyncIterator[Watch]:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    embedded.jobs.clear()
    async with serving(embedded.app) as url:
        sift = Sift(url, KEY, timeout_seconds=5)
        left_out: list[str] = []
        polled: list[datetime] = []
        watcher = Watcher(
            database=database,
            sift=sift,
            clock=clock,
            route=lambda _: "C1",
            poll=timedelta(seconds=15),
            most=10,
            look_back=timedelta(hours=24),
            found=lambda: None,
            changed=lambda: None,
            polled=polled.append,
            left_out=left_out.append,
        )
        await database.run(watcher.begin)
        yield Watch(watcher, embedded, database, clock, left_out, polled)
        await sift.aclose()


@pytest.fixture
async def watch(database: Database, clock: HandClock) -> AsyncIterator[Watch]:
    async with watching(database, clock) as watch:
        yield watch


async def test_a_nul_in_a_reason_is_alerted_like_any_other(watch: Watch) -> None:
    watch.clock.advance(1)
    bad = watch.embedded.add(EXPORT, reason="no\x00 data for <channel>" + "!" * 1_000_000)
    good = watch.embedded.add(EXPORT)
    assert set(await watch.alerted()) == {bad.job_id, good.job_id}
    causes = await watch.database.run(lambda c: list(c.scalars(select(alerts.c.cause))))
    assert any(cause.startswith("no␀ data for <channel>!!!") for cause in causes)


async def test_a_job_without_a_readable_id_costs_no_other_its_alert(watch: Watch) -> None:
    watch.clock.advance(1)
    watch.embedded.add(more={"jobId": 7})
    watch.embedded.add(more={"jobId": "../../x"})
    good = watch.embedded.add()
    assert await watch.alerted(2) == [good.job_id]
    assert watch.left_out == []  # the client left them out, and counts them itself


async def test_a_job_from_2099_is_alerted_once_and_blinds_nobody(watch: Watch) -> None:
    begun = await watch.mark("watermark")
    watch.clock.advance(1)
    far = watch.embedded.add(more={"modifiedDate": FAR})
    assert await watch.alerted(3) == [far.job_id]
    assert await watch.mark("watermark") == begun
    for _ in range(3):
        later = watch.embedded.add()
        assert (await watch.alerted())[-1] == later.job_id
    assert len(await watch.alerted(3)) == 4
    watch.embedded.calls.clear()
    await watch.alerted(4)
    assert watch.embedded.count("list") == 4, "one request a poll"


async def test_many_jobs_from_2099_are_alerted_and_not_all_read_in_each_poll(watch: Watch) -> None:
    watch.clock.advance(1)
    for _ in range(1_500):
        watch.embedded.add(EXPORT, more={"modifiedDate": FAR})
    assert len(await watch.alerted()) == 1_500
    watch.embedded.calls.clear()
    await watch.alerted(3)
    assert watch.embedded.count("list") == 3
    late = watch.embedded.add()
    assert late.job_id in await watch.alerted()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "yesterday"])
async def test_absurd_dates_are_no_error(watch: Watch, moment: str) -> None:
    watch.clock.advance(1)
    dates = dict.fromkeys(("createdDate", "startedDate", "completedDate"), moment)
    for status in ("JOB_STATUS_FAILED", "JOB_STATUS_FINISHED"):
        job = watch.embedded.add(status=status)
        job.more |= dates if moment != "yesterday" else {}
    watch.embedded.add(more={"modifiedDate": "9999-12-31T23:59:59.999999999Z"})
    good = watch.embedded.add()
    assert good.job_id in await watch.alerted(2)


async def test_a_watermark_from_2099_mends_itself_and_what_it_hid_is_alerted(watch: Watch) -> None:
    poisoned_at = watch.clock()
    far = rfc3339(datetime(2099, 6, 1, tzinfo=UTC))
    poison = update(marks).where(marks.c.name == "watermark").values(value=far, updated_at=poisoned_at)
    await watch.database.run(lambda c: c.execute(poison) and None)
    watch.clock.advance(7_200)
    hidden = watch.embedded.add()
    watch.clock.advance(3_600)
    assert await watch.alerted() == [hidden.job_id]
    watermark = await watch.mark("watermark")
    assert watermark is not None
    assert poisoned_at < watermark <= watch.clock()


async def test_a_clock_that_is_ahead_of_sift_s_from_the_first_start_on_hides_nothing(watch: Watch) -> None:
    watch.embedded.clock = lambda: watch.clock() - timedelta(minutes=10)
    await watch.alerted(45)
    job = watch.embedded.add()
    assert await watch.alerted(2) == [job.job_id]


async def test_the_watermark_goes_by_sift_s_clock(watch: Watch) -> None:
    watch.embedded.clock = lambda: watch.clock() + timedelta(minutes=10)
    watch.clock.advance(1)
    job = watch.embedded.add()
    assert await watch.alerted(2) == [job.job_id]
    assert await watch.mark("watermark") == job.modified


def refuse(database: Database, job_id: str) -> str:
    """Statements that make the database refuse one job's alert."""
    if database.is_sqlite:
        return (
            f"CREATE TRIGGER refuse BEFORE INSERT ON alerts WHEN NEW.job_id = '{job_id}' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    return f"ALTER TABLE alerts ADD CONSTRAINT refuse CHECK (job_id <> '{job_id}')"


async def test_a_job_that_cannot_be_written_is_left_out_alone(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    said = CapturingLogger()
    monkeypatch.setattr("bot.alerts.watcher.log", said)
    watch.clock.advance(1)
    first, bad, last = (watch.embedded.add(EXPORT) for _ in range(3))
    await watch.database.run(lambda c: c.execute(text(refuse(watch.database, bad.job_id))) and None)
    assert set(await watch.alerted(3)) == {first.job_id, last.job_id}
    assert watch.left_out == ["not_written"] * 3
    assert [call.kwargs["job_id"] for call in said.calls if call.args == ("watcher.job_left_out",)] == [bad.job_id]
    assert await watch.mark("watermark") == last.modified
    assert not watch.watcher.degraded(watch.clock())


async def test_a_job_that_cannot_be_written_alone_does_not_hold_the_watermark(watch: Watch) -> None:
    watch.clock.advance(1)
    bad = watch.embedded.add(EXPORT)
    await watch.database.run(lambda c: c.execute(text(refuse(watch.database, bad.job_id))) and None)
    assert await watch.alerted() == []
    assert await watch.mark("watermark") == bad.modified


async def test_while_the_database_is_away_nothing_passes(sqlite_url: str, clock: HandClock) -> None:
    database = Database(sqlite_url, clock)
    async with watching(database, clock) as watch:
        clock.advance(1)
        job = watch.embedded.add(EXPORT)
        begun = await watch.mark("watermark")
        await database.run(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=20") and None)
        other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        held = watch.embedded.hold("list")
        polling = asyncio.create_task(watch.watcher.step())
        await held.entered.wait()
        other.execute("BEGIN IMMEDIATE")
        held.release()
        with pytest.raises(DatabaseUnavailable, match="locked"):
            await polling
        other.execute("ROLLBACK")
        other.close()
        assert watch.left_out == []
        assert await watch.mark("watermark") == begun
        assert await watch.alerted() == [job.job_id]
    database.close()


async def test_how_long_ago_the_last_good_poll_was_is_known(watch: Watch, database: Database) -> None:
    await watch.alerted()
    good = watch.clock()
    assert watch.watcher.last_good_poll == good == watch.polled[-1] == await watch.mark("last_good_poll")
    watch.embedded.fail("list", 14, times=99)
    for _ in range(4):
        watch.clock.advance(15)
        with contextlib.suppress(Exception):
            await watch.watcher.step()
        assert not watch.watcher.degraded(watch.clock())
    watch.clock.advance(1)
    assert watch.watcher.degraded(watch.clock())
    assert watch.watcher.last_good_poll == good
    watch.embedded._faults.clear()
    await watch.alerted()
    assert not watch.watcher.degraded(watch.clock())


async def test_who_stands_by_knows_when_the_other_one_polled(database: Database, clock: HandClock) -> None:
    async with watching(database, clock) as one, watching(database, clock) as other:
        await database.run(one.watcher.what_to_ask)
        await one.alerted()
        await other.watcher.step()
        assert other.embedded.calls == []
        assert other.polled == one.polled[-1:]
        clock.advance(61)
        assert other.watcher.degraded(clock())


async def note_and_fail(watch: Watch) -> None:
    """A poll whose first page of failures comes, and whose second one does not."""
    watch.clock.advance(1)
    for _ in range(1_001):
        watch.embedded.add(EXPORT)
    watch.embedded.delay("list", 0)
    watch.embedded.fail("list", 13)
    watch.clock.advance(15)
    with contextlib.suppress(Exception):
        await watch.watcher.step()
    assert len(await watch.rows()) == 1_000


async def end_lease(watch: Watch) -> None:
    """As time does that no watcher renews its mark in."""
    mark = update(marks).where(marks.c.name == WATCHER)
    await watch.database.run(lambda c: c.execute(mark.values(updated_at=watch.clock() - timedelta(days=1))))


async def manners(watch: Watch) -> set[str]:
    return await watch.database.run(lambda c: set(c.scalars(select(alerts.c.manner))))


async def test_what_was_noted_before_a_page_failed_is_announced_by_the_next_poll(watch: Watch) -> None:
    await note_and_fail(watch)
    watch.clock.advance(120)
    await watch.watcher.step()
    assert await manners(watch) == {"storm"}


async def test_what_a_watcher_noted_before_it_died_is_announced_by_one_that_watched_before(
    database: Database, clock: HandClock
) -> None:
    async with watching(database, clock) as first, watching(database, clock) as second:
        await first.alerted()
        await end_lease(first)
        await note_and_fail(second)
        await end_lease(first)
        await first.watcher.step()
        assert await manners(first) == {"storm"}


async def test_what_was_noted_though_nobody_learnt_of_the_commit_is_announced(watch: Watch) -> None:
    await watch.alerted()
    lost: list[Connection] = []

    def notice(connection: Connection, _k: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO alerts"):
            connection.info["noted"] = True

    def commit(connection: Connection) -> None:
        if connection.info.pop("noted", False) and not lost:
            lost.append(connection)
            connection.exec_driver_sql("COMMIT")
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))

    for engine in watch.database.engines:
        event.listen(engine, "before_cursor_execute", notice)
        event.listen(engine, "commit", commit)
    watch.embedded.add(EXPORT)
    with pytest.raises(DatabaseUnavailable):
        await watch.alerted()
    assert await manners(watch) == {"new"}
    await watch.alerted()
    assert await manners(watch) == {"alone"}

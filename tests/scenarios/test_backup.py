"""`sift-retry backup`: a copy of the file that the bot is writing to is whole, and restores into a bot at work."""

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from bot.audit import verification
from bot.base.clock import utc_now
from bot.db.backup import NotCopied, back_up
from bot.db.database import Database
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.scenarios.conftest import World
from tests.scenarios.test_process import output

pytestmark = pytest.mark.sqlite


def head(file: Path) -> str:
    """The head of a database's audit, all of which is as it was written."""
    database = Database(f"sqlite:///{file}", utc_now)
    found = verification.verify(database, None, (), None, lambda _: iter).head
    database.close()
    return f"{found.count}:{found.hash}"


async def test_a_backup_taken_while_requests_are_recorded_is_whole(world: World) -> None:
    jobs, copy = world.sift.outage(50), world.directory / "copy.db"
    async with world.running():
        world.allow()
        asked = asyncio.gather(*(world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for job in jobs))
        code, out, error = await output(world, "backup", str(copy))
        assert (code, error) == (0, "")
        assert all(delivered.acked for delivered in await asked)
        async with asyncio.timeout(20):
            while world.outcomes().count("finished") < len(jobs):
                await asyncio.sleep(0.05)
    assert out.startswith(f"{copy}: schema 0")
    assert out.endswith(f"head {head(copy)}\n")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in world.directory.glob("copy.db?*")] == []


async def test_a_restored_backup_recovers_and_goes_on(world: World) -> None:
    job, file, copy = world.sift.add(), world.directory / "bot.db", world.directory / "copy.db"
    held = world.sift.hold("list")
    async with world.running(SIFT_TIMEOUT_SECONDS="20"):
        world.allow()
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await asyncio.wait_for(held.entered.wait(), 5)
        _, out, _ = await output(world, "backup", str(copy))
        held.release()
        await world.until_outcome("finished")
    for left in world.directory.glob("bot.db*"):
        left.unlink()
    shutil.copy(copy, file)
    assert (await output(world, "audit", "verify", "--head", out.split()[-1]))[0] == 0
    code, said, _ = await output(world, "recover")
    assert (code, said) == (0, "1 open requests will be read back and not sent again; 0 were refused\n")
    async with world.running():
        await world.until_outcome("accepted", "finished", "not_applied", timeout=8)
        await world.slack.command(OPERATOR, LAUNCH_OPS, (other := world.sift.add()).job_id)
        await world.until_outcome("finished", job_id=other.job_id)
    assert world.sift.count("retry", job.job_id) == 1, "what was open in the backup was sent, and is not sent again"
    assert (await output(world, "audit", "verify"))[0] == 0


@pytest.fixture
def source(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


def test_a_write_between_two_steps_neither_gets_in_nor_waits(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.db.backup.PAGES", 1)
    with sqlite3.connect(source, isolation_level=None) as writer:
        writer.executemany(
            "INSERT INTO marks VALUES (?, ?, '2026-11-20')", [(str(number), "x" * 4_000) for number in range(200)]
        )
        written = iter(range(1_000, 2_000))
        copied = sqlite3.Connection.backup

        class Origin(sqlite3.Connection):
            def backup(self, target, *, pages, progress):  # type: ignore[no-untyped-def,override]  # as it is called
                def go_on(*_: int) -> None:
                    writer.execute("INSERT INTO marks VALUES (?, 'x', '2026-11-20')", (str(next(written)),))

                copied(self, target, pages=pages, progress=go_on)

        connect = sqlite3.connect
        monkeypatch.setattr(
            "bot.db.backup.sqlite3.connect", lambda *args, **more: connect(*args, **more, factory=Origin)
        )
        back_up(source, tmp_path / "copy.db")
    writer.close()
    monkeypatch.undo()
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT count(*) FROM marks").fetchone() == (200,)
    copy.close()
    assert next(written) > 1_200


@pytest.mark.parametrize("there", ["copy.db", "copy.db-wal", "copy.db-journal", "copy.db.partial"])
def test_nothing_is_written_over_and_no_journal_of_another_is_taken(source: Path, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(NotCopied, match="exists already"):
        back_up(source, tmp_path / "copy.db")
    assert (tmp_path / there).read_text() == "mine"
    assert [path.name for path in tmp_path.glob("copy.db*")] == [there]


def test_a_copy_that_fails_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(NotCopied, match="unable to open"):
        back_up(tmp_path / "none.db", tmp_path / "copy.db")
    with pytest.raises(NotCopied, match="cannot be created"):
        back_up(source, tmp_path / "nowhere" / "copy.db")
    page = os.sysconf("SC_PAGE_SIZE")
    with source.open("r+b") as file:
        file.seek(page)
        file.write(b"\xff" * page)
    with pytest.raises(NotCopied, match=r"damaged|malformed"):
        back_up(source, tmp_path / "copy.db")
    assert list(tmp_path.glob("copy.db*")) == []
    assert not (tmp_path / "none.db").exists()


async def test_postgresql_is_left_to_its_own_program(world: World) -> None:
    code, out, error = await output(world, "backup", "copy.db", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    assert (code, out) == (1, "")
    assert error == "sift-retry: this copies SQLite files; back PostgreSQL up with pg_dump\n"

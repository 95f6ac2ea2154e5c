"""A database of every released schema, written by the bot of that version, opens in this one: what was open goes on."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.app import bot as app
from bot.app.server import serving
from bot.audit import verification
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.db.tables import SCHEMA_VERSION
from bot.sandbox import Sandbox
from bot.sandbox.sift.jobs import FINISHED, SandboxJob
from bot.settings import Settings
from tests.scenarios.conftest import World
from tests.scenarios.test_process import output

pytestmark = pytest.mark.sqlite

FILES = sorted((Path(__file__).parent.parent / "fixtures" / "databases").glob("*.sql"))


def loaded(file: Path, target: Path) -> list[sqlite3.Row]:
    """Puts a database in place; returns its requests."""
    with contextlib.closing(sqlite3.connect(target)) as connection:
        connection.executescript(file.read_text(encoding="utf-8"))
        connection.row_factory = sqlite3.Row
        return list(connection.execute("SELECT * FROM retries ORDER BY created_at"))


def put_into_sift(world: World, row: sqlite3.Row) -> SandboxJob:
    """Adds a request's job as it was read before the request was sent."""
    job = world.sift.add(row["job_type"] or "JOB_TYPE_DATA_IMPORT")
    del world.sift.jobs[job.job_id]
    job.job_id = row["job_id"]
    before = json.loads(row["job_before"] or "{}")
    for name in ("created", "modified", "started", "completed"):
        if f"{name}Date" in before:
            setattr(job, name, datetime.fromisoformat(before[f"{name}Date"]))
    if row["accepted_at"]:
        job.rest, job.modified_by = FINISHED, before["modifiedByUserId"]
        job.modified = job.completed = datetime.fromisoformat(f"{row['accepted_at']}+00:00")
    world.sift.jobs[job.job_id] = job
    return job


@contextlib.asynccontextmanager
async def minutes_later(last: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world in which the bot of then stopped a minute ago."""
    offset = datetime.fromisoformat(f"{last}+00:00") + timedelta(minutes=1) - utc_now()

    def clock() -> datetime:
        return utc_now() + offset

    class Then(app.Bot):
        def __init__(self, settings: Settings, **more: object) -> None:
            super().__init__(settings, clock)

    monkeypatch.setattr("tests.scenarios.conftest.Bot", Then)
    sandbox = Sandbox(clock=clock, run_seconds=0.2)
    async with serving(sandbox.app) as url:
        yield World(sandbox, url, directory)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_database_of_each_version_opens_and_what_was_open_goes_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = loaded(file, tmp_path / "bot.db")
    (waiting,), (sending,), (followed,) = (
        [row for row in rows if row["state"] == state] for state in ("requested", "sending", "accepted")
    )
    async with minutes_later(rows[-1]["created_at"], tmp_path, monkeypatch) as world:
        for row in rows:
            put_into_sift(world, row)
        async with world.running():
            for row, ends in ((waiting, "finished"), (sending, "not_applied"), (followed, "finished")):
                await world.until_outcome(ends, timeout=10, request_id=row["id"])
            await world.until(lambda: len(world.replies()) >= 3)
            assert world.outcomes(request_id=sending["id"])[-2:] == ["unknown", "not_applied"]
        assert [call.target for call in world.sift.calls if call.operation == "retry"] == [waiting["job_id"]]
    database = Database(f"sqlite:///{tmp_path}/bot.db", utc_now)
    assert verification.verify(database, None, (), None, lambda _: iter).head.count > len(rows)
    database.close()


def test_there_is_a_database_of_every_version() -> None:
    """Write the newest one: python -m tests.fixtures.write tests/fixtures/databases/NNNN.sql"""
    migrations = Path(__file__).parent.parent.parent / "migrations" / "versions"
    assert {file.stem for file in FILES} == {path.name[:4] for path in migrations.glob("[0-9]*.py")}
    for file in FILES:
        assert f"INSERT INTO \"alembic_version\" VALUES('{file.stem}')" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("run",), ("access", "list"), ("recover",), ("audit", "verify"), ("migrate",)])
async def test_an_older_bot_refuses_a_newer_database_in_one_line(world: World, command: tuple[str, ...]) -> None:
    loaded(FILES[-1], world.directory / "bot.db")
    with contextlib.closing(sqlite3.connect(world.directory / "bot.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    code, out, error = await output(world, *command)
    assert (code, out) == (1, "")
    newer = f"at version 9999, newer than this bot knows ({SCHEMA_VERSION}); update the bot."
    assert error == f"sift-retry: The database schema is {newer}\n"

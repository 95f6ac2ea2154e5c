import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Insert, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from bot.audit import entry
from bot.audit import log as audit
from bot.base.errors import AlreadyRunning, DatabaseUnavailable, FileReplaced, SchemaNewer, SchemaOutdated
from bot.db.columns import metadata
from bot.db.database import Database, migrate, require_schema, schema_version
from bot.db.tables import SCHEMA_VERSION, job_runs, marks
from bot.retries import batches
from tests.conftest import NOW

ROOT = Path(__file__).parent.parent.parent


def note(name: str, value: str = "x") -> Insert:
    return insert(marks).values(name=name, value=value, updated_at=NOW)


def adding(name: str) -> Callable[[Connection], int]:
    return lambda connection: connection.execute(note(name)).rowcount


def names(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.scalars(select(marks.c.name)))


def config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config


def test_the_migrated_schema_is_the_declared_one(database: Database) -> None:
    with database.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


def test_the_migrated_partial_indexes_are_the_declared_ones(database: Database) -> None:
    declared = {index.name: index.info.get("where") for table in metadata.tables.values() for index in table.indexes}
    with database.transaction() as connection:
        inspector = inspect(connection)
        found = {
            index["name"]: index.get("dialect_options", {}).get(f"{connection.dialect.name}_where")
            for table in metadata.tables
            for index in inspector.get_indexes(table)
        }
    if database.is_sqlite:  # PostgreSQL spells a condition in words of its own
        assert {name: where if where is None else str(where) for name, where in found.items()} == declared
    else:
        assert {name for name, where in found.items() if where} == {name for name, where in declared.items() if where}


def test_the_code_names_the_newest_migration() -> None:
    script = ScriptDirectory(str(ROOT / "migrations"))
    assert script.get_current_head() == SCHEMA_VERSION


def test_every_migration_goes_down_again_and_up(database: Database) -> None:
    with database.transaction() as connection:
        command.downgrade(config(connection), "base")
    with database.transaction() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config(connection), "head")
    with database.transaction() as connection:
        require_schema(connection)


def test_what_was_written_before_a_migration_is_there_after_it(database: Database) -> None:
    with database.transaction() as connection:
        command.downgrade(config(connection), "0001")
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO batches (id, delivery_key, team_id, user_id, source, created_at, total, todo, due_at) "
                "VALUES ('b', 'k', 'T', 'U', 'bulk', :at, 2, '[[\"j1\", null], [\"j2\", null]]', :at)"
            ),
            {"at": f"{NOW:%Y-%m-%d %H:%M:%S.%f}" if database.is_sqlite else NOW},
        )
        audit.append(connection, entry.Entry(event=entry.Event.GRANT, grant_id=1), NOW)
        for run_ids in (["Run-A", "run-b"], ["run-b", 7], "run-c", ["run-%"]):
            audit.append(
                connection, entry.Entry(event=entry.Event.REQUEST, job_id="j1", detail={"run_ids": run_ids}), NOW
            )
    migrate(database.engine)
    with database.transaction() as connection:
        require_schema(connection)
        (opened,) = batches.due(connection, NOW)
        assert [one.job_id for one in batches.spell_out(connection, opened.id, NOW, NOW).requests] == ["j1", "j2"]
        noted = connection.execute(select(job_runs.c.job_id, job_runs.c.run_id).order_by(job_runs.c.run_id)).all()
        assert noted == [("j1", "run-%"), ("j1", "run-a"), ("j1", "run-b")], "the runs that its old entries name"
        assert isinstance(audit.verify(connection), entry.Head)


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database.engine)
    with database.reading() as connection:
        assert schema_version(connection) == SCHEMA_VERSION


def test_an_old_schema_is_named_with_the_way_out(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db", lambda: NOW)
    with database.transaction() as connection, pytest.raises(SchemaOutdated, match="run: sift-retry migrate"):
        require_schema(connection)
    database.close()


async def test_a_work_is_committed_or_nothing_of_it(database: Database) -> None:
    def fails(connection: Connection) -> None:
        connection.execute(note("gone"))
        raise LookupError

    await database.run(lambda connection: connection.execute(note("kept")).rowcount)
    with pytest.raises(LookupError):
        await database.run(fails)
    assert names(database) == {"kept"}


async def test_works_that_share_a_commit_fail_alone(database: Database) -> None:
    started = threading.Event()
    held = asyncio.create_task(database.run(lambda _: started.wait(5)))
    works = [asyncio.create_task(database.run(adding(name))) for name in ("a", "b", "a", "c")]
    await asyncio.sleep(0)
    started.set()
    results = await asyncio.gather(*works, return_exceptions=True)
    await held
    assert [isinstance(result, IntegrityError) for result in results].count(True) == 1
    assert names(database) == {"a", "b", "c"}


def flush_of(connection: Connection) -> str:
    name = "PRAGMA synchronous" if connection.dialect.name == "sqlite" else "SHOW synchronous_commit"
    return str(connection.exec_driver_sql(name).scalar())


async def test_a_lazy_work_is_not_flushed_unless_it_shares_a_commit(database: Database) -> None:
    flushed, lazily = ("2", "1") if database.is_sqlite else ("on", "off")
    if not database.is_sqlite:  # the tests' server flushes nothing of its own accord
        await database.run(lambda connection: connection.exec_driver_sql("SET synchronous_commit = on") and None)
    assert await database.run(flush_of) == flushed
    assert await database.run_lazily(flush_of) == lazily
    assert await database.run(flush_of) == flushed
    started = threading.Event()
    held = asyncio.create_task(database.run(lambda _: started.wait(5)))
    works = [asyncio.create_task(work(flush_of)) for work in (database.run_lazily, database.run, database.run_lazily)]
    await asyncio.sleep(0)
    started.set()
    assert await asyncio.gather(*works) == [flushed] * 3, "the strictest of those that commit together"
    await held


async def test_waiting_works_are_finished_before_closing(sqlite_url: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    works = [asyncio.create_task(database.run(adding(f"{number}"))) for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(database.close)
    await asyncio.gather(*works)
    again = Database(sqlite_url, lambda: NOW)
    assert len(names(again)) == 100
    again.close()


def test_one_sqlite_file_serves_one_bot(sqlite_url: str) -> None:
    first, second = Database(sqlite_url, lambda: NOW), Database(sqlite_url, lambda: NOW)
    first.claim_file()
    with pytest.raises(AlreadyRunning, match=r"bot\.db is in use by another bot"):
        second.claim_file()
    first.close()
    second.claim_file()
    second.close()


def link(path: Path) -> Path:
    other = path.with_name("symbolic.db")
    other.symlink_to(path)
    return other


def hard_link(path: Path) -> Path:
    (path.parent / "elsewhere").mkdir()
    other = path.parent / "elsewhere" / "hard.db"
    other.hardlink_to(path)
    return other


def without_lock(path: Path) -> Path:
    path.with_name("bot.db.lock").unlink()
    return path


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


@pytest.mark.parametrize("called", [link, hard_link, without_lock, relative])
def test_one_sqlite_file_serves_one_bot_whatever_it_is_called(
    sqlite_url: str, tmp_path: Path, called: Callable[[Path], Path]
) -> None:
    first = Database(sqlite_url, lambda: NOW)
    first.claim_file()
    assert names(first) == set()  # SQLite opens and closes the file; the claim holds all the same
    second = Database(f"sqlite:///{called(tmp_path / 'bot.db')}", lambda: NOW)
    with pytest.raises(AlreadyRunning):
        second.claim_file()
    first.close()
    second.claim_file()
    second.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_written_to_a_file_that_is_gone(sqlite_url: str, tmp_path: Path, replaced: bool) -> None:
    database = Database(sqlite_url, lambda: NOW)
    database.claim_file()
    await database.run(adding("kept"))
    file = tmp_path / "bot.db"
    aside = file.rename(tmp_path / "aside.db")
    if replaced:
        file.write_bytes(aside.read_bytes())
    with pytest.raises(FileReplaced, match=r"bot\.db was deleted or replaced"):
        await database.run(adding("lost"))
    aside.rename(file)
    await database.run(adding("found"))
    assert names(database) == {"kept", "found"}
    database.close()


def test_a_newer_schema_is_named_with_the_way_out(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with database.reading() as connection, pytest.raises(SchemaNewer, match=r"9999, newer .*; update the bot"):
        require_schema(connection)
    with pytest.raises(SchemaNewer):
        migrate(database.engine)


async def test_reading_for_long_holds_up_no_writer(sqlite_url: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    with database.reading() as connection:
        connection.execute(select(marks)).all()
        await asyncio.wait_for(database.run(lambda c: c.execute(note("written")).rowcount), 1)
        assert connection.execute(select(marks)).all() == []
    assert names(database) == {"written"}
    database.close()


async def test_a_locked_database_is_an_error_not_a_hang(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url, lambda: NOW)
    other = sqlite3.connect(f"{tmp_path}/bot.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"):
        await asyncio.wait_for(database.run(lambda connection: connection.execute(text("SELECT 1")).all()), 2.9)
    other.execute("ROLLBACK")
    other.close()
    assert await database.run(lambda connection: connection.scalar(text("SELECT 1"))) == 1
    database.close()

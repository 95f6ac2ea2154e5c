"""Segments: sealed, verifiable, and the chain goes on from where they end."""

import os
import pty
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from bot.audit import archive
from bot.audit import log as audit
from bot.audit.entry import Broken, Entry, Event, Filters, Head
from bot.base.files import sync_folder
from bot.db.database import Database
from tests.audit.test_log import fill, tamper, verify
from tests.conftest import NOW

LATER = NOW + timedelta(days=1)


def archived(database: Database, file: Path, minutes: int) -> archive.Segment:
    return archive.archive(database, NOW + timedelta(minutes=minutes), file, "cli:test", LATER)


def test_old_entries_move_into_a_file_and_the_chain_goes_on(database: Database, tmp_path: Path) -> None:
    fill(database, 7)
    segment = archived(database, tmp_path / "one.jsonl", 3)
    assert (segment.before.count, segment.after.count) == (0, 3)
    with database.reading() as connection:
        assert [row.id for row in audit.export(connection, Filters())] == [4, 5, 6, 7, 8]
        assert audit.base(connection) == segment.after
    assert isinstance(verify(database), Head)
    assert archive.verify_segment(tmp_path / "one.jsonl") == segment
    second = archived(database, tmp_path / "two.jsonl", 6)
    assert second.before == segment.after
    assert archive.verify_segment(tmp_path / "two.jsonl") == second
    assert isinstance(verify(database), Head)
    with pytest.raises(DBAPIError, match="append-only"), database.transaction() as connection:
        connection.execute(text("DELETE FROM audit"))


def test_the_newest_entry_stays_and_nothing_is_archived_twice(database: Database, tmp_path: Path) -> None:
    fill(database, 3)
    assert archived(database, tmp_path / "all.jsonl", 999).after.count == 2
    with pytest.raises(archive.NothingToArchive):
        archived(database, tmp_path / "none.jsonl", 1)


def test_others_write_on_while_a_segment_is_written(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 7)
    other = Database(database.engine.url.render_as_string(hide_password=False), lambda: NOW)

    def write_meanwhile(file: Path) -> None:
        with other.transaction() as connection:
            audit.append(connection, Entry(event=Event.MUTE), LATER)
        sync_folder(file)

    monkeypatch.setattr(archive, "sync_folder", write_meanwhile)
    segment = archived(database, tmp_path / "one.jsonl", 3)
    other.close()
    assert segment.after.count == 3
    assert isinstance(verify(database), Head)
    with database.reading() as connection:
        assert [row.id for row in audit.export(connection, Filters())] == [4, 5, 6, 7, 8, 9]


def test_who_archives_at_the_same_time_comes_too_late(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 7)
    other = Database(database.engine.url.render_as_string(hide_password=False), lambda: NOW)

    def archive_meanwhile(file: Path) -> None:
        monkeypatch.setattr(archive, "sync_folder", sync_folder)
        archived(other, tmp_path / "faster.jsonl", 2)

    monkeypatch.setattr(archive, "sync_folder", archive_meanwhile)
    with pytest.raises(archive.MovedMeanwhile):
        archived(database, tmp_path / "slower.jsonl", 3)
    other.close()
    assert not (tmp_path / "slower.jsonl").exists()
    assert isinstance(verify(database), Head)
    with database.reading() as connection:
        assert audit.base(connection).count == 2


@pytest.mark.parametrize("where", ["_line", "sync_folder", "verify_segment", "_forget", "_set_base"])
def test_what_is_stopped_midway_leaves_no_file_and_the_whole_log(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    head = fill(database, 7)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, where, stop)
    with pytest.raises(KeyboardInterrupt):
        archived(database, tmp_path / "one.jsonl", 3)
    assert list(tmp_path.glob("*.jsonl")) == []
    assert verify(database) == head


def test_a_segment_that_cannot_be_read_back_is_not_archived(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = fill(database, 7)
    file = tmp_path / "one.jsonl"
    monkeypatch.setattr(archive, "sync_folder", lambda file: file.write_text(file.read_text().replace("=1+1", "=1+2")))
    with pytest.raises(archive.BrokenChain):
        archived(database, file, 3)
    assert not file.exists()
    assert verify(database) == head


def test_a_commit_that_fails_leaves_the_file(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 7)

    def lost(connection: Connection) -> None:
        if not connection.get_execution_options().get("read_only"):
            raise ConnectionError

    event.listen(database.engine, "commit", lost)
    with pytest.raises(ConnectionError):
        archived(database, tmp_path / "one.jsonl", 3)
    event.remove(database.engine, "commit", lost)
    assert isinstance(archive.verify_segment(tmp_path / "one.jsonl"), archive.Segment)


def test_the_file_and_its_folder_are_on_the_disk_before_anything_is_deleted(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 7)
    seen: list[str] = []

    def sync(number: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")

    def deleting(connection: Connection, last_id: int) -> None:
        seen.append("deleted")
        forget(connection, last_id)

    forget = archive._forget
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(archive, "_forget", deleting)
    archived(database, tmp_path / "one.jsonl", 3)
    assert seen[:3] == ["file", "folder", "deleted"]


def archive_in_a_process(url: str, folder: Path, where: str, does: str, stderr: int = subprocess.PIPE) -> str | None:
    """Archives in a process in which something happens midway; returns what it says, if it failed."""
    program = (
        "import os, signal, sys\n"
        "from bot.audit import archive\n"
        "from bot.__main__ import main\n"
        f"archive.{where} = lambda *_: {does}\n"
        "sys.argv = ['sift-retry', 'audit', 'archive', '--before', '2026-11-20T12:03:00Z', '--output', 'one.jsonl']\n"
        "main()\n"
    )
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, stderr=stderr, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_removes_the_file_that_was_begun(sqlite_url: str, tmp_path: Path, name: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    fill(database, 7)
    database.close()
    said = archive_in_a_process(sqlite_url, tmp_path, "sync_folder", f"os.kill(os.getpid(), signal.{name})")
    assert said == "sift-retry: stopped"
    assert not (tmp_path / "one.jsonl").exists()


def test_a_terminal_shows_how_far_it_is(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url, lambda: NOW)
    fill(database, 7)
    database.close()
    ours, its = pty.openpty()
    assert archive_in_a_process(sqlite_url, tmp_path, "NOTHING", "None", stderr=its) is None
    os.close(its)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "writing the segment" in shown
    assert "reading it back" in shown
    assert "100%" in shown


def test_a_log_that_was_changed_is_not_archived(database: Database, tmp_path: Path) -> None:
    fill(database, 5)
    with database.transaction() as connection:
        off = (
            "DROP TRIGGER audit_no_update"
            if database.is_sqlite
            else "ALTER TABLE audit DISABLE TRIGGER audit_no_change"
        )
        connection.execute(text(off))
        connection.execute(text("UPDATE audit SET reason = 'x' WHERE id = 2"))
    with pytest.raises(archive.BrokenChain):
        archived(database, tmp_path / "one.jsonl", 3)
    assert not (tmp_path / "one.jsonl").exists()
    with database.reading() as connection:
        assert len(list(audit.export(connection, Filters()))) == 5


@pytest.mark.parametrize(
    ("old", "new", "bad"),
    [("=1+1", "=1+2", 1), ('"id":2', '"id":9', 9), ('"seal"', '"seat"', None), ('"sha256":"', '"sha256":"0', 3)],
)
def test_a_changed_segment_is_found(sqlite_url: str, tmp_path: Path, old: str, new: str, bad: int | None) -> None:
    database = Database(sqlite_url, lambda: NOW)
    fill(database, 5)
    file = tmp_path / "one.jsonl"
    archived(database, file, 3)
    database.close()
    file.write_text(file.read_text().replace(old, new, 1))
    if bad is None:
        with pytest.raises(archive.NoSegment):
            archive.verify_segment(file)
    else:
        found = archive.verify_segment(file)
        assert isinstance(found, Broken)
        assert found.id == bad


def test_a_segment_without_its_end_is_found(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url, lambda: NOW)
    fill(database, 5)
    file = tmp_path / "one.jsonl"
    archived(database, file, 3)
    database.close()
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert archive.verify_segment(file) == Broken(3, "the seal is missing")


def test_deleting_the_start_and_moving_the_base_is_found(database: Database) -> None:
    fill(database, 5)
    with database.reading() as connection:
        second = list(audit.export(connection, Filters()))[1]
    tamper(database, "DELETE FROM audit WHERE id <= 2")
    with database.transaction() as connection:
        archive._set_base(connection, Head(2, second.hash), NOW)
    found = verify(database)
    assert isinstance(found, Broken)
    assert "archived" in found.why

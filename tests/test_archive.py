"""Segments: sealed, verifiable, and the chain goes on from where they end."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot import archive, audit
from bot.audit import Broken, Filters, Head
from bot.database import Database
from tests.conftest import NOW
from tests.test_audit import fill, tamper, verify

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

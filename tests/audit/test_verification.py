"""Verification as an auditor does it: forged segments, heads old and new, and tables that say otherwise."""

import contextlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text

from bot.access import grants
from bot.access.policy import Role
from bot.audit import archive, verification
from bot.audit import entry as audit_entry
from bot.audit import log as audit
from bot.audit.entry import Broken, Entry, Event, Head
from bot.audit.verification import NotAsWritten, Verified
from bot.base.requester import Source
from bot.db.database import Database, migrate
from bot.db.tables import audit as table
from bot.retries import claims, store
from bot.retries.request import Request
from bot.retries.state import State
from tests.audit.test_log import tamper
from tests.conftest import NOW

SECOND = timedelta(seconds=1)


def fill(database: Database, count: int, who: str = "U1") -> None:
    """Writes entries that say nothing of a grant or a request, a minute apart."""
    with database.transaction() as connection:
        for number in range(count):
            entry = Entry(event=Event.OUTSIDE, job_id="j1", user_id=who, reason="=1+1 <é> \x07", detail={"why": "é"})
            audit.append(connection, entry, NOW + timedelta(minutes=number))


def archived(database: Database, file: Path, minutes: float) -> archive.Segment:
    return archive.archive(database, NOW + timedelta(minutes=minutes), file, "cli:test", NOW + timedelta(days=1))


def verify(database: Database, *files: Path, head: Head | None = None) -> Verified:
    return verification.verify(database, head, files, None, lambda _: iter)


def heads(database: Database) -> dict[int, Head]:
    with database.reading() as connection:
        return {row.id: Head(row.id, row.hash) for row in audit.export(connection, audit_entry.Filters())}


def granted(database: Database, **more: Any) -> int:
    new = grants.NewGrant(**{"subject": "U1", "role": Role.OPERATOR, "granted_by": "cli:test", **more})
    with database.transaction() as connection:
        return grants.grant(connection, new, NOW)


def requested(database: Database, number: int = 1, at: timedelta = timedelta(0)) -> Request:
    request = Request(
        id=f"r{number}",
        delivery_key=f"k{number}",
        job_id=f"j{number}",
        team_id="T1",
        user_id="U1",
        source=Source.COMMAND,
    )
    with database.transaction() as connection:
        store.add(connection, request, NOW + at)
    return request


def write(database: Database, statement: str) -> None:
    """Writes into a table as somebody would who owns the database."""
    with database.transaction() as connection:
        connection.execute(text(statement))


class Logged:
    """A database of 12 entries in three parts: `one` and `two` hold 1-4 and 5-8, the log the rest."""

    def __init__(self, database: Database, directory: Path) -> None:
        self.database = database
        self.one, self.two = directory / "one.jsonl", directory / "two.jsonl"
        fill(database, 12)
        self.heads = heads(database)
        self.first = archived(database, self.one, 4)
        self.second = archived(database, self.two, 8)


@pytest.fixture
def logged(database: Database, tmp_path: Path) -> Logged:
    return Logged(database, tmp_path)


def test_segments_and_log_are_one_chain_in_whatever_order_they_are_given(logged: Logged) -> None:
    found = verify(logged.database, logged.two, logged.one)
    assert found.head.count == 14
    assert [line.split(": ")[1] for line in found.said] == [
        f"entries 1 to 4, unbroken; head {logged.first.after.hash}; {logged.two} goes on where it ends",
        f"entries 5 to 8, unbroken; head {logged.second.after.hash}; the log goes on where it ends",
    ]


def test_a_gap_between_the_parts_is_named(logged: Logged) -> None:
    (said,) = verify(logged.database, logged.one).said
    assert said.endswith("entries 5 to 8 after it are in no segment that was given")


def test_an_invented_segment_is_refused(logged: Logged, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path}/other.db", lambda: NOW)
    migrate(other.engine)
    fill(other, 9, "U2")
    invented = tmp_path / "invented.jsonl"
    archived(other, invented, 4)
    other.close()
    assert isinstance(archive.verify_segment(invented), archive.Segment), "it is whole by itself"
    with pytest.raises(NotAsWritten, match="no entry, of the log or of the segments given, says"):
        verify(logged.database, invented)
    with pytest.raises(NotAsWritten, match="does not go on where"):
        verify(logged.database, invented, logged.two)


def test_a_segment_is_named_by_an_entry_that_was_archived_itself(logged: Logged, tmp_path: Path) -> None:
    with logged.database.transaction() as connection:
        audit.append(connection, Entry(event=Event.MUTE), NOW + timedelta(days=3))
    three = tmp_path / "three.jsonl"
    archive.archive(logged.database, NOW + timedelta(days=2), three, "cli:test", NOW + timedelta(days=4))
    assert verify(logged.database, three, logged.one, logged.two).head.count == 16
    assert verify(logged.database, three, logged.one).said[0].endswith("in no segment that was given")
    with pytest.raises(NotAsWritten, match="no entry, of the log"):
        verify(logged.database, logged.one)


@pytest.mark.parametrize("more", ["\n", "{}\n", '{"id":5}', "rubbish"])
def test_lines_after_the_seal_are_refused(logged: Logged, more: str) -> None:
    logged.one.write_text(logged.one.read_text() + more)
    assert archive.verify_segment(logged.one) == Broken(4, "something follows the seal")
    with pytest.raises(NotAsWritten, match="something follows the seal"):
        verify(logged.database, logged.one, logged.two)


@pytest.mark.parametrize("content", ["", "\n", "[]\n", "{}\n", "7\n", '{"segment": 1}\n', "[" * 100_000, "\udcff"])
def test_what_is_no_segment_is_said_to_be_none(logged: Logged, content: str) -> None:
    logged.one.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(archive.NoSegment):
        verify(logged.database, logged.one)


def test_a_line_that_reads_the_same_and_is_written_otherwise_is_found(logged: Logged) -> None:
    lines = logged.one.read_text().splitlines(keepends=True)
    lines[2] = '{"user_id":"somebody else",' + lines[2][1:]  # the first of two, which other readers may believe
    logged.one.write_text("".join(lines))
    assert archive.verify_segment(logged.one) == Broken(2, "its line is not written as it was")


def test_a_true_old_head_verifies_where_its_segment_is_given_and_is_said_to_be_archived_where_not(
    logged: Logged,
) -> None:
    for count in (1, 4, 5, 8, 12):
        assert verify(logged.database, logged.one, logged.two, head=logged.heads[count])
        assert verify(logged.database, logged.one, logged.two, head=Head(0, logged.heads[count].hash))
    for count in (4, 8, 9):
        assert verify(logged.database, head=logged.heads[count]), "the log itself names where it was cut"
    with pytest.raises(NotAsWritten) as told:
        verify(logged.database, head=logged.heads[2])
    where = "entries 1 to 4 were archived in one.jsonl; give that file with --segment"
    assert str(told.value) == f"entry 2 lies before the log begins: {where}"
    with pytest.raises(NotAsWritten, match=r"entry 7 lies before the log begins: entries 5 to 8 .* two\.jsonl"):
        verify(logged.database, logged.one, head=logged.heads[7])


@pytest.mark.parametrize("count", [0, 2, 4, 6, 8, 10, 99])
def test_a_wrong_head_counts_beside_segments_too(logged: Logged, count: int) -> None:
    with pytest.raises(NotAsWritten):
        verify(logged.database, logged.one, logged.two, head=Head(count, "f" * 64))
    with pytest.raises(NotAsWritten):
        verify(logged.database, head=Head(count, "f" * 64))


def test_the_head_of_an_empty_log_holds_for_ever(logged: Logged) -> None:
    assert verify(logged.database, head=Head(0, audit_entry.GENESIS)).head.count == 14


def test_the_same_segment_twice_is_refused(logged: Logged) -> None:
    with pytest.raises(NotAsWritten, match="hold the same entries"):
        verify(logged.database, logged.one, logged.one)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "INSERT INTO grants (subject, role, granted_by, granted_at) SELECT 'U9', 'admin', granted_by, granted_at "
            "FROM grants WHERE id = 1",
            r"grant 3 \(U9, admin\) stands in the table, and no entry says that it was given",
        ),
        ("UPDATE grants SET role = 'admin' WHERE id = 1", "grant 1 .* has role admin in the table, operator by"),
        ("UPDATE grants SET subject = 'U9' WHERE id = 1", "grant 1 .* has subject U9 in the table, U1 by"),
        ("UPDATE grants SET expires_at = NULL WHERE id = 1", "grant 1 .* has expires_at none in the table"),
        ("UPDATE grants SET job_types = NULL WHERE id = 1", "grant 1 .* has job_types none in the table"),
        ("UPDATE grants SET channels = '[\"C2\"]' WHERE id = 1", "grant 1 .* has channels"),
        ("UPDATE grants SET granted_by = 'U9' WHERE id = 1", "grant 1 .* has granted_by U9"),
        ("UPDATE grants SET revoked_at = granted_at, revoked_by = 'U9' WHERE id = 1", "grant 1 .* no entry says so"),
        ("UPDATE grants SET revoked_at = NULL WHERE id = 2", "grant 2 .* was revoked, and the table says otherwise"),
        ("DELETE FROM grants WHERE id = 1", r"grant 1 \(U1\) was given, and is not in the table"),
        ("UPDATE retries SET state = 'requested' WHERE id = 'r1'", "request r1 is requested in the table, refused by"),
        ("UPDATE retries SET user_id = 'U9' WHERE id = 'r1'", "request r1 is another's, or of another job"),
        ("UPDATE retries SET job_id = 'j9' WHERE id = 'r1'", "request r1 is another's, or of another job"),
        ("UPDATE retries SET grant_id = 1 WHERE id = 'r1'", "request r1 was allowed by grant 1 in the table, None by"),
        ("UPDATE retries SET approved_by = 'U9' WHERE id = 'r1'", "request r1 is approved by U9 in the table"),
        ("DELETE FROM retries WHERE id = 'r1'", "request r1 was recorded, and is not in the table"),
        (
            "INSERT INTO retries (id, delivery_key, state, job_id, team_id, user_id, source, created_at) "
            "SELECT 'r9', 'k9', 'requested', job_id, team_id, user_id, source, created_at FROM retries",
            "request r9 stands in the table, and no entry says that it was recorded",
        ),
    ],
)
def test_what_the_tables_say_otherwise_than_the_log_is_named(database: Database, statement: str, said: str) -> None:
    granted(database, expires_at=NOW + SECOND, job_types=frozenset({"data_import"}), channels=frozenset({"C1"}))
    granted(database, subject="U2")
    requested(database)
    with database.transaction() as connection:
        grants.revoke(connection, "U2", "cli:test", NOW)
        (retry,) = claims.claim(connection, (State.REQUESTED,), NOW)
        store.transition(connection, retry, State.REFUSED, NOW)
    assert verify(database).unchecked == {"grants": 0, "requests": 0}
    write(database, statement)
    with pytest.raises(NotAsWritten, match=f"the tables say otherwise than the log: {said}"):
        verify(database)


def test_a_request_that_was_altered_on_its_way_is_named(database: Database) -> None:
    requested(database)
    write(database, "UPDATE retries SET user_id = 'U9' WHERE id = 'r1'")
    with database.transaction() as connection:
        (retry,) = claims.claim(connection, (State.REQUESTED,), NOW)
        store.transition(connection, retry, State.REFUSED, NOW)  # whose entry names U9 as well
    with pytest.raises(NotAsWritten, match="request r1 is another's"):
        verify(database)
    write(database, "UPDATE retries SET user_id = 'U1' WHERE id = 'r1'")
    with pytest.raises(NotAsWritten, match="request r1 is another's"):
        verify(database)


def test_a_row_that_was_never_recorded_is_named_after_it_was_worked_on_too(database: Database) -> None:
    requested(database)
    write(
        database,
        "INSERT INTO retries (id, delivery_key, state, job_id, team_id, user_id, source, created_at, due_at) "
        "SELECT 'r9', 'k9', 'requested', 'j9', team_id, user_id, source, created_at, due_at FROM retries",
    )
    with database.transaction() as connection:
        for retry in claims.claim(connection, (State.REQUESTED,), NOW):
            store.transition(connection, retry, State.REFUSED, NOW)
    with pytest.raises(NotAsWritten, match="request r9 stands in the table, and no entry says that it was recorded"):
        verify(database)


def test_many_differences_are_named_as_far_as_anybody_reads_them(database: Database) -> None:
    for number in range(30):
        requested(database, number)
    write(database, "DELETE FROM retries")
    with pytest.raises(NotAsWritten) as told:
        verify(database)
    assert str(told.value).count("was recorded, and is not") == verification.MAX_NAMED
    assert str(told.value).endswith("; and 10 more")


def test_what_is_older_than_the_log_is_checked_with_its_segments(database: Database, tmp_path: Path) -> None:
    granted(database)
    requested(database, 1)
    requested(database, 2, timedelta(minutes=2))
    with database.transaction() as connection:
        for retry in claims.claim(connection, (State.REQUESTED,), NOW + timedelta(hours=1)):
            store.transition(connection, retry, State.REFUSED, NOW + timedelta(minutes=2 + int(retry.id[1:])))
    one = tmp_path / "one.jsonl"
    archived(database, one, 1)  # the grant, and that r1 was requested
    assert verify(database).unchecked == {"grants": 1, "requests": 0}, "what is left of r1 tells its state"
    assert verify(database, one).unchecked == {"grants": 0, "requests": 0}
    write(database, "UPDATE retries SET state = 'requested' WHERE id = 'r1'")
    write(database, "UPDATE grants SET role = 'admin' WHERE id = 1")
    with pytest.raises(NotAsWritten, match="log: request r1 is requested in the table"):
        verify(database)
    with pytest.raises(NotAsWritten, match=r"log: grant 1 .*; request r1"):
        verify(database, one)


def test_a_new_row_cannot_hide_behind_what_was_archived(database: Database, tmp_path: Path) -> None:
    fill(database, 6)
    archived(database, tmp_path / "one.jsonl", 3)
    write(
        database,
        "INSERT INTO grants (subject, role, granted_by, granted_at) "
        "SELECT 'U9', 'admin', 'x', at FROM audit WHERE id = 5",
    )
    with pytest.raises(NotAsWritten, match=r"grant 1 \(U9, admin\) stands in the table"):
        verify(database)


SQLITE_TRIGGERS = ("audit_no_update", "audit_no_delete", "audit_no_replace")


@pytest.mark.parametrize("name", SQLITE_TRIGGERS)
def test_a_dropped_or_hollow_trigger_is_named_on_sqlite(sqlite_url: str, name: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    fill(database, 1)
    verify(database)
    write(database, f"DROP TRIGGER {name}")
    with pytest.raises(NotAsWritten, match=f"trigger {name} is missing, switched off or changed"):
        verify(database)
    write(database, f"CREATE TRIGGER {name} BEFORE UPDATE ON audit WHEN 1 = 0 BEGIN SELECT 1; END")
    with pytest.raises(NotAsWritten, match=f"trigger {name} is missing, switched off or changed"):
        verify(database)
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER {name} ON audit",
        "ALTER TABLE audit DISABLE TRIGGER {name}",
        "ALTER TABLE audit ENABLE REPLICA TRIGGER {name}",
        "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NEW; END $$",
    ],
)
@pytest.mark.parametrize("name", ["audit_no_change", "audit_no_truncate"])
def test_a_dropped_or_hollow_trigger_is_named_on_postgresql(postgres_url: str, statement: str, name: str) -> None:
    database = Database(postgres_url, lambda: NOW)
    fill(database, 1)
    verify(database)
    write(database, statement.format(name=name))
    with pytest.raises(NotAsWritten, match=f"trigger {name} is missing, switched off or changed"):
        verify(database)
    database.close()


def test_the_check_at_start_sees_triggers_and_grants_and_needs_no_whole_log(database: Database, tmp_path: Path) -> None:
    def found() -> list[str]:
        with database.reading() as connection:
            return verification.at_start(connection)

    granted(database)
    fill(database, 6)
    assert found() == []
    archived(database, tmp_path / "one.jsonl", 4)
    assert found() == []
    granted(database, subject="U2")
    tamper(
        database,
        "INSERT INTO grants (subject, role, granted_by, granted_at) SELECT 'U9', 'admin', 'x', max(at) FROM audit",
    )
    named = "; ".join(found())
    assert "grant 3 (U9, admin) stands in the table" in named
    assert "trigger audit_no_" in named


def test_what_is_granted_while_the_tables_are_compared_is_no_difference(database: Database) -> None:
    granted(database)
    other = Database(database.engine.url.render_as_string(hide_password=False), lambda: NOW)

    def grant_meanwhile(*given: Any) -> None:
        if given[2].endswith(("ORDER BY audit.id", "ORDER BY audit.grant_id, audit.id")) and not meanwhile:
            meanwhile.append(granted(other, subject="U2"))

    meanwhile: list[int] = []
    event.listen(database.engine, "after_cursor_execute", grant_meanwhile)
    with database.reading() as connection:
        assert verification.at_start(connection) == []
    assert meanwhile
    meanwhile.clear()
    verify(database)
    assert meanwhile
    other.close()


def test_the_check_at_start_needs_the_entries_about_grants_alone(sqlite_url: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    with contextlib.closing(database), database.reading() as connection:
        query = str(verification._ABOUT_GRANTS.compile(database.engine))
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all())
    assert "USING INDEX ix_audit_grants" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("column", ["at = 'soon'", "detail = X'00ff'", "grant_id = 'x'", "reason = X'ff'", "hash = 7"])
def test_an_entry_that_cannot_even_be_read_is_named(sqlite_url: str, column: str) -> None:
    database = Database(sqlite_url, lambda: NOW)
    fill(database, 5)
    tamper(database, f"UPDATE audit SET {column} WHERE id = 3")
    with pytest.raises(NotAsWritten, match="entry 3 was changed"):
        verify(database)
    database.close()


@pytest.mark.parametrize(
    "detail", ["{}", "[]", "7", "no JSON", '{"job_types": 7}', '{"first_id": "x", "last_id": null}']
)
@pytest.mark.parametrize("kind", ["grant", "archive", "request", "revoke", "approval"])
def test_entries_that_say_nothing_sensible_end_in_words(database: Database, kind: str, detail: str) -> None:
    with database.transaction() as connection:
        row: dict[str, Any] = dict.fromkeys(audit.COLUMNS)
        row |= {"id": 1, "at": NOW, "event": kind, "grant_id": 1, "detail": detail, "prev_hash": audit_entry.GENESIS}
        row["hash"] = audit_entry.digest(row)
        connection.execute(table.insert(), row)
    if kind == "grant":
        with pytest.raises(NotAsWritten, match=r"grant 1 \(None\) was given, and is not in the table"):
            verify(database)
    else:
        assert verify(database).head.count == 1


@pytest.mark.parametrize("value", ["", "x", "3", "3:zz", "-1:" + "0" * 64, "9" * 30 + ":" + "0" * 64])
def test_a_beginning_that_cannot_be_read_hides_nothing(logged: Logged, value: str) -> None:
    write(logged.database, f"UPDATE marks SET value = '{value}' WHERE name = 'audit_base'")
    with pytest.raises(NotAsWritten, match="entry 9 was changed: entry 1 is missing before it"):
        verify(logged.database)


TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
DETAIL = st.recursive(
    TEXTS | st.booleans() | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(audit.COLUMNS), TEXTS | NUMBERS) | DETAIL)
def test_the_quick_encoder_writes_what_the_library_writes(value: Any) -> None:
    assert audit_entry.quickly(value) == audit_entry.canonical(value)


def test_what_the_quick_encoder_would_sort_otherwise_is_decided_by_the_library(database: Database) -> None:
    with database.transaction() as connection:
        audit.append(connection, Entry(event=Event.MUTE, detail={"\ue000": 1, "\U0001f600": 2}), NOW)
        audit.append(connection, Entry(event=Event.MUTE), NOW)
    with database.reading() as connection:
        first = next(iter(audit.export(connection, audit_entry.Filters())))
    assert first.detail == '{"\U0001f600":2,"\ue000":1}', "UTF-16 code units, as RFC 8785 has it"
    assert json.loads(first.detail) == {"\ue000": 1, "\U0001f600": 2}
    assert verify(database).head.count == 2


def test_a_segment_of_odd_keys_is_verified_too(database: Database, tmp_path: Path) -> None:
    with database.transaction() as connection:
        audit.append(connection, Entry(event=Event.MUTE, detail={"\ue000": 1, "\U0001f600": 2}), NOW)
        audit.append(connection, Entry(event=Event.MUTE), NOW + SECOND * 60)
    segment = archived(database, tmp_path / "one.jsonl", 1)
    assert segment.after.count == 1
    assert verify(database, tmp_path / "one.jsonl").head.count == 3

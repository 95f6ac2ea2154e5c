import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert, text, update
from sqlalchemy.exc import DBAPIError

from bot.audit import entry as audit_entry
from bot.audit import log as audit
from bot.audit.entry import GENESIS, Broken, Entry, Event, Filters, Head
from bot.db.database import Database
from bot.db.job_runs import name_key
from bot.db.tables import audit as table
from bot.db.tables import job_runs
from tests.conftest import NOW


def fill(database: Database, count: int = 5, jobs: int = 2) -> Head:
    with database.transaction() as connection:
        for number in range(count):
            entry = Entry(
                event=Event.REQUEST,
                outcome="requested",
                request_id=f"r{number}",
                job_id=f"j{number % jobs}",
                user_id="U1",
                reason="=1+1 <é> \x07",
                grant_id=number,
                detail={"b": 1, "a": ["ü", None, True]},
            )
            head = audit.append(connection, entry, NOW + timedelta(minutes=number))
    return head


def verify(database: Database) -> Head | Broken:
    with database.reading() as connection:
        return audit.verify(connection)


def tamper(database: Database, statement: str) -> None:
    """Changes the log as somebody would who owns the database file."""
    with database.transaction() as connection:
        if database.is_sqlite:
            for trigger in ("update", "delete", "replace"):
                connection.execute(text(f"DROP TRIGGER audit_no_{trigger}"))
        else:
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        for part in statement.split(";"):
            connection.execute(text(part))


def test_an_unbroken_chain_verifies_to_its_head(database: Database) -> None:
    assert verify(database) == Head(0, GENESIS)
    head = fill(database)
    assert head.count == 5
    assert verify(database) == head


def test_a_hash_can_be_recomputed_from_the_documented_form(database: Database) -> None:
    fill(database, 1)
    with database.reading() as connection:
        (row,) = audit.page(connection, Filters())
    payload: dict[str, Any] = {
        "id": 1,
        "at": "2026-11-20T12:00:00.000000Z",
        "event": "request",
        "outcome": "requested",
        "request_id": "r0",
        "job_id": "j0",
        "status_before": None,
        "status_after": None,
        "team_id": None,
        "user_id": "U1",
        "user_name": None,
        "channel_id": None,
        "source": None,
        "reason": "=1+1 <é> \x07",
        "grant_id": 0,
        "detail": '{"a":["ü",null,true],"b":1}',
        "prev_hash": "0" * 64,
    }
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert row.hash == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("UPDATE audit SET reason = 'nothing' WHERE id = 3", 3),
        ("UPDATE audit SET user_id = 'U2' WHERE id = 1", 1),
        ("UPDATE audit SET detail = '{}' WHERE id = 5", 5),
        ("UPDATE audit SET hash = prev_hash WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 3", 4),
        ("DELETE FROM audit WHERE id = 1", 2),
        (
            "UPDATE audit SET id = 99 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3; "
            "UPDATE audit SET id = 3 WHERE id = 99",
            2,
        ),
        (
            "INSERT INTO audit (id, at, event, detail, prev_hash, hash) "
            "SELECT 6, at, event, detail, prev_hash, hash FROM audit WHERE id = 5",
            6,
        ),
    ],
)
def test_the_first_bad_entry_is_named(database: Database, statement: str, bad: int) -> None:
    fill(database)
    tamper(database, statement)
    found = verify(database)
    assert isinstance(found, Broken)
    assert found.id == bad


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET reason = 'x' WHERE id = 1", "DELETE FROM audit", "DELETE FROM audit WHERE id = 5"],
)
def test_the_database_refuses_changes(database: Database, statement: str) -> None:
    head = fill(database)
    with pytest.raises(DBAPIError, match="append-only"), database.transaction() as connection:
        connection.execute(text(statement))
    assert verify(database) == head


def test_sqlite_refuses_replacing_and_postgresql_truncating(database: Database) -> None:
    head = fill(database)
    statement = (
        "INSERT OR REPLACE INTO audit (id, at, event, detail, prev_hash, hash) "
        "SELECT id, at, 'x', detail, prev_hash, hash FROM audit WHERE id = 2"
        if database.is_sqlite
        else "TRUNCATE audit"
    )
    with pytest.raises(DBAPIError, match="append-only"), database.transaction() as connection:
        connection.execute(text(statement))
    assert verify(database) == head


def test_pages_follow_each_other_newest_first(database: Database) -> None:
    fill(database, 7)
    seen: list[int] = []
    before = None
    with database.reading() as connection:
        while rows := audit.page(connection, Filters(user_id="U1"), before=before, limit=3):
            seen += [row.id for row in rows]
            before = (rows[-1].at, rows[-1].id)
    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (Filters(job_id="j1"), [2, 4]),
        (Filters(request_id="r4"), [5]),
        (Filters(outcome="accepted"), []),
        (Filters(since=NOW + timedelta(minutes=3)), [4, 5]),
        (Filters(until=NOW + timedelta(minutes=1)), [1]),
        (Filters(job_id="j0", since=NOW + timedelta(minutes=1)), [3, 5]),
    ],
)
def test_entries_are_chosen_by_filters(database: Database, filters: Filters, ids: list[int]) -> None:
    fill(database)
    with database.reading() as connection:
        assert [row.id for row in audit.export(connection, filters)] == ids


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(), "ix_audit_at"),
        (Filters(job_id="j1"), "ix_audit_job"),
        (Filters(user_id="U1"), "ix_audit_user"),
        (Filters(user_id="U1", since=NOW), "ix_audit_user"),
    ],
)
def test_the_newest_entries_come_straight_from_an_index(database: Database, filters: Filters, index: str) -> None:
    fill(database, 400, jobs=100)
    statements: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    with database.transaction() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("ANALYZE audit")
            for cheaper_while_small in ("seqscan", "bitmapscan", "sort"):
                connection.exec_driver_sql(f"SET LOCAL enable_{cheaper_while_small} = off")
        audit.page(connection, filters, before=(NOW + timedelta(minutes=300), 5))
        query, values = statements[-1]
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"{explain} {query}", values))
    assert index in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


def test_swapped_payloads_are_named(database: Database) -> None:
    fill(database)
    columns = ("request_id", "job_id", "grant_id", "at")
    with database.reading() as connection:
        rows = {row.id: row._mapping for row in audit.export(connection, Filters())}
    tamper(database, "SELECT 1")
    with database.transaction() as connection:
        for one, other in ((2, 4), (4, 2)):
            values = {name: rows[other][name] for name in columns}
            connection.execute(update(table).where(table.c.id == one).values(**values))
    found = verify(database)
    assert isinstance(found, Broken)
    assert found.id == 2


def test_a_head_written_down_elsewhere_shows_a_cut_tail_and_a_rewritten_log(database: Database) -> None:
    head = fill(database)
    with database.reading() as connection:
        first = next(iter(audit.export(connection, Filters())))
        assert audit.verify(connection, head) == head
        assert audit.verify(connection, Head(1, first.hash)) == head
        assert audit.verify(connection, Head(0, first.hash)) == head
        for forged in (Head(5, "f" * 64), Head(0, "f" * 64), Head(6, head.hash)):
            assert isinstance(audit.verify(connection, forged), Broken)
    tamper(database, "DELETE FROM audit WHERE id = 5")
    with database.reading() as connection:
        assert isinstance(audit.verify(connection), Head), "a cut tail alone does not show"
        assert isinstance(audit.verify(connection, head), Broken)


def of_runs(connection: Connection) -> None:
    """Six entries of three jobs, each of a run of its own and of one that they share."""
    for job, run in (("j1", "run-a"), ("j2", "run-b"), ("j3", "run-ab")):
        for run_id, name in ((run, f"Hotfire {run}"), ("run-c", "STRASSE"), ("", f"early {job}")):
            row = {"job_id": job, "run_id": run_id, "name_key": name_key(name), "name": name}
            connection.execute(insert(job_runs).values(row))
        for outcome in ("requested", "finished"):
            audit.append(connection, Entry(event=Event.REQUEST, outcome=outcome, request_id=job, job_id=job), NOW)


def test_a_run_is_found_in_every_entry_of_its_jobs(database: Database) -> None:
    with database.transaction() as connection:
        of_runs(connection)
        audit.append(connection, Entry(event=Event.REQUEST, outcome="denied"), NOW)
    with database.reading() as connection:
        for run, found in {
            "run-a": [1, 2],
            "RUN-A": [1, 2],
            "run-c": [1, 2, 3, 4, 5, 6],
            "hotfire RUN-b": [3, 4],
            "straße": [1, 2, 3, 4, 5, 6],
            "early j3": [5, 6],
            "run-%": [],
            "": [],
        }.items():
            assert [row.id for row in audit.export(connection, Filters(run=run))] == found, run
        assert [row.id for row in audit.page(connection, Filters(run="run-c", outcome="finished"))] == [6, 4, 2]


def test_a_run_is_found_by_index(database: Database) -> None:
    with database.transaction() as connection:
        of_runs(connection)
        if not database.is_sqlite:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        queries: list[Any] = []
        event.listen(connection, "before_cursor_execute", lambda *given: queries.append(given[2:4]))
        audit.page(connection, Filters(run="run-a"))
        (asked,) = queries
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        plan = str(connection.exec_driver_sql(f"{explain} {asked[0]}", asked[1]).all())
    for index in ("ix_job_runs_run", "ix_job_runs_name", "ix_audit_job"):
        assert index in plan
    assert "SCAN audit" not in plan
    assert "Seq Scan" not in plan


WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)  # RFC 8785 knows no others
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_the_canonical_form_reads_back_and_is_stable(value: Any) -> None:
    written = audit_entry.canonical(value)
    assert json.loads(written) == value
    assert audit_entry.canonical(json.loads(written)) == written
    written.encode("utf-8")


@given(JSON, JSON)
def test_different_values_have_different_forms(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (audit_entry.canonical(one) == audit_entry.canonical(other)) == same


@given(st.dictionaries(st.text(), WHOLE, min_size=2), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, int], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert audit_entry.canonical({key: value[key] for key in keys}) == audit_entry.canonical(value)

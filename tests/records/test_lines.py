"""The lines of the audit: which entries are shown, whose requests they name, and by which index they are found."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from bot.audit import log as audit
from bot.audit.entry import Entry, Event, Filters
from bot.base.requester import Source
from bot.db.database import Database
from bot.db.tables import alerts, job_runs
from bot.records import lines
from bot.records.line import Line
from bot.records.search import Search
from bot.retries import queries, store
from bot.retries.kept import kept_about
from bot.retries.request import Request
from bot.retries.state import State
from bot.sift.subject import About, Named, Subject, Why
from tests.conftest import NOW
from tests.reading import JOB, OTHER, a_job

ABOUT = kept_about(About(Subject(runs=(Named("r1", "hotfire-118"),))), Why())


def ask(connection: Connection, number: int, user_id: str = "UANN", job_id: str = JOB) -> str:
    """Somebody asks for a retry, at a minute of their own."""
    request = Request(
        id=f"request{number:03}",
        delivery_key=f"command:{number}",
        job_id=job_id,
        team_id="T1",
        user_id=user_id,
        source=Source.COMMAND,
    )
    store.add(connection, request, NOW + timedelta(minutes=number))
    return request.id


def move(connection: Connection, request_id: str, *states: State, **more: Any) -> None:
    """A request enters states, one after another."""
    for state in states:
        (retry,) = [one for one in queries.open_requests(connection) if one.id == request_id]
        store.transition(connection, retry, state, NOW + timedelta(hours=1), job_before=a_job(), **more)


def note(connection: Connection, kind: Event | str, number: int, **more: Any) -> None:
    """Something else is recorded."""
    event_ = kind if isinstance(kind, Event) else Event(kind)
    audit.append(connection, Entry(event=event_, **more), NOW + timedelta(minutes=number))


@pytest.fixture
def recorded(database: Database) -> Database:
    """A day: a retry that Sift put off and then took, one that was denied, a batch that was, a grant, readings."""
    with database.transaction() as connection:
        note(connection, "grant", 1, user_id="UADA", detail={"subject": "UANN", "role": "operator"})
        first = ask(connection, 2)
        move(connection, first, State.SENDING, State.REQUESTED, State.SENDING, State.ACCEPTED, State.FINISHED)
        second = ask(connection, 3, "UBEN", OTHER)
        move(connection, second, State.DENIED, detail={"why": "expired"})
        note(connection, "request", 4, user_id="UBEN", outcome="denied", detail={"total": 25, "batch": "b"})
        note(connection, "audit_read", 5, user_id="UADA", detail={"what": "home"})
        note(connection, "alert", 6, job_id=JOB, source=Source.ALERT)
        note(connection, "approval_asked", 7, job_id=JOB, request_id=first, user_id="UANN")
        note(connection, "approval", 8, job_id=JOB, request_id=first, user_id="UBEN")
        note(connection, "audit_read", 9, user_id="UBEN", outcome="denied")
        run = {"job_id": OTHER, "run_id": "r2", "name_key": "coldflow-7", "name": "coldflow-7"}
        connection.execute(insert(job_runs).values(run))
        alert = {"id": "a1", "job_id": JOB, "failure": "f", "job_type": "JOB_TYPE_DATA_IMPORT", "channel_id": "C1"}
        shown = {"created_at": NOW, "manner": "alone", "state": "open", "offered": "f", "job": a_job().to_json()}
        connection.execute(insert(alerts).values({**alert, **shown, "about": ABOUT}))
    return database


def told(found: list[Line]) -> list[tuple[str, str | None, str | None]]:
    return [(line.event, line.outcome, line.user_id) for line in found]


def page(database: Database, reads: bool = False, **filters: Any) -> list[Line]:
    with database.reading() as connection:
        return lines.page(connection, Search(Filters(**filters), reads))


APPROVAL = ("approval", None, "UBEN")
BATCH = ("request", "denied", "UBEN")
SECOND, FIRST = ("request", "requested", "UBEN"), ("request", "requested", "UANN")
GRANT = ("grant", None, "UADA")


def test_a_request_is_one_line_and_readings_and_alerts_are_none(recorded: Database) -> None:
    assert told(page(recorded)) == [APPROVAL, BATCH, SECOND, FIRST, GRANT]


def test_a_line_knows_its_request_as_it_is_now_and_what_its_job_is_called(recorded: Database) -> None:
    approval, _, second, first, _ = page(recorded)
    assert (first.retry and first.retry.state, second.retry and second.retry.state) == (State.FINISHED, State.DENIED)
    assert (approval.request_id, approval.retry) == (first.request_id, first.retry)
    assert first.about.subject.title_parts() == ("hotfire-118",)


def test_readings_are_shown_if_asked_for(recorded: Database) -> None:
    denied, seen = ("audit_read", "denied", "UBEN"), ("audit_read", None, "UADA")
    assert told(page(recorded, reads=True)) == [denied, APPROVAL, seen, BATCH, SECOND, FIRST, GRANT]
    assert told(page(recorded, reads=True, user_id="UADA")) == [seen, GRANT]
    assert told(page(recorded, reads=True, outcome="denied", user_id="UBEN"))[-2:] == [denied, BATCH]


def test_one_persons_lines(recorded: Database) -> None:
    assert told(page(recorded, user_id="UBEN")) == [APPROVAL, BATCH, SECOND]


def test_the_lines_of_a_job_tell_of_its_alert_too(recorded: Database) -> None:
    found = page(recorded, job_id=JOB)
    assert told(found) == [APPROVAL, ("alert", None, None), FIRST]
    assert found[1].about.subject.title_parts() == ("hotfire-118",)


def test_the_lines_of_a_run(recorded: Database) -> None:
    assert told(page(recorded, run="Coldflow-7")) == [SECOND]


def test_an_outcome_finds_what_came_out_so(recorded: Database) -> None:
    (finished,) = page(recorded, outcome="finished")
    assert (finished.outcome, finished.retry and finished.retry.id) == ("finished", "request002")
    assert told(page(recorded, outcome="denied")) == [BATCH, BATCH]
    assert [line.retry and line.retry.id for line in page(recorded, outcome="denied")] == ["request003", None]
    assert page(recorded, outcome="lost") == []


def test_a_stretch_of_time(recorded: Database) -> None:
    since, until = NOW + timedelta(minutes=2), NOW + timedelta(minutes=4)
    assert told(page(recorded, since=since, until=until)) == [SECOND, FIRST]


def test_pages_go_on_where_the_one_before_ended(database: Database) -> None:
    with database.transaction() as connection:
        for number in range(25):
            note(connection, "grant", number // 5)  # five at the same moment
            note(connection, "audit_read", number // 5)
    seen: list[int] = []
    before = None
    with database.reading() as connection:
        while found := lines.page(connection, Search(), before=before, limit=7):
            seen += [line.id for line in found]
            before = (found[-1].at, found[-1].id)
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 25


def test_the_steps_of_a_request(recorded: Database) -> None:
    with recorded.reading() as connection:
        assert lines.owner(connection, "request002") == "UANN"
        assert lines.owner(connection, "request999") is None
        steps = lines.steps(connection, "request002")
        assert lines.steps(connection, "request999") == []
    assert [line.outcome or line.event for line in steps] == [
        *("requested", "sending", "requested", "sending", "accepted", "finished"),
        *("approval_asked", "approval"),
    ]


WEEK = NOW - timedelta(days=7)


@pytest.mark.parametrize(
    ("search", "index"),
    [
        (Search(), "ix_audit_lines"),
        (Search(Filters(since=WEEK)), "ix_audit_lines"),
        (Search(Filters(user_id="U1")), "ix_audit_lines_user"),
        (Search(Filters(user_id="U1", since=WEEK)), "ix_audit_lines_user"),
        (Search(Filters(outcome="lost")), "ix_audit_ended"),
        (Search(Filters(outcome="lost", since=WEEK)), "ix_audit_ended"),
        (Search(Filters(outcome="denied"), reads=True), "ix_audit_ended"),
        (Search(Filters(job_id="j1")), "ix_audit_job"),
        (Search(reads=True), "ix_audit_at"),
        (Search(Filters(user_id="U1"), reads=True), "ix_audit_user"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_page_comes_straight_from_an_index(database: Database, search: Search, index: str, first: bool) -> None:
    with database.transaction() as connection:
        for number in range(400):
            outcome = ("requested", "sending", "accepted", "lost" if number % 50 == 3 else "finished")[number % 4]
            facts = {"request_id": f"r{number // 4}", "job_id": f"j{number // 4 % 100}", "user_id": f"U{number % 80}"}
            note(connection, "request", number, outcome=outcome, **facts)
            note(connection, "audit_read", number, user_id=f"U{number % 80}")
    statements: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    with database.transaction() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("ANALYZE audit")
            for cheaper_while_small in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
                connection.exec_driver_sql(f"SET LOCAL enable_{cheaper_while_small} = off")
        statements.clear()
        lines.page(connection, search, before=None if first else (NOW + timedelta(minutes=300), 5))
        query, values = statements[0]
        explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"{explain} {query}", values))
    assert re.search(rf"{index}\b", plan), plan
    for slow in ("TEMP B-TREE", "Sort", "Seq Scan"):
        assert slow not in plan

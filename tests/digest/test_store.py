"""What a digest is made of, counted in either database."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bot.alerts import store as alert_store
from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.base.text import new_id
from bot.db.database import Database
from bot.db.tables import alerts, digests, retries
from bot.digest import store
from bot.digest.digest import Hands, RunNews, Tried
from bot.slack.message import Message
from tests.conftest import NOW, HandClock
from tests.reading import a_job

HERE, ELSEWHERE = "C0HERE", "C0ELSEWHERE"


def job_id(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


def fail(connection: Connection, numbers: range, channel_id: str = HERE, minutes_ago: int = 60, **more: Any) -> None:
    """Has jobs fail, and be alerted."""
    at = NOW - timedelta(minutes=minutes_ago)
    jobs = [a_job(job_id=job_id(number)) for number in numbers]
    alert_store.note_failures(connection, {channel_id: jobs}, at)
    alert_store.fold(connection, 10, at)
    mine = alerts.c.job_id.in_([job.job_id for job in jobs])
    connection.execute(update(alerts).where(mine).values(**{"topic": "hotfire-118", **more}))


def retry(connection: Connection, number: int, state: str, user_id: str = "UANN", minutes_ago: int = 30) -> None:
    """Writes a retry that stands somehow."""
    at = NOW - timedelta(minutes=minutes_ago)
    over = state in ("finished", "failed_again")
    row: dict[str, Any] = {
        "id": new_id(),
        "state": state,
        "job_id": job_id(number),
        "user_id": user_id,
        "team_id": "T1",
    }
    sent = None if state == "requested" else at
    row |= {
        "delivery_key": new_id(),
        "source": "alert",
        "created_at": at,
        "sent_at": sent,
        "ended_at": at if over else None,
    }
    connection.execute(insert(retries).values(row))


def one_run(connection: Connection, since_hours: int = 12) -> RunNews:
    (run,) = store.news(connection, HERE, NOW - timedelta(hours=since_hours)).runs
    return run


def test_it_counts_what_failed_and_who_has_what_waits(database: Database, clock: HandClock) -> None:
    with database.transaction() as connection:
        fail(connection, range(6))
        fail(connection, range(10, 12), taken_by="UANN", taken_at=NOW)
        fail(connection, range(20, 21), snoozed_by="UBEN", snoozed_until=NOW + timedelta(hours=1))
        fail(connection, range(30, 31), snoozed_by="UBEN")
        fail(connection, range(40, 42), muted_by="UANN")
        fail(connection, range(50, 52), channel_id=ELSEWHERE)
        retry(connection, 5, "requested", "UCYD")
        run = one_run(connection)
    assert (run.name, run.failed) == ("hotfire-118", 10)
    assert run.waiting == {
        (Hands.NOBODY, ""): 6,
        (Hands.TAKEN, "UANN"): 2,
        (Hands.SNOOZED, "UBEN"): 1,
        (Hands.ASKED, "UCYD"): 1,
    }
    assert run.offered == 9


def test_it_counts_what_was_retried_by_whom_and_outside(database: Database, clock: HandClock) -> None:
    with database.transaction() as connection:
        fail(connection, range(4), minutes_ago=2_000, state="closed")
        retry(connection, 0, "finished")
        retry(connection, 1, "failed_again")
        retry(connection, 1, "finished")
        retry(connection, 2, "accepted", "UBEN")
        retry(connection, 3, "finished", minutes_ago=1_900)
        audit.append(connection, Entry(event=Event.OUTSIDE, job_id=job_id(3), channel_id=HERE), NOW)
        run = one_run(connection)
    assert run.failed == run.waits == 0
    assert run.retried == {"UANN": Tried(3, 2), "UBEN": Tried(0, 0, 1)}
    assert run.outside == 1


def test_what_waits_is_told_however_old_it_is_and_what_is_over_is_not(database: Database, clock: HandClock) -> None:
    with database.transaction() as connection:
        fail(connection, range(1), minutes_ago=100_000)
        fail(connection, range(1, 2), minutes_ago=100_000, state="closed")
        run = one_run(connection)
        assert (run.failed, run.waits) == (0, 1)
        connection.execute(update(alerts).values(state="closed"))
        assert store.news(connection, HERE, NOW - timedelta(hours=12)).runs == []


def test_a_storm_that_was_taken_is_taken_and_jobs_without_a_run_stand_together(
    database: Database, clock: HandClock
) -> None:
    with database.transaction() as connection:
        fail(connection, range(30), topic=None)
        storm_id = connection.scalar(select(alerts.c.storm_id).limit(1))
        assert storm_id is not None
        run = one_run(connection)
        assert (run.name, run.kind, run.waiting) == ("", "data_import", {(Hands.NOBODY, ""): 30})
        connection.exec_driver_sql("UPDATE storms SET taken_by = 'UANN'")
        assert one_run(connection).waiting == {(Hands.TAKEN, "UANN"): 30}


def test_what_is_picked_from_is_what_may_be_retried(database: Database, clock: HandClock) -> None:
    with database.transaction() as connection:
        fail(connection, range(150))
        fail(connection, range(200, 202), channel_id=ELSEWHERE)
        fail(connection, range(300, 301), muted_by="UANN")
        retry(connection, 5, "requested")
        found, total = store.to_pick(connection, HERE, 100)
    assert (len(found), total) == (100, 149)
    assert job_id(5) not in {alert.job_id for alert in found}


def test_old_digests_are_dropped(database: Database, clock: HandClock) -> None:
    with database.transaction() as connection:
        for days in (10, 8, 6, 0):
            store.keep(connection, new_id(), HERE, Message("said"), NOW - timedelta(days=days))
        assert len(connection.execute(select(digests.c.id)).all()) == 2
        (_, newest) = store.outbox.claim(connection, NOW)
        assert newest.message == Message("said", [])

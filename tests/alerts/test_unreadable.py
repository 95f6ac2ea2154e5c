"""A row that cannot be read holds up no other, in either database."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, insert, select, update

from bot.alerts import creators, oncall, queries, store, storms
from bot.alerts.alert import Standing
from bot.db import tables
from bot.db.database import Database
from bot.db.tables import alerts, job_runs, retries
from bot.retries import batches, claims, known, late_rows
from bot.retries.late import Late, LateReport
from bot.retries.queries import last_attempts
from bot.retries.state import State
from bot.sift.subject import Named
from tests.conftest import NOW
from tests.reading import a_job
from tests.retries.test_batches import MANY, opened
from tests.retries.test_store import ask


def failed(connection: Connection, count: int) -> Sequence[str]:
    """Has jobs fail, and be alerted; returns the IDs of their alerts."""
    jobs = [a_job(job_id=f"{number:08}-0000-4000-8000-000000000000") for number in range(count)]
    store.note_failures(connection, {"C0": jobs}, NOW)
    store.fold(connection, 10, NOW)
    return connection.scalars(alerts.select().with_only_columns(alerts.c.id).order_by(alerts.c.job_id)).all()


def test_a_snooze_ends_beside_one_that_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        broken, other = failed(connection, 2)
        connection.execute(update(alerts).values(snoozed_until=NOW - timedelta(seconds=1)))
        connection.execute(update(alerts).where(alerts.c.id == broken).values(about="{", snoozed_until=NOW))
        assert {one.id for one in oncall.wake(connection, NOW, NOW, None)} == {broken, other}
        assert oncall.wake(connection, NOW, NOW, None) == []


def test_who_created_a_job_is_looked_up_beside_one_that_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        broken, other = failed(connection, 2)
        connection.execute(update(alerts).where(alerts.c.id == broken).values(job="{"))
        assert creators._new(connection, NOW) == {broken: "", other: a_job().created_by_user_id}


def test_a_failure_is_noted_and_shown_beside_a_retry_and_a_repeat_that_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        (alert_id,) = failed(connection, 1)
        job = a_job(job_id="00000000-0000-4000-8000-000000000000")
        request_id = ask(connection, job_id=job.job_id)
        values = {"sent_at": NOW, "state": "failed_again", "about": "{", "job_after": "["}
        connection.execute(update(retries).where(retries.c.id == request_id).values(**values))
        connection.execute(update(alerts).values(retry_id=request_id))
        for minutes in (1, 2):
            again = a_job(job_id=job.job_id, completedDate=(NOW + timedelta(minutes=minutes)).isoformat())
            assert store.note_failures(connection, {"C0": [again]}, NOW) == 1
        broken = connection.scalars(select(alerts.c.id).where(alerts.c.parent_id.is_not(None)).limit(1)).one()
        connection.execute(update(alerts).where(alerts.c.id == broken).values(about="{"))
        row = connection.execute(select(alerts).where(alerts.c.id == alert_id)).one()
        shown = queries._load_alert(connection, row, interrupted=False)
        assert shown.retry is not None
        assert (shown.retry.id, shown.retry.user_id) == (request_id, "U")
        assert broken not in [repeat.id for repeat in shown.repeats]
        assert len(shown.repeats) == 1


def test_a_job_s_newest_retry_counts_though_it_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        request_id = ask(connection, job_id="j")
        values = {"sent_at": NOW, "state": "accepted", "detail": "{", "job_before": "{"}
        connection.execute(update(retries).where(retries.c.id == request_id).values(**values))
        newest = last_attempts(connection, "j").newest
        assert newest is not None
        assert (newest.id, newest.state, newest.sent_at) == (request_id, State.ACCEPTED, NOW)
        assert known.open_retries(connection, ["j"])["j"].id == request_id


def test_an_alert_is_shown_beside_a_batch_of_which_it_cannot_be_read_where_it_stands(database: Database) -> None:
    with database.transaction() as connection:
        (alert_id,) = failed(connection, 1)
        opened(connection, "broken")
        batches.spell_out(connection, "broken", NOW, NOW)
        connection.execute(update(tables.batches).values(shown="{"))
        member = connection.scalars(select(retries.c.id).limit(1)).one()
        connection.execute(update(alerts).values(retry_id=member))
        row = connection.execute(select(alerts).where(alerts.c.id == alert_id)).one()
        shown = queries._load_alert(connection, row, interrupted=False)
        assert shown.retry is not None
        assert (shown.retry.id, shown.retry.root_ts) == (member, None)


def test_an_outage_is_shown_beside_a_batch_whose_jobs_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        failed(connection, 12)
        for batch_id in ("broken", "sound"):
            opened(connection, batch_id)
            batches.spell_out(connection, batch_id, NOW, NOW)
        connection.execute(update(tables.batches).where(tables.batches.c.id == "broken").values(todo="{"))
        row = connection.execute(select(tables.storms)).one()
        assert storms._load(connection, row, interrupted=False).total == 12
        assert [len(jobs) for jobs, _ in storms._spelling(connection)] == [MANY - batches.CHUNK]


def test_an_outage_is_shown_beside_a_job_that_cannot_be_read_and_says_what_waits(database: Database) -> None:
    with database.transaction() as connection:
        broken, *_ = failed(connection, 12)
        connection.execute(update(alerts).where(alerts.c.id == broken).values(job="{"))
        request_id = ask(connection, job_id=f"{1:08}-0000-4000-8000-000000000000")
        waits = {"approval_until": NOW + timedelta(hours=1)}
        connection.execute(update(retries).where(retries.c.id == request_id).values(**waits))
        shown = storms._load(connection, connection.execute(select(tables.storms)).one(), interrupted=False)
        assert (shown.total, len(shown.members)) == (12, 11)
        assert broken not in [alert.id for alert in shown.members]
        assert shown.standings == {Standing.FAILED: 11, Standing.AWAITING: 1}
        assert shown.awaiting == ("U",)
        connection.execute(update(retries).where(retries.c.id == request_id).values(approved_by="UBOB"))
        shown = storms._load(connection, connection.execute(select(tables.storms)).one(), interrupted=False)
        assert shown.standings == {Standing.FAILED: 11, Standing.QUEUED: 1}


def test_a_report_is_offered_no_more_beside_an_import_of_its_run_that_cannot_be_read(database: Database) -> None:
    with database.transaction() as connection:
        found = Late(Named("run", "hotfire-118"), (LateReport("report", "evaluation", "Hot-fire limits"),))
        kept = {"pressed": found, "beside": found, "broken": None}
        for number, (job_id, late) in enumerate(kept.items()):
            ask(connection, number, job_id=job_id)
            connection.execute(insert(job_runs).values(job_id=job_id, run_id="run", name_key="", name=""))
            value = json.dumps(late.to_json()) if late is not None else "{"
            row = update(retries).where(retries.c.job_id == job_id)
            connection.execute(row.values(late=value, ended_at=NOW, state="finished"))
        (first,) = claims.load(connection, ["r0"])
        rerun = replace(
            first, id="r9", offered="r0", report_id="report", user_id="UADA", state=State.ACCEPTED, sent_at=NOW
        )
        late_rows.mark(connection, rerun, NOW)
        assert [late_rows.offered(connection, one) for one in ("r0", "r1", "r2")] == [[], [], []]
        connection.execute(update(retries).where(retries.c.id == "r0").values(late="{"))
        assert late_rows.mark(connection, rerun, NOW) == set(), "nor does its own hold up what it became"

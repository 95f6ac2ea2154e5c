"""What a row keeps of its job, what earlier versions kept, and what other rows add when it is shown."""

import json
from typing import Any

import pytest
from sqlalchemy import insert, select

from bot.db.database import Database
from bot.db.tables import alerts, job_runs, retries
from bot.retries import about, known
from bot.retries.kept import about_of, kept_about
from bot.retries.record import Record
from bot.retries.request import Retry
from bot.retries.state import State
from bot.sift.subject import About, Named, Subject, Why
from tests.conftest import NOW
from tests.reading import about as an_import
from tests.reading import about_rules
from tests.retries.test_causes import ended, write

EARLIER = {
    "error_message": "Line 7 is no number.",
    "source_url": "s3://data/hotfire/telemetry_0412.csv?signature=none",
    "run_id": "r1",
    "asset_id": "a1",
    "report_id": "p1",
    "report_name": "Nightly",
}


def rows(database: Database, **chosen: Any) -> list[Retry]:
    with database.reading() as connection:
        query = select(retries).filter_by(**chosen).order_by(retries.c.created_at)
        return [Retry.of(row._mapping) for row in connection.execute(query)]


@pytest.mark.parametrize(
    ("before", "again"), [(an_import(), Why()), (about_rules(), about_rules().why), (About(), Why())]
)
def test_what_is_kept_is_read_back(before: About, again: Why) -> None:
    assert about_of(kept_about(before, again)) == (before, again)


def test_what_an_earlier_version_kept_is_still_read() -> None:
    subject = Subject(
        runs=(Named("r1"),), assets=(Named("a1"),), file="telemetry_0412.csv", report=Named("p1", "Nightly")
    )
    assert about_of(json.dumps({**EARLIER, "again": "Line 8."})) == (
        About(subject, Why("Line 7 is no number.")),
        Why("Line 8."),
    )
    assert about_of(json.dumps({"again": "Line 8."})) == (About(), Why("Line 8."))
    assert about_of(None) == (About(), Why())


def test_the_cause_counts_for_the_record_and_the_run_finds_the_job(database: Database) -> None:
    write(database, ended(1, State.FINISHED, None))
    with database.transaction() as connection:
        about.add(connection, "r1", an_import(), NOW)
    (retry,) = rows(database, id="r1")
    assert retry.about == an_import()
    with database.reading() as connection:
        assert connection.scalar(select(retries.c.cause_key)) == an_import().why.cause
        assert connection.execute(select(job_runs.c.job_id, job_runs.c.name)).all() == [("j1", "hotfire-118")]


def test_why_it_failed_again_leaves_why_it_failed_before(database: Database) -> None:
    write(database, ended(1, State.FAILED_AGAIN, None))
    with database.transaction() as connection:
        about.add(connection, "r1", About(why=an_import().why), NOW)
        about.add_again(connection, "r1", About(an_import().subject, Why("Line 8 is no number.")), NOW)
    (retry,) = rows(database, id="r1")
    assert (retry.about, retry.again) == (an_import(), Why("Line 8 is no number."))


def test_a_row_is_shown_with_the_name_that_another_row_knows(database: Database) -> None:
    kept = kept_about(an_import(), Why())
    write(database, ended(1, State.FINISHED, about=kept, job_id="same"), ended(2, State.REFUSED, job_id="same"))
    alert = {"id": "a1", "job_id": "alerted", "failure": "then", "job_type": "", "channel_id": "C", "created_at": NOW}
    with database.transaction() as connection:
        shown = {"manner": "alone", "state": "open", "offered": "then", "job": "{}", "about": kept}
        connection.execute(insert(alerts).values(**alert, **shown))
        refused, _ = known.completed(connection, rows(database, id="r2") + rows(database, id="r1"))
        assert refused.about == About(an_import().subject), "the name, and not why another retry's failure came"
        assert known.subjects(connection, ["alerted", "other"]) == {"alerted": an_import().subject}
        assert known.failure(connection, "alerted", "then") == an_import()
        assert known.failure(connection, "alerted", "later") == About()


def test_a_button_knows_whether_retrying_its_cause_ever_helped(database: Database) -> None:
    cause = an_import().why.cause
    write(database, *(ended(number, State.FAILED_AGAIN, cause) for number in range(3)))
    write(database, ended(9, State.FAILED_AGAIN, cause, about=kept_about(an_import(), an_import().why)))
    with database.reading() as connection:
        (shown,) = known.completed(connection, rows(database, id="r9"))
        (offering_nothing,) = known.completed(connection, rows(database, id="r1"))
    assert (shown.record, shown.record.hopeless) == (Record(0, 4), True)
    assert offering_nothing.record == Record()

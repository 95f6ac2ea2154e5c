"""When rows are due to be shown, on a machine whose clock is ahead of the database's."""

from contextlib import closing
from datetime import timedelta

from bot.alerts import queries, store, storms
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.retries.alert_rows import touch_storm
from bot.sift.job import Job

FAILED = {"jobStatus": "JOB_STATUS_FAILED", "jobType": "JOB_TYPE_DATA_EXPORT"}
AHEAD = timedelta(hours=1)


def test_what_a_process_whose_clock_is_ahead_writes_is_due_by_the_databases_clock(postgres_url: str) -> None:
    jobs = [Job.model_validate({"jobId": f"j{number}", **FAILED}) for number in range(3)]
    with closing(Database(postgres_url, utc_now)) as database, database.transaction() as connection:
        at = utc_now() + AHEAD
        store.note_failures(connection, {"C1": jobs[:1], "C2": jobs[1:]}, at)
        store.fold(connection, 1, at)
        in_time = utc_now() + timedelta(seconds=10)
        (alone,) = queries.outbox.claim(connection, in_time)
        (together,) = storms.outbox.claim(connection, in_time)
        assert together.show_fence == 1
        queries.outbox.showed(connection, alone, in_time, shown={}, unpostable=None)
        storms.outbox.showed(connection, together, in_time, shown={}, unpostable=None)
        touch_storm(connection, together.id, at)
        running = jobs[0].model_copy(update={"job_status": "JOB_STATUS_RUNNING"})
        assert store.note_moves(connection, [running], at) == 1
        assert storms.outbox.claim(connection, utc_now() + timedelta(seconds=1))
        assert queries.outbox.claim(connection, utc_now() + timedelta(seconds=1))

"""A long audit, with the requests it tells of, written as quickly as the database takes it.

Every request has four entries, as long as the bot's own are, and its row in `retries`: `audit verify` finds nothing to
complain about. A day holds so many requests whatever the length, so a longer log is one of more days.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table

from bot.audit.entry import GENESIS, canonical, likely
from bot.audit.log import COLUMNS
from bot.base.clock import rfc3339
from bot.db.tables import alerts, audit, grants, job_runs, retries

ENTRIES_A_DAY = 2_000
AT_A_TIME = 10_000

_STEPS = (("requested", None, None), ("sending", "FAILED", None), ("accepted", "FAILED", "RUNNING"))
_SORTED = sorted(COLUMNS)
_RETRY = (
    "id", "delivery_key", "state", "job_id", "team_id", "user_id", "user_name", "source", "channel_id", "grant_id",
    "job_type", "attempt", "job_before", "job_after", "about", "detail", "cause_key", "created_at", "sent_at",
    "accepted_at", "ended_at",
)  # fmt: skip
_ALERT = (
    "id", "job_id", "failure", "job_type", "channel_id", "created_at", "manner", "state", "offered", "job", "about",
    "cause", "cause_key", "topic", "retry_id",
)  # fmt: skip
_JOB = {
    "organizationId": "7a1de5b2-6a0f-4d0e-9a25-5f3d4f6f1f01",
    "createdByUserId": "1f0c8f1e-7a55-4a7c-8a0b-3d0f6b6f9a02",
    "createdDate": "2026-11-26T00:33:42.415689Z",
    "modifiedDate": "2026-11-26T00:48:42.415689Z",
    "jobType": "JOB_TYPE_DATA_IMPORT",
    "jobStatus": "JOB_STATUS_FAILED",
    "jobStatusDetails": {"dataImport": {"pointsProcessed": 4_000_000, "pointsTotal": 10_000_000}},
    "jobDetails": {"dataImport": {"dataImportId": "a0687314-1827-5d8f-86e3-5cc5fce0750f"}},
}
_FACTS = {
    "asset_ids": ["12f18beb-d865-54c2-bbe9-799991f0e211"],
    "attempt": 1,
    "data_import_id": "a0687314-1827-5d8f-86e3-5cc5fce0750f",
    "job_modified_by": "9d2b7c40-1c2f-4a58-b6a1-0e6f3c5a7d21",
    "organization_id": "7a1de5b2-6a0f-4d0e-9a25-5f3d4f6f1f01",
    "run_ids": ["8d5f0c1a-1111-4222-8333-944455566677"],
    "version": "1.0.0",
}

_GRANT = {"subject": "U0", "role": "operator"}

Row = tuple[Any, ...]


def job_id_of(number: int) -> str:
    """The ID of one of the jobs that the log is about."""
    return f"{number:08d}-0000-4000-8000-000000000000"


def run_name_of(number: int) -> str:
    """The name of the run that job belongs to; each has twenty jobs."""
    return f"hotfire-{number // 20}"


def fill(connection: Connection, entries: int, until: datetime, people: int = 40, *, alerted: bool = False) -> None:
    """Writes a log of so many entries, the newest a moment before `until`, into an empty database.

    Args:
        entries: a multiple of four.
        people: so many ask for retries.
        alerted: whether the failures were alerted, too.
    """
    tables = (audit, retries, job_runs, alerts)
    indexes = [index for table in tables for index in table.indexes if not index.unique]
    for index in indexes:
        index.drop(connection)
    since = until - timedelta(days=entries / ENTRIES_A_DAY)
    connection.execute(grants.insert(), {**_GRANT, "id": 1, "granted_by": "cli:bench", "granted_at": since})
    requests, jobs = entries // 4, max(20, entries // 40)
    _put(connection, retries, _RETRY, (_retry(number, since, jobs, people) for number in range(requests)))
    if alerted:
        _put(connection, alerts, _ALERT, (_alert(number, since, jobs) for number in range(requests)))
    named = (
        (job_id_of(number), f"run-{number // 20}", run_name_of(number), run_name_of(number)) for number in range(jobs)
    )
    _put(connection, job_runs, ("job_id", "run_id", "name_key", "name"), named)
    _put(connection, audit, _SORTED, _entries(requests, since, jobs, people))
    for index in indexes:
        index.create(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE")


def _moment(number: int, since: datetime, step: int) -> datetime:
    return since + timedelta(days=number * 4 / ENTRIES_A_DAY, seconds=step * 4)


def _ends(number: int) -> str:
    return "failed_again" if number % 4 == 0 else "finished"


def _retry(number: int, since: datetime, jobs: int, people: int) -> Row:
    job = json.dumps({"jobId": job_id_of(number % jobs), **_JOB})
    moments = _moments(number, since)
    about = json.dumps({"subject": {"runs": [{"id": "", "name": run_name_of(number % jobs)}]}})
    cause = f"column ‹name› is not a number in row ‹{number % 50}›"
    who = ("T0SANDBOX", f"U{number % people}", f"person{number % people}", "command", "C0LAUNCHOPS", 1)
    what = ("JOB_TYPE_DATA_IMPORT", 1, job, job, about, "{}", cause)
    return (f"r{number:09d}", f"command:{number}", _ends(number), job_id_of(number % jobs), *who, *what, *moments)


def _alert(number: int, since: datetime, jobs: int) -> Row:
    job, (at, *_, ended) = json.dumps({"jobId": job_id_of(number % jobs), **_JOB}), _moments(number, since)
    about = json.dumps({"subject": {"runs": [{"id": "", "name": run_name_of(number % jobs)}]}})
    what = (job_id_of(number % jobs), ended.isoformat(), "JOB_TYPE_DATA_IMPORT", "C0DATAIMPORTS", at, "alone", "closed")
    cause = f"column 'tank' is not a number in row {number}"
    key = f"column ‹name› is not a number in row ‹{number % 50}›"
    return (f"a{number:09d}", *what, "", job, about, cause, key, run_name_of(number % jobs), f"r{number:09d}")


def _moments(number: int, since: datetime) -> list[datetime]:
    return [_moment(number, since, step) for step in range(4)]


def _entries(requests: int, since: datetime, jobs: int, people: int) -> Iterator[Row]:
    """A valid chain: a grant, and what was done by it."""
    terms: dict[str, object] = {
        "subject": _GRANT["subject"],
        "role": _GRANT["role"],
        "job_types": [],
        "channels": [],
        "expires_at": None,
    }
    given = {"event": "grant", "user_id": "cli:bench", "source": "cli", "grant_id": 1, "detail": canonical(terms)}
    last, row = _hashed({**dict.fromkeys(_SORTED), **given, "id": 1, "prev_hash": GENESIS}, since)
    yield row
    number = 1
    known, early = json.dumps(_FACTS, separators=(",", ":")), '{"version":"1.0.0"}'
    for request in range(requests):
        ended = _ends(request)
        after = "FAILED" if ended == "failed_again" else "FINISHED"
        for step, (outcome, before, later) in enumerate((*_STEPS, (ended, "FAILED", after))):
            number += 1
            at = _moment(request, since, step)
            entry = {
                "at": at,
                "channel_id": "C0LAUNCHOPS",
                "detail": known if step else early,
                "event": "request",
                "grant_id": 1 if step else None,
                "hash": None,
                "id": number,
                "job_id": job_id_of(request % jobs),
                "outcome": outcome,
                "prev_hash": last,
                "reason": None,
                "request_id": f"r{request:09d}",
                "source": "command",
                "status_after": later and f"JOB_STATUS_{later}",
                "status_before": before and f"JOB_STATUS_{before}",
                "team_id": "T0SANDBOX",
                "user_id": f"U{request % people}",
                "user_name": f"person{request % people}",
            }
            last, row = _hashed(entry, at)
            yield row


def _hashed(entry: dict[str, Any], at: datetime) -> tuple[str, Row]:
    """An entry's hash, and its row; its columns stand in the order of their names."""
    entry["at"] = rfc3339(at)
    del entry["hash"]
    found = likely(entry)
    return found, tuple({**entry, "at": at, "hash": found}[name] for name in _SORTED)


def _put(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Writes rows past SQLAlchemy, which would take longer than the database does."""
    raw = connection.connection.driver_connection
    assert raw is not None
    if connection.dialect.name == "postgresql":
        with raw.cursor().copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    left = iter(rows)
    while some := [tuple(map(_as_text, row)) for row in itertools.islice(left, AT_A_TIME)]:
        raw.executemany(statement, some)


def _as_text(value: object) -> object:
    return value.isoformat(" ", "microseconds")[:26] if type(value) is datetime else value

"""Which runs jobs belong to: noted as it is looked up, so that the audit is read by run with an index.

Every function runs inside one transaction of the caller's.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from bot.db.job_runs import MAX_NAME, name_key
from bot.db.once import for_dialect
from bot.db.tables import job_runs
from bot.sift.subject import About

_NOTE = for_dialect(
    job_runs, lambda insert: insert.on_conflict_do_nothing(index_elements=["job_id", "run_id", "name_key"])
)


def note(connection: Connection, about: Mapping[str, About]) -> None:
    """Writes the runs of jobs, by the jobs' IDs; what is known already is left as it is."""
    rows = [row for job_id, known in about.items() for row in _rows(job_id, known)]
    if rows:
        connection.execute(_NOTE(connection), rows)


def _rows(job_id: str, about: About) -> list[dict[str, str]]:
    subject = about.subject
    named = [(run.id, run.name) for run in subject.runs if run.id or run.name]
    if subject.uploader_run and subject.uploader_run not in {name for _, name in named}:
        named.append(("", subject.uploader_run))
    return [
        {"job_id": job_id, "run_id": run_id, "name_key": name_key(name), "name": name[:MAX_NAME]}
        for run_id, name in named
    ]

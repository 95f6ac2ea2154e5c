"""The audit with many entries: pages, export, verify."""

import io
import itertools
import resource
import statistics
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert

from bench.figures import Figures
from bot.audit import entry
from bot.audit import log as audit
from bot.audit.entry import Filters
from bot.audit.export import write_csv
from bot.base.clock import utc_now
from bot.db.database import Database, migrate
from bot.db.tables import audit as table


def measure_audit(directory: Path, entries: int, figures: Figures) -> None:
    """Fills a log, then reads it in every way an auditor does."""
    print(f"Audit of {entries:,} entries")
    database = Database(f"sqlite:///{directory}/audit.db", utc_now)
    migrate(database.engine)
    _fill(database, entries)
    for name, filters in {
        "time": Filters(),
        "job": Filters(job_id="job-7"),
        "person": Filters(user_id="U7"),
    }.items():
        figures.say(f"the newest 50 by {name}", _page_milliseconds(database, filters), "{:.2f} ms")
    with database.reading() as connection:
        began = time.process_time()
        audit.verify(connection)
        figures.say("verify", entries / (time.process_time() - began), "{:,.0f} entries/s")
    with database.reading() as connection:
        began = time.process_time()
        write_csv(audit.export(connection, Filters()), _Nowhere())
        figures.say("export as CSV", entries / (time.process_time() - began), "{:,.0f} entries/s")
    figures.say("memory of all this, at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "{:.0f} MB")
    database.close()


class _Nowhere(io.StringIO):
    """A file that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def _page_milliseconds(database: Database, filters: Filters) -> float:
    samples: list[float] = []
    with database.reading() as connection:
        for _ in range(50):
            began = time.perf_counter()
            audit.page(connection, filters)
            samples.append(time.perf_counter() - began)
    return statistics.median(samples) * 1e3


def _fill(database: Database, entries: int) -> None:
    """Writes a valid chain, many rows to a statement."""
    last, moment = entry.Head(0, entry.GENESIS), utc_now() - timedelta(days=90)
    outcomes = itertools.cycle(("requested", "sending", "accepted", "finished"))
    with database.transaction() as connection:
        for start in range(0, entries, 1_000):
            rows = []
            for number in range(start, min(start + 1_000, entries)):
                row = {
                    **dict.fromkeys(audit.COLUMNS),
                    "id": number + 1,
                    "at": moment + timedelta(seconds=number),
                    "event": "request",
                    "outcome": next(outcomes),
                    "request_id": f"r{number // 4}",
                    "job_id": f"job-{number % 997}",
                    "user_id": f"U{number % 23}",
                    "detail": "{}",
                    "prev_hash": last.hash,
                }
                row["hash"] = entry.digest(row)
                last = entry.Head(number + 1, str(row["hash"]))
                rows.append(row)
            connection.execute(insert(table), rows)

"""The audit with many entries: pages, and what the command line takes to verify and to export all of it."""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from bench.figures import Figures
from bench.load import ROOT, resident_megabytes
from bench.long_log import fill, job_id_of, run_name_of
from bot.audit import log as audit
from bot.audit.entry import Filters
from bot.base.clock import utc_now
from bot.db.database import Database, migrate
from bot.records import lines
from bot.records.history import STATS_BACK
from bot.records.search import Search
from bot.records.store import counted


def measure_audit(directory: Path, entries: int, figures: Figures) -> None:
    """Fills a log, then reads it in every way an auditor does."""
    print(f"Audit of {entries:,} entries")
    url = f"sqlite:///{directory}/audit.db"
    database = Database(url, utc_now)
    migrate(database.engine)
    with database.transaction() as connection:
        fill(connection, entries, utc_now())
    searches = {
        "time": Filters(),
        "job": Filters(job_id=job_id_of(7)),
        "person": Filters(user_id="U7"),
        "run": Filters(run=run_name_of(7)),
    }
    reads: dict[str, Callable[[Connection], object]] = {
        **{f"the newest 50 by {name}": partial(audit.page, filters=filters) for name, filters in searches.items()},
        "the newest ten lines, as Slack shows them": partial(lines.page, search=Search(Filters())),
        "statistics of 30 days": partial(counted, since=utc_now() - STATS_BACK),
    }
    for name, read in reads.items():
        figures.say(name, _milliseconds(database, read), "{:.2f} ms")
    database.close()
    for name, words in {"verify": ("verify",), "export as CSV": ("export",)}.items():
        seconds, megabytes = _command(url, "audit", *words)
        goal = "goal, of a million: 10 s" if entries == 1_000_000 else ""
        figures.say(f"{name}: processor time", seconds, "{:.2f} s", goal)
        figures.say(f"{name}: processor time, entries a second", entries / seconds, "{:,.0f} /s")
        figures.say(f"{name}: memory", megabytes, "{:.0f} MB", "goal: 100 MB")


def _command(url: str, *words: str) -> tuple[float, float]:
    """Runs `sift-retry`.

    Returns:
        Its processor time in seconds, and the most memory it held, in megabytes.
    """
    command, environment = (sys.executable, "-m", "bot", *words), {**os.environ, "DATABASE_URL": url}
    started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    megabytes = 0.0
    while not (ended := os.wait4(started.pid, os.WNOHANG))[0]:
        with contextlib.suppress(OSError, StopIteration):  # it has just begun, or just ended
            megabytes = max(megabytes, resident_megabytes(started.pid))
        time.sleep(0.02)
    _, status, used = ended
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit {started.returncode}")
    return used.ru_utime + used.ru_stime, megabytes


def _milliseconds(database: Database, read: Callable[[Connection], object]) -> float:
    samples: list[float] = []
    with database.reading() as connection:
        for _ in range(50):
            began = time.perf_counter()
            read(connection)
            samples.append(time.perf_counter() - began)
    return statistics.median(samples) * 1e3

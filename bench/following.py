"""Jobs under way that do not move: what one poll of the follower costs, in requests, processor time and commits."""

import asyncio
import json
import sqlite3
import tempfile
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import insert

from bench.arena import Arena
from bench.figures import Figures
from bench.load import cpu_seconds, resident_megabytes
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.db.tables import retries
from bot.retries.followed import READ_AT_A_TIME, READ_EACH
from bot.sandbox import LAUNCH_OPS, OPERATOR, TEAM

POLL_SECONDS = 2.0
POLLS = 20
FOREVER = 100 * 365 * 86_400.0
"""Seconds that a job runs which never ends."""


@dataclass(frozen=True)
class Poll:
    """What one poll cost, on average.

    Args:
        changes: requests for what changed.
        looks: requests for jobs by their IDs.
        milliseconds: processor time.
        transactions: commits that changed something.
    """

    changes: float
    looks: float
    milliseconds: float
    transactions: float


async def measure_follow(arena: Arena, figures: Figures, jobs: int) -> None:
    """Follows so many jobs that do not move, until each was read once and is left alone from then on."""
    print(f"Following {jobs:,} jobs that do not move")
    url = f"sqlite:///{tempfile.mktemp(dir=arena.directory, suffix='.db')}"
    async with arena.ours(
        url=url, seed=lambda database: _seed(arena, database, jobs), FOLLOW_POLL_SECONDS=str(POLL_SECONDS)
    ) as running:
        await asyncio.sleep(POLL_SECONDS * (jobs / READ_AT_A_TIME + 8))
        found = await _polls(arena, running.pid, url.removeprefix("sqlite:///"))
        resident = resident_megabytes(running.pid)
    name = f"following {jobs:,}"
    each = f"each is read every {READ_EACH.seconds // 60} min"
    figures.say(f"{name}: requests a poll for what changed", found.changes, "{:.1f}", "goal: 1")
    figures.say(f"{name}: requests a poll by ID, so that {each}", found.looks, "{:.1f}")
    figures.say(f"{name}: transactions a poll", found.transactions, "{:.2f}", "goal: 0")
    figures.say(f"{name}: processor time a poll", found.milliseconds, "{:.0f} ms")
    figures.say(f"{name}: resident", resident, "{:.0f} MB")


async def _polls(arena: Arena, pid: int, file: str) -> Poll:
    arena.clear()
    used, transactions, before = cpu_seconds(pid), 0, None
    watching = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    for _ in range(int(POLLS * POLL_SECONDS / 0.05)):
        await asyncio.sleep(0.05)
        version = watching.execute("PRAGMA data_version").fetchone()[0]  # another one after somebody else's commit
        transactions += before not in (None, version)
        before = version
    watching.close()
    used = cpu_seconds(pid) - used
    lists = [call for call in arena.sandbox.sift.calls if call.operation == "list"]
    looks = sum("job_id" in call.filter for call in lists)
    return Poll((len(lists) - looks) / POLLS, looks / POLLS, used / POLLS * 1e3, transactions / POLLS)


def _seed(arena: Arena, database: Database, jobs: int) -> None:
    """Writes retries that Sift took a while ago, of jobs that run and run."""
    sift, now = arena.sandbox.sift, utc_now()
    sift.run_seconds, ago = FOREVER, now - timedelta(minutes=3)
    rows = []
    for number, job in enumerate(sift.outage(jobs)):
        before = json.dumps(job.as_sift(ago))
        job.retry(ago, FOREVER, "U")
        rows.append(
            {
                "id": f"f{number:09d}",
                "delivery_key": f"bench:{number}",
                "state": "accepted",
                "job_id": job.job_id,
                "team_id": TEAM,
                "user_id": OPERATOR,
                "source": "command",
                "channel_id": LAUNCH_OPS,
                "job_type": job.job_type,
                "attempt": 1,
                "job_before": before,
                "job_after": json.dumps(job.as_sift(now)),
                **dict.fromkeys(("created_at", "sent_at", "accepted_at"), ago),
                "due_at": now,
            }
        )
    with database.transaction() as connection:
        connection.execute(insert(retries), rows)

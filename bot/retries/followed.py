"""What one process follows: rows that it claimed for a while, so that a poll which shows nothing new writes nothing.

A row is kept in full while each read of its job counts, after that only as much as tells whether the job moved.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.retries import outcome
from bot.retries.claims import KEPT_AT_A_TIME
from bot.retries.request import Retry
from bot.retries.state import State
from bot.sift.client import Sift
from bot.sift.job import Job
from bot.sift.lists import MANY

READ_EACH = timedelta(minutes=5)
READ_AT_A_TIME = 450
"""Of many jobs each is read by its ID so often, for what no list of changes tells: three requests' worth a poll."""

OVERLAP = timedelta(seconds=10)
"""So much of what changed is asked for once more: a list may lag behind."""

PAGES = 20
"""Pages of what changed that are read in one poll; the next one goes on from there."""


def _shows(job: Job | None) -> tuple[Any, ...] | None:
    """What of a job changes while it runs."""
    if job is None:
        return None
    return job.job_status, job.modified_date, job.started_date, job.completed_date, job.job_status_details


def _few(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), KEPT_AT_A_TIME):
        yield ids[start : start + KEPT_AT_A_TIME]


@dataclass
class Held:
    """A row that this process follows.

    Args:
        until: when its claim ends, as the row says.
        restless_until: until when each read of its job counts; None: always.
        tires_at: from when on each read counts again.
        retry: the row, while each read counts.
        seen: what its job showed when it was looked at last.
        read_at: when it was last asked for by its ID.
    """

    id: str
    job_id: str
    fence: int
    until: datetime
    restless_until: datetime | None
    tires_at: datetime
    retry: Retry | None
    seen: tuple[Any, ...] | None = None
    read_at: datetime | None = None

    @classmethod
    def of(cls, retry: Retry, grace: timedelta) -> "Held":
        """A row as it was just claimed or written.

        Args:
            grace: how long after a retry a read may still show the job as it was before.
        """
        assert retry.due_at is not None  # noqa: S101  # narrows the type: it was claimed
        since = retry.accepted_at or retry.created_at
        return cls(
            id=retry.id,
            job_id=retry.followed_id,
            fence=retry.fence,
            until=retry.due_at,
            restless_until=since + grace if retry.state is State.ACCEPTED and not retry.missed else None,
            tires_at=since + outcome.FOLLOW_LIMIT,
            retry=retry,
        )

    def counts(self, jobs: Mapping[str, Job | None], at: datetime) -> bool:
        """Whether what was read of its job is to be looked at."""
        if self.job_id not in jobs:  # not asked for this time
            return False
        job = jobs[self.job_id]
        return job is None or self.restless(at) or _shows(job) != self.seen

    def looked_at(self, job: Job | None, at: datetime) -> None:
        """Remembers what the job showed, and of the row only what it takes to see that it moved.

        Not while each read counts: what it shows then may mean something else afterwards.
        """
        if not self.restless(at):
            self.seen, self.retry = _shows(job), None

    def restless(self, at: datetime) -> bool:
        """Whether each read of its job counts."""
        return self.restless_until is None or at < self.restless_until or at >= self.tires_at


class Followed:
    """The rows that this process follows, by their ID.

    Args:
        grace: how long after a retry a read may still show the job as it was before.
    """

    def __init__(self, grace: timedelta) -> None:
        self._grace = grace
        self._rows: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._rows.values())

    @property
    def job_ids(self) -> set[str]:
        """The jobs that are followed."""
        return {held.job_id for held in self}

    def put(self, retries: Iterable[Retry]) -> None:
        """Follows rows, as they were just claimed or written; those that need it no more are left."""
        for retry in retries:
            if retry.state in (State.ACCEPTED, State.UNKNOWN) and retry.due_at is not None:
                before = self._rows.get(retry.id)
                self._rows[retry.id] = held = Held.of(retry, self._grace)
                held.read_at = None if before is None else before.read_at
            else:
                self._rows.pop(retry.id, None)

    def drop(self, ids: Iterable[str]) -> None:
        """Follows rows no more: somebody else has them."""
        for identifier in ids:
            self._rows.pop(identifier, None)

    def claims(self, before: datetime | None = None) -> list[tuple[datetime, list[str]]]:
        """The claims by their end, a few rows each.

        Args:
            before: only those that end before this moment.
        """
        by_end: dict[datetime, list[str]] = {}
        for held in self:
            if before is None or held.until < before:
                by_end.setdefault(held.until, []).append(held.id)
        return [(until, some) for until, ids in by_end.items() for some in _few(ids)]

    def renewed(self, ids: Iterable[str], until: datetime) -> None:
        """Takes note until when rows are claimed now."""
        for identifier in ids:
            self._rows[identifier].until = until

    def looked_at(self, ids: Iterable[str], jobs: Mapping[str, Job | None], at: datetime) -> None:
        """Takes note of what was looked at, of what is still followed."""
        for identifier in ids:
            held = self._rows.get(identifier)
            if held is not None and held.job_id in jobs:
                held.looked_at(jobs[held.job_id], at)

    def read(self, job_ids: Iterable[str], at: datetime) -> None:
        """Takes note of the jobs that were asked for by their IDs."""
        asked = set(job_ids)
        for held in self:
            if held.job_id in asked:
                held.read_at = at

    def to_read(self, at: datetime, each: timedelta, most: int) -> list[str]:
        """The jobs, out of many, to be asked for by ID now.

        Args:
            each: so long after it was read a job is read again; at once where each read counts, or none was.
            most: no more than so many, those first that were read longest ago.
        """
        due = [held for held in self if held.read_at is None or held.restless(at) or at - held.read_at >= each]
        due.sort(key=lambda held: (held.read_at is not None, held.read_at or at))
        return list(dict.fromkeys(held.job_id for held in due))[:most]


class Reading:
    """Reads the jobs that are followed: few by their IDs, many by what changed since the last poll."""

    def __init__(self, sift: Sift) -> None:
        self._sift = sift
        self._since: datetime | None = None

    async def read(self, rows: Followed, at: datetime) -> dict[str, Job | None]:
        """The jobs that were read this time, by ID; None: Sift does not list it.

        Raises:
            SiftError: Sift could not be read.
        """
        wanted = rows.job_ids
        if len(wanted) <= MANY:
            self._since = None
            return await self._by_id(rows, wanted, at)
        changed = await self._changed(wanted, at)
        return changed | await self._by_id(rows, rows.to_read(at, READ_EACH, READ_AT_A_TIME), at)

    async def _by_id(self, rows: Followed, job_ids: Collection[str], at: datetime) -> dict[str, Job | None]:
        found = await self._sift.jobs(job_ids)
        rows.read(job_ids, at)
        return {job_id: found.get(job_id) for job_id in job_ids}

    async def _changed(self, wanted: Collection[str], at: datetime) -> dict[str, Job | None]:
        now = self._sift.now(at)
        since = newest = self._since or now
        found: dict[str, Job | None] = {}
        changes = self._sift.changed_since(since - OVERLAP, only_failed=False, most=PAGES)
        async with contextlib.aclosing(changes) as pages:
            async for jobs in pages:
                found |= {job.job_id: job for job in jobs if job.job_id in wanted}
                newest = max([newest, *(job.modified_date for job in jobs if job.modified_date)])
        self._since = min(newest, now)  # what says that it changes in the future tells nothing
        return found

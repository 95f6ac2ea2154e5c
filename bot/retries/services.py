"""What every turn of a request works with."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from bot.base.clock import Clock
from bot.base.errors import DatabaseUnavailable
from bot.db.database import Database
from bot.retries import known
from bot.retries.decider import Decider
from bot.retries.limiter import Limiter, NotYet, Slot
from bot.retries.recorder import Recorder
from bot.retries.rules import Limits
from bot.sift.client import Sift
from bot.sift.job import Job
from bot.sift.subject import About
from bot.sift.subjects import Subjects

LOOK_UP_SECONDS = 10.0
"""What a job is about and why it failed before is looked up for so long, beside the retry itself."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What every turn works with.

    Args:
        limiter: hands out the calls of Sift's retry endpoint.
        changed: told when messages other than the request's own are to be shown again.
        stopping: whether nothing more is to be sent.
    """

    database: Database
    sift: Sift
    subjects: Subjects
    decider: Decider
    limiter: Limiter
    limits: Limits
    clock: Clock
    recorder: Recorder
    changed: Callable[[], None]
    stopping: Callable[[], bool]

    async def may_begin(self, slot: Slot) -> None:
        """Waits until a call may begin.

        Raises:
            NotYet: that takes too long, or nothing more is to be sent.
        """
        await slot.begin()
        if self.stopping():
            raise NotYet

    async def look_up(self, job: Job) -> About:
        """What a job is about and why it failed: as its alert knows it already, or else as Sift says."""
        about = About()
        with contextlib.suppress(DatabaseUnavailable, SQLAlchemyError):
            about = await self.database.read(lambda connection: known.failure(connection, job.job_id, job.failure))
        if about.subject.title_parts() and about.why.headline:
            return about
        return (await self.subjects.about([job], within=LOOK_UP_SECONDS)).get(job.job_id, about)

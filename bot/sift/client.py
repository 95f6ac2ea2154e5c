"""The Sift client: jobs in, typed errors out.

A retry, a rerun and a cancellation are real actions, so they are sent again only after an answer which proves that
Sift did not process them (see `bot.sift.calls`).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from bot.sift import responses
from bot.sift.calls import LONGEST_WAIT, Calls, Observe
from bot.sift.errors import AnswerTooLarge, OutcomeUnknown, SiftError
from bot.sift.filters import batches, moment, segment
from bot.sift.job import Job
from bot.sift.lists import Allowance, LeftOut, Listing, Lists
from bot.sift.lookups import Lookups
from bot.sift.resources import KeyUser
from bot.sift.value import clean_text

__all__ = ["LONGEST_WAIT", "Rerun", "Sift", "web_app_for"]

JOBS = Listing("list", "/api/v1/jobs", "jobs", "job_id", Job)

WHOSE_KEY_SECONDS = 60.0
"""For so long Sift is not asked again whose key this is, where it did not say: each retry would wait for that."""

MAX_READS = 2
"""Requests for single jobs under way at a time: somebody who waits for one does not wait for those of a batch first."""

MAX_PAGES = 200
"""Pages of what changed that are read in one go; a list that goes on is left there."""


@dataclass(frozen=True)
class Rerun:
    """What evaluating a report again began: a job, and the report that it fills."""

    job_id: str
    report_id: str


class Sift:
    """Sift's REST API: jobs, and in `lookups` what they are about.

    Args:
        base_url: such as `https://api.siftstack.com`.
        api_key: sent as Bearer token.
        timeout_seconds: the whole of one request, its answer included.
        sleep: waits between tries.
        jitter: a number from 0 to 1 at each call.
        observe: told of every request.
        left_out: told why, for each item in an answer that cannot be read.
        timer: monotonic seconds, for how long Sift asks to wait.
        scrub: takes secrets out of what Sift answers.
        transport: sends the requests; None: over connections that are kept.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        timeout_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        observe: Observe = lambda _operation, _seconds, _result: None,
        left_out: Callable[[str], None] = lambda _why: None,
        timer: Callable[[], float] = time.monotonic,
        scrub: Callable[[str], str] = str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = Calls(
            base_url,
            api_key,
            timeout_seconds=timeout_seconds,
            sleep=sleep,
            jitter=jitter,
            observe=observe,
            timer=timer,
            scrub=scrub,
            transport=transport,
        )
        noting = LeftOut(left_out, timer)
        self._lists = Lists(self._calls.request, noting)
        self.lookups = Lookups(self._calls, noting)
        self._timer = timer
        self._key_user: str | None = None
        self._whose_key_from = float("-inf")  # when it may be asked whose key this is
        self._asking_whose_key = asyncio.Lock()
        self._renewed = 0
        self._wanted: dict[str, asyncio.Future[Job | None]] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._beginning = False  # to read: whoever asks before it does shares it

    async def aclose(self) -> None:
        """Closes every connection; who waits for a job to be read waits no more."""
        for future in self._wanted.values():
            future.cancel()
        for reading in self._reading:
            reading.cancel()
        self._wanted, self._beginning = {}, False
        self._reading.clear()
        await self._calls.aclose()

    def renew(self, api_key: SecretStr) -> None:
        """Uses another key from the next call on; it may be another user's."""
        self._calls.renew(api_key)
        self._renewed += 1
        self._key_user, self._whose_key_from = None, float("-inf")

    def must_wait(self, operation: str) -> float:
        """Seconds that Sift still asks to wait before the next call of a kind; 0: none."""
        return self._calls.must_wait(operation)

    def now(self, ours: datetime) -> datetime:
        """The present moment by Sift's clock, as far as its answers tell; our own where they do not.

        Args:
            ours: the present moment by our clock.
        """
        return self._calls.now(ours)

    async def retry(self, job_id: str) -> Job:
        """Asks Sift to retry a job, at most once.

        Returns:
            The job as Sift answers it; unchanged if there was nothing to retry.

        Raises:
            OutcomeUnknown: it may have been retried.
            SiftError: it was not.
        """
        return responses.job_in(await self._act("retry", f"/api/v1/jobs/{job_id}:retry"), job_id)

    async def rerun_report(self, report_id: str) -> Rerun:
        """Asks Sift, at most once, to evaluate a report's rules again, over the newest data, into a new report.

        Raises:
            OutcomeUnknown: it may be evaluated: a report with its ID as `rerunFromReportId` tells.
            SiftError: it is not.
        """
        body = await self._act("rerun", f"/api/v1/reports/{segment(report_id)}:rerun")
        return responses.rerun_in(body, Rerun)

    async def cancel(self, job_id: str) -> None:
        """Asks Sift, at most once, to cancel a job; what became of that, only the job tells.

        Raises:
            OutcomeUnknown: it may be cancelled.
            SiftError: it is not.
        """
        await self._act("cancel", f"/api/v1/jobs/{segment(job_id)}:cancel")

    async def _act(self, operation: str, path: str) -> dict[str, Any]:
        try:
            return await self._calls.request(operation, "POST", path)
        except AnswerTooLarge as error:  # it was carried out, or not
            raise OutcomeUnknown("too large an answer") from error

    async def job(self, job_id: str) -> Job | None:
        """One job as it is from now on; None if Sift lists none by that ID.

        Whoever asks while `MAX_READS` requests are under way shares the next one.
        """
        future = self._wanted.get(job_id)
        if future is None:
            future = self._wanted[job_id] = asyncio.get_running_loop().create_future()
        if not self._beginning and len(self._reading) < MAX_READS:
            self._beginning = True
            self._reading.add(asyncio.create_task(self._read_wanted()))
        return await asyncio.shield(future)

    async def _read_wanted(self) -> None:
        self._beginning = False
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                await self._settle(wanted)
        finally:  # at once: whoever asks from now on begins to read
            self._reading.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _settle(self, wanted: "dict[str, asyncio.Future[Job | None]]") -> None:
        try:
            found = await self._calls.in_time(self.jobs(wanted))
        except Exception as error:  # noqa: BLE001  # whatever it is, everybody who asked must learn of it
            for future in wanted.values():
                future.set_exception(error)
                future.exception()  # seen, should nobody wait any more
        else:
            for job_id, future in wanted.items():
                future.set_result(found.get(job_id))
        finally:
            for future in wanted.values():
                future.cancel()  # of no effect, unless this was ended before there was an answer

    async def jobs(self, job_ids: Collection[str]) -> dict[str, Job]:
        """Many jobs in few requests, by ID; those that Sift does not list are left out."""
        found: dict[str, Job] = {}
        for batch in batches(sorted(job_ids)):
            found |= await self._calls.in_time(self._lists.by_id(JOBS, batch))
        return found

    async def failed_lately(self, limit: int) -> list[Job]:
        """The jobs that are failed now, the newest first, in one request."""
        return await self._lists.some(JOBS, "job_status == 'JOB_STATUS_FAILED'", "modified_date desc", limit)

    async def changed_since(
        self, since: datetime, *, only_failed: bool, most: int = MAX_PAGES
    ) -> AsyncGenerator[list[Job]]:
        """The jobs that were modified after a moment, oldest change first, a page at a time.

        Args:
            only_failed: leaves out what is not failed now.
            most: no more pages than so many.
        """
        condition = f"modified_date > {moment(since)}"
        if only_failed:
            condition = f"job_status == 'JOB_STATUS_FAILED' && {condition}"
        found = self._lists.pages(JOBS, condition, "modified_date", Allowance(most))
        async with contextlib.aclosing(found) as pages:
            async for jobs in pages:
                yield jobs

    async def ping(self) -> None:
        """Checks that Sift answers."""
        await self._calls.request("ping", "GET", "/api/v1/ping")

    async def me(self) -> str:
        """The user whose key this is."""
        body = await self._calls.request("me", "GET", "/api/v2/me")
        return responses.read(lambda: clean_text(str(body["userId"])))

    async def whose_key(self) -> KeyUser:
        """The user whose key this is, and what they may."""
        return responses.read(partial(KeyUser.model_validate, await self._calls.request("me", "GET", "/api/v2/me")))

    async def key_user(self) -> str | None:
        """The user whose key this is, asked for once; None while Sift does not say, which is asked once a minute."""
        async with self._asking_whose_key:
            if self._key_user is None and self._timer() >= self._whose_key_from:
                await self._ask_whose_key()
        return self._key_user

    async def _ask_whose_key(self) -> None:
        """Asks once; what was said of a key that was renewed meanwhile is forgotten."""
        renewed, user = self._renewed, None
        with contextlib.suppress(SiftError):
            user = await self.me()
        if renewed == self._renewed:
            self._key_user = user
            self._whose_key_from = self._timer() + WHOSE_KEY_SECONDS


def web_app_for(rest_uri: str) -> str | None:
    """The web app that belongs to one of Sift's public REST hosts; other hosts have none that can be derived."""
    return {"api.siftstack.com": "https://app.siftstack.com", "gov.api.siftstack.com": "https://gov.siftstack.com"}.get(
        urlsplit(rest_uri).hostname or ""
    )

"""The Sift client: jobs in, typed errors out. The only place that knows HTTP status codes.

A retry is a real action, so it is sent again only after an answer which proves that Sift did not process it: 429, or a
connection that was never made. Everything else that is no clear answer is `OutcomeUnknown`.
"""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import httpx
import structlog
from cachetools import TTLCache
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from bot.sift import responses
from bot.sift.body import ENCODINGS, bytes_of
from bot.sift.errors import AnswerTooLarge, MustWait, OutcomeUnknown, RateLimited, SiftError, TooLong, Unreachable
from bot.sift.job import Cause, Job, clean_text

T = TypeVar("T")

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5.0
FILTER_CHARACTERS = 7_500
"""The longest filter of job IDs as it stands in a URL, about 150 of them: proxies refuse URLs over 8,000 characters."""

PAGE = 1_000
"""Sift's largest page."""

MAX_PAGES = 200
MAX_PAGES_BY_ID = 20
"""Pages that are read in one go, of what changed and of jobs by their ID; a list that goes on is left there."""

LIST_BYTES = 16_000_000
ANSWER_BYTES = 2_000_000
"""The largest answers that are read: of a list, a page of which takes 1 to 2 MB, and of everything else."""

TRIES = 4
PATIENCE_SECONDS = 30.0
"""A call is not sent once more later than this after its first try: with that, its turn stays within its lease."""

LONGEST_WAIT = 600.0
"""Seconds that Sift is left alone for at most when it asks for that; then it is asked again."""

PLAUSIBLE = timedelta(days=1)
"""Sift's clock may differ from ours by so much; beyond that, something on the way set the date."""

Observe = Callable[[str, float, str], None]
"""Told of every call: operation, seconds, result."""


class Sift:
    """Sift's REST API, over one client with keep-alive.

    Args:
        base_url: such as `https://api.siftstack.com`.
        api_key: sent as Bearer token.
        timeout_seconds: the whole of one request, its answer included.
        sleep: waits between tries.
        jitter: a number from 0 to 1 at each call.
        observe: told of every request.
        left_out: told why, for each job in an answer that cannot be read.
        timer: monotonic seconds, for how long Sift asks to wait.
        scrub: takes secrets out of what Sift answers.
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
    ) -> None:
        connect = min(CONNECT_SECONDS, timeout_seconds)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={
                "Authorization": f"Bearer {api_key.get_secret_value()}",
                "Accept": "application/json",
                "Accept-Encoding": ENCODINGS,
            },
            timeout=httpx.Timeout(timeout_seconds, connect=connect),
            transport=AiohttpTransport(client=lambda: aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())),
        )
        self._timeout = timeout_seconds
        self._sleep = sleep
        self._jitter = jitter
        self._observe = observe
        self._told_left_out = left_out
        self._timer = timer
        self._known_bad: TTLCache[tuple[str, str], bool] = TTLCache(1_000, 3_600, timer)
        self._said_now: tuple[datetime, float] | None = None
        self._scrub = scrub
        self._key_user: str | None = None
        self._wanted: dict[str, asyncio.Future[Job | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._held_until: dict[str, float] = {}

    async def aclose(self) -> None:
        """Closes every connection; who waits for a job to be read waits no more."""
        if self._reading is not None:
            self._reading.cancel()
        await self._client.aclose()

    async def retry(self, job_id: str) -> Job:
        """Asks Sift to retry a job, at most once.

        Returns:
            The job as Sift answers it; unchanged if there was nothing to retry.

        Raises:
            OutcomeUnknown: it may have been retried.
            SiftError: it was not.
        """
        try:
            body = await self._request("retry", "POST", f"/api/v1/jobs/{job_id}:retry")
        except AnswerTooLarge as error:  # it was carried out, or not
            raise OutcomeUnknown("too large an answer") from error
        return responses.job_in(body, job_id)

    def must_wait(self, operation: str) -> float:
        """Seconds that Sift still asks to wait before the next call of a kind; 0: none."""
        return max(0.0, self._held_until.get(operation, 0.0) - self._timer())

    def now(self, ours: datetime) -> datetime:
        """The present moment by Sift's clock, as far as its answers tell; our own where they do not.

        Args:
            ours: the present moment by our clock.
        """
        if self._said_now is None:
            return ours
        said, at = self._said_now
        now = said + timedelta(seconds=self._timer() - at)
        return now if abs(now - ours) <= PLAUSIBLE else ours

    async def job(self, job_id: str) -> Job | None:
        """One job as it is from now on; None if Sift lists none by that ID.

        Whoever asks while a request is under way shares the next one.
        """
        future = self._wanted.get(job_id)
        if future is None:
            future = self._wanted[job_id] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_wanted())
        return await asyncio.shield(future)

    async def _read_wanted(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                await self._settle(wanted)
        finally:
            self._reading = None

    async def _settle(self, wanted: "dict[str, asyncio.Future[Job | None]]") -> None:
        try:
            found = await self._in_time(self.jobs(wanted))
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
        for batch in _batches(sorted(job_ids)):
            found |= await self._in_time(self._batch(batch))
        return found

    async def failed_lately(self, limit: int) -> list[Job]:
        """The jobs that are failed now, the newest first, in one request."""
        condition = "job_status == 'JOB_STATUS_FAILED'"
        parameters = {"filter": condition, "pageSize": str(limit), "orderBy": "modified_date desc"}
        return self._jobs_in(await self._request("list", "GET", "/api/v1/jobs", parameters))

    async def changed_since(self, moment: datetime, *, only_failed: bool) -> AsyncGenerator[list[Job]]:
        """The jobs that were modified after `moment`, oldest change first, a page at a time, up to `MAX_PAGES`.

        Args:
            only_failed: leaves out what is not failed now.
        """
        since = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        condition = f"modified_date > timestamp({quoted(since)})"
        if only_failed:
            condition = f"job_status == 'JOB_STATUS_FAILED' && {condition}"
        async with contextlib.aclosing(self._pages(condition, "modified_date", MAX_PAGES)) as pages:
            async for jobs in pages:
                yield jobs

    async def why_failed(self, job: Job) -> Cause:
        """Why a job failed before; an export says so itself, the others are looked up. Never an error."""
        details = job.job_details
        try:
            if details and details.data_import and details.data_import.data_import_id:
                return await self._import_cause(details.data_import.data_import_id)
            if details and details.rule_evaluation and details.rule_evaluation.report_id:
                return await self._report_cause(details.rule_evaluation.report_id)
        except SiftError:
            return Cause()
        status = job.job_status_details
        return Cause(error_message=status.data_export.error_message) if status and status.data_export else Cause()

    async def ping(self) -> None:
        """Checks that Sift answers."""
        await self._request("ping", "GET", "/api/v1/ping")

    async def me(self) -> str:
        """The user whose key this is."""
        body = await self._request("me", "GET", "/api/v2/me")
        return responses.read(lambda: clean_text(str(body["userId"])))

    async def key_user(self) -> str | None:
        """The user whose key this is, asked for once; None while Sift does not say."""
        if self._key_user is None:
            try:
                self._key_user = await self.me()
            except SiftError:
                return None
        return self._key_user

    async def _in_time(self, reading: Awaitable[T]) -> T:
        """Ends a reading that takes longer, with all its pages and waits, than anybody has patience for."""
        try:
            async with asyncio.timeout(max(PATIENCE_SECONDS, self._timeout)):
                return await reading
        except TimeoutError:
            raise OutcomeUnknown("no answer in time") from None

    async def _batch(self, job_ids: list[str]) -> dict[str, Job]:
        try:
            jobs = await self._list(f"job_id in [{', '.join(map(quoted, job_ids))}]", "created_date")
        except TooLong:
            if len(job_ids) == 1:
                raise
            half = len(job_ids) // 2
            return {**await self._batch(job_ids[:half]), **await self._batch(job_ids[half:])}
        asked = set(job_ids)
        return {job.job_id: job for job in jobs if job.job_id in asked}

    async def _list(self, condition: str, order_by: str) -> list[Job]:
        return [job async for jobs in self._pages(condition, order_by, MAX_PAGES_BY_ID) for job in jobs]

    async def _pages(self, condition: str, order_by: str, most: int) -> AsyncGenerator[list[Job]]:
        """A list page by page; pages that are too large to be read are asked for in smaller ones."""
        size, token = PAGE, ""
        for _ in range(most):
            parameters = {"filter": condition, "pageSize": str(size), "orderBy": order_by}
            if token:
                parameters["pageToken"] = token
            try:
                body = await self._request("list", "GET", "/api/v1/jobs", parameters)
            except AnswerTooLarge:
                if size == 1:
                    raise
                size = max(1, size // 8)
                continue
            yield self._jobs_in(body)
            before, token = token, responses.next_page(body)
            if token in ("", before):
                return

    def _jobs_in(self, body: dict[str, Any]) -> list[Job]:
        return responses.jobs_in(body, self._leave_out)

    def _leave_out(self, why: str, job_id: str) -> None:
        """Counts a job that cannot be read, each time; says so once an hour."""
        self._told_left_out(why)
        if (why, job_id) not in self._known_bad:
            self._known_bad[why, job_id] = True
            log.warning("sift.job_left_out", why=why, job_id=job_id)

    async def _import_cause(self, data_import_id: str) -> Cause:
        body = await self._request("import", "GET", f"/api/v2/data-imports/{_segment(data_import_id)}")
        found = responses.inner(body, "dataImport")
        return Cause(
            error_message=responses.text(found, "errorMessage"),
            source_url=responses.text(found, "sourceUrl"),
            run_id=responses.text(found, "runId"),
            report_id=responses.text(found, "reportId"),
            asset_id=responses.text(found, "assetId"),
        )

    async def _report_cause(self, report_id: str) -> Cause:
        body = await self._request("report", "GET", f"/api/v1/reports/{_segment(report_id)}")
        report = responses.inner(body, "report")
        return Cause(
            report_name=responses.text(report, "name"), run_id=responses.text(report, "runId"), report_id=report_id
        )

    async def _request(
        self, operation: str, method: str, path: str, parameters: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Sends a request, and again while that is proved safe and patience lasts."""
        began = self._timer()
        for number in range(1, TRIES + 1):
            await self._wait(operation, self.must_wait(operation), began)
            try:
                return await self._once(operation, method, path, parameters)
            except RateLimited as error:
                pause = self._pause(error.retry_after, number)
                self._held_until[operation] = self._timer() + pause  # for everybody's sake
                if self._timer() - began + pause > PATIENCE_SECONDS:
                    raise MustWait(error.said, error.retry_after or pause) from error
                if number == TRIES:
                    raise
            except Unreachable:
                pause = self._pause(None, number)
                if number == TRIES or self._timer() - began + pause > PATIENCE_SECONDS:
                    raise
                await self._sleep(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _wait(self, operation: str, seconds: float, began: float) -> None:
        if self._timer() - began + seconds > PATIENCE_SECONDS:
            raise MustWait(None, seconds)
        if seconds > 0:
            await self._sleep(seconds)

    def _pause(self, asked: float | None, number: int) -> float:
        least = min(asked, LONGEST_WAIT) if asked is not None else 0.25 * 2**number
        return least + self._jitter() * min(least, 1.0)

    async def _once(self, operation: str, method: str, path: str, parameters: dict[str, str] | None) -> dict[str, Any]:
        began = time.perf_counter()
        result = "ok"
        try:
            # The client's own limits hold for each read; only this one holds for the whole answer.
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(method, path, params=parameters) as response,
            ):
                content = await bytes_of(response, LIST_BYTES if operation == "list" else ANSWER_BYTES)
            if (date := responses.date(response)) is not None:
                self._said_now = date, self._timer()
            return responses.answer(response, content, self._scrub)
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            problem = responses.no_answer(error)
            result = problem.name
            raise problem from error
        except SiftError as error:
            result = error.name
            raise
        finally:
            self._observe(operation, time.perf_counter() - began, result)


def quoted(text: str) -> str:
    """A text as CEL writes it, escaped the way Sift's own client does."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _batches(job_ids: Sequence[str]) -> Iterator[list[str]]:
    """Job IDs in as many lists as there are requests to make: each fits into a URL."""
    batch: list[str] = []
    length = 0
    for job_id in job_ids:
        size = len(quote(f"{quoted(job_id)}, ", safe=""))
        if batch and length + size > FILTER_CHARACTERS:
            yield batch
            batch, length = [], 0
        batch.append(job_id)
        length += size
    if batch:
        yield batch


def web_app_for(rest_uri: str) -> str | None:
    """The web app that belongs to one of Sift's public REST hosts; other hosts have none that can be derived."""
    return {"api.siftstack.com": "https://app.siftstack.com", "gov.api.siftstack.com": "https://gov.siftstack.com"}.get(
        urlsplit(rest_uri).hostname or ""
    )


def _segment(identifier: str) -> str:
    """An ID as a path segment: whatever is no plain ID becomes one that Sift does not know."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", identifier)

"""The embedded Sift: the jobs API as the bot uses it, over HTTP, with trouble on demand."""

import asyncio
import base64
import itertools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import cel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.base.clock import Clock, utc_now
from bot.sandbox.sift import jobs as sift_jobs
from bot.sandbox.sift.jobs import EVALUATION, EXPORT, FAILED, IMPORT, KEY_USER, SandboxJob, new_job, seeded
from bot.sandbox.slack.trouble import NoAnswer

Answer = dict[str, Any] | Response
_MOMENTS = {
    "created_date": "createdDate",
    "modified_date": "modifiedDate",
    "started_date": "startedDate",
    "completed_date": "completedDate",
}
_TEXTS = {
    "job_id": "jobId",
    "created_by_user_id": "createdByUserId",
    "modified_by_user_id": "modifiedByUserId",
    "job_status": "jobStatus",
    "job_type": "jobType",
}
_IDS_ONLY = re.compile(r"\s*job_id in \[([^\]]*)\]\s*")
_HTTP = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 13: 500, 14: 503, 16: 401}
"""The HTTP status of each gRPC code."""


@dataclass(frozen=True)
class SiftCall:
    """One request that reached Sift; `filter` is that of a list."""

    operation: str
    job_id: str | None
    at: datetime
    filter: str = ""


@dataclass
class Held:
    """A call that is kept in flight until it is released."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Lets the call go on."""
        self.released.set()


@dataclass
class _Fault:
    operation: str
    times: int
    before: Callable[[], Awaitable[Response | None]]
    after: Callable[[], Response] | None = None


class EmbeddedSift:
    """One organization's jobs behind one API key.

    Args:
        clock: the present moment.
        run_seconds: how long a retried job runs.
        unchanged_answers: whether retrying what cannot be retried is answered as documented, with the unchanged job,
            rather than as the live service does, with an error.
    """

    key_user_id = KEY_USER

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        api_key: str = "sift-key-canary-9e6c2",
        run_seconds: float = 8.0,
        unchanged_answers: bool = False,
    ) -> None:
        self.api_key = api_key
        self.run_seconds = run_seconds
        self.unchanged_answers = unchanged_answers
        self.jobs: dict[str, SandboxJob] = {}
        self.calls: list[SiftCall] = []
        self.on_change: list[Callable[[], None]] = []
        self._clock = clock
        self._faults: list[_Fault] = []
        self._kinds = itertools.cycle((IMPORT, EVALUATION, EXPORT))
        for job in seeded(clock()):
            self.jobs[job.job_id] = job
        self.app = Starlette(routes=self._routes())

    def add(self, job_type: str = IMPORT, status: str = FAILED, **more: Any) -> SandboxJob:
        """Puts a job there, as it would be if it got its status just now."""
        job = new_job(self._clock(), job_type, status, **more)
        self.jobs[job.job_id] = job
        self._changed()
        return job

    def fail_one(self, job_type: str | None = None) -> SandboxJob:
        """Has one more job fail now."""
        return self.add(job_type or next(self._kinds))

    def outage(self, count: int) -> list[SandboxJob]:
        """Has many jobs fail at once."""
        return [self.fail_one() for _ in range(count)]

    def retry_outside(self, job_id: str, user_id: str) -> None:
        """Somebody retries a job in Sift itself."""
        self.jobs[job_id].retry(self._clock(), self.run_seconds, user_id)
        self._changed()

    def count(self, operation: str, job_id: str | None = None) -> int:
        """How many requests of a kind arrived."""
        return sum(call.operation == operation and job_id in (None, call.job_id) for call in self.calls)

    # Trouble on demand

    def fail(self, operation: str, code: int = 14, message: str = "unavailable", times: int = 1) -> None:
        """The next calls are answered with a gRPC code, and not carried out."""
        self.answer(operation, error(code, message), times)

    def answer(self, operation: str, response: Response, times: int = 1, *, carried_out: bool = False) -> None:
        """The next calls are answered with just this: an HTML page, an empty body."""
        if carried_out:
            self._trouble(operation, times, _nothing, lambda: response)
        else:
            self._trouble(operation, times, _just(response))

    def delay(self, operation: str, seconds: float, times: int = 1) -> None:
        """The next calls take their time."""

        async def wait() -> None:
            await asyncio.sleep(seconds)

        self._trouble(operation, times, wait)

    def drop(self, operation: str, *, when: str = "before", times: int = 1) -> None:
        """The connection breaks without an answer, `before` the call is carried out or `after`."""
        if when == "after":
            self._trouble(operation, times, _nothing, NoAnswer)
        else:
            self._trouble(operation, times, _just(NoAnswer()))

    def hold(self, operation: str) -> Held:
        """Keeps the next call in flight, before it is carried out."""
        held = Held()

        async def wait() -> None:
            held.entered.set()
            await held.released.wait()

        self._trouble(operation, 1, wait)
        return held

    def _trouble(
        self,
        operation: str,
        times: int,
        before: Callable[[], Awaitable[Response | None]],
        after: Callable[[], Response] | None = None,
    ) -> None:
        self._faults.append(_Fault(operation, times, before, after))

    # The API

    def _routes(self) -> list[Route]:
        return [
            self._route("/api/v1/ping", "ping", self._ping),
            self._route("/api/v2/me", "me", self._me),
            self._route("/api/v1/jobs", "list", self._list),
            self._route("/api/v1/jobs/{job_id}:retry", "retry", self._retry, "POST"),
            self._route("/api/v1/jobs/{job_id}:cancel", "cancel", self._cancel, "POST"),
            self._route("/api/v2/data-imports/{data_import_id}", "import", self._import),
            self._route("/api/v1/reports/{report_id}", "report", self._report),
        ]

    def _route(self, path: str, operation: str, act: Callable[[Request], Answer], method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {self.api_key}":
                return error(16, "invalid API key")
            parameters = request.query_params
            self.calls.append(
                SiftCall(operation, request.path_params.get("job_id"), self._clock(), parameters.get("filter", ""))
            )
            response = await self._carry_out(operation, lambda: act(request))
            response.headers.setdefault("date", format_datetime(self._clock(), usegmt=True))
            return response

        return Route(path, endpoint, methods=[method])

    async def _carry_out(self, operation: str, act: Callable[[], Answer]) -> Response:
        fault = next((fault for fault in self._faults if fault.operation == operation), None)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
            response = await fault.before()
            if response is not None:
                return response
        done = act()
        if fault is not None and fault.after is not None:
            return fault.after()
        return done if isinstance(done, Response) else JSONResponse(done)

    def _ping(self, _: Request) -> Answer:
        return {"response": "Hello from Sift!"}

    def _me(self, _: Request) -> Answer:
        return {"userId": KEY_USER, "userEmail": "bot@sandbox.example", "organizations": []}

    def _list(self, request: Request) -> Answer:
        parameters, now = request.query_params, self._clock()
        try:
            size = min(1_000, int(parameters.get("pageSize") or 50))
            start = int(base64.urlsafe_b64decode(parameters.get("pageToken", "")) or 0)
            found = self._found(parameters.get("filter", ""), now)
            ordered = _ordered(found, parameters.get("orderBy") or "created_date desc")
        except (ValueError, RuntimeError, TypeError, KeyError) as problem:
            return error(3, f"invalid argument: {str(problem).splitlines()[0]}")
        token = base64.urlsafe_b64encode(str(start + size).encode()).decode() if start + size < len(ordered) else ""
        return {"jobs": ordered[start : start + size], "nextPageToken": token}

    def _found(self, condition: str, now: datetime) -> list[dict[str, Any]]:
        """The jobs that fit a CEL filter; where it names the IDs, only those are looked at."""
        named = _IDS_ONLY.fullmatch(condition)
        ids = re.findall(r"'([^']*)'", named[1]) if named else list(self.jobs)
        jobs = [self.jobs[job_id].as_sift(now) for job_id in dict.fromkeys(ids) if job_id in self.jobs]
        if not condition:
            return jobs
        program = cel.compile(condition)
        program.execute(_context({}, now))  # a filter that makes no sense is an error even where nothing is found
        return [job for job in jobs if _fits(program, _context(job, None))]

    def _retry(self, request: Request) -> Answer:
        job, now = self.jobs.get(request.path_params["job_id"]), self._clock()
        if job is None:
            return error(5, "job not found")
        if job.retryable(now):
            job.retry(now, self.run_seconds, KEY_USER)
            self._changed()
        elif not self.unchanged_answers:
            return error(9, "job cannot be retried")
        return {"job": job.as_sift(now)}

    def _cancel(self, request: Request) -> Answer:
        job = self.jobs.get(request.path_params["job_id"])
        if job is None:
            return error(5, "job not found")
        job.cancel(self._clock())
        self._changed()
        return {}

    def _import(self, request: Request) -> Answer:
        data_import_id = request.path_params["data_import_id"]
        for job in self.jobs.values():
            if job.details and job.details.get("dataImport", {}).get("dataImportId") == data_import_id:
                status = {FAILED: "DATA_IMPORT_STATUS_FAILED", sift_jobs.FINISHED: "DATA_IMPORT_STATUS_SUCCEEDED"}
                found = {
                    "dataImportId": data_import_id,
                    "sourceUrl": "s3://telemetry/hot-fire-12.csv",
                    "status": status.get(job.status(self._clock()), "DATA_IMPORT_STATUS_IN_PROGRESS"),
                    "errorMessage": job.reason,
                    "runId": "8d5f0c1a-1111-4222-8333-944455566677",
                }
                return {"dataImport": found}
        return error(5, "data import not found")

    def _report(self, request: Request) -> Answer:
        report_id = request.path_params["report_id"]
        run_id = "8d5f0c1a-1111-4222-8333-944455566677"
        return {"report": {"reportId": report_id, "name": "Hot fire 12: chamber pressure limits", "runId": run_id}}

    def _changed(self) -> None:
        for tell in self.on_change:
            tell()


def error(code: int, message: str) -> JSONResponse:
    """An error as Sift's gateway prints it."""
    return JSONResponse({"code": code, "message": message, "details": []}, status_code=_HTTP.get(code, 500))


def _ordered(jobs: list[dict[str, Any]], order_by: str) -> list[dict[str, Any]]:
    name, _, direction = order_by.strip().partition(" ")
    key = {**_MOMENTS, "job_status": "jobStatus"}[name]
    if direction not in ("", "asc", "desc"):
        raise ValueError(f"order {direction!r}")
    return sorted(jobs, key=lambda job: str(job.get(key, "")), reverse=direction == "desc")


def _context(job: dict[str, Any], absent: datetime | None) -> dict[str, Any]:
    """A job as CEL sees it."""
    moments = {name: datetime.fromisoformat(job[key]) if key in job else absent for name, key in _MOMENTS.items()}
    return {**moments, **{name: job.get(key, "") for name, key in _TEXTS.items()}}


def _fits(program: Any, context: dict[str, Any]) -> bool:
    """Whether a job fits; a comparison with a moment that is not set does not."""
    try:
        return bool(program.execute(context))
    except (TypeError, RuntimeError):
        return False


async def _nothing() -> None:
    return None


def _just(response: Response) -> Callable[[], Awaitable[Response | None]]:
    async def answer() -> Response:
        return response

    return answer

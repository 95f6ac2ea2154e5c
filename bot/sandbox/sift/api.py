"""The embedded Sift over HTTP: the part of its API that the bot uses, with trouble on demand."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bot.base.clock import Clock, utc_now
from bot.sandbox.connection import Droppable
from bot.sandbox.payload import Payload
from bot.sandbox.sift import lists
from bot.sandbox.sift.jobs import KEY_USER, ORGANIZATION
from bot.sandbox.sift.organization import Organization
from bot.sandbox.sift.trouble import Answer, Faults, error

Act = Callable[[Request], Answer | Awaitable[Answer]]

MAX_URL = 8_000
"""Characters of the longest URL that common proxies let through."""


@dataclass(frozen=True)
class SiftCall:
    """One request that reached Sift.

    Args:
        job_id: the job in its path.
        filter: that of a list.
        target: whatever ID is in its path, be it of a job, a report, an import or a user.
    """

    operation: str
    job_id: str | None
    at: datetime
    filter: str = ""
    target: str | None = None


class EmbeddedSift(Organization, Faults):
    """One organization's data and jobs behind one API key.

    Args:
        clock: the present moment.
        run_seconds: how long a retried job runs.
        unchanged_answers: whether retrying what cannot be retried is answered as documented, with the unchanged job,
            rather than as the live service does, with an error.
        cancel_seconds: how long a running job takes to stop; `{}` is answered at once.
        lists_summaries: whether reports in a list say how each rule stands; the live service may, or may not.
    """

    key_user_id = KEY_USER

    def __init__(
        self,
        *,
        clock: Clock = utc_now,
        api_key: str = "sift-key-canary-9e6c2",
        run_seconds: float = 8.0,
        unchanged_answers: bool = False,
        cancel_seconds: float = 3.0,
        lists_summaries: bool = True,
    ) -> None:
        Faults.__init__(self)
        Organization.__init__(self, clock, run_seconds)
        self.api_key = api_key
        self.unchanged_answers = unchanged_answers
        self.cancel_seconds = cancel_seconds
        self.lists_summaries = lists_summaries
        self.calls: list[SiftCall] = []
        self.app: ASGIApp = Droppable(Starlette(routes=self._routes()))

    def count(self, operation: str, target: str | None = None) -> int:
        """How many requests of a kind arrived, of all or of one job, report, import or user."""
        return sum(call.operation == operation and target in (None, call.target) for call in self.calls)

    def _routes(self) -> list[Route]:
        return [
            self._route("/api/v1/ping", "ping", self._ping),
            self._route("/api/v2/me", "me", self._me),
            self._route("/api/v1/jobs", "list", self._jobs),
            self._route("/api/v1/jobs/{job_id}:retry", "retry", self._retry, "POST"),
            self._route("/api/v1/jobs/{job_id}:cancel", "cancel", self._cancel, "POST"),
            self._route("/api/v2/data-imports", "data_imports", self._data_imports),
            self._route("/api/v2/data-imports/{data_import_id}", "import", self._data_import),
            self._route("/api/v1/reports", "reports", self._reports),
            self._route("/api/v1/reports/{report_id}:rerun", "rerun", self._rerun, "POST"),
            self._route("/api/v1/reports/{report_id}", "report", self._report_by_id),
            self._route("/api/v2/runs", "runs", self._runs),
            self._route("/api/v1/assets", "assets", self._assets),
            Route("/api/v1/rules:batchGet", self._rules_endpoint, methods=["POST"]),
            self._route("/api/v2/users/{user_id}", "user", self._user),
        ]

    def _route(self, path: str, operation: str, act: Act, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, operation, lambda: act(request))

        return Route(path, endpoint, methods=[method])

    async def _rules_endpoint(self, request: Request) -> Response:
        body = await request.body()
        return await self._answer(request, "rules", lambda: self._rules_in(body))

    async def _answer(
        self, request: Request, operation: str, act: Callable[[], Answer | Awaitable[Answer]]
    ) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return error(16, "invalid API key")
        target = next(iter(request.path_params.values()), None)
        job_id, condition = request.path_params.get("job_id"), request.query_params.get("filter", "")
        self.calls.append(SiftCall(operation, job_id, self.clock(), condition, target))
        if len(str(request.url)) > MAX_URL:
            return Response("", 414)
        response = await self.carry_out(operation, act)
        response.headers.setdefault("date", format_datetime(self.clock(), usegmt=True))
        return response

    # Who and what

    def _ping(self, _: Request) -> Answer:
        return {"response": "Hello from Sift!"}

    def _me(self, _: Request) -> Answer:
        user = self.users[KEY_USER].as_sift()
        everything = {"permissionResources": {"jobs.retry": {"allAssets": True}}}
        return {
            "userId": KEY_USER,
            "userEmail": "bot@sandbox.example",
            "organizations": user["organizations"],
            "isAdmin": False,
            "permissions": {"organizationPermissionResources": {ORGANIZATION: everything}},
        }

    def _user(self, request: Request) -> Answer:
        user = self.users.get(request.path_params["user_id"])
        return {"user": user.as_sift()} if user else error(5, "user not found")

    async def _runs(self, request: Request) -> Answer:
        now = self.clock()
        known = {run_id: run for run_id, run in self.runs.items() if run.exists(now)}
        return await _listed(lists.RUNS.page(known, lambda run: run.as_sift(), request.query_params))

    async def _assets(self, request: Request) -> Answer:
        return await _listed(lists.ASSETS.page(self.assets, lambda asset: asset.as_sift(), request.query_params))

    def _rules_in(self, body: bytes) -> Answer:
        try:
            rule_ids = [str(rule_id) for rule_id in json.loads(body)["ruleIds"]]
        except (ValueError, TypeError, KeyError):
            return error(3, "invalid argument: ruleIds")
        return {"rules": [self.rules[rule_id].as_sift() for rule_id in rule_ids if rule_id in self.rules]}

    # Jobs

    async def _jobs(self, request: Request) -> Answer:
        now = self.clock()
        return await _listed(lists.JOBS.page(self.jobs, lambda job: job.as_sift(now), request.query_params))

    def _retry(self, request: Request) -> Answer:
        job, now = self.jobs.get(request.path_params["job_id"]), self.clock()
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
        job.ask_to_cancel(self.clock(), self.cancel_seconds, KEY_USER)
        self._changed()
        return {}

    # What jobs are about

    async def _data_imports(self, request: Request) -> Answer:
        now = self.clock()
        found = lists.DATA_IMPORTS.page(self.data_imports, lambda one: one.as_sift(now), request.query_params)
        return await _listed(found)

    def _data_import(self, request: Request) -> Answer:
        found = self.data_imports.get(request.path_params["data_import_id"])
        return {"dataImport": found.as_sift(self.clock())} if found else error(5, "data import not found")

    async def _reports(self, request: Request) -> Answer:
        now = self.clock()

        async def page() -> Payload:
            found = await lists.REPORTS.page(
                self.reports, lambda report: report.as_sift(now, summaries=False), request.query_params
            )
            full = [self.reports[one["reportId"]].as_sift(now, summaries=True) for one in found["reports"]]
            return {**found, "reports": full} if self.lists_summaries else found

        return await _listed(page())

    def _report_by_id(self, request: Request) -> Answer:
        report = self.reports.get(request.path_params["report_id"])
        return {"report": report.as_sift(self.clock(), summaries=True)} if report else error(5, "report not found")

    def _rerun(self, request: Request) -> Answer:
        report = self.reports.get(request.path_params["report_id"])
        if report is None:
            return error(5, "report not found")
        new = self.rerun(report)
        return {"jobId": new.job.job_id, "reportId": new.report_id}


async def _listed(page: Awaitable[Payload]) -> Answer:
    """A page, or what is wrong with what was asked for."""
    try:
        return await page
    except ValueError as problem:
        return error(3, f"invalid argument: {problem}")

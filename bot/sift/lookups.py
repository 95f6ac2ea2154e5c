"""What Sift knows beside its jobs: imports, reports, runs, assets, rules, users. In few requests, a few at a time."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any

from bot.sift import responses
from bot.sift.calls import ANSWER_BYTES, LIST_BYTES, Calls
from bot.sift.data_import import DataImport
from bot.sift.errors import AnswerTooLarge, InvalidArgument
from bot.sift.filters import moment, quoted, segment, starts_with
from bot.sift.lists import MANY, PAGE, Allowance, LeftOut, Listing, Lists
from bot.sift.report import Report
from bot.sift.resources import Asset, Rule, Run, User
from bot.sift.value import MAX_NAME

IMPORTS = Listing("data_imports", "/api/v2/data-imports", "dataImports", "data_import_id", DataImport)
REPORTS = Listing("reports", "/api/v1/reports", "reports", "report_id", Report)
RUNS = Listing("runs", "/api/v2/runs", "runs", "run_id", Run)
ASSETS = Listing("assets", "/api/v1/assets", "assets", "asset_id", Asset)

LARGE_ITEMS_PAGE = 250
"""Items of a page where each may bring hundreds of columns or rules with it."""

MAX_CONCURRENT = 4
"""Look-ups at a time: nobody's retry may suffer from them."""

MAX_REQUESTS = 30
"""Requests of one look-up, unless its caller allows another number."""

MAX_NAMED = 50
"""Runs of a name that are listed."""

MAX_REPORTS = 100
"""Reports of a run that are listed."""

MAX_RULES = 1_000
"""Rules that are asked for in one request; its IDs are in its body."""


class Lookups:
    """Reads what jobs are about.

    Args:
        calls: how Sift is called.
        left_out: told of what cannot be read.
    """

    def __init__(self, calls: Calls, left_out: LeftOut) -> None:
        self._calls = calls
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._lists = Lists(self._request, left_out)

    async def data_imports(
        self, identifiers: Iterable[str], allowance: Allowance | None = None
    ) -> AsyncGenerator[dict[str, DataImport]]:
        """Data imports by ID, as they are found; where many are wanted, those that are failed now come first."""
        failed = f"status == {quoted('DATA_IMPORT_STATUS_FAILED')}"
        within = allowance or Allowance(MAX_REQUESTS)
        found = self._lists.wanted(IMPORTS, identifiers, within, many=failed, size=LARGE_ITEMS_PAGE)
        async with aclosing(found) as pages:
            async for imports in pages:
                yield imports

    async def failed_imports(self, run_id: str = "") -> list[DataImport]:
        """The data imports that are failed now, of one run or of all, the newest first, in one request."""
        condition = f"status == {quoted('DATA_IMPORT_STATUS_FAILED')}"
        if run_id:
            condition = f"run_id == {quoted(run_id)} && {condition}"
        return await self._lists.some(IMPORTS, condition, "created_date desc", LARGE_ITEMS_PAGE)

    async def reports(
        self, identifiers: Collection[str], allowance: Allowance | None = None, since: datetime | None = None
    ) -> AsyncGenerator[dict[str, Report]]:
        """Reports by ID, as they are found; whether with their rules is up to Sift.

        Args:
            since: where many are wanted: none of them was created before this.
        """
        within = allowance or Allowance(MAX_REQUESTS)
        many = f"created_date >= {moment(since)}" if since else None
        size = LARGE_ITEMS_PAGE
        if many and len(identifiers) > MANY and not await self._lists_rules(many, within):
            size = PAGE  # without their rules, reports are small
        async with aclosing(self._lists.wanted(REPORTS, identifiers, within, many=many, size=size)) as pages:
            async for reports in pages:
                yield reports

    async def _lists_rules(self, condition: str, allowance: Allowance) -> bool:
        """Whether Sift lists reports with their rules: it may or may not."""
        if not allowance.take():
            return True
        try:
            first = await self._lists.some(REPORTS, condition, "created_date desc", LARGE_ITEMS_PAGE)
        except AnswerTooLarge:
            return True
        return any(report.rules_total for report in first)

    async def report(self, report_id: str) -> Report:
        """One report with its rules."""
        body = await self._request("report", "GET", f"/api/v1/reports/{segment(report_id)}", most=LIST_BYTES)
        return responses.read(lambda: Report.model_validate(body["report"]))

    async def reports_of_run(self, run_id: str) -> list[Report]:
        """The reports of a run, the newest first."""
        return await self._lists.some(REPORTS, f"run_id == {quoted(run_id)}", "created_date desc", MAX_REPORTS)

    async def runs(
        self, identifiers: Iterable[str], allowance: Allowance | None = None
    ) -> AsyncGenerator[dict[str, Run]]:
        """Runs by ID, as they are found."""
        async with aclosing(
            self._lists.wanted(RUNS, identifiers, allowance or Allowance(MAX_REQUESTS), many="")
        ) as pages:
            async for runs in pages:
                yield runs

    async def assets(
        self, identifiers: Iterable[str], allowance: Allowance | None = None
    ) -> AsyncGenerator[dict[str, Asset]]:
        """Assets by ID, as they are found."""
        found = self._lists.wanted(ASSETS, identifiers, allowance or Allowance(MAX_REQUESTS), many="")
        async with aclosing(found) as pages:
            async for assets in pages:
                yield assets

    async def runs_named(self, name: str) -> list[Run]:
        """The runs of a name, then those whose name starts with it, each the newest first.

        The case of letters does not matter.
        """
        start = name[:MAX_NAME]
        if not start:
            return []
        exact, prefixed = await asyncio.gather(self._runs_like(start, whole=True), self._runs_like(start, whole=False))
        return list({run.run_id: run for run in [*exact, *prefixed]}.values())[:MAX_NAMED]

    async def _runs_like(self, name: str, *, whole: bool) -> list[Run]:
        try:
            condition = starts_with("name", name, whole=whole)
            return await self._lists.some(RUNS, condition, "created_date desc", MAX_NAMED)
        except InvalidArgument:  # a Sift whose patterns know no such flag
            return await self._lists.some(RUNS, f"name == {quoted(name)}", "created_date desc", MAX_NAMED)

    async def rules(self, identifiers: Iterable[str]) -> dict[str, Rule]:
        """Rules by ID, in one request; up to `MAX_RULES`."""
        asked = list(dict.fromkeys(identifiers))[:MAX_RULES]
        body = {"ruleIds": asked}
        answer = await self._request("rules", "POST", "/api/v1/rules:batchGet", body=body, most=LIST_BYTES)
        items = responses.items_in(answer, "rules")
        return responses.by_id(items, Rule, lambda rule: rule.rule_id, lambda _why, _id: None)

    async def user(self, user_id: str) -> User:
        """A user."""
        body = await self._request("user", "GET", f"/api/v2/users/{segment(user_id)}")
        return responses.read(lambda: User.model_validate(body["user"]))

    async def _request(
        self,
        operation: str,
        method: str,
        path: str,
        parameters: dict[str, str] | None = None,
        *,
        body: dict[str, Any] | None = None,
        most: int = ANSWER_BYTES,
    ) -> dict[str, Any]:
        async with self._slots:
            return await self._calls.request(operation, method, path, parameters, body=body, most=most)

"""How Sift lists things: a CEL filter over the fields that each kind has, an order, and pages."""

import asyncio
import base64
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import cel

from bot.sandbox.payload import Payload

T = TypeVar("T")
Body = Payload

CHUNK = 100
"""So many things are looked at in one go."""

_CHANGED = {"created_date": "createdDate", "modified_date": "modifiedDate"}
_USERS = {"created_by_user_id": "createdByUserId", "modified_by_user_id": "modifiedByUserId"}


@dataclass(frozen=True)
class Listing:
    """One kind of thing that Sift lists.

    Args:
        name: of the list in the answer.
        id_field: the filter's name for its ID.
        texts: the filter's fields that hold text, with their JSON names.
        moments: the filter's fields that hold moments.
        orders: what lists can be ordered by, with the JSON names.
        order: what it is ordered by where nothing is asked for.
    """

    name: str
    id_field: str
    texts: Mapping[str, str]
    moments: Mapping[str, str]
    orders: Mapping[str, str]
    order: str = "created_date desc"

    async def page(self, known: Mapping[str, T], show: Callable[[T], Body], parameters: Mapping[str, str]) -> Body:
        """One page of what fits.

        Args:
            known: everything of the kind, by its ID.
            show: how a thing is printed.
            parameters: `filter`, `orderBy`, `pageSize` and `pageToken`, as they were asked for.

        Raises:
            ValueError: one of the parameters makes no sense.
        """
        try:
            size = min(1_000, int(parameters.get("pageSize") or 50))
            start = int(base64.urlsafe_b64decode(parameters.get("pageToken", "")) or 0)
            found = await self._found(known, show, parameters.get("filter", ""))
            ordered = self._ordered(found, parameters.get("orderBy") or self.order)
        except (ValueError, RuntimeError, TypeError, KeyError) as problem:
            raise ValueError(str(problem).partition("\n")[0]) from problem
        token = base64.urlsafe_b64encode(str(start + size).encode()).decode() if start + size < len(ordered) else ""
        return {self.name: ordered[start : start + size], "nextPageToken": token}

    async def _found(self, known: Mapping[str, T], show: Callable[[T], Body], condition: str) -> list[Body]:
        """The things that fit a CEL filter; where it names nothing but IDs, only those are looked at.

        Of thousands some are looked at at a time: other calls are answered meanwhile.
        """
        named = re.fullmatch(rf"\s*{self.id_field} in \[([^\]]*)\]\s*", condition)
        ids: Collection[str] = dict.fromkeys(re.findall(r"'([^']*)'", named[1])) if named else known
        things = [known[one] for one in ids if one in known]
        program = cel.compile(condition) if condition else None
        if program is not None:
            program.execute(self._context({}, datetime.now(UTC)))  # nonsense is an error even where nothing is found
        found: list[Body] = []
        for start in range(0, len(things), CHUNK):
            bodies = map(show, things[start : start + CHUNK])
            found += [body for body in bodies if program is None or _fits(program, self._context(body, None))]
            if start + CHUNK < len(things):
                await asyncio.sleep(0)
        return found

    def _context(self, body: Body, absent: datetime | None) -> Body:
        """A thing as CEL sees it."""
        moments = {
            name: datetime.fromisoformat(body[key]) if key in body else absent for name, key in self.moments.items()
        }
        return {**moments, **{name: body.get(key, "") for name, key in self.texts.items()}}

    def _ordered(self, bodies: list[Body], order_by: str) -> list[Body]:
        name, _, direction = order_by.strip().partition(" ")
        key = self.orders[name]
        if direction not in ("", "asc", "desc"):
            raise ValueError(f"order {direction!r}")
        return sorted(bodies, key=lambda body: str(body.get(key, "")), reverse=direction == "desc")


def _fits(program: Any, context: Body) -> bool:
    """Whether a thing fits; a comparison with a moment that is not set does not."""
    try:
        return bool(program.execute(context))
    except (TypeError, RuntimeError):
        return False


_EXECUTED = {**_CHANGED, "started_date": "startedDate", "completed_date": "completedDate"}
_TIMED = {**_CHANGED, "start_time": "startTime", "stop_time": "stopTime"}
_NAME = {"name": "name"}

JOBS = Listing(
    "jobs",
    "job_id",
    {"job_id": "jobId", "job_status": "jobStatus", "job_type": "jobType", **_USERS},
    _EXECUTED,
    {**_EXECUTED, "job_status": "jobStatus"},
)
RUNS = Listing(
    "runs",
    "run_id",
    {"run_id": "runId", **_NAME, "description": "description", "client_key": "clientKey", **_USERS},
    _TIMED,
    {**_TIMED, **_NAME},
)
ASSETS = Listing("assets", "asset_id", {"asset_id": "assetId", **_NAME, **_USERS}, _CHANGED, {**_CHANGED, **_NAME})
REPORTS = Listing(
    "reports",
    "report_id",
    {"report_id": "reportId", "report_template_id": "reportTemplateId", "run_id": "runId", **_NAME, **_USERS},
    _CHANGED,
    {**_CHANGED, **_NAME},
)
DATA_IMPORTS = Listing(
    "dataImports",
    "data_import_id",
    {"data_import_id": "dataImportId", "source_url": "sourceUrl", "status": "status", "run_id": "runId"},
    {},
    _CHANGED,
    order="created_date asc",
)
"""The fields are those of sift-stack-py, `sift_client.resources.data_imports`: it filters by no moment."""

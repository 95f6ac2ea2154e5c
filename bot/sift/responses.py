"""Sift's answers read: good ones, errors by HTTP status and gRPC code, and none at all."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
import httpx
from pydantic import ValidationError

from bot.sift.body import json_of, text_of
from bot.sift.errors import (
    AnswerTooLarge,
    CannotBeRetried,
    Conflict,
    ConnectionLost,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    SiftError,
    TooLong,
    Unauthenticated,
    Unreachable,
)
from bot.sift.job import Job
from bot.sift.value import Value, clean_text

T = TypeVar("T")
V = TypeVar("V", bound=Value)

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""What an ID may consist of: it goes into paths and filters."""

MAX_TOKEN = 4_000
"""Characters of a page's token: it goes into a URL."""

LeftOut = Callable[[str, str], None]
"""Told of an item that cannot be read: why, and its ID as far as there is one."""


def no_answer(error: Exception) -> SiftError:
    """What it means that no answer came.

    The transport turns every lost connection into httpx's `ConnectTimeout`, also one lost after the request was sent
    (httpx_aiohttp's exception map). Only aiohttp's own error, its cause, tells whether a connection was ever made.
    """
    if isinstance(error.__cause__ or error, aiohttp.ClientConnectorError):
        return Unreachable()
    return (
        OutcomeUnknown("no answer in time")
        if isinstance(error, TimeoutError)
        else ConnectionLost("the connection was lost")
    )


def answer(response: httpx.Response, content: bytes, scrub: Callable[[str], str]) -> dict[str, Any]:
    """The body of a good answer, or the error that a bad one stands for.

    Args:
        content: the body, decompressed.
        scrub: takes secrets out of it first: whatever Sift echoes goes no further.
    """
    try:
        body = json_of(scrub(text_of(content)))
    except (ValueError, AnswerTooLarge) as error:
        if response.status_code == 200 and isinstance(error, AnswerTooLarge):
            raise
        body = None
    if response.status_code == 200:
        if not isinstance(body, dict):
            raise OutcomeUnknown("an unreadable answer")
        return body
    raise _error(response, body if isinstance(body, dict) else {})


_BY_STATUS: dict[int, type[SiftError]] = {
    400: InvalidArgument,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: TooLong,
    414: TooLong,
    431: TooLong,
}
_FAILED_PRECONDITION = 9
"""The gRPC code behind “job cannot be retried”."""


def _error(response: httpx.Response, body: dict[str, Any]) -> SiftError:
    status, said = response.status_code, clean_text(str(body.get("message") or ""))[:300] or None
    if status == 429 and "metadata size" in (
        said or ""
    ):  # a gateway's word for a long URL, which waiting does not shorten
        return TooLong(said)
    if status == 429:
        return RateLimited(said, _seconds_to_wait(said or "", response.headers.get("retry-after", "")))
    if body.get("code") == _FAILED_PRECONDITION:
        return CannotBeRetried(said)
    if status in _BY_STATUS:
        return _BY_STATUS[status](said)
    # 408 and 499 say that somebody gave up waiting, not that nothing was done.
    if 400 <= status < 500 and status not in (408, 499):
        return InvalidArgument(said or f"HTTP {status}")
    return OutcomeUnknown(said or f"HTTP {status}")


_WAIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)\b", re.IGNORECASE)


def _seconds_to_wait(message: str, header: str) -> float | None:
    """How long Sift asks to wait: its message says so, a header may."""
    found = _WAIT.search(message)
    if found:
        unit = found[2].lower()
        return float(found[1]) * (0.001 if unit == "ms" else 60.0 if unit.startswith("m") else 1.0)
    return float(header) if re.fullmatch(r"\d{1,6}", header) else None


def date(response: httpx.Response) -> datetime | None:
    """When Sift says that it answered, to the second; None if it does not say."""
    try:
        said = parsedate_to_datetime(response.headers.get_list("date")[-1])
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).astimezone(UTC)
    except (IndexError, ValueError, OverflowError):
        return None


def read(read: Callable[[], T]) -> T:
    """Reads an answer that may have any shape."""
    try:
        return read()
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise OutcomeUnknown("an unreadable answer") from error


def job_in(body: dict[str, Any], job_id: str) -> Job:
    """The job that was asked for.

    Raises:
        OutcomeUnknown: there is none, or another one.
    """
    job = read(lambda: Job.model_validate(body["job"]))
    if job.job_id != job_id:
        raise OutcomeUnknown("an answer about another job")
    return job


def rerun_in(body: dict[str, Any], made: Callable[[str, str], T]) -> T:
    """The job and the report that evaluating a report again began.

    Args:
        made: makes the result of the job's and the report's ID.

    Raises:
        OutcomeUnknown: there is no job.
    """
    job_id, report_id = text(body, "jobId"), text(body, "reportId")
    if not _PLAIN_ID.fullmatch(job_id):
        raise OutcomeUnknown("an unreadable answer")
    return made(job_id, report_id)


def items_in(body: dict[str, Any], name: str) -> list[Any]:
    """The items of a list as they came.

    Args:
        name: what the answer calls the list.
    """
    items = body.get(name) or []
    if not isinstance(items, list):
        raise OutcomeUnknown("an unreadable answer")
    return items


def by_id(items: Sequence[Any], model: type[V], id_of: Callable[[V], str], left_out: LeftOut) -> dict[str, V]:
    """Items, each read by itself, and each once; those that cannot be read are left out.

    Args:
        model: what an item is read as.
        id_of: an item's ID.
    """
    found = (item for each in items if (item := _item(each, model, id_of, left_out)) is not None)
    return {id_of(item): item for item in found}


def next_page(body: dict[str, Any]) -> str:
    """What the next page of a list is asked for with; nothing after the last one."""
    token = clean_text(body.get("nextPageToken"))
    if len(token) > MAX_TOKEN:
        raise OutcomeUnknown("an unreadable answer")
    return token


def _item(each: Any, model: type[V], id_of: Callable[[V], str], left_out: LeftOut) -> V | None:
    try:
        item = model.model_validate(each)
    except (ValidationError, RecursionError):
        left_out("unreadable", "")
        return None
    if not _PLAIN_ID.fullmatch(id_of(item)):
        left_out("no_plain_id", id_of(item)[:100])
        return None
    return item


def inner(body: dict[str, Any], name: str) -> dict[str, Any]:
    """What an answer wraps under a name, or the answer itself where it does not."""
    inner = body.get(name)
    return inner if isinstance(inner, dict) else body


def text(source: dict[str, Any], name: str) -> str:
    """A text, or nothing where there is none."""
    return clean_text(source.get(name))

"""Sift's answers read: good ones, errors by HTTP status and gRPC code, and none at all."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp
import httpx
from pydantic import ValidationError

from bot.models import Job
from bot.sift.errors import (
    CannotBeRetried,
    Conflict,
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

T = TypeVar("T")


def no_answer(error: Exception) -> SiftError:
    """What it means that no answer came.

    The transport turns every lost connection into httpx's `ConnectTimeout`, also one lost after the request was sent
    (httpx_aiohttp's exception map). Only aiohttp's own error, its cause, tells whether a connection was ever made.
    """
    if isinstance(error.__cause__ or error, aiohttp.ClientConnectorError):
        return Unreachable()
    return OutcomeUnknown("no answer in time" if isinstance(error, TimeoutError) else "the connection was lost")


def answer(response: httpx.Response, scrub: Callable[[str], str]) -> dict[str, Any]:
    """The body of a good answer, or the error that a bad one stands for.

    Args:
        scrub: takes secrets out of it first: whatever Sift echoes goes no further.
    """
    try:
        body = json.loads(scrub(response.content.decode()))
    except ValueError:
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
    status, said = response.status_code, str(body.get("message") or "")[:300] or None
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


def read(read: Callable[[], T]) -> T:
    """Reads an answer that may have any shape."""
    try:
        return read()
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise OutcomeUnknown("an unreadable answer") from error


def jobs_in(body: dict[str, Any]) -> list[Job]:
    """The jobs of a list."""
    return read(lambda: [Job.model_validate(job) for job in body.get("jobs") or []])


def inner(body: dict[str, Any], name: str) -> dict[str, Any]:
    """What an answer wraps under a name, or the answer itself where it does not."""
    inner = body.get(name)
    return inner if isinstance(inner, dict) else body


def text(source: dict[str, Any], name: str) -> str:
    """A text, or nothing where there is none."""
    value = source.get(name)
    return value if isinstance(value, str) else ""

"""Sift's REST API: jobs in, typed errors out. The only place that knows HTTP status codes."""

from bot.sift.client import TRIES, Cause, Sift, quoted, web_app_for
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

__all__ = [
    "TRIES",
    "CannotBeRetried",
    "Cause",
    "Conflict",
    "InvalidArgument",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "RateLimited",
    "Sift",
    "SiftError",
    "TooLong",
    "Unauthenticated",
    "Unreachable",
    "quoted",
    "web_app_for",
]

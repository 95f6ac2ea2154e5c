"""Sift's REST API: jobs in, typed errors out. The only place that knows HTTP status codes."""

from bot.sift.client import LONGEST_WAIT, TRIES, Cause, Sift, quoted, web_app_for
from bot.sift.errors import (
    AnswerTooLarge,
    CannotBeRetried,
    Conflict,
    InvalidArgument,
    MustWait,
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
    "LONGEST_WAIT",
    "TRIES",
    "AnswerTooLarge",
    "CannotBeRetried",
    "Cause",
    "Conflict",
    "InvalidArgument",
    "MustWait",
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

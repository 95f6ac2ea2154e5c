"""What the doctor asks Sift: whether it answers, whose the key is, what they may, and for a real list of jobs."""

from collections.abc import AsyncIterator

from bot.cli.check import Check, checked
from bot.settings import Settings
from bot.sift.client import Sift
from bot.sift.errors import PermissionDenied, Unauthenticated, Unreachable

SHOWN = 12
"""Permissions that are named; how many more there are is said."""


async def sift_checks(settings: Settings) -> AsyncIterator[Check]:
    """Asks Sift for everything that can be asked without changing anything."""
    sift = Sift(
        settings.sift_rest_uri,
        settings.sift_api_key,
        timeout_seconds=settings.sift_timeout_seconds,
        scrub=settings.redactor().scrub,
    )
    try:
        yield (answers := await checked("sift", lambda: _answers(sift, settings.sift_rest_uri), what_to_do))
        if answers.passed:
            yield await checked("sift key", lambda: _key(sift), what_to_do)
            yield await checked("sift jobs", lambda: _jobs(sift), what_to_do)
    finally:
        await sift.aclose()


def what_to_do(error: Exception) -> str:
    """Returns what to do about an error of Sift's."""
    match error:
        case Unauthenticated():
            return "set SIFT_API_KEY to a key of the Sift at SIFT_REST_URI"
        case PermissionDenied():
            return "give the key's user the permission, in Sift"
        case Unreachable():
            return "check SIFT_REST_URI, its name and the network"
        case _:
            return "check whether SIFT_REST_URI is Sift, and whether it is well"


async def _answers(sift: Sift, address: str) -> str:
    await sift.ping()
    return f"{address} answers"


async def _key(sift: Sift) -> str:
    user = await sift.whose_key()
    named = f"{user.user_email} (user {user.user_id})" if user.user_email else f"user {user.user_id}"
    if user.is_admin:
        return f"of {named}, an admin, who may everything: a user with less would do"
    more = len(user.permissions) - SHOWN
    listed = ", ".join(user.permissions[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"of {named}; permissions: {listed or 'Sift names none'}"


async def _jobs(sift: Sift) -> str:
    failed = await sift.failed_lately(1)
    return "jobs can be read; " + ("at least one is failed now" if failed else "none is failed now")

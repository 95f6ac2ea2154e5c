"""Slack's answers read, whatever shape they have. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import structlog

from bot.slack.errors import UNREADABLE, RateLimited, SlackError, SlackUnavailable, named
from bot.slack.limits import seconds_of

P = TypeVar("P")


class Answer(Protocol):
    """An object in what Slack answers: the SDK's response, or a part of one; what it holds, Slack decides."""

    def get(self, key: str, /) -> Any: ...


class Response(Answer, Protocol):
    """The SDK's response to a call."""

    @property
    def headers(self) -> Mapping[str, str]: ...


log = structlog.get_logger(__name__)


def refusal_of(error: Any, scrub: Callable[[str], str]) -> SlackError:
    """Returns what the SDK's `SlackApiError` means.

    Args:
        error: its `response` is a mapping, or what aiohttp makes of an answer that is no JSON.
        scrub: takes secrets out of what Slack says.
    """
    answer = error.response
    data = getattr(answer, "data", None)
    name = data.get("error") if isinstance(data, Mapping) else None
    status = getattr(answer, "status_code", None) or getattr(answer, "status", None)
    if status == 429 or name in RateLimited.names:
        headers = {str(key).lower(): str(value) for key, value in (getattr(answer, "headers", None) or {}).items()}
        return RateLimited(seconds_of(headers.get("retry-after")))
    return named(scrub(str(name))[:100] if name else UNREADABLE)


def part(answer: Answer, name: str, kind: type[P]) -> P:
    """Returns a part of an answer, if it is what it should be.

    Raises:
        SlackUnavailable: it is not.
    """
    found = answer.get(name)
    if not isinstance(found, kind):
        log.warning("slack.unreadable", lacks=name)
        raise SlackUnavailable(UNREADABLE)
    return found


def text_of(answer: Answer, name: str) -> str:
    """Returns a text in an answer, which is not empty.

    Raises:
        SlackUnavailable: there is none.
    """
    if not (found := part(answer, name, str)):
        raise SlackUnavailable(UNREADABLE)
    return found

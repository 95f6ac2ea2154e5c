"""How long Slack asked to be left alone, remembered by method and channel, so that nobody else runs into it."""

import math
from collections.abc import Callable, Mapping

from cachetools import TLRUCache

MAX_SECONDS = 300.0
"""No wait is believed to be longer: after so long Slack is asked again, whatever it said."""

UNSAID_SECONDS = 1.0
"""How long is waited where Slack does not say it."""

MAX_PLACES = 2_000

_PER_CHANNEL = {"chat.postMessage"}
"""Slack limits posting by channel, everything else by method (docs.slack.dev/apis/web-api/rate-limits)."""

_IN_CHANNEL = {"chat.postMessage", "chat.update", "chat.postEphemeral"}
"""What stops for a channel that takes no posts for a while."""


class Waits:
    """What must not be called before when.

    Args:
        timer: monotonic seconds.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._until: TLRUCache[str, float] = TLRUCache(MAX_PLACES, lambda _, until, __: until, timer)

    def left(self, method: str, arguments: Mapping[str, object]) -> float:
        """For how many seconds such a call is not to be made; 0 for one that may be made now."""
        places = {place_of(method, arguments)}
        if method in _IN_CHANNEL:
            places |= {place_of(limited, arguments) for limited in _PER_CHANNEL}
        return max(0.0, *(self._until.get(place, 0.0) - self._timer() for place in places))

    def remember(self, method: str, arguments: Mapping[str, object], seconds: float) -> None:
        """Notes what Slack asked for."""
        place = place_of(method, arguments)
        self._until[place] = max(self._until.get(place, 0.0), self._timer() + seconds)


def seconds_of(header: str | None) -> float:
    """Returns the seconds that a `Retry-After` header asks for, from 1 to 300; Slack sends whole ones."""
    try:
        seconds = float(header or "")
    except ValueError:
        return UNSAID_SECONDS
    return min(max(seconds, UNSAID_SECONDS), MAX_SECONDS) if math.isfinite(seconds) else UNSAID_SECONDS


def is_per_channel(method: str) -> bool:
    """Whether Slack limits a method in each channel by itself."""
    return method in _PER_CHANNEL


def place_of(method: str, arguments: Mapping[str, object]) -> str:
    """What Slack limits a call by: its method, for a post with the channel."""
    return f"{method} {arguments.get('channel')}" if is_per_channel(method) else method

"""What can go wrong with a call to Slack, on demand: errors, delays, lost answers, rate limits."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Fault:
    """One thing that goes wrong with the next calls of one method.

    Args:
        error: Slack's name for it; None where the call is carried out.
        status: the HTTP status of the answer.
        retry_after: the `Retry-After` header, in seconds.
        delay: how long the call takes.
        lost: whether the connection is dropped before the answer.
        answer: what is answered instead of what Slack would say; the call is carried out.
        times: how many calls it is for.
        where: the arguments of the calls that it is for; all of the method by default.
    """

    method: str
    error: str | None = None
    status: int = 200
    retry_after: int | None = None
    delay: float = 0
    lost: bool = False
    answer: bytes | None = None
    times: int = 1
    where: Mapping[str, object] = field(default_factory=dict)

    def concerns(self, method: str, arguments: Mapping[str, object]) -> bool:
        """Whether it is for this call."""
        return self.method == method and all(arguments.get(name) == value for name, value in self.where.items())


@dataclass(frozen=True)
class Rate:
    """So many calls in so many seconds, in a burst at most."""

    calls: float
    seconds: float
    burst: int
    per_channel: bool = False


_TIER_2 = Rate(20, 60, 20)
_TIER_3 = Rate(50, 60, 50)
_TIER_4 = Rate(100, 60, 100)
RATES = {
    "chat.postMessage": Rate(1, 1, 4, per_channel=True),
    "chat.update": _TIER_3,
    "chat.delete": _TIER_3,
    "chat.postEphemeral": _TIER_4,
    "users.info": _TIER_4,
    "usergroups.users.list": _TIER_2,
    "usergroups.list": _TIER_2,
    "conversations.history": _TIER_3,
    "conversations.replies": _TIER_3,
    "conversations.open": _TIER_3,
    "views.open": _TIER_4,
    "views.update": _TIER_4,
    "views.push": _TIER_4,
    "views.publish": _TIER_4,
}


@dataclass
class RateLimits:
    """Slack's rate limits, as buckets of calls that fill again with time."""

    rates: Mapping[str, Rate] = field(default_factory=lambda: RATES)
    turned_away: Counter[str] = field(default_factory=Counter)
    _left: dict[tuple[str, str], tuple[float, datetime]] = field(default_factory=dict)

    def wait(self, method: str, channel: str, now: datetime) -> int | None:
        """Takes one call out of its bucket; returns how many seconds to wait if there is none."""
        rate = self.rates.get(method)
        if rate is None:
            return None
        key = (method, channel if rate.per_channel else "")
        left, since = self._left.get(key, (float(rate.burst), now))
        per_second = rate.calls / rate.seconds
        left = min(rate.burst, left + (now - since).total_seconds() * per_second)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        if left >= 1:
            return None
        self.turned_away[method] += 1
        return max(1, math.ceil((1 - left) / per_second))

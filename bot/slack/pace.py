"""How fast Slack is called: so often a method and channel, and no sooner than it asked for. Time is passed in.

Slack takes one `chat.postMessage` a second and channel, short bursts aside, and some 50 `chat.update` a minute
(docs.slack.dev/apis/web-api/rate-limits). Whoever finds no call left is told when to come back, in the order of a
queue, so that each comes about once.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from itertools import count

from cachetools import TLRUCache

from bot.slack.limits import MAX_PLACES, Waits, is_per_channel, place_of

BACK_WITHIN = 30.0
"""Nobody is told to come back later than in so many seconds, lest a place in the queue outlive its reason."""

LATE_SECONDS = 10.0
"""Whoever does not come back for so long has given its place up."""

NO_WAIT = 0.001
"""So few seconds are no wait."""

MAX_WAITING = 500
"""So many places in one queue are kept; whoever has none asks again in the same way."""


@dataclass(frozen=True)
class Rate:
    """So often may be called.

    Args:
        seconds: between two calls, in the long run.
        burst: so many calls at once after a rest.
    """

    seconds: float
    burst: int


@dataclass(frozen=True)
class Turn:
    """Who wants to call, where calls are few.

    Args:
        key: by which it is known again.
        behind: for so many seconds whoever comes later and stands less far behind goes first.
    """

    key: Hashable
    behind: float = 0.0


RATES: Mapping[str, Rate] = {"chat.postMessage": Rate(1.0, 3), "chat.update": Rate(1.2, 20)}
"""Slack's limits for the methods that the bot calls most, with small bursts: a lone request is shown at once."""


@dataclass(frozen=True)
class _Place:
    order: tuple[float, int]
    back_at: float


class Queue:
    """The calls that one rate allows, and who waits for one."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at = float("-inf")  # when as many calls are allowed at once as ever are
        self._waiting: dict[Hashable, _Place] = {}
        self._numbers = count()

    @property
    def idle_at(self) -> float:
        """From when on there is nothing to be remembered."""
        return max([self._full_at, *(place.back_at + LATE_SECONDS for place in self._waiting.values())])

    def ask(self, turn: Turn, now: float, shut: float = 0.0) -> float:
        """Takes one call, or a place in the queue.

        Args:
            now: seconds, of whichever clock.
            shut: for how many seconds nobody may call at all.

        Returns:
            0 if the call may be made, which counts as made; else in how many seconds to ask again.
        """
        known = self._waiting.pop(turn.key, None)
        order = (now + turn.behind, next(self._numbers))
        order = min(order, known.order) if known else order
        self._waiting = {key: it for key, it in self._waiting.items() if it.back_at + LATE_SECONDS > now}
        ahead = sum(it.order < order for it in self._waiting.values())
        seconds, burst = self._rate.seconds, self._rate.burst
        wait = max(self._full_at, now) - (burst - 1) * seconds - now
        wait = (max(wait, shut) if shut else wait) + ahead * seconds
        if wait < NO_WAIT:
            self._full_at = max(self._full_at, now) + seconds
            return 0.0
        wait = min(wait, shut + BACK_WITHIN)
        self._keep(turn.key, _Place(order, now + wait))
        return wait

    def leave(self, key: Hashable) -> None:
        """Gives a place up."""
        self._waiting.pop(key, None)

    def empty(self, now: float) -> None:
        """Notes that Slack sees no call left, whatever was counted here."""
        self._full_at = max(self._full_at, now + self._rate.burst * self._rate.seconds)

    def _keep(self, key: Hashable, place: _Place) -> None:
        self._waiting[key] = place
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[max(self._waiting, key=lambda key: self._waiting[key].order)]


class Pace:
    """When which method may be called.

    Args:
        timer: monotonic seconds.
        rates: by method; what has none is called until Slack asks to wait.
    """

    def __init__(self, timer: Callable[[], float], rates: Mapping[str, Rate] = RATES) -> None:
        self._timer = timer
        self._rates = rates
        self._waits = Waits(timer)
        self._queues: TLRUCache[str, Queue] = TLRUCache(MAX_PLACES, lambda _, queue, __: queue.idle_at, timer)

    def ask(self, method: str, arguments: Mapping[str, object], turn: Turn) -> float:
        """Returns 0 if the call may be made, which counts as made; else in how many seconds to ask again."""
        shut = self._waits.left(method, arguments)
        if method not in self._rates or (shut and not is_per_channel(method)):
            return shut  # a channel that is shut keeps no calls from another one
        queue = self._queue(method, arguments)
        wait = queue.ask(turn, self._timer(), shut)
        self._queues[place_of(method, arguments)] = queue
        return wait

    def leave(self, method: str, arguments: Mapping[str, object], turn: Turn) -> None:
        """Gives the place in the queue up that was taken by asking."""
        if method in self._rates:
            self._queue(method, arguments).leave(turn.key)

    def slow_down(self, method: str, arguments: Mapping[str, object], seconds: float) -> None:
        """Notes that Slack refused a call, and asks for this wait."""
        self._waits.remember(method, arguments, seconds)
        if method in self._rates:
            queue = self._queue(method, arguments)
            queue.empty(self._timer())
            self._queues[place_of(method, arguments)] = queue

    def left(self, method: str) -> float:
        """For how many seconds Slack wants no call of a method that it does not limit by channel; 0: none."""
        return self._waits.left(method, {})

    def __len__(self) -> int:
        """How many queues are remembered."""
        self._queues.expire()
        return len(self._queues)

    def _queue(self, method: str, arguments: Mapping[str, object]) -> Queue:
        return self._queues.get(place_of(method, arguments)) or Queue(self._rates[method])

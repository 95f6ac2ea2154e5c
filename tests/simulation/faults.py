"""What goes wrong in a run, and when: drawn from the seed, some kinds of it in each run.

A run in which everything goes wrong at once says little of each, so each seed has faults of its own choice.
"""

import json
from dataclasses import dataclass, field
from random import Random

from tests.simulation.network import Answered, Call, Weather
from tests.simulation.store import Fate

JSON = {"content-type": "application/json"}
GARBAGE = (b"", b"<html>502 Bad Gateway</html>", b'{"ok": tru', b"[]", b"{}", b"null", b"\xff\xfe{}")

NETWORK = (
    "refused",
    "lost",
    "lost silently",
    "cut",
    "silent",
    "late",
    "slow",
    "429",
    "429 and wait",
    "5xx",
    "5xx after",
    "garbage",
    "dies",
    "echo",
)
DATABASE = ("fails", "lost", "slow", "dies before", "dies after", "sleeps after", "hangs", "gone")
PROCESSES = ("killed", "stopped", "clock", "power")

WORSE = 3
"""A call that matters, which is one that acts, fares worse so many times as often as any other."""


@dataclass
class Faults:
    """The faults of one run.

    Args:
        random: the seed's.
        replicas: how many processes there are.
        until: when the world is left in peace, in virtual seconds.
    """

    random: Random
    replicas: int
    until: float
    network: tuple[str, ...] = field(init=False)
    database: tuple[str, ...] = field(init=False)
    processes: tuple[str, ...] = field(init=False)
    network_rate: float = field(init=False)
    database_rate: float = field(init=False)

    def __post_init__(self) -> None:
        draw = self.random
        self.network = _some(draw, NETWORK)
        self.database = _some(draw, DATABASE)
        self.processes = _some(draw, PROCESSES)
        self.network_rate = draw.choice((0, 0.02, 0.1, 0.3)) if self.network else 0
        self.database_rate = draw.choice((0, 0.01, 0.03, 0.1)) if self.database else 0
        self.gone_from = draw.uniform(0, self.until) if "gone" in self.database else self.until
        self.gone_until = min(self.gone_from + draw.choice((3, 20, 60)), self.until)
        self.dark_from = draw.uniform(0, self.until) if draw.random() < 0.2 else self.until
        self.dark_until = min(self.dark_from + draw.choice((5, 30)), self.until)
        self.dark_peer = draw.choice(("slack", "sift"))

    @property
    def said(self) -> str:
        """What there is, for people."""
        network = f"network {self.network_rate} {self.network}" if self.network_rate else "a good network"
        database = f"database {self.database_rate} {self.database}" if self.database_rate else "a good database"
        return f"{network}; {database}; processes {self.processes}; replicas {self.replicas}"

    def weather(self, call: Call, now: float) -> Weather:
        """What becomes of a call."""
        draw = self.random
        fair = Weather(there=draw.uniform(0.005, 0.15), back=draw.uniform(0.005, 0.15))
        if now >= self.until:
            return fair
        if self.dark_from <= now < self.dark_until and call.peer == self.dark_peer:
            return _bad(draw.choice(("refused", "lost silently", "5xx")), call, fair, draw)
        if draw.random() >= self.network_rate * (WORSE if call.acts else 1):
            return fair
        return _bad(draw.choice(self.network), call, fair, draw)

    def back_after(self) -> float:
        """Seconds until a process that died is started again."""
        return self.random.choice((0.5, 5.0, 30.0))

    def fate(self, now: float, name: str) -> Fate:
        """What becomes of a transaction."""
        draw = self.random
        fate = Fate(before=draw.uniform(0.001, 0.004), after=draw.uniform(0.0, 0.002))
        if now >= self.until:
            return fate
        if self.gone_from <= now < self.gone_until:
            fate.gone = True
            return fate
        if draw.random() >= self.database_rate:
            return fate
        kind = draw.choice(self.database)
        fate.fails, fate.lost, fate.hangs = kind == "fails", kind == "lost", kind == "hangs"
        fate.dies_before, fate.dies_after = kind == "dies before", kind == "dies after"
        fate.sleeps_after = kind == "sleeps after"
        if kind == "slow":
            fate.before, fate.after = draw.choice(((0.5, 0.5), (3.0, 0.0), (0.0, 3.0), (0.0, 11.0)))
        return fate


def _some(draw: Random, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """None of them, a few, or all."""
    if draw.random() < 0.25:
        return ()
    return tuple(kind for kind in kinds if draw.random() < 0.5)


def _bad(kind: str, call: Call, weather: Weather, draw: Random) -> Weather:  # noqa: C901  # one branch for each kind
    weather.name = kind
    match kind:
        case "refused":
            weather.refused = True
        case "lost":
            weather.lost = weather.cut = True
        case "lost silently":
            weather.lost = True
        case "cut":
            weather.cut = True
        case "silent":
            weather.silent = True
        case "late":  # to Sift, it may arrive when the caller has given up; a message could not be found then
            weather.there = draw.choice((3.0, 8.0, 12.0) if call.peer == "sift" else (3.0, 8.0))
        case "slow":
            weather.back = draw.choice((1.0, 4.0, 9.5))
        case "429" | "429 and wait":
            weather.carried_out = False
            more = {"retry-after": str(draw.choice((1, 5, 20, 60)))} if kind == "429 and wait" else {}
            weather.answer = Answered(429, {**JSON, **more}, b'{"ok": false, "error": "ratelimited", "code": 8}')
        case "5xx" | "5xx after":
            weather.carried_out = kind == "5xx after"
            weather.answer = Answered(draw.choice((500, 502, 503, 504)), JSON, b"{}")
        case "dies":
            weather.dies, weather.lost = True, draw.random() < 0.5
        case "echo":  # such as a proxy that says which headers it did not like
            said = json.dumps({"code": 3, "message": f"no good: {call.secret}"}) if call.peer == "sift" else call.secret
            weather.carried_out, weather.answer = False, Answered(400, JSON, said.encode())
        case "garbage":
            weather.answer = Answered(200, JSON, draw.choice(GARBAGE))
    return weather

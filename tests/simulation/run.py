"""One run: a seed makes a world, people and faults; then the world is left in peace, and everything is looked at."""

import asyncio
import atexit
import gc
import os
import random
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog

from bot.base import loops, text
from bot.base.clock import Clock
from bot.slack import publisher
from tests.simulation import invariants
from tests.simulation.databases import PostgresStorage, SqliteStorage, Storage
from tests.simulation.loop import NeverEnds
from tests.simulation.people import People
from tests.simulation.world import STOP_SECONDS, Plan, World

PEACE_SECONDS = 1_200.0
"""In peace, everything comes to rest within so many virtual seconds."""

LOOK_SECONDS = 5.0


OUTLIVED = frozenset({"task.failed", "loop.failing", "display.failed"})
"""What the log says where the bot goes on after an error, whatever that was."""

NOBODYS_FAULT = (TypeError, AttributeError, NameError, AssertionError)
"""Errors that nothing in the world brings about, but a line that is wrong."""


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Args:
        digest: the same for the same run.
        steps: how many callbacks ran.
        seconds: how many virtual seconds it took.
        violations: the invariants that do not hold.
    """

    seed: str
    digest: str
    steps: int
    seconds: float
    violations: tuple[str, ...]
    lines: tuple[str, ...] = field(default=(), repr=False)


def plan_of(seed: str) -> Plan:
    """How large a seed's run is."""
    draw = Random(f"{seed} plan")
    settings = {
        "ALERT_POLL_SECONDS": "5",
        "ALERT_STORM": draw.choice(("2", "10")),
        "APPROVAL_AFTER": draw.choice(("", "", "1", "2")),
        "APPROVAL_COUNT": draw.choice(("1", "1", "2")),
        "DIGEST_AT": draw.choice(("", "12:00")),
        "FOLLOW_POLL_SECONDS": "5",
        "REMIND_AFTER": draw.choice(("", "30s")),
        "REQUESTS_PER_MINUTE": draw.choice(("0", "5", "60")),
        "RERUN": "off",
        "RETRY_CONCURRENCY": draw.choice(("1", "4")),
        "RETRY_COOLDOWN_SECONDS": draw.choice(("0", "10")),
        "SETTLE_SECONDS": "20",
        "SIFT_TIMEOUT_SECONDS": "10",
    }
    return Plan(draw.choice((1, 1, 2, 3)), draw.choice((6.0, 15.0, 40.0)), draw.randint(5, 18), settings)


def run(seed: str, keep: bool = False, server: str | None = None) -> Result:
    """Makes one run of a seed.

    Args:
        keep: whether its lines are kept to be read.
        server: a PostgreSQL server that serves this process alone, as `tests.postgres.server` yields it; None: SQLite.
    """
    with _seeded(seed), _quiet() as said, invariants.watching(), _without_collector():
        plan = plan_of(seed)
        world = World(seed, plan, _store(plan, server), keep)
        said.append(world)
        world.note("world", world.faults.said)
        try:
            world.loop.run_until_complete(_live(world))
        except NeverEnds as problem:
            world.violated("nothing waits for ever", str(problem))
        finally:
            steps, seconds = world.loop.steps, world.loop.time()
            world.end()
        return Result(seed, world.trace.digest, steps, seconds, tuple(world.violations), tuple(world.trace.lines))


async def _live(world: World) -> None:
    watch = invariants.Watch(world)
    for replica in world.replicas:
        replica.start()
    people = People(world)
    await people.live()
    _leave_in_peace(world)
    if await _rest(world):
        watch.at_rest(people.delivered)
        await _stop(world)
        watch.at_the_end()
    for problem in world.loop.problems:
        world.violated("no error goes unnoticed", problem)


def _leave_in_peace(world: World) -> None:
    world.note("world", "is left in peace")
    for replica in world.replicas:
        replica.steps_left = None
        if replica.process.alive and replica.process.stopped:
            world.loop.resume(replica.process)
        if not replica.process.alive:
            replica.start()


async def _rest(world: World) -> bool:
    """Waits until nothing more is to be done; False if that takes too long."""
    until = world.loop.time() + PEACE_SECONDS
    await asyncio.sleep(LOOK_SECONDS)
    while stirring := invariants.stirring(world):
        if world.loop.time() > until:
            world.violated("nothing waits for ever", f"after {PEACE_SECONDS} s in peace there is still {stirring}")
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


async def _stop(world: World) -> None:
    for replica in world.replicas:
        replica.stop.set()
        assert replica.working is not None
        began = world.loop.time()
        await asyncio.wait([replica.working], timeout=STOP_SECONDS)
        if not replica.working.done():
            world.violated("nothing waits for ever", f"{replica.process.name} does not stop")
        elif (problem := replica.working.exception()) is not None:
            world.violated("no error goes unnoticed", f"{replica.process.name} ended with {problem!r}")
        world.note(replica.process.name, f"stopped after {world.loop.time() - began:.3f} s")


def _store(plan: Plan, server: str | None) -> Callable[[Clock], Storage]:
    if server is not None:
        return partial(PostgresStorage, server)
    return lambda now: SqliteStorage(_directory(), now if plan.replicas > 1 else None)


@cache
def _directory() -> Path:
    """Where this process keeps its database: in memory, where there is such a file system."""
    memory = Path("/dev/shm")
    made = tempfile.mkdtemp(prefix="simulation-", dir=memory if os.access(memory, os.W_OK) else None)
    gc.freeze()  # what is there by now need not be looked through after each run
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


@contextmanager
def _seeded(seed: str) -> Iterator[None]:
    """Makes every number and ID that the bot draws the seed's."""
    state, draw = random.getstate(), Random(f"{seed} ids")
    random.seed(f"{seed} jitter")
    chosen = secrets.choice
    text.secrets.choice = draw.choice  # type: ignore[attr-defined]  # the module as it imports it
    try:
        yield
    finally:
        text.secrets.choice = chosen  # type: ignore[attr-defined]  # as above
        random.setstate(state)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps what a killed process leaves until its end: tidied up at another moment, it would run the bot's code."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _quiet() -> Iterator[list[World]]:
    """Has the bot's log go into the trace; what it says of an error in the bot itself is a violation."""
    before, worlds = structlog.get_config(), list[World]()

    def into_trace(_: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        problem = sys.exc_info()[1]
        if worlds and event["event"] in OUTLIVED and isinstance(problem, NOBODYS_FAULT):
            worlds[0].violated("no error goes unnoticed", f"{event['event']}: {problem!r}")
        if worlds and worlds[0].trace.keep:
            error = event.pop("exc_info", None)
            more = " ".join(f"{name}={value}" for name, value in event.items())
            worlds[0].trace.remark(f"{'':10} log      {method} {more} {error or ''}".rstrip())
        raise structlog.DropEvent

    structlog.configure(processors=[into_trace])
    try:
        with pytest.MonkeyPatch.context() as patch:
            for module in (loops, publisher):  # whose loggers may have been used before, and remember how
                patch.setattr(module, "log", structlog.get_logger(module.__name__))
            yield worlds
    finally:
        structlog.configure(**before)

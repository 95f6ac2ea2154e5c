"""What was mended around the promise, taken back: each a line of the bot changed, as it was before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from bot.app.timekeeper import Timekeeper
from bot.base.redactor import Redactor
from bot.db.worker import Worker
from tests.simulation.faults import Faults
from tests.simulation.people import ACTS

Patch = pytest.MonkeyPatch


def drawn_for(patch: Patch, **chosen: Any) -> None:
    """Has the worlds' faults be those that a mutation is about, where the seed draws others."""
    draw = Faults.__post_init__

    def mutated(self: Faults) -> None:
        draw(self)
        for name, value in chosen.items():
            setattr(self, name, value)

    patch.setattr(Faults, "__post_init__", mutated)


class _Timeless:
    """`asyncio` without its limits of time."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    @contextlib.asynccontextmanager
    async def timeout(self, _: float) -> AsyncIterator[None]:
        yield


def secrets_stay(patch: Patch) -> None:
    """1: what Sift and Slack repeat is taken as it is."""
    for name in ("clean", "scrub"):
        patch.setattr(Redactor, name, lambda _, text: text)
    drawn_for(patch, network=("echo",), network_rate=0.3)


def calls_of_slack_wait_for_ever(patch: Patch) -> None:
    """2: no call of Slack has a deadline."""
    patch.setattr("bot.slack.web.asyncio", _Timeless(asyncio))
    drawn_for(patch, network=("silent", "lost silently"), network_rate=0.1)


def works_wait_for_the_database_for_ever(patch: Patch) -> None:
    """4: a transaction is not given up."""
    run = Worker.run

    async def mutated(self: Worker, work: Any, seconds: float, *, lazy: bool = False) -> Any:
        return await run(self, work, max(seconds, 1e9) if seconds > 0 else seconds, lazy=lazy)

    patch.setattr(Worker, "run", mutated)
    drawn_for(patch, database=("hangs",), database_rate=0.03)


def who_somebody_is_is_remembered(patch: Patch) -> None:
    """9: who somebody is, and in which groups, is not asked again before their retry is sent."""
    patch.setattr("bot.slack.people.PERSON_SECONDS", 3_600)
    patch.setattr("bot.slack.people.MEMBERS_SECONDS", 3_600)
    patch.setattr("bot.retries.attempt.STANDING", timedelta(hours=1))
    patch.setitem(ACTS, "somebody_leaves", 15)
    drawn_for(patch, network=("429 and wait",), network_rate=0.1)


def a_clock_set_back_is_not_noticed(patch: Patch) -> None:
    """13: what is due by a clock that was set back is due in an hour."""

    async def mutated(_: Timekeeper) -> None:
        return None

    patch.setattr(Timekeeper, "step", mutated)
    drawn_for(patch, processes=("clock",), network=("429 and wait", "late", "5xx"), network_rate=0.3)


MENDS: dict[Callable[[Patch], None], tuple[str, int]] = {
    secrets_stay: ("no secret turns up", 4),
    calls_of_slack_wait_for_ever: ("nothing is left running", 0),
    works_wait_for_the_database_for_ever: ("nothing waits for ever", 1),
    who_somebody_is_is_remembered: ("nothing is sent for whom policy denies", 39),
    a_clock_set_back_is_not_noticed: ("nothing waits for ever", 1),
}
"""What is taken back, the invariant that must fail then, and the first seed that shows it; the others are named in
docs/reliability.md."""

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
from bot.slack.publisher import Publisher
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
    patch.setattr(Redactor, "_replaced", lambda _, text: text)
    drawn_for(patch, network=("echo",), network_rate=0.1)


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


def a_claim_is_not_looked_at_again(patch: Patch) -> None:
    """5: whoever claimed a row to show it takes it to be theirs for as long as it takes."""

    async def mutated(*_: Any) -> None:
        return None

    patch.setattr(Publisher, "_check_claim", mutated)
    drawn_for(patch, processes=("stopped",), database=("sleeps after",), database_rate=0.1)


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


def what_follows_an_effect_is_written_once(patch: Patch) -> None:
    """17: what was done is forgotten where the database fails once."""

    async def mutated(write: Callable[[], Any], *, seconds: float, **_: Any) -> Any:
        return await write()

    for module in ("bot.retries.recorder", "bot.retries.follower", "bot.slack.publisher"):
        patch.setattr(f"{module}.until_written", mutated)
    drawn_for(patch, database=("fails",), database_rate=0.1)


def one_odd_answer_stops_the_rest(patch: Patch) -> None:
    """18: what Slack says is taken to be what it should be."""
    patch.setattr("bot.slack.web.SlackUnavailable", RuntimeError)
    drawn_for(patch, network=("garbage",), network_rate=0.3)


CANDIDATES = (
    secrets_stay,
    calls_of_slack_wait_for_ever,
    works_wait_for_the_database_for_ever,
    a_claim_is_not_looked_at_again,
    who_somebody_is_is_remembered,
    a_clock_set_back_is_not_noticed,
    what_follows_an_effect_is_written_once,
)

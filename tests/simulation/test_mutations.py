"""Each invariant fails when what keeps it is taken away: one line of the bot is changed, and a seed must show it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bot.audit import log as audit
from bot.retries import rules, store
from bot.retries.attempt import Attempt
from bot.retries.intake import Intake
from bot.retries.runner import Runner
from bot.retries.state import State
from bot.sift import responses
from bot.sift.errors import Unreachable
from bot.slack import piece
from tests.simulation.run import run

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]


def lost_calls_are_sent_again(patch: Patch) -> None:
    """Every lost connection counts as one that was never made."""
    patch.setattr("bot.sift.responses.no_answer", lambda _: Unreachable())


def errors_of_sift_are_sent_again(patch: Patch) -> None:
    """A 5xx counts as proof that nothing was done."""
    error = responses._error

    def mutated(response: Any, body: Any) -> Any:
        return Unreachable() if response.status_code >= 500 else error(response, body)

    patch.setattr(responses, "_error", mutated)


def interrupted_requests_are_sent_again(patch: Patch) -> None:
    """What is found in `sending` goes back to the queue."""
    enter = store.transition

    def mutated(connection: Any, row: Any, state: State, *args: Any, **more: Any) -> Any:
        interrupted = state is State.UNKNOWN and "interrupted" in str(more.get("detail"))
        return enter(connection, row, State.REQUESTED if interrupted else state, *args, **more)

    patch.setattr(store, "transition", mutated)


class _NotCommitted(Exception):
    """Takes the transaction back."""


def the_mark_is_not_committed(patch: Patch) -> None:
    """The POST leaves while `sending` is not on record yet."""

    async def mutated(self: Attempt) -> Any:
        marked: list[Any] = []

        def work(connection: Any) -> None:
            marked.append(self._begin(connection))
            raise _NotCommitted

        try:
            await self.services.database.run(work)
        except _NotCommitted:
            return marked[0]

    patch.setattr(Attempt, "_mark_sending", mutated)


def requests_are_acknowledged_first(patch: Patch) -> None:
    """The ack does not wait for the record."""
    take = Intake.take
    doing = set()

    async def mutated(self: Intake, *args: Any, **more: Any) -> None:
        task = asyncio.create_task(take(self, *args, **more))
        doing.add(task)
        task.add_done_callback(doing.discard)

    patch.setattr(Intake, "take", mutated)


def redeliveries_are_new(patch: Patch) -> None:
    """Each delivery has a key of its own."""
    counted = iter(range(1_000_000))
    patch.setattr("bot.slack.payloads.trigger_of", lambda _: f"{next(counted)}")


def nobody_looks_for_what_is_under_way(patch: Patch) -> None:
    """Neither the rules nor the index know of another request of the job."""
    patch.setattr(rules, "_earlier_refusal", lambda *_: None)
    patch.setattr("tests.simulation.world.STATEMENTS", ("DROP INDEX uq_retries_active_job",))


def changes_are_not_shown(patch: Patch) -> None:
    """A message that says something else by now is left as it is."""
    patch.setattr(piece.Piece, "digest", property(lambda _: "the same"))


def acceptance_is_not_audited(patch: Patch) -> None:
    """A state is entered without an entry."""
    append = audit.append

    def mutated(connection: Any, entry: Any, at: Any) -> Any:
        return None if entry.outcome == State.ACCEPTED else append(connection, entry, at)

    patch.setattr("bot.retries.store.audit", SimpleNamespace(append=mutated))


def nobody_looks_for_what_was_left_behind(patch: Patch) -> None:
    """Requests of a process that died are nobody's."""

    async def mutated(self: Runner) -> None:
        return None

    patch.setattr(Runner, "sweep", mutated)


MUTATIONS: dict[Mutation, tuple[str, int]] = {
    lost_calls_are_sent_again: ("no request is sent twice", 19),
    errors_of_sift_are_sent_again: ("no request is sent twice", 46),
    interrupted_requests_are_sent_again: ("no request is sent twice", 30),
    the_mark_is_not_committed: ("marked before it is sent", 0),
    requests_are_acknowledged_first: ("nothing acknowledged is lost", 2),
    redeliveries_are_new: ("a redelivery does nothing", 9),
    nobody_looks_for_what_is_under_way: ("one retry of a job under way", 0),
    changes_are_not_shown: ("one message per thing to show", 0),
    acceptance_is_not_audited: ("every request tells its story", 0),
    nobody_looks_for_what_was_left_behind: ("nothing waits for ever", 2),
}
"""What is changed, the invariant that must fail then, and the first seed that shows it."""

SEEDS = 40
"""So many seeds from there on are tried: a change of the bot may move the first one."""


def seeds_until(name: str, seeds: range) -> int | None:
    """The first seed with which an invariant fails."""
    for seed in seeds:
        if any(violation.startswith(name) for violation in run(str(seed)).violations):
            return seed
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_without_what_keeps_it_an_invariant_fails(mutation: Mutation, monkeypatch: Patch) -> None:
    name, first = MUTATIONS[mutation]
    mutation(monkeypatch)
    assert seeds_until(name, range(first, first + SEEDS)) is not None

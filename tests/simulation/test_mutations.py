"""Each invariant fails when what keeps it is taken away: one line of the bot is changed, and a seed must show it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bot.access import authorizer
from bot.audit import log as audit
from bot.db import worker
from bot.retries import rules, store
from bot.retries.attempt import Attempt
from bot.retries.intake import Intake
from bot.retries.runner import Runner
from bot.retries.state import State
from bot.sift import responses
from bot.sift.errors import Unreachable
from bot.slack import people, piece, publisher
from bot.slack.publisher import Publisher
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


def people_are_remembered(patch: Patch) -> None:
    """Who somebody is, is asked once."""
    patch.setattr(people, "PERSON_SECONDS", 10_000)


def grants_are_not_looked_at_again(patch: Patch) -> None:
    """What was decided once is good for ever."""
    allowed: dict[str, Any] = {}
    decide = authorizer.Access.decide

    async def mutated(self: Any, wanted: Any, person: Any, user_id: str) -> Any:
        decision = await decide(self, wanted, person, user_id)
        return allowed.setdefault(user_id, decision) if decision.allowed else allowed.get(user_id, decision)

    patch.setattr(authorizer.Access, "decide", mutated)
    patch.setattr(authorizer.Access, "decide_again", lambda _self, _connection, _wanted, _person, before: before)


def nothing_is_looked_for_before_it_is_posted_again(patch: Patch) -> None:
    """A message whose post was not answered is posted again at once."""

    async def mutated(*_: Any) -> None:
        return None

    patch.setattr(Publisher, "_find", mutated)


def claims_are_not_checked(patch: Patch) -> None:
    """A publisher that slept past its lease posts all the same."""

    async def mutated(*_: Any) -> None:
        return None

    patch.setattr(Publisher, "_check_claim", mutated)


def changes_are_not_shown(patch: Patch) -> None:
    """A message that says something else by now is left as it is."""
    patch.setattr(piece.Piece, "digest", property(lambda _: "the same"))


def acceptance_is_not_audited(patch: Patch) -> None:
    """A state is entered without an entry."""
    append = audit.append

    def mutated(connection: Any, entry: Any, at: Any) -> Any:
        return None if entry.outcome == State.ACCEPTED else append(connection, entry, at)

    patch.setattr("bot.retries.store.audit", SimpleNamespace(append=mutated))


def the_chain_forgets(patch: Patch) -> None:
    """An entry names no entry before it."""
    patch.setattr(audit, "_hash", lambda *_: "0" * 64, raising=False)


def nobody_looks_for_what_was_left_behind(patch: Patch) -> None:
    """Requests of a process that died are nobody's."""

    async def mutated(self: Runner) -> None:
        return None

    patch.setattr(Runner, "sweep", mutated)


def given_up_works_are_done(patch: Patch) -> None:
    """A work whose caller was told that it is not done is done later."""
    patch.setattr(worker, "_unless_given_up", lambda connection, job: (job.work(connection), None))
    give_up = worker.Worker._give_up

    def mutated(self: Any, job: Any) -> Any:
        outcome = give_up(self, job)
        job.given_up = False
        return outcome

    patch.setattr(worker.Worker, "_give_up", mutated)


def posts_are_never_written_down(patch: Patch) -> None:
    """Which message shows a row is forgotten."""

    async def mutated(*_: Any, **__: Any) -> None:
        return None

    patch.setattr(publisher, "until_written", mutated)


def a_stop_waits_for_nothing(patch: Patch) -> None:
    """What is under way at a stop is left as it is, and goes on."""

    async def mutated(*_: Any) -> None:
        return None

    patch.setattr("bot.base.loops.Tasks.drain", mutated)


MUTATIONS: dict[Mutation, str] = {
    lost_calls_are_sent_again: "no request is sent twice",
    errors_of_sift_are_sent_again: "no request is sent twice",
    interrupted_requests_are_sent_again: "no request is sent twice",
    the_mark_is_not_committed: "marked before it is sent",
    requests_are_acknowledged_first: "nothing acknowledged is lost",
    redeliveries_are_new: "a redelivery does nothing",
    nobody_looks_for_what_is_under_way: "one retry of a job under way",
    people_are_remembered: "nothing is sent for whom policy denies",
    grants_are_not_looked_at_again: "nothing is sent for whom policy denies",
    nothing_is_looked_for_before_it_is_posted_again: "one message per thing to show",
    claims_are_not_checked: "one message per thing to show",
    changes_are_not_shown: "one message per thing to show",
    acceptance_is_not_audited: "every request tells its story",
    nobody_looks_for_what_was_left_behind: "nothing waits for ever",
    posts_are_never_written_down: "nothing waits for ever",
    given_up_works_are_done: "nothing denied is done",
    a_stop_waits_for_nothing: "nothing is left running",
}
"""What is changed, and the invariant that must fail then."""

MOST_SEEDS = 1_000


def seeds_until(name: str, most: int = MOST_SEEDS) -> int | None:
    """How many seeds it takes until an invariant fails."""
    for seed in range(most):
        if any(violation.startswith(name) for violation in run(str(seed)).violations):
            return seed
    return None

"""Each invariant fails when what keeps it is taken away: one line of the bot is changed, and a seed must show it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from bot.access import policy
from bot.audit import log as audit
from bot.audit.entry import Event
from bot.base.errors import DatabaseUnavailable
from bot.db.database import Database
from bot.db.tables import alerts, retries
from bot.retries import rules, store
from bot.retries.attempt import Attempt
from bot.retries.intake import Intake
from bot.retries.runner import Runner
from bot.retries.state import State
from bot.sift import responses
from bot.sift.errors import Unreachable
from bot.slack import piece
from tests.simulation.mends import MENDS, drawn_for
from tests.simulation.run import run

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]


def lost_calls_are_sent_again(patch: Patch) -> None:
    """Every lost connection counts as one that was never made."""
    patch.setattr("bot.sift.responses.no_answer", lambda _: Unreachable())


class _NotCommitted(Exception):
    """Takes the transaction back."""


def the_mark_is_not_committed(patch: Patch) -> None:
    """The POST leaves while `sending` is not on record yet."""

    async def mutated(self: Attempt) -> Any:
        marked: list[Any] = []

        def work(connection: Any) -> None:
            marked.append(self._begin(connection, lambda _: None))
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
    patch.setattr("tests.simulation.databases.STATEMENTS", ("DROP INDEX uq_retries_active_job",))


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


def what_a_group_may_everybody_may(patch: Patch) -> None:
    """Nobody looks who is in a user group."""
    decide = policy.decide

    def mutated(request: Any, person: Any, found: Any, *, admins: Any = (), groups: Any = None) -> Any:
        return decide(request, person, found, admins=admins, groups=frozenset(grant.subject for grant in found))

    patch.setattr(policy, "decide", mutated)


def nobody_has_to_approve(patch: Patch) -> None:
    """The second person is not waited for."""
    patch.setattr(rules, "_approval", lambda *_: rules.Next.SEND)


def grants_are_not_audited(patch: Patch) -> None:
    """Somebody is allowed without an entry."""
    append = audit.append

    def mutated(connection: Any, entry: Any, at: Any) -> Any:
        return None if entry.event == Event.GRANT else append(connection, entry, at)

    patch.setattr("bot.access.grants.audit", SimpleNamespace(append=mutated))


def failures_are_not_sorted(patch: Patch) -> None:
    """What the watcher noted is not taken up."""
    patch.setattr("bot.alerts.watcher.store.fold", lambda *_: None)


def failures_are_not_shown(patch: Patch) -> None:
    """What the watcher noted is taken up, and then forgotten."""

    def mutated(connection: Any, *_: Any) -> None:
        connection.execute(update(alerts).where(alerts.c.manner == "new").values(manner="alone"))

    patch.setattr("bot.alerts.watcher.store.fold", mutated)


def each_request_leaves_a_task(patch: Patch) -> None:
    """Something waits for ever for each request."""
    take: Any = Intake.take
    left: list[Any] = []

    async def mutated(self: Intake, *args: Any, **more: Any) -> Any:
        left.extend(asyncio.create_task(asyncio.sleep(1e9)) for _ in range(5))
        return await take(self, *args, **more)

    patch.setattr(Intake, "take", mutated)


def loops_outlive_the_bot(patch: Patch) -> None:
    """Nobody ends the loops."""

    @contextlib.asynccontextmanager
    async def mutated(loops: Any) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(loop.run(asyncio.Event())) for loop in loops]
        yield
        del tasks

    patch.setattr("bot.app.bot.looping", mutated)


def errors_are_sent_again(patch: Patch) -> None:
    """What a server says of itself (5xx) counts as proof that it did nothing."""
    error = responses._error
    patch.setattr(
        "bot.sift.responses._error",
        lambda response, body: Unreachable() if response.status_code >= 500 else error(response, body),
    )
    drawn_for(patch, network=("5xx", "5xx after"), network_rate=0.3)


def what_was_interrupted_is_sent_again(patch: Patch) -> None:
    """What is found in `sending` goes back to the queue."""

    def mutated(connection: Any, retry: Any, state: State, *args: Any, **more: Any) -> Any:
        if state is not State.UNKNOWN:
            return store.transition(connection, retry, state, *args, **more)
        again = update(retries).where(retries.c.id == retry.id).values(state=State.REQUESTED)
        connection.execute(again)
        return retry

    patch.setattr("bot.retries.runner.store", SimpleNamespace(**{**vars(store), "transition": mutated}))
    drawn_for(patch, network=("dies",), network_rate=0.1)


def an_unclear_commit_counts_as_none(patch: Patch) -> None:
    """Whoever loses the database while it commits is told that nothing is recorded."""
    for module in ("batch", "worker"):
        patch.setattr(f"bot.db.{module}.MaybeRecorded", DatabaseUnavailable)
    drawn_for(patch, database=("lost",), database_rate=0.3)


def nothing_is_flushed(patch: Patch) -> None:
    """No commit waits for the disk."""
    patch.setattr(Database, "run", Database.run_lazily)
    drawn_for(patch, processes=("power",))


def a_line_is_wrong(patch: Patch) -> None:
    """Nothing is ever sent, since what sends is called wrongly."""

    async def call() -> None:
        raise NotImplementedError

    patch.setattr("bot.retries.sending._call", call)


MUTATIONS: dict[Mutation, tuple[str, int]] = {
    lost_calls_are_sent_again: ("no request is sent twice", 22),
    a_line_is_wrong: ("no error goes unnoticed", 0),
    the_mark_is_not_committed: ("marked before it is sent", 0),
    requests_are_acknowledged_first: ("nothing acknowledged is lost", 5),
    redeliveries_are_new: ("a redelivery does nothing", 0),
    nobody_looks_for_what_is_under_way: ("one retry of a job under way", 0),
    changes_are_not_shown: ("one message per thing to show", 0),
    acceptance_is_not_audited: ("every request tells its story", 0),
    nobody_looks_for_what_was_left_behind: ("nothing waits for ever", 1),
    what_a_group_may_everybody_may: ("nothing is sent for whom policy denies", 8),
    nobody_has_to_approve: ("nothing is sent without its second person", 1),
    grants_are_not_audited: ("the audit is whole", 0),
    failures_are_not_sorted: ("nothing waits for ever", 0),
    failures_are_not_shown: ("every alert is shown", 0),
    each_request_leaves_a_task: ("nothing goes on beside", 0),
    loops_outlive_the_bot: ("nothing is left running", 0),
    errors_are_sent_again: ("no request is sent twice", 4),
    what_was_interrupted_is_sent_again: ("no request is sent twice", 8),
    an_unclear_commit_counts_as_none: ("nothing denied is done", 0),
    nothing_is_flushed: ("nothing acknowledged is lost", 0),
    **MENDS,
}
"""What is changed, the invariant that must fail then, and the first seed that shows it."""

SEEDS = 40
"""So many seeds from there on are tried: a change of the bot may move the first one."""


def seeds_until(name: str, seeds: range, server: str | None = None) -> int | None:
    """The first seed with which an invariant fails, on a PostgreSQL server or on SQLite."""
    for seed in seeds:
        if any(violation.startswith(name) for violation in run(str(seed), server=server).violations):
            return seed
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_without_what_keeps_it_an_invariant_fails(mutation: Mutation, monkeypatch: Patch) -> None:
    name, first = MUTATIONS[mutation]
    mutation(monkeypatch)
    assert seeds_until(name, range(first, first + SEEDS)) is not None

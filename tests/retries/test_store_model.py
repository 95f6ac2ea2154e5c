"""The rows against a model of them: whatever is asked of them, in whatever order, by whoever slept past their lease."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import IntegrityError

from bot.base.errors import WrongState
from bot.base.requester import Source
from bot.db.database import Database
from bot.db.tables import audit, retries
from bot.retries import claims, store
from bot.retries.request import Request, Retry
from bot.retries.state import ACTIVE, FACTS, State
from bot.slack.outbox import LEASE
from tests.conftest import NOW

BOUNDED = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,  # a busy machine is no fault of the rows
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass
class Row:
    """What the model knows of a row: all that decides whose turn it is."""

    job_id: str
    due_at: datetime | None
    state: State = State.REQUESTED
    fence: int = 0
    story: list[str] = field(default_factory=lambda: [State.REQUESTED])

    def claimed(self, at: datetime) -> tuple[int, State]:
        """Somebody takes it, for a lease."""
        self.fence, self.due_at = self.fence + 1, at + LEASE
        return self.fence, self.state

    def enters(self, state: State, due_at: datetime | None) -> None:
        """It is in another state from now on; one that is final is never due."""
        self.state, self.due_at = state, due_at if FACTS[state].next else None
        self.story.append(state)


class Rows(RuleBasedStateMachine):
    """Requests are recorded, delivered again, claimed and moved, by whoever ever claimed one."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.now = NOW
        self.rows: dict[str, Row] = {}
        self.claimants: list[Retry] = []

    @rule(number=st.integers(0, 5), job_id=st.sampled_from("ab"))
    def is_asked_for(self, number: int, job_id: str) -> None:
        new = f"r{number}" not in self.rows
        request = Request(
            id=f"r{number}" if new else "again",
            delivery_key=f"k{number}",
            job_id=job_id,
            team_id="T",
            user_id="U",
            source=Source.COMMAND,
        )
        assert store.add(self.connection, request, self.now) == new
        if new:
            self.rows[request.id] = Row(job_id, self.now)

    @rule(seconds=st.sampled_from((1, 30, LEASE.total_seconds())))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(states=st.sets(st.sampled_from(State), min_size=1))
    def what_is_due_is_claimed(self, states: set[State]) -> None:
        due = {
            row_id for row_id, row in self.rows.items() if row.state in states and row.due_at and row.due_at <= self.now
        }
        self._claimed(claims.claim(self.connection, sorted(states), self.now), due)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def one_is_claimed(self, data: st.DataObject) -> None:
        row_id, row = data.draw(st.sampled_from(sorted(self.rows.items(), key=lambda item: item[0])))
        due = row.state is State.REQUESTED or (row.due_at is not None and row.due_at <= self.now)
        self._claimed(claims.claim(self.connection, tuple(State), self.now, only=row_id), {row_id} if due else set())

    def _claimed(self, taken: list[Retry], expected: set[str]) -> None:
        assert {retry.id for retry in taken} == expected
        for retry in taken:
            assert (retry.fence, retry.state) == self.rows[retry.id].claimed(self.now)
        self.claimants += taken

    @precondition(lambda self: self.claimants)
    @rule(data=st.data(), wait=st.one_of(st.none(), st.sampled_from((0, 30))))
    def is_moved(self, data: st.DataObject, wait: int | None) -> None:
        retry = data.draw(st.sampled_from(self.claimants[-8:]))
        following = sorted(FACTS[retry.state].next)
        state = data.draw(st.sampled_from(following * 3 + list(State)))
        due_at = None if wait is None else self.now + timedelta(seconds=wait)
        if (refused := self._refused(retry, state)) is None:
            self.claimants.append(
                store.transition(self.connection, retry, state, self.now, due_at=due_at, sent_at=self.now)
            )
            self.rows[retry.id].enters(state, due_at)
        else:
            with pytest.raises(refused), self.connection.begin_nested():
                store.transition(self.connection, retry, state, self.now, due_at=due_at, sent_at=self.now)

    def _refused(self, retry: Retry, state: State) -> type[Exception] | None:
        """Why a claimant may not move its row: not from there, not any more, not beside another one."""
        row = self.rows[retry.id]
        others = [
            other.state for row_id, other in self.rows.items() if other.job_id == row.job_id and row_id != retry.id
        ]
        if state not in FACTS[retry.state].next:
            return ValueError
        if (retry.fence, retry.state) != (row.fence, row.state):
            return WrongState
        return IntegrityError if state in ACTIVE and not set(ACTIVE).isdisjoint(others) else None

    @invariant()
    def the_rows_and_their_stories_are_the_model_s(self) -> None:
        found = {row.id: row for row in self.connection.execute(select(retries))}
        assert {row_id: (row.state, row.fence, row.due_at) for row_id, row in found.items()} == {
            row_id: (row.state, row.fence, row.due_at) for row_id, row in self.rows.items()
        }
        told = self.connection.execute(select(audit.c.request_id, audit.c.outcome).order_by(audit.c.id)).all()
        assert {row_id: [entry.outcome for entry in told if entry.request_id == row_id] for row_id in found} == {
            row_id: row.story for row_id, row in self.rows.items()
        }


@contextmanager
def taken_back(database: Database) -> Iterator[Any]:
    """Makes machines whose rows are taken back when the next one begins."""
    with database.engine.connect() as connection:

        def machine() -> Rows:
            connection.rollback()
            return Rows(connection)

        yield machine
        connection.rollback()


def test_the_rows_do_what_the_model_does(database: Database) -> None:
    with taken_back(database) as machine:
        run_state_machine_as_test(machine, settings=BOUNDED)


def test_the_model_notices_a_late_writer(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = (retries.c.id == bindparam("b_id"), retries.c.state == bindparam("b_state"))
    move = update(retries).where(*mine, retries.c.fence >= bindparam("b_fence"))
    move = move.values(version=retries.c.version + 1).returning(*retries.c)
    monkeypatch.setattr(store, "_MOVE", move)
    monkeypatch.setattr(store, "_MOVE_AND_SHOW", move.values(show_at=store._SOON))
    only_looking = settings(BOUNDED, phases=[Phase.generate])
    with taken_back(database) as machine, pytest.raises((AssertionError, pytest.fail.Exception)):
        run_state_machine_as_test(machine, settings=only_looking)

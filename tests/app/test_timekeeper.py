"""A clock that is set back by an hour: what was due by it is due again, and nothing is done twice."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select

from bot.app.publishers import OUTBOXES
from bot.app.timekeeper import Timekeeper
from bot.base.clock import rfc3339
from bot.db.database import Database
from bot.db.tables import batches, marks, retries
from bot.retries import approval_rows, claims, store
from bot.retries.state import State
from bot.slack.outbox import LEASE
from tests.conftest import NOW, HandClock
from tests.retries.test_store import ask, claimed, fetched, sent

MINUTE = timedelta(minutes=1)


class World:
    """A database, and a timekeeper over two clocks moved by hand."""

    def __init__(self, database: Database, clock: HandClock) -> None:
        self.database = database
        self.clock = clock
        self.timer = 0.0
        self.noticed = 0
        self.keeper = Timekeeper(database, clock, lambda: self.timer, OUTBOXES, self._notice, (clock(), self.timer))

    def _notice(self) -> None:
        self.noticed += 1

    def start_again(self, by_the_clock: float) -> None:
        """Starts a process whose clock moves before it has connected."""
        since = self.clock(), self.timer
        self.clock.advance(by_the_clock)
        self.keeper = Timekeeper(self.database, self.clock, lambda: self.timer, OUTBOXES, self._notice, since)

    async def pass_time(self, by_the_clock: float, really: float = 5) -> None:
        self.clock.advance(by_the_clock)
        self.timer += really
        await self.keeper.step()


@pytest.fixture
def world(sqlite_url: str, clock: HandClock) -> World:
    return World(Database(sqlite_url, clock), clock)


@pytest.mark.parametrize("seconds", [5.0, 4.0, 0.5, 3600.0])
async def test_a_clock_that_goes_on_is_left_alone(world: World, seconds: float) -> None:
    await world.pass_time(seconds)
    assert world.noticed == 0
    world.database.close()


async def test_what_an_earlier_clock_put_off_is_due_again(world: World) -> None:
    def before(connection: Connection) -> None:
        ask(connection)
        claimed(connection, "r1")  # a turn that failed left its lease behind
        retry = sent(connection, 2)
        store.transition(connection, retry, State.ACCEPTED, NOW, due_at=NOW + timedelta(seconds=5))
        (showing,) = store.outbox.claim(connection, NOW, only="r2")
        store.outbox.showed(connection, showing, NOW, shown={}, unpostable=None, again_in=5 * MINUTE)
        began = {"name": "watching_since", "value": rfc3339(NOW), "updated_at": NOW}
        connection.execute(insert(marks).values(began))

    await world.database.run(before)
    await world.pass_time(-3600)
    now = world.clock.now
    assert world.noticed == 1
    with world.database.reading() as connection:
        first, second = connection.execute(select(retries).order_by(retries.c.id)).all()
        assert first.due_at == second.due_at == second.show_at == now
        assert second.accepted_at == second.sent_at == now, "or the cooldown would last for an hour"
        began = connection.scalar(select(marks.c.value).where(marks.c.name == "watching_since"))
        assert began == rfc3339(now)
    await world.pass_time(5)
    assert world.noticed == 1
    world.database.close()


async def test_a_clock_that_is_set_back_while_the_process_starts_is_noticed(world: World) -> None:
    await world.database.run(ask)
    world.start_again(-3600)
    await world.pass_time(0.1, 0.1)
    with world.database.reading() as connection:
        assert connection.scalar(select(retries.c.due_at)) == world.clock.now
    world.database.close()


async def test_what_is_with_sift_just_now_keeps_its_lease(world: World) -> None:
    def before(connection: Connection) -> None:
        retry = sent(connection, 2)
        store.transition(connection, retry, State.ACCEPTED, NOW, due_at=NOW)
        assert len(store.outbox.claim(connection, NOW, only="r2")) == 1
        sent(connection, 1, "another job")

    await world.database.run(before)
    await world.pass_time(-3600)
    now = world.clock.now
    with world.database.transaction() as connection:
        assert claims.claim(connection, (State.SENDING,), now) == []
        assert store.outbox.claim(connection, now) == []
        assert len(claims.claim(connection, (State.SENDING,), now + LEASE)) == 1
        assert len(store.outbox.claim(connection, now + LEASE)) == 1
    world.database.close()


async def test_an_approval_is_waited_for_as_long_as_before(world: World) -> None:
    def before(connection: Connection) -> None:
        approval_rows.ask(connection, claimed(connection, ask(connection)), ["U2"], 1, NOW, NOW)
        connection.execute(insert(batches).values(_batch()))

    await world.database.run(before)
    await world.pass_time(-3600)
    with world.database.reading() as connection:
        assert fetched(connection, "r1").approval_until == world.clock.now + approval_rows.APPROVAL_FOR
        assert connection.scalar(select(batches.c.due_at)) == world.clock.now
    world.database.close()


async def test_a_failed_step_is_made_up_for(world: World) -> None:
    with world.database.transaction() as connection:
        claimed(connection, ask(connection))
    world.database.patience = 0  # nothing is done in time
    with pytest.raises(Exception, match="nothing was recorded"):
        await world.pass_time(-3600)
    world.database.patience = 5
    await world.pass_time(5)
    with world.database.reading() as connection:
        assert connection.scalar(select(retries.c.due_at)) == world.clock.now
    assert world.noticed == 1
    world.database.close()


def _batch() -> dict[str, object]:
    return {
        "id": "b1",
        "delivery_key": "kb",
        "team_id": "T",
        "user_id": "U",
        "source": "bulk",
        "created_at": NOW,
        "total": 1,
        "todo": "[]",
        "due_at": NOW,
    }

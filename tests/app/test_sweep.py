"""One look for many loops: each is woken when a row of its kind is due, and no other."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Boolean, Integer, Table, insert

from bot.app.publishers import OUTBOXES
from bot.app.sweep import DUE, Sweep
from bot.base.clock import utc_now
from bot.base.loops import Loop
from bot.db.columns import Moment
from bot.db.database import Database
from bot.db.tables import alerts, batches, digests, quotas, retries, storms
from tests.conftest import HandClock

HOUR = timedelta(hours=1)
COOLDOWN = timedelta(seconds=30)
SHOWN = {"retries": retries, "batches": batches, "alerts": alerts, "storms": storms, "digests": digests}


@pytest.fixture(autouse=True)
def _present(clock: HandClock) -> None:
    """SQLite goes by the process's clock, PostgreSQL by its own."""
    clock.now = utc_now()


class Asked(Loop):
    """A loop of which only counts whether it is asked to look."""

    def __init__(self, name: str) -> None:
        super().__init__(name, 2, self._nothing, asked=True)
        self.asked = False

    def look(self) -> None:
        self.asked = True

    async def _nothing(self) -> None:
        pass


class Looked:
    """A sweep over a database, and whom it asked."""

    def __init__(self, database: Database, busy: bool = False) -> None:
        self.database = database
        self.loops = [Asked(name) for name in (*DUE, *SHOWN)]
        outboxes = dict(zip(SHOWN, OUTBOXES, strict=True))
        self.sweep = Sweep(database, utc_now, self.loops, outboxes, lambda: busy, COOLDOWN)

    async def asked(self) -> list[str]:
        await self.sweep.step()
        return [loop.name for loop in self.loops if loop.asked]


def add(database: Database, table: Table, **values: Any) -> None:
    """Writes a row in which only these columns count."""
    row: dict[str, Any] = {"state": "open", "manner": "alone"} if table is alerts else {"state": "accepted"}
    for column in table.c:
        if not column.nullable and column.server_default is None:
            filler: object = utc_now() if isinstance(column.type, Moment) else "x"
            row.setdefault(column.name, 0 if isinstance(column.type, Integer | Boolean) else filler)
    known = {name: value for name, value in (row | values).items() if name in table.c}
    with database.transaction() as connection:
        connection.execute(insert(table).values(**known))


ROWS: list[tuple[str, Table, str, dict[str, Any]]] = [
    ("runner", retries, "due_at", {"state": "requested"}),
    ("runner", retries, "due_at", {"state": "sending"}),
    ("runner", batches, "due_at", {}),
    ("reruns", retries, "due_at", {"state": "unknown", "kind": "rerun"}),
    ("cooldowns", retries, "cools_until", {"state": "failed_again"}),
    ("waking", alerts, "snoozed_until", {}),
    ("waking", storms, "snoozed_until", {}),
    *((name, table, "show_at", {}) for name, table in SHOWN.items()),
]


@pytest.mark.parametrize(("loop", "table", "column", "values"), ROWS, ids=lambda value: str(value)[:20])
async def test_a_row_whose_time_has_come_wakes_its_loop_alone(
    database: Database, loop: str, table: Table, column: str, values: dict[str, Any]
) -> None:
    add(database, table, **values, **{column: utc_now() + HOUR})
    assert await Looked(database).asked() == []
    add(database, table, **values, **{column: utc_now() - HOUR, **different(table)})
    assert await Looked(database).asked() == [loop]


def different(table: Table) -> dict[str, Any]:
    """What a second row must not have in common with the first."""
    return {name: "y" for name in ("id", "delivery_key", "job_id") if name in table.c}


async def test_a_cooldown_is_over_by_the_setting_as_well(database: Database) -> None:
    lasting = {"state": "failed_again", "cools_until": utc_now() + HOUR}
    add(database, retries, **lasting, accepted_at=utc_now())
    assert await Looked(database).asked() == []
    add(database, retries, **lasting, accepted_at=utc_now() - COOLDOWN, **different(retries))
    assert await Looked(database).asked() == ["cooldowns"]


@pytest.mark.parametrize("until", [-HOUR, HOUR])
async def test_what_is_looked_up_is_looked_at_until_it_is_not(database: Database, until: timedelta) -> None:
    add(database, alerts, look_up_until=utc_now() + until)
    assert await Looked(database).asked() == ["explainer"]


@pytest.mark.parametrize(("since", "asked"), [(-timedelta(seconds=50), []), (-HOUR, ["quotas"]), (HOUR, ["quotas"])])
async def test_a_persons_minute_is_over_after_it_or_once_the_clock_is_set_back(
    database: Database, since: timedelta, asked: list[str]
) -> None:
    add(database, quotas, since=utc_now() + since)
    assert await Looked(database).asked() == asked


async def test_what_the_follower_holds_wakes_nobody(database: Database) -> None:
    add(database, retries, state="accepted", due_at=utc_now() - HOUR)
    add(database, retries, state="unknown", due_at=utc_now() - HOUR, **different(retries))
    assert await Looked(database).asked() == []


async def test_requests_that_are_held_here_are_kept_from_other_replicas(database: Database) -> None:
    assert await Looked(database, busy=True).asked() == ["runner"]


async def test_who_asks_says_how(database: Database) -> None:
    asked: list[str] = []
    loops = [Asked(name) for name in SHOWN]
    outboxes = dict(zip(SHOWN, OUTBOXES, strict=True))
    sweep = Sweep(database, utc_now, loops, outboxes, ask=lambda loop: asked.append(loop.name))
    add(database, alerts, show_at=utc_now() - HOUR)
    await sweep.step()
    assert (asked, [loop for loop in loops if loop.asked]) == (["alerts"], [])


async def test_one_look_is_one_statement(sqlite_url: str) -> None:
    database, said = Database(sqlite_url, utc_now), list[str]()
    looked = Looked(database)
    await looked.asked()

    def work(connection: Any) -> None:
        connection.connection.dbapi_connection.set_trace_callback(said.append)

    await database.run(work)
    await looked.asked()
    assert [one.split()[0] for one in said if "PRAGMA" not in one] == ["COMMIT", "BEGIN", "SELECT", "COMMIT"]
    database.close()

"""The same worlds on a real PostgreSQL server: its SQL and its types; the invariants read both databases alike."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from bot.db.columns import not_ahead
from bot.db.database import Database
from tests.conftest import HandClock
from tests.simulation.databases import PostgresStorage
from tests.simulation.run import run
from tests.simulation.test_mutations import nobody_looks_for_what_is_under_way, seeds_until

SEEDS = ("10", "31", "42", "49")
"""Of several replicas each, with every fault of the database among them."""


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_holds_on_postgresql(seed: str, postgres_server: str) -> None:
    assert run(seed, server=postgres_server).violations == (), f"make simulate DATABASE=postgresql SEED={seed}"


def test_a_seed_is_the_same_run_each_time_on_postgresql(postgres_server: str) -> None:
    first = run("17", keep=True, server=postgres_server).digest
    program = f"from tests.simulation.run import run; print(run('17', server={postgres_server!r}).digest)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "77", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == first


def test_on_postgresql_an_invariant_fails_without_what_keeps_it(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_looks_for_what_is_under_way(monkeypatch)
    assert seeds_until("one retry of a job under way", range(10), postgres_server) is not None


@pytest.fixture
def storage(postgres_server: str, clock: HandClock) -> Iterator[PostgresStorage]:
    storage = PostgresStorage(postgres_server, clock)
    yield storage
    storage.close()


def test_the_servers_clock_shows_virtual_time(storage: PostgresStorage, clock: HandClock) -> None:
    database = Database(storage.url, lambda: datetime(1999, 1, 1, tzinfo=UTC), timer=lambda: 0.0)
    storage.tune(database)

    def times(connection: Connection) -> tuple[datetime, datetime, datetime]:
        now, hour = clock(), timedelta(hours=1)
        return database.now(connection), not_ahead(connection, now + hour), not_ahead(connection, now - hour)

    for _ in range(2):
        clock.advance(100)
        with database.transaction() as connection:
            assert times(connection) == (clock(), clock(), clock() - timedelta(hours=1))
    database.close()


def test_a_connection_that_is_cut_is_replaced(storage: PostgresStorage) -> None:
    database = Database(storage.url, lambda: datetime(1999, 1, 1, tzinfo=UTC))
    storage.tune(database)
    with database.transaction() as connection:
        first = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    storage.cut(database.engine)
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != first
    database.close()

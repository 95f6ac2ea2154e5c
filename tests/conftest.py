"""What every test may ask for: a clock moved by hand, and real databases, freshly migrated."""

import itertools
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine, text

from bot.db.database import Database, migrate
from tests import postgres

# Tracebacks with the values of every variable take so long to draw that what is tested runs out of time.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

ON_POSTGRESQL = os.environ.get("DATABASE") == "postgresql"
"""Whether the scenarios run on PostgreSQL this time: `make test DATABASE=postgresql`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is about SQLite itself where the scenarios run on PostgreSQL."""
    if ON_POSTGRESQL:
        left_out = [item for item in items if item.get_closest_marker("sqlite")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("sqlite")]


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    if postgres.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed here")
    with postgres.server() as query:
        database = Database(f"postgresql+psycopg://bot@/postgres?{query}", lambda: NOW)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CREATE DATABASE template_bot"))
        database.close()
        template = create_engine(f"postgresql+psycopg://bot@/template_bot?{query}")
        migrate(template)
        template.dispose()
        yield query


_numbers = itertools.count()


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a migrated PostgreSQL database of this test's own."""
    name = f"test_{next(_numbers)}"
    engine = create_engine(f"postgresql+psycopg://bot@/postgres?{postgres_server}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template_bot"))
    engine.dispose()
    return f"postgresql+psycopg://bot@/{name}?{postgres_server}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a migrated SQLite file of this test's own."""
    url = f"sqlite:///{tmp_path}/bot.db"
    database = Database(url, lambda: NOW)
    migrate(database.engine)
    database.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, clock: HandClock) -> Iterator[Database]:
    """A migrated database, once of each kind."""
    kind = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    database = Database(request.getfixturevalue(kind), clock)
    yield database
    database.close()

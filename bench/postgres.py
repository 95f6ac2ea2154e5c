"""A PostgreSQL database to measure with, on a server of the bench's own."""

import contextlib
from collections.abc import Iterator

import psycopg

from tests import postgres


@contextlib.contextmanager
def database() -> Iterator[str | None]:
    """The URL of an empty database; None where PostgreSQL is not installed."""
    if postgres.program("initdb") is None:
        yield None
        return
    with postgres.server(durable=True) as query:
        with psycopg.connect(f"{query.replace('&', ' ')} user=bot dbname=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        yield f"postgresql://bot@/bench?{query}"

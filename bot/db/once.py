"""A row that is written once, however often it is delivered; statements that differ between the databases."""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Executable, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert

S = TypeVar("S", bound=Executable)


def for_dialect(table: Table, build: Callable[["Insert"], S]) -> Callable[[Connection], S]:
    """Builds an upsert once for the database that is used: importing the other one's dialect takes its time and memory.

    Args:
        build: completes the insert, in what SQLite and PostgreSQL have in common.

    Returns:
        A function that returns the statement for a connection.
    """

    @functools.cache
    def built(dialect: str) -> S:
        return build(importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table))

    return lambda connection: built(connection.dialect.name)


def insert_once(
    table: Table, *key: str, **worked_out: ColumnElement[Any]
) -> Callable[[Connection, Mapping[str, object]], bool]:
    """Makes the function that writes a row of a table unless one with the same key is there.

    `RETURNING` says whether it was written, not `rowcount`: psycopg counts what was left out, too.

    Args:
        table: with a column `id`.
        key: the columns of a unique index.
        worked_out: the columns whose values the database works out.

    Returns:
        A function of a connection and the row's other columns; it returns whether the row is new.
    """
    statement = for_dialect(
        table, lambda insert: insert.values(worked_out).on_conflict_do_nothing(index_elements=key).returning(table.c.id)
    )

    def insert(connection: Connection, values: Mapping[str, object]) -> bool:
        return connection.execute(statement(connection), dict(values)).first() is not None

    return insert

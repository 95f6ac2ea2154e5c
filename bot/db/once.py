"""A row that is written once, however often it is delivered."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_once(table: Table, *key: str) -> Callable[[Connection, Mapping[str, object]], bool]:
    """Makes the function that writes a row of a table unless one with the same key is there.

    `RETURNING` says whether it was written, not `rowcount`: psycopg counts what was left out, too.

    Args:
        table: with a column `id`.
        key: the columns of a unique index.

    Returns:
        A function of a connection and the row's columns; it returns whether the row is new.
    """
    statements = {
        dialect: upsert(table).on_conflict_do_nothing(index_elements=key).returning(table.c.id)
        for dialect, upsert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
    }

    def insert(connection: Connection, values: Mapping[str, object]) -> bool:
        return connection.execute(statements[connection.dialect.name], dict(values)).first() is not None

    return insert

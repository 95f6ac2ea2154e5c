"""Every table from one database into another, compared row by row; and what keeps a bot off the one that was left."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, Text, bindparam, func, insert, or_, select, update

from bot.base.errors import BotError
from bot.db import marks
from bot.db.columns import metadata

MOVED = "moved_to"
"""The mark, in the database that was left, that says where everything is now."""

CHUNK = 1_000
"""Rows held at a time."""


class NotEmpty(BotError):
    """The target is not empty: {table} has rows. Nothing was moved; take a new database."""


class NotTheSame(BotError):
    """What arrived in {table} is not what was there ({arrived} for {left}). Nothing was moved."""


class Moved(BotError):
    """This database was moved to {to}; set DATABASE_URL to that one."""


@dataclass(frozen=True)
class Content:
    """What a table holds: how many rows, and the SHA-256 of them all in the order of their keys."""

    rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.digest[:12]}…"


def require_not_moved(connection: Connection) -> None:
    """Checks that nobody works on the database elsewhere, after it was moved.

    Raises:
        Moved: somebody may; what is open here may be sent there.
    """
    to = marks.read(connection, MOVED)
    if to is not None:
        raise Moved(to=to)


def move(source: Connection, target: Connection, tell: Callable[[str], None]) -> None:
    """Copies every table into an empty PostgreSQL database in its running transaction, and compares what arrived.

    Args:
        source: nobody writes to it meanwhile.
        target: of the same schema; to be rolled back if this raises.
        tell: is told of each table that it arrived.

    Raises:
        NotEmpty: the target holds rows.
        NotTheSame: a table reads otherwise there.
    """
    for table in metadata.sorted_tables:
        if target.execute(select(table).limit(1)).first() is not None:
            raise NotEmpty(table=table.name)
    for table in metadata.sorted_tables:
        left = _copy(source, target, table)
        _refer_to_themselves(source, target, table)
        _count_on(target, table)
        arrived = content(target, table)
        if arrived != left:
            raise NotTheSame(table=table.name, arrived=arrived, left=left)
        tell(f"{table.name}: {arrived}")


def content(connection: Connection, table: Table) -> Content:
    """Returns what a table holds, alike for the same rows in either database."""
    taken = _Taken()
    for row in _rows(connection, table):
        taken.add(row)
    return taken.content


class _Taken:
    """Rows counted and hashed as they pass by."""

    def __init__(self) -> None:
        self._rows = 0
        self._hash = hashlib.sha256()

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows += 1
        self._hash.update(json.dumps(list(row.values()), default=_moment).encode() + b"\n")

    @property
    def content(self) -> Content:
        return Content(self._rows, self._hash.hexdigest())


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """All rows in the order of their keys, the same in both databases: text by its bytes."""
    by_bytes = connection.dialect.name == "postgresql"
    order = [key.collate("C") if by_bytes and isinstance(key.type, Text) else key for key in table.primary_key]
    with connection.execute(select(table).order_by(*order), execution_options={"yield_per": CHUNK}) as rows:
        for row in rows:
            yield dict(row._mapping)


def _copy(source: Connection, target: Connection, table: Table) -> Content:
    """Copies a table's rows, but for what refers to other rows of it, which may not be there yet."""
    later = dict.fromkeys(column.name for column in _own(table))
    taken = _Taken()
    rows = _rows(source, table)
    while chunk := list(itertools.islice(rows, CHUNK)):
        for row in chunk:
            taken.add(row)
        target.execute(insert(table), [{**row, **later} for row in chunk])
    return taken.content


def _refer_to_themselves(source: Connection, target: Connection, table: Table) -> None:
    """Fills in what refers to other rows of the same table."""
    own = _own(table)
    if not own:
        return
    keys = list(table.primary_key)
    named = {f"b_{column.name}": column for column in (*keys, *own)}
    change = (
        update(table)
        .where(*(key == bindparam(f"b_{key.name}") for key in keys))
        .values({column: bindparam(f"b_{column.name}") for column in own})
    )
    wanted = select(*(column.label(name) for name, column in named.items())).where(
        or_(*(column.is_not(None) for column in own))
    )
    with source.execute(wanted, execution_options={"yield_per": CHUNK}) as rows:
        for chunk in rows.partitions():
            target.execute(change, [dict(row._mapping) for row in chunk])


def _own(table: Table) -> list[Column[Any]]:
    """The columns that refer to rows of the same table."""
    return [column for column in table.columns if any(key.column.table is table for key in column.foreign_keys)]


def _count_on(target: Connection, table: Table) -> None:
    """Has PostgreSQL number the next row after the last one that arrived."""
    for key in table.primary_key:
        sequence = target.scalar(select(func.pg_get_serial_sequence(table.name, key.name)))
        last = target.scalar(select(func.max(key))) if sequence else None
        if last is not None:
            target.execute(select(func.setval(sequence, last)))

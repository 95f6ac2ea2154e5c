"""Named marks: one short text each that the database remembers, such as how far Sift was read.

Every function runs inside one transaction of the caller's.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Text, bindparam, delete, select

from bot.base.clock import rfc3339
from bot.db.columns import Moment
from bot.db.once import for_dialect
from bot.db.tables import marks


class Mark(NamedTuple):
    """What stands in a mark, and since when."""

    value: str
    updated_at: datetime


_NAME, _VALUE = bindparam("b_name", type_=Text()), bindparam("b_value", type_=Text())
_AT = bindparam("b_at", type_=Moment())
_FIND = select(marks.c.value, marks.c.updated_at).where(marks.c.name == _NAME)
_NEW = {"name": _NAME, "value": _VALUE, "updated_at": _AT}
_ADD = for_dialect(
    marks,
    lambda insert: insert.values(_NEW).on_conflict_do_nothing(index_elements=["name"]).returning(marks.c.value),
)
_WRITE = for_dialect(
    marks,
    lambda insert: insert.values(_NEW).on_conflict_do_update(
        index_elements=["name"], set_={"value": _VALUE, "updated_at": _AT}
    ),
)


def find(connection: Connection, name: str, *, lock: bool = False) -> Mark | None:
    """Returns a mark with the moment it was written, or None.

    Args:
        lock: keep other replicas from writing it until this transaction ends.
    """
    row = connection.execute(_FIND.with_for_update() if lock else _FIND, {"b_name": name}).first()
    return Mark(row.value, row.updated_at) if row is not None else None


def read(connection: Connection, name: str) -> str | None:
    """Returns what stands in a mark, or None."""
    found = find(connection, name)
    return found.value if found is not None else None


def moment(connection: Connection, name: str) -> datetime | None:
    """Returns the moment that stands in a mark, or None."""
    value = read(connection, name)
    return datetime.fromisoformat(value) if value else None


def add(connection: Connection, name: str, value: str | datetime, at: datetime) -> str:
    """Writes a mark unless there is one; returns what stands in it now: of two replicas the first one's."""
    named = {"b_name": name, "b_value": _text(value), "b_at": at}
    added = connection.execute(_ADD(connection), named).first()
    return str((added or connection.execute(_FIND, {"b_name": name}).one()).value)


def write(connection: Connection, name: str, value: str | datetime, at: datetime) -> None:
    """Writes a mark, whatever stands in it."""
    connection.execute(_WRITE(connection), {"b_name": name, "b_value": _text(value), "b_at": at})


def forget(connection: Connection, name: str) -> None:
    """Removes a mark, if there is one."""
    connection.execute(delete(marks).where(marks.c.name == name))


def give_up(connection: Connection, name: str, value: str) -> None:
    """Removes a mark that says who does something, so that another process does; unless it names somebody else."""
    connection.execute(delete(marks).where(marks.c.name == name, marks.c.value == value))


def _text(value: str | datetime) -> str:
    return rfc3339(value) if isinstance(value, datetime) else value

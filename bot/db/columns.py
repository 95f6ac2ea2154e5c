"""What tables have in common: moments in UTC, row numbers, names of constraints, and what Slack shows of a row."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Text,
    TypeDecorator,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC: `timestamptz` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class NotAhead(FunctionElement[datetime]):
    """A moment by the clock of one of several processes, which may be ahead: no later than the server's own."""

    type = Moment()
    inherit_cache = True

    def __init__(self, moment: ColumnElement[datetime]) -> None:
        super().__init__(moment)


def due_at() -> NotAhead:
    """What `due_at` of a new row is: the parameter `b_at`, or the database's present where that is earlier."""
    return NotAhead(bindparam("b_at", type_=Moment()))


@compiles(NotAhead)
def _as_it_is(element: NotAhead, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.clauses, **more)


@compiles(NotAhead, "postgresql")
def _at_most_now(element: NotAhead, compiler: SQLCompiler, **more: Any) -> str:
    return f"least({compiler.process(element.clauses, **more)}, clock_timestamp())"


class Rfc3339(FunctionElement[str]):
    """A moment as `base.clock.rfc3339` writes it: the database does that for what is read a million times."""

    type = Text()
    inherit_cache = True

    def __init__(self, moment: ColumnElement[datetime]) -> None:
        super().__init__(moment)


@compiles(Rfc3339, "sqlite")
def _as_stored(element: Rfc3339, compiler: SQLCompiler, **more: Any) -> str:
    return f"replace({compiler.process(element.clauses, **more)}, ' ', 'T') || 'Z'"


@compiles(Rfc3339, "postgresql")
def _formatted(element: Rfc3339, compiler: SQLCompiler, **more: Any) -> str:
    form = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
    return f"to_char(timezone('UTC', {compiler.process(element.clauses, **more)}), {form})"


def not_ahead(connection: Connection, at: datetime) -> datetime:
    """Returns a moment by this process's clock, or the database's present where that is earlier."""
    if connection.dialect.name == "sqlite":  # which has no other clock
        return at
    return connection.scalars(select(NotAhead(literal(at, Moment())))).one()


# SQLite numbers rows by itself only where the key is exactly INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def where(condition: str) -> dict[str, Any]:
    """Which rows a partial index holds, as `info`: naming a dialect here would import it, on the other one, too."""
    return {"info": {"where": condition}}


def say_where(index: Index) -> None:
    """Has an index hold those rows on either database: for what creates indexes, or compares them."""
    if "where" in index.info:
        for dialect in ("sqlite", "postgresql"):
            index.dialect_options[dialect]["where"] = text(index.info["where"])


def one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def within(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """The condition of a partial index, in its very words: SQLite uses none whose condition hangs on a parameter.

    Args:
        values: in the order that the index names them (sqlite.org/partialindex.html, section 3).
    """
    return column.in_([_literally(value) for value in values])


def equal(column: ColumnElement[str], value: str) -> ColumnElement[bool]:
    """The same for a single value."""
    return column == _literally(value)


def by_value(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column where SQLite is not to go by its index: through all there ever was, to find the few that are wanted."""
    return func.coalesce(column, column)


def _literally(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'", Text())


def shown() -> list[Column[Any]]:
    """What Slack shows of a row, and the queue for bringing that up to date; `showing` works on these."""
    return [
        Column("version", Integer, nullable=False, server_default="0"),
        Column("shown", Text, nullable=False, server_default="{}"),  # JSON {kind: {"ts": …, "digest": …}, "?": …}
        Column("unpostable", Text),  # Slack's error when the bot may not post there
        Column("show_at", Moment),
        Column("show_fence", Integer, nullable=False, server_default="0"),
        Column("showing", Boolean, nullable=False, server_default=text("false")),
        Column("show_failures", Integer, nullable=False, server_default="0"),
    ]


def on_call() -> list[Column[Any]]:
    """Who took or snoozed a failure, and when somebody is reminded of it."""
    return [
        Column("taken_by", Text),
        Column("taken_at", Moment),
        Column("released_by", Text),  # who gave it back last; null: nobody, or somebody took it since
        Column("snoozed_by", Text),
        Column("snoozed_until", Moment),
        Column("woken_at", Moment),  # when the last snooze was over and the job still failed
        Column("remind_at", Moment),  # when it is looked at whether somebody is to be reminded; null: nobody is
        Column("reminded", Integer, nullable=False, server_default="0"),  # how often that was done
        Column("reminded_at", Moment),  # when it was done last
    ]

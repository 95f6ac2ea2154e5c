"""The last line before a database: no secret is bound to a statement, no value of a row gets into an error."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event

from bot.base.redactor import Redactor


def guard(engine: Engine, redactor: Redactor) -> None:
    """Has every text that is written through an engine cleaned; to be called before it connects."""

    def clean(
        _connection: object, _cursor: object, statement: str, given: Any, _context: object, many: bool
    ) -> tuple[str, object]:
        return statement, [_cleaned(one, redactor) for one in given] if many else _cleaned(given, redactor)

    engine.update_execution_options(redactor=redactor)
    event.listen(engine, "before_cursor_execute", clean, retval=True)
    event.listen(engine, "handle_error", _without_values)


def cleaner(connection: Connection) -> Callable[[str], str]:
    """Returns what cleans the texts written over a connection, so that a hash covers them as they will be."""
    redactor: Redactor | None = connection.get_execution_options().get("redactor")
    return redactor.clean if redactor is not None else str


def _cleaned(given: dict[str, object] | Sequence[object], redactor: Redactor) -> object:
    """Returns the parameters of a statement, by name or by place, cleaned."""
    clean = redactor.clean
    if isinstance(given, dict):
        return {name: clean(value) if isinstance(value, str) else value for name, value in given.items()}
    return tuple([clean(value) if isinstance(value, str) else value for value in given])


def _without_values(context: ExceptionContext) -> None:
    """PostgreSQL adds to an error the row it is about: people's words, and ways to answer them."""
    problem = context.original_exception
    primary = getattr(getattr(problem, "diag", None), "message_primary", None)
    if not primary:
        return
    said = str(problem)
    problem.args = (primary,)
    wrapped = context.sqlalchemy_exception
    if wrapped is not None:
        wrapped.args = tuple(one.replace(said, primary) if isinstance(one, str) else one for one in wrapped.args)

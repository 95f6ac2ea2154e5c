"""What a transaction has found out, remembered until it ends, or until some of it is undone."""

from typing import Any

from sqlalchemy import Connection

_FOUND = "found"


def found(connection: Connection) -> dict[str, Any]:
    """What is remembered in the running transaction; nothing stays of it where the engine is not one of ours."""
    return connection.info.get(_FOUND, {})  # type: ignore[no-any-return]  # what `forget` put there


def forget(connection: Connection, *_: object) -> None:
    """Begins anew: a transaction began, or was taken back to a savepoint."""
    if not connection.invalidated:  # then it is over, with all that was found
        connection.info[_FOUND] = {}

"""How SQLite goes about what the bot asks it: by an index, or through all there ever was."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator

from sqlalchemy import event

from bot.db.database import Database

GROWING = frozenset({"alerts", "approvals", "audit", "batches", "digests", "job_runs", "offers", "retries", "storms"})
"""The tables with a row for whatever happens, for ever."""

IN_ORDER = ("ORDER BY audit.id", "ORDER BY audit.at DESC, audit.id DESC")
"""Entries one after the other: as many as are shown, or all of them for an export, which is asked for."""

_ASKS = re.compile(r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)\b")
_STEP = re.compile(
    r"(?P<how>SCAN|SEARCH) (?P<table>[a-z_]+?)(_\d+)?( USING (COVERING )?INDEX (?P<index>\w+))?(?P<by> .*)?$"
)
_OPEN = re.compile(r" \((id[<>]|\w+<)\?\)")
"""A range that has no end: of IDs, which come in no order, or of all that was before a moment, unless it is deleted."""
_seen: set[str] = set()


@contextlib.contextmanager
def looked_over(database: Database) -> Iterator[None]:
    """Fails if anything asked of an SQLite database inside the block goes through all of a table that grows.

    Each statement is looked at once in a run of the tests.
    """
    new: set[str] = set()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        new.add(statement)

    if not database.is_sqlite:
        yield
        return
    _, *engines = database.engines  # the first one is the tests' own way, too
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield
    with contextlib.closing(sqlite3.connect(database.engine.url.database or "")) as connection:
        slow = {statement: scans for statement in new - _seen if (scans := _scans(connection, statement))}
    _seen.update(new)
    assert not slow, "\n".join(f"{', '.join(scans)}: {statement}" for statement, scans in slow.items())


def _scans(connection: sqlite3.Connection, statement: str) -> list[str]:
    if not _ASKS.match(statement) or any(one in statement for one in IN_ORDER):
        return []
    given = [""] * statement.count("?")
    with contextlib.suppress(sqlite3.Error):  # of a database that a test took away, or damaged
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
        deletes = statement.startswith("DELETE")
        return [step for step in plan if _is_slow(connection, step, deletes)]
    return []


def _is_slow(connection: sqlite3.Connection, step: str, deletes: bool) -> bool:
    found = _STEP.match(step)
    if found is None or found["table"] not in GROWING:
        return False
    if found["how"] == "SEARCH" and (deletes or not _OPEN.match(found["by"] or "")):
        return False
    named = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", [found["index"]]).fetchone()
    return named is None or " WHERE " not in str(named[0])  # a partial index holds what is under way

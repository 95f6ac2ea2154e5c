"""Sealed segments of the audit: written out, verified, and only then taken out of the database.

A segment is JSON Lines: a header, the entries as `audit export --format jsonl` writes them, and a seal with the head
before and after and the SHA-256 of everything above it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text, update

from bot import audit
from bot.audit import BASE, STREAMED, Broken, Entry, Head
from bot.clock import rfc3339
from bot.errors import BotError
from bot.tables import audit as table
from bot.tables import marks

_SQLITE_OFF = "DROP TRIGGER audit_no_delete"
_SQLITE_ON = (
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
)
_POSTGRESQL_OFF = "ALTER TABLE audit DISABLE TRIGGER audit_no_change"
_POSTGRESQL_ON = "ALTER TABLE audit ENABLE TRIGGER audit_no_change"


class NothingToArchive(BotError):
    """There are no entries before that, or only the newest one, which stays."""


class BrokenChain(BotError):
    """Entry {id} was changed: {why}. Nothing was archived."""


@dataclass(frozen=True)
class Segment:
    """What a segment holds: everything after one head, up to another."""

    before: Head
    after: Head


def archive(connection: Connection, before: datetime, target: Path, by: str, at: datetime) -> Segment:
    """Moves the entries before a moment into a file, in the running transaction; the newest entry always stays.

    Args:
        target: a file that does not exist yet; it is on the disk before anything is deleted.
        by: who does it.

    Raises:
        NothingToArchive: there is nothing that old.
        BrokenChain: the log was tampered with; nothing was archived.
    """
    begin, last_id = audit.base(connection), _last_before(connection, before)
    if last_id <= begin.count:
        raise NothingToArchive
    segment = _write(connection, begin, last_id, target, at)
    _forget(connection, last_id)
    _set_base(connection, segment.after, at)
    detail = {
        "first_id": begin.count + 1,
        "last_id": segment.after.count,
        "head_before": begin.hash,
        "head_after": segment.after.hash,
        "file": target.name,
    }
    audit.append(connection, Entry(event="archive", user_id=by, source="cli", detail=detail), at)
    return segment


def verify_segment(path: Path) -> Segment | Broken:
    """Checks a segment by itself: its seal, and the chain of its entries."""
    digested = hashlib.sha256()
    begin = last = Head(0, audit.GENESIS)
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            content = json.loads(line)
            if number == 0:
                begin = last = Head(content["segment"]["after_id"], content["segment"]["head_before"])
            elif "seal" in content:
                sealed = {"last_id": last.count, "head_after": last.hash, "sha256": digested.hexdigest()}
                return Segment(begin, last) if content["seal"] == sealed else Broken(last.count, "the seal is broken")
            else:
                following = audit.follows(last, _as_row(content))
                if isinstance(following, Broken):
                    return following
                last = following
            digested.update(line.encode("utf-8"))
    return Broken(last.count, "the seal is missing")


def _last_before(connection: Connection, before: datetime) -> int:
    newest = audit.head(connection).count
    first_kept = connection.scalar(select(func.min(table.c.id)).where(table.c.at >= before))
    return min(newest, first_kept if first_kept is not None else newest) - 1


def _write(connection: Connection, begin: Head, last_id: int, target: Path, at: datetime) -> Segment:
    last, digested = begin, hashlib.sha256()
    query = select(table).where(table.c.id <= last_id).order_by(table.c.id)
    with target.open("x", encoding="utf-8") as file:

        def put(content: Mapping[str, Any]) -> None:
            line = audit.canonical(content) + "\n"
            file.write(line)
            digested.update(line.encode("utf-8"))

        put({"segment": {"after_id": begin.count, "head_before": begin.hash, "written_at": rfc3339(at)}})
        for row in _streamed(connection, query):
            following = audit.follows(last, row._asdict())
            if isinstance(following, Broken):
                raise BrokenChain(id=following.id, why=following.why)
            last = following
            put({**row._mapping, "at": rfc3339(row.at), "detail": json.loads(row.detail)})
        seal = {"last_id": last.count, "head_after": last.hash, "sha256": digested.hexdigest()}
        put({"seal": seal})
        file.flush()
        os.fsync(file.fileno())
    return Segment(begin, last)


def _streamed(connection: Connection, query: Any) -> Iterator[Any]:
    with connection.execute(query, execution_options=STREAMED) as rows:
        yield from rows


def _as_row(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **content,
        "at": datetime.fromisoformat(content["at"]),
        "detail": audit.canonical(content["detail"]),
    }


def _forget(connection: Connection, last_id: int) -> None:
    """Deletes what is archived; the trigger that forbids it is away for just that, inside the transaction."""
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(text(_SQLITE_OFF if sqlite else _POSTGRESQL_OFF))
    connection.execute(delete(table).where(table.c.id <= last_id))
    connection.execute(text(_SQLITE_ON if sqlite else _POSTGRESQL_ON))


def _set_base(connection: Connection, head: Head, at: datetime) -> None:
    values = {"value": f"{head.count}:{head.hash}", "updated_at": at}
    if connection.execute(update(marks).where(marks.c.name == BASE).values(values)).rowcount == 0:
        connection.execute(insert(marks).values(name=BASE, **values))


def matches(connection: Connection, segment: Segment) -> bool:
    """Whether the database goes on just where a segment ends."""
    return audit.base(connection) == segment.after

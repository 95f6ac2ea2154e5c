"""Sealed segments of the audit: written out, verified, and only then taken out of the database.

A segment is JSON Lines: a header, the entries as `audit export --format jsonl` writes them, and a seal with the head
before and after and the SHA-256 of everything above it; and the head's signature, if there is a key.

It is written from a snapshot, while others write on; the database is theirs again but for the deletion itself.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, delete, func, select, text

from bot.audit import entry
from bot.audit import log as audit
from bot.audit.entry import Broken, Columns, Entry, Event, Head
from bot.audit.log import BASE, STREAMED
from bot.audit.signing import SignedHead, Signer
from bot.base.clock import rfc3339
from bot.base.errors import BotError
from bot.base.files import sync_folder
from bot.base.requester import Source
from bot.db import marks
from bot.db.database import Database
from bot.db.tables import audit as table

_SQLITE_OFF = "DROP TRIGGER audit_no_delete"
_SQLITE_ON = (
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
)
_POSTGRESQL_OFF = "ALTER TABLE audit DISABLE TRIGGER audit_no_change"
_POSTGRESQL_ON = "ALTER TABLE audit ENABLE TRIGGER audit_no_change"

LONGEST_HEADER = 4_096
"""A segment's first line is never longer."""


Watch = Callable[[str, int, Iterable[Any]], Iterable[Any]]
"""Passes items on and shows how far it is: what is done, how many there are, the items."""


def _unwatched(_what: str, _count: int, items: Iterable[Any]) -> Iterable[Any]:
    return items


class NothingToArchive(BotError):
    """There are no entries before that, or only the newest one, which stays."""


class BrokenChain(BotError):
    """Entry {id} was changed: {why}. Nothing was archived."""


class MovedMeanwhile(BotError):
    """The log no longer begins as it did: somebody else archived, or changed it. Nothing was archived."""


class NoSegment(BotError):
    """{file} is no segment of an audit."""


@dataclass(frozen=True)
class Segment:
    """What a segment holds: everything after one head, up to another."""

    before: Head
    after: Head
    signature: str | None = None


def archive(
    database: Database,
    before: datetime,
    target: Path,
    by: str,
    at: datetime,
    signer: Signer | None = None,
    watch: Watch = _unwatched,
) -> Segment:
    """Moves the entries before a moment into a file; the newest entry always stays.

    The file is removed again unless all went well up to the commit. What becomes of a commit that fails is not known:
    the file is left then.

    Args:
        target: a file that does not exist yet; it is on the disk, and read back, before anything is deleted.
        by: who does it.
        signer: signs the head in the seal.
        watch: shows how far it is; a log of years takes minutes.

    Raises:
        NothingToArchive: there is nothing that old.
        BrokenChain: the log was tampered with; nothing was archived.
        MovedMeanwhile: somebody else archived at the same time; nothing was.
    """
    target.touch(exist_ok=False)
    deleted = False
    try:
        segment = _written(database, before, target, at, signer or Signer(), watch)
        with database.transaction() as connection:
            _take_out(connection, segment, target.name, by, at)
            deleted = True
    except BaseException:
        if not deleted:
            target.unlink()
        raise
    return segment


def _written(database: Database, before: datetime, target: Path, at: datetime, signer: Signer, watch: Watch) -> Segment:
    """A segment that is on the disk, and was read back from it."""
    with target.open("w", encoding="utf-8") as file:
        with database.reading() as connection:
            begin, last_id = audit.base(connection), _last_before(connection, before)
            if last_id <= begin.count:
                raise NothingToArchive
            segment = _write(connection, begin, last_id, file, at, signer, watch)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(target)
    count = segment.after.count - segment.before.count
    found = verify_segment(target, lines=lambda file: watch("reading it back", count, file))
    if isinstance(found, Broken):
        raise BrokenChain(id=found.id, why=found.why)
    if found != segment:
        raise NoSegment(file=target)
    return segment


def verify_segment(
    path: Path,
    each: Callable[[Columns], None] = lambda _: None,
    lines: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Segment | Broken:
    """Checks a segment by itself: its seal, and the chain of its entries.

    Args:
        each: called with the columns of each entry that fits.
        lines: passes the file's lines on, and may show how far it is.

    Returns:
        What the file holds, or the first entry in it that is not as it was written.

    Raises:
        NoSegment: the file is something else.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return _read(file, each, lines)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise NoSegment(file=path) from None


def begins_after(path: Path) -> Head:
    """The head before a segment, by its first line.

    Raises:
        NoSegment: the file is something else.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return _header(file.readline(LONGEST_HEADER))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise NoSegment(file=path) from None


def _header(line: str) -> Head:
    header = json.loads(line)["segment"]
    return Head(int(header["after_id"]), str(header["head_before"]))


def _read(
    file: IO[str], each: Callable[[Columns], None], lines: Callable[[Iterable[str]], Iterable[str]]
) -> Segment | Broken:
    first = file.readline(LONGEST_HEADER)
    begin = last = _header(first)
    digested = hashlib.sha256(first.encode("utf-8"))
    for line in lines(file):
        content = json.loads(line)
        if "seal" in content:
            return _sealed(content["seal"], begin, last, digested.hexdigest(), file)
        row = _as_row(content, entry.quickly)
        following = entry.follows(last, row)
        if isinstance(following, Broken):
            row = _as_row(content, entry.canonical)
            following = entry.follows(last, row)
        if isinstance(following, Broken):
            return following
        if line != _line(row):
            return Broken(row["id"], "its line is not written as it was")
        last = following
        digested.update(line.encode("utf-8"))
        each(row)
    return Broken(last.count, "the seal is missing")


def _sealed(seal: dict[str, object], begin: Head, last: Head, digested: str, file: IO[str]) -> Segment | Broken:
    signature = seal.pop("signature", None)
    if seal != {"last_id": last.count, "head_after": last.hash, "sha256": digested}:
        return Broken(last.count, "the seal is broken")
    if file.readline():
        return Broken(last.count, "something follows the seal")
    return Segment(begin, last, None if signature is None else SignedHead.read(f"{_name(last)}:{signature}").signature)


def _last_before(connection: Connection, before: datetime) -> int:
    newest = audit.head(connection).count
    first_kept = connection.scalar(select(func.min(table.c.id)).where(table.c.at >= before))
    return min(newest, first_kept if first_kept is not None else newest) - 1


def _write(
    connection: Connection, begin: Head, last_id: int, file: IO[str], at: datetime, signer: Signer, watch: Watch
) -> Segment:
    last, digested = begin, hashlib.sha256()

    def put(line: str) -> None:
        file.write(line)
        digested.update(line.encode("utf-8"))

    header = {"after_id": begin.count, "head_before": begin.hash, "written_at": rfc3339(at)}
    put(_json_line({"segment": header}))
    query = select(table).where(table.c.id <= last_id).order_by(table.c.id)
    with connection.execute(query, execution_options=STREAMED) as rows:
        for row in watch("writing the segment", last_id - begin.count, rows):
            columns = row._asdict()
            following = entry.follows(last, columns)
            if isinstance(following, Broken):
                raise BrokenChain(id=following.id, why=following.why)
            last = following
            put(_line(columns))
    signature = signer.sign(last).signature
    seal = {"last_id": last.count, "head_after": last.hash, "sha256": digested.hexdigest()}
    put(_json_line({"seal": seal if signature is None else {**seal, "signature": signature}}))
    return Segment(begin, last, signature)


def _line(row: Columns) -> str:
    return _json_line({**row, "at": rfc3339(row["at"]), "detail": json.loads(row["detail"])})


def _json_line(content: Columns) -> str:
    return entry.quickly(content) + "\n"


def _as_row(content: Columns, encode: Callable[[Any], str]) -> Columns:
    return {**content, "at": datetime.fromisoformat(content["at"]), "detail": encode(content["detail"])}


def _name(head: Head) -> str:
    return f"{head.count}:{head.hash}"


def _take_out(connection: Connection, segment: Segment, file: str, by: str, at: datetime) -> None:
    """Deletes what was written, if it is still what the log begins with, and says so in an entry."""
    after = segment.after
    kept = select(func.count(), func.max(table.c.id)).where(table.c.id <= after.count)
    ends = connection.scalar(select(table.c.hash).where(table.c.id == after.count))
    count = connection.execute(kept).one()
    whole = (after.count - segment.before.count, after.count)
    if audit.base(connection) != segment.before or tuple(count) != whole or ends != after.hash:
        raise MovedMeanwhile
    _forget(connection, after.count)
    _set_base(connection, after, at)
    detail = {
        "first_id": segment.before.count + 1,
        "last_id": after.count,
        "head_before": segment.before.hash,
        "head_after": after.hash,
        "file": file,
    }
    audit.append(connection, Entry(event=Event.ARCHIVE, user_id=by, source=Source.CLI, detail=detail), at)


def _forget(connection: Connection, last_id: int) -> None:
    """Deletes what is archived; the trigger that forbids it is away for just that, inside the transaction."""
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(text(_SQLITE_OFF if sqlite else _POSTGRESQL_OFF))
    connection.execute(delete(table).where(table.c.id <= last_id))
    connection.execute(text(_SQLITE_ON if sqlite else _POSTGRESQL_ON))


def _set_base(connection: Connection, head: Head, at: datetime) -> None:
    marks.write(connection, BASE, f"{head.count}:{head.hash}", at)

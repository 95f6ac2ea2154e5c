"""Verifies everything that is on record: segments and log as one chain, a head, and what the tables say otherwise."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, text

from bot.audit import archive
from bot.audit import log as audit
from bot.audit.archive import Segment
from bot.audit.entry import Broken, Columns, Head
from bot.audit.log import Archived, Sought
from bot.audit.replay import Replay
from bot.audit.signing import PublicKey, SignedHead, check
from bot.base.errors import BotError
from bot.db.database import Database
from bot.db.tables import audit as table

MAX_NAMED = 20
"""So many differences between the tables and the log are named; the others are counted."""

_WORDS = "SELECT RAISE(ABORT, 'the audit is append-only'); END"
_TAKEN = "SELECT 1 FROM audit WHERE id >= NEW.id"
_SQLITE = {
    "audit_no_update": f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN {_WORDS}",
    "audit_no_delete": f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN {_WORDS}",
    "audit_no_replace": f"CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS ({_TAKEN}) BEGIN {_WORDS}",
}
_SQLITE_FOUND = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
# What a trigger does, as pg_trigger counts it: 27 is before update or delete, for each row; 34 is before truncate.
_POSTGRESQL = {"audit_no_change": 27, "audit_no_truncate": 34}
_POSTGRESQL_FOUND = text(
    "SELECT tgname AS name, tgtype AS does FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
    "WHERE tgrelid = CAST('audit' AS regclass) AND tgenabled IN ('O', 'A') AND tgqual IS NULL "
    "AND btrim(prosrc) = 'BEGIN RAISE EXCEPTION ''the audit is append-only''; END'"
)
# Spelled out, so that the partial index on just these entries fits.
_ABOUT_GRANTS = select(table).where(text("event IN ('grant', 'revoke')")).order_by(table.c.grant_id, table.c.id)


class NotAsWritten(BotError):
    """The audit is not as it was written."""


@dataclass(frozen=True)
class Verified:
    """What was found to be as it was written.

    Args:
        head: the log's end.
        said: of each segment, how it fits.
        unchecked: rows, by table, that are older than the entries looked at.
    """

    head: Head
    said: Sequence[str]
    unchecked: Mapping[str, int]


@dataclass(frozen=True)
class _File:
    path: Path
    segment: Segment
    archived: Archived


def verify(
    database: Database,
    expected: Head | None,
    files: Sequence[Path],
    key: "PublicKey | None",
    watch: Callable[[int], Callable[[audit.Rows], audit.Rows]],
) -> Verified:
    """Verifies segments and log as one chain, and the tables against it.

    Args:
        expected: a head that was written down elsewhere.
        files: segments, in any order.
        key: whose signature the segments must carry; None: any, or none.
        watch: for so many entries, passes them on, and may show how far it is.

    Returns:
        The head of the chain, a line about each segment, and how many rows of which table are older than the entries.

    Raises:
        NotAsWritten: it names the first bad entry, or what the tables say otherwise.
        NoSegment: one of the files is something else.
        NotSigned, WronglySigned: a segment's head is not signed with that key.
    """
    sought = Sought(expected)
    with closing(Replay()) as replay:
        read = _read(files, sought, key, replay)
        with database.reading() as connection:
            _hold_still(connection)
            begin, end = audit.base(connection), audit.head(connection)
            if read and read[-1].segment.after != begin:
                replay.forget()
            archived = Archived()

            def each(row: Columns) -> None:
                archived.look(row)
                replay.look(row)

            wanted = None if sought.seen else expected
            found = audit.verify(connection, wanted, watch(end.count - begin.count), each)
            if isinstance(found, Broken):
                raise NotAsWritten(str(found))
            _all_named(read, archived)
            _agreed([*triggers_otherwise(connection), *_first_of(replay.otherwise(connection))])
    return Verified(found, _fitting(read, begin), replay.unchecked)


def at_start(connection: Connection) -> list[str]:
    """What is quickly seen to be otherwise than it should be: the triggers, and the allow-list."""
    _hold_still(connection)
    begin = audit.base(connection)
    first = connection.execute(select(table).where(table.c.id == begin.count + 1)).first()
    with closing(Replay()) as replay:
        if first is not None:
            replay.look(first._asdict())  # from which on there are entries
        for row in connection.execute(_ABOUT_GRANTS):
            replay.look(row._asdict())
        return [*triggers_otherwise(connection), *_first_of(replay.grants_otherwise(connection))]


def triggers_otherwise(connection: Connection) -> Iterator[str]:
    """Which of the triggers that refuse changes are missing, switched off, or replaced."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(_SQLITE_FOUND)
        written: Mapping[str, object] = {row.name: " ".join(row.sql.split()) for row in found}
        expected: Mapping[str, object] = _SQLITE
    else:
        written = {row.name: row.does for row in connection.execute(_POSTGRESQL_FOUND)}
        expected = _POSTGRESQL
    for name, what in expected.items():
        if written.get(name) != what:
            yield f"trigger {name} is missing, switched off or changed: nothing refuses changes of the audit"


def _hold_still(connection: Connection) -> None:
    """Has PostgreSQL show the log and the tables as of the same moment, as SQLite does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def _read(files: Sequence[Path], sought: Sought, key: "PublicKey | None", replay: Replay) -> list[_File]:
    """Reads segments, oldest first; what the replay knows after them is of those without a gap before their end."""
    read: list[_File] = []
    for path in sorted(files, key=lambda path: archive.begins_after(path).count):
        archived = Archived()

        def each(row: Columns, archived: Archived = archived) -> None:
            sought.look(Head(row["id"], row["hash"]))
            archived.look(row)
            replay.look(row)

        begin = archive.begins_after(path)
        if read and begin.count != read[-1].segment.after.count:
            if begin.count < read[-1].segment.after.count:
                raise NotAsWritten(f"{path} and {read[-1].path} hold the same entries")
            replay.forget()
        elif read and begin.hash != read[-1].segment.after.hash:
            raise NotAsWritten(f"entry {begin.count + 1} was changed: {path} does not go on where {read[-1].path} ends")
        sought.look(begin)
        segment = archive.verify_segment(path, each)
        if isinstance(segment, Broken):
            raise NotAsWritten(f"{segment} ({path})")
        if key is not None:
            check(key, SignedHead(segment.after, segment.signature), f"the head in {path}")
        read.append(_File(path, segment, archived))
    return read


def _all_named(read: Sequence[_File], log: Archived) -> None:
    """Checks that each segment was archived: an entry of the log says so, or of a segment for which that holds.

    Raises:
        NotAsWritten: no entry names one of them.
    """
    spans = list(log.spans)
    for file in reversed(read):
        one = file.segment
        if not any((span.before, span.after) == (one.before, one.after) for span in spans):
            entries = f"entries {one.before.count + 1} to {one.after.count} of {file.path}"
            raise NotAsWritten(f"no entry, of the log or of the segments given, says that {entries} were archived")
        spans += file.archived.spans


def _fitting(read: Sequence[_File], begin: Head) -> list[str]:
    said: list[str] = []
    following = [*((str(file.path), file.segment.before) for file in read[1:]), ("the log", begin)]
    for file, (goes_on, then) in zip(read, following, strict=False):
        one = file.segment
        fits = f"{goes_on} goes on where it ends"
        if one.after != then:
            fits = f"entries {one.after.count + 1} to {then.count} after it are in no segment that was given"
        entries = f"entries {one.before.count + 1} to {one.after.count}, unbroken"
        said.append(f"{file.path}: {entries}; head {one.after.hash}; {fits}")
    return said


def _first_of(differences: Iterator[str]) -> Iterator[str]:
    yield from itertools.islice(differences, MAX_NAMED)
    left = sum(1 for _ in differences)
    if left:
        yield f"and {left} more"


def _agreed(differences: Sequence[str]) -> None:
    if differences:
        raise NotAsWritten(f"the tables say otherwise than the log: {'; '.join(differences)}")

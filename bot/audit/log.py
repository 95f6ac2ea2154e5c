"""The audit: append-only, hash-chained; append, page, export, verify.

An entry's hash is SHA-256 over the canonical JSON of all its other columns, the previous entry's hash among them. So
nothing can be changed, removed, inserted or reordered without breaking the chain from there on. Cutting off the tail
shows only against a head that was written down elsewhere.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, tuple_

from bot.audit.entry import (
    GENESIS,
    Broken,
    Columns,
    Entry,
    Event,
    Filters,
    Head,
    NotThere,
    canonical,
    digest,
    follows,
    likely,
)
from bot.db import marks
from bot.db.columns import Rfc3339
from bot.db.found import found
from bot.db.guard import cleaner
from bot.db.job_runs import jobs_of
from bot.db.tables import audit

BASE = "audit_base"
"""The mark that says where the log begins."""

STREAMED = {"yield_per": 1_000}
"""How many entries are held at a time while all of them are read."""

COLUMNS = tuple(str(column.name) for column in audit.columns)  # plain ones: SQLAlchemy's own are slow to serialise

Rows = Iterable[Row[Any]]
"""Entries as the database gives them."""

# Built once: building a statement costs more than SQLite takes to run it.
_APPEND = insert(audit)
_HEAD = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
_HASHED = sorted(set(COLUMNS) - {"hash"})
_CHAIN: Select[Any] = select(
    *(Rfc3339(audit.c.at) if name == "at" else audit.c[name] for name in _HASHED), audit.c.hash
).order_by(audit.c.id)


def append(connection: Connection, entry: Entry, at: datetime) -> Head:
    """Adds an entry in the running transaction, so that it stands or falls with the change it records.

    Writing transactions take turns (see `database`), so nobody else appends in between.

    Returns:
        The new end of the chain.
    """
    return append_all(connection, [entry], at)


def append_all(connection: Connection, entries: Sequence[Entry], at: datetime) -> Head:
    """Adds entries, in their order, in the running transaction.

    Returns:
        The end of the chain after them; the same as before if there are none.
    """
    known, clean = found(connection), cleaner(connection)
    last: Head = known.pop("audit", None) or head(connection)
    rows: list[Columns] = []
    for entry in entries:
        row: dict[str, Any] = {
            **entry.__dict__,
            "id": last.count + 1,
            "at": at,
            "detail": canonical(entry.detail),
            "prev_hash": last.hash,
        }
        row = {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}
        row["hash"] = digest(row)
        rows.append(row)
        last = Head(row["id"], row["hash"])
    if rows:
        connection.execute(_APPEND, rows if len(rows) > 1 else rows[0])
    known["audit"] = last  # for the rest of the transaction
    return last


def head(connection: Connection) -> Head:
    """The chain's end as it is now."""
    row = connection.execute(_HEAD).first()
    return Head(row.id, row.hash) if row else Head(0, GENESIS)


def page(
    connection: Connection, filters: Filters, *, before: tuple[datetime, int] | None = None, limit: int = 50
) -> list[Row[Any]]:
    """The newest entries first; `before` is the (`at`, `id`) of the last one seen, and replaces `until`."""
    return list(connection.execute(newest_first(filters, before, limit)))


def newest_first(filters: Filters, before: tuple[datetime, int] | None, limit: int) -> Select[Any]:
    """The query of `page`, for who adds conditions."""
    query = _filtered(filters, until=before is None)
    if before is not None:
        query = query.where(tuple_(audit.c.at, audit.c.id) < tuple_(*before))
    return query.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)


def story(connection: Connection, request_id: str, limit: int | None = None) -> list[Row[Any]]:
    """Everything that is on record of one request, oldest first, or so much of it."""
    query = select(audit).where(audit.c.request_id == request_id).order_by(audit.c.id)
    return list(connection.execute(query.limit(limit)))


def moment_of(connection: Connection, entry_id: int) -> datetime | None:
    """When an entry was written."""
    return connection.scalar(select(audit.c.at).where(audit.c.id == entry_id))


def export(connection: Connection, filters: Filters) -> Iterator[Row[Any]]:
    """Every entry that fits, oldest first, in constant memory."""
    query = _filtered(filters).order_by(audit.c.id)
    with connection.execute(query, execution_options=STREAMED) as rows:
        yield from rows


def written(connection: Connection, filters: Filters) -> Iterator[Row[Any]]:
    """The same as files hold it: `at` in RFC 3339."""
    columns = [Rfc3339(column).label("at") if column is audit.c.at else column for column in audit.columns]
    query = _filtered(filters).order_by(audit.c.id).with_only_columns(*columns)
    with connection.execute(query, execution_options=STREAMED) as rows:
        yield from rows


def base(connection: Connection) -> Head:
    """Where the log begins: after the entries that were archived, if any were."""
    value = marks.read(connection, BASE)
    found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", value or "")
    return Head(int(found[1]), found[2]) if found else Head(0, GENESIS)


def verify(
    connection: Connection,
    expected: Head | None = None,
    watch: Callable[[Rows], Rows] = iter,
    each: Callable[[Columns], None] = lambda _: None,
) -> Head | Broken:
    """Recomputes the whole chain.

    Args:
        expected: a head that was written down elsewhere; a count of 0 stands for any entry with that hash.
        watch: passes the entries on, and may show how far it is.
        each: called with the columns of each entry that fits.

    Returns:
        Its head, or the first entry that does not fit.
    """
    begin = base(connection)
    sought, archived, (count, last) = Sought(expected), Archived(), (begin.count, begin.hash)
    sought.look(begin)
    with connection.execute(_CHAIN, execution_options=STREAMED) as rows:
        for row in watch(rows):
            columns = dict(zip(_HASHED, row, strict=False))  # but for the hash, which is the last one
            if not _fits(columns, count, last, row[-1]):
                closely = _closely(connection, columns["id"], Head(count, last))
                if isinstance(closely, Broken):
                    return closely
                columns = closely
            count, last = columns["id"], row[-1]
            if not sought.seen:
                sought.look(Head(count, last))
            if columns["event"] == Event.ARCHIVE:
                archived.look(columns)
            each(columns)
    if begin.count and not archived.begun_after(begin):
        return Broken(begin.count + 1, "no entry says that what was before it was archived")
    end = Head(count, last)
    return archived.settled(sought, begin) or sought.missing(end) or end


class Sought:
    """A head that was written down elsewhere, looked for while the entries pass by."""

    def __init__(self, expected: Head | None) -> None:
        self.expected = expected
        self.seen = expected is None or expected == Head(0, GENESIS)
        self._other = False

    def look(self, head: Head) -> None:
        """Compares one entry's head."""
        if self.expected is None or self.seen:
            return
        if self.expected.count in (0, head.count) and self.expected.hash == head.hash:
            self.seen = True
        elif self.expected.count == head.count and head.count:
            self._other = True

    def missing(self, last: Head) -> Broken | None:
        """What is wrong with the log, which ends at `last`; None if the head was seen."""
        if self.expected is None or self.seen:
            return None
        if self._other:
            return Broken(self.expected.count, "it is not the entry that the given head names")
        return NotThere(self.expected.count, f"is not in the log, which ends with entry {last.count}")


@dataclass(frozen=True)
class Span:
    """Entries that were archived together: what an `archive` entry says of them."""

    before: Head
    after: Head
    file: str


class Archived:
    """What the entries say was archived, gathered while they pass by."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def look(self, row: Columns) -> None:
        """Remembers an entry if it is about archiving."""
        if row["event"] != Event.ARCHIVE:
            return
        with contextlib.suppress(ValueError, TypeError, LookupError):  # an entry that says nothing of the kind
            detail = json.loads(row["detail"])
            before = Head(int(detail["first_id"]) - 1, detail["head_before"])
            after = Head(int(detail["last_id"]), detail["head_after"])
            self.spans.append(Span(before, after, str(detail["file"])))

    def begun_after(self, head: Head) -> bool:
        """Whether an entry says that everything up to a head was archived."""
        return any(span.after == head for span in self.spans)

    def settled(self, sought: Sought, begin: Head) -> Broken | None:
        """Why a head from before the log's beginning cannot be checked by the log alone; None if it can be."""
        expected = sought.expected
        if expected is None or sought.seen or expected.count >= begin.count:
            return None
        for span in self.spans:
            sought.look(span.after)
        if sought.seen or any(span.after.count == expected.count for span in self.spans):
            return None
        lies = "lies before the log begins" if expected.count else "is not in the log"
        return NotThere(expected.count, f"{lies}: {self._where(expected.count, begin)}")

    def _where(self, count: int, begin: Head) -> str:
        for span in self.spans:
            if span.before.count < count <= span.after.count:
                told = f"entries {span.before.count + 1} to {span.after.count} were archived in {span.file}"
                return f"{told}; give that file with --segment"
        return f"entries up to {begin.count} were archived; give their files with --segment"


def _filtered(filters: Filters, until: bool = True) -> Select[Any]:
    query = select(audit)
    for column in ("job_id", "user_id", "request_id", "outcome"):
        wanted = getattr(filters, column)
        if wanted is not None:
            query = query.where(audit.c[column] == wanted)
    if filters.run is not None:
        query = query.where(audit.c.job_id.in_(jobs_of(filters.run)))
    if filters.since is not None:
        query = query.where(audit.c.at >= filters.since)
    if until and filters.until is not None:
        query = query.where(audit.c.at < filters.until)
    return query


def _fits(written: dict[str, Any], count: int, last: str, hashed: object) -> bool:
    """Whether an entry is quickly seen to follow so many others, the last of which has that hash; reads its moment."""
    try:
        if written["id"] == count + 1 and written["prev_hash"] == last and hashed == likely(written):
            written["at"] = datetime.fromisoformat(written["at"])
            return True
    except ValueError:  # what stands in the database is no moment
        pass
    return False


def _closely(connection: Connection, entry_id: int, last: Head) -> dict[str, Any] | Broken:
    """An entry that was not quickly seen to fit, if it does after all; or why it does not."""
    try:
        row = connection.execute(select(audit).where(audit.c.id == entry_id)).one()._asdict()
    except ValueError:
        return Broken(entry_id, "its content cannot be read")
    following = follows(last, row)
    return following if isinstance(following, Broken) else row

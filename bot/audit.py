"""The audit: append-only, hash-chained; append, page, export, verify.

An entry's hash is SHA-256 over the canonical JSON of all its other columns, the previous entry's hash among them. So
nothing can be changed, removed, inserted or reordered without breaking the chain from there on. Cutting off the tail
shows only against a head that was written down elsewhere.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, tuple_

from bot.clock import rfc3339
from bot.guard import cleaner
from bot.tables import audit, marks

BASE = "audit_base"
"""The mark that says where the log begins."""

STREAMED = {"yield_per": 1_000}
"""How many entries are held at a time while all of them are read."""

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""

COLUMNS = tuple(column.name for column in audit.columns)

_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
# Built once: building a statement costs more than SQLite takes to run it.
_APPEND = insert(audit)
_HEAD = select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened; `detail` holds further facts that JSON can hold."""

    event: str
    outcome: str | None = None
    request_id: str | None = None
    job_id: str | None = None
    status_before: str | None = None
    status_after: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    channel_id: str | None = None
    source: str | None = None
    reason: str | None = None
    grant_id: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Filters:
    """Which entries are asked for; all that are given must hold.

    Args:
        run_id: requests whose job concerned this run, as far as any of their entries knows; looks through all entries.
        since: from this moment on.
        until: before this moment.
    """

    job_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    outcome: str | None = None
    run_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Head:
    """The end of the chain: how many entries it has, and the hash of the last."""

    count: int
    hash: str


@dataclass(frozen=True)
class Broken:
    """The first entry that is not what was written."""

    id: int
    why: str


def canonical(value: Any) -> str:
    """Writes a value as canonical JSON: keys sorted, no blanks, text as it is. Floats are not used in entries."""
    return _ENCODE(value)


def digest(row: Mapping[str, Any]) -> str:
    """The hash of an entry, given as its columns (`at` as a datetime, `detail` as canonical text)."""
    payload = {**row, "at": rfc3339(row["at"])}
    payload.pop("hash", None)
    return hashlib.sha256(canonical(payload).encode("utf-8", "surrogatepass")).hexdigest()


def append(connection: Connection, entry: Entry, at: datetime) -> Head:
    """Adds an entry in the running transaction, so that it stands or falls with the change it records.

    Writing transactions take turns (see `database`), so nobody else appends in between.
    """
    return append_all(connection, [entry], at)


def append_all(connection: Connection, entries: Sequence[Entry], at: datetime) -> Head:
    """Adds entries, in their order, in the running transaction."""
    last, clean = head(connection), cleaner(connection)
    rows: list[dict[str, Any]] = []
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
    return last


def head(connection: Connection) -> Head:
    """The chain's end as it is now."""
    row = connection.execute(_HEAD).first()
    return Head(row.id, row.hash) if row else Head(0, GENESIS)


def page(
    connection: Connection, filters: Filters, *, before: tuple[datetime, int] | None = None, limit: int = 50
) -> list[Row[Any]]:
    """The newest entries first; `before` is the (`at`, `id`) of the last one seen, and replaces `until`."""
    query = _filtered(filters, until=before is None)
    if before is not None:
        query = query.where(tuple_(audit.c.at, audit.c.id) < tuple_(*before))
    return list(connection.execute(query.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)))


def story(connection: Connection, request_id: str) -> list[Row[Any]]:
    """Everything that is on record of one request, oldest first."""
    return list(connection.execute(select(audit).where(audit.c.request_id == request_id).order_by(audit.c.id)))


def moment_of(connection: Connection, entry_id: int) -> datetime | None:
    """When an entry was written."""
    return connection.scalar(select(audit.c.at).where(audit.c.id == entry_id))


def export(connection: Connection, filters: Filters) -> Iterator[Row[Any]]:
    """Every entry that fits, oldest first, in constant memory."""
    query = _filtered(filters).order_by(audit.c.id)
    with connection.execute(query, execution_options=STREAMED) as rows:
        yield from rows


def base(connection: Connection) -> Head:
    """Where the log begins: after the entries that were archived, if any were."""
    value = connection.scalar(select(marks.c.value).where(marks.c.name == BASE))
    count, _, digested = (value or f"0:{GENESIS}").partition(":")
    return Head(int(count), digested)


def verify(
    connection: Connection, expected: Head | None = None, watch: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Head | Broken:
    """Recomputes the whole chain; answers its head, or the first entry that does not fit.

    Args:
        expected: a head that was written down elsewhere; a count of 0 stands for any entry with that hash.
        watch: passes the entries on, and may show how far it is.
    """
    begin = base(connection)
    if begin.count and not _archived(connection, begin):
        return Broken(begin.count + 1, "no entry says that what was before it was archived")
    seen = expected is None or expected == begin
    last = begin
    with connection.execute(select(audit).order_by(audit.c.id), execution_options=STREAMED) as rows:
        for row in watch(rows):
            following = follows(last, dict(zip(COLUMNS, row, strict=True)))
            if isinstance(following, Broken):
                return following
            last = following
            if expected is not None and expected.count in (0, last.count) and expected.hash == last.hash:
                seen = True
            elif expected is not None and expected.count == last.count:
                return Broken(last.count, "it is not the entry that the given head names")
    return last if seen else Broken(expected.count if expected else 0, "the given head is not in the log")


def follows(last: Head, row: Mapping[str, Any]) -> Head | Broken:
    """The head after one more entry, given as its columns; or why it cannot be the next one."""
    if row["id"] != last.count + 1:
        return Broken(row["id"], f"entry {last.count + 1} is missing before it")
    if row["prev_hash"] != last.hash:
        return Broken(row["id"], "it does not follow the entry before it")
    if row["hash"] != digest(row):
        return Broken(row["id"], "its content does not match its hash")
    return Head(row["id"], row["hash"])


def _archived(connection: Connection, begin: Head) -> bool:
    """Whether an entry of the chain itself says that everything up to `begin` was archived."""
    rows = connection.execute(select(audit.c.detail).where(audit.c.event == "archive").order_by(audit.c.id.desc()))
    details = [json.loads(row.detail) for row in rows]
    return any((one.get("last_id"), one.get("head_after")) == (begin.count, begin.hash) for one in details)


def _filtered(filters: Filters, until: bool = True) -> Select[Any]:
    query = select(audit)
    for column in ("job_id", "user_id", "request_id", "outcome"):
        wanted = getattr(filters, column)
        if wanted is not None:
            query = query.where(audit.c[column] == wanted)
    if filters.run_id is not None:
        named = audit.alias("named")
        knows = named.c.detail.contains(json.dumps(filters.run_id), autoescape=True)
        query = query.where(audit.c.request_id.in_(select(named.c.request_id).where(knows)))
    if filters.since is not None:
        query = query.where(audit.c.at >= filters.since)
    if until and filters.until is not None:
        query = query.where(audit.c.at < filters.until)
    return query

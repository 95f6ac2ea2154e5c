"""What the tables should say, by the entries alone: grants, revocations, and the state of each request.

The entries are looked at one by one, in their order. What is known of the requests by then stands in a temporary file
of SQLite's, so that a million entries take no more memory than a thousand.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from bot.audit.entry import Columns, Event
from bot.audit.log import STREAMED
from bot.base.clock import rfc3339
from bot.db.tables import STATES, approvals, grants, retries

EVENTS = {"retry": Event.REQUEST, "rerun": Event.RERUN, "cancel": Event.CANCEL}
"""What an entry of a request is called, by the kind that its row names."""

_OF_REQUESTS = frozenset(EVENTS.values())

CHUNK = 1_000
"""So many requests are gathered before they are written to the temporary file."""

_TABLES = """
    CREATE TABLE requests (
        id TEXT PRIMARY KEY, recorded INTEGER, who TEXT, state TEXT, grant_id INTEGER, mixed INTEGER, present INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE approvals (id TEXT, user_id TEXT, PRIMARY KEY (id, user_id)) WITHOUT ROWID;
"""
_MOVE = """
    INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO UPDATE SET
    recorded = max(recorded, excluded.recorded), mixed = max(mixed, excluded.mixed, who <> excluded.who),
    state = excluded.state, grant_id = excluded.grant_id
"""
_REQUESTS = ("id", "team_id", "user_id", "job_id", "source", "state", "grant_id", "approved_by", "created_at", "kind")


@dataclass
class Given:
    """A grant as the entries tell of it.

    Args:
        terms: the columns of its row; None if the entry that gave it is not among those looked at.
        revoked: who ended it and when, if anybody did.
    """

    terms: Mapping[str, object] | None = None
    revoked: tuple[str | None, datetime] | None = None


class Replay:
    """Looks at entries, and then says what the tables say otherwise.

    Args:
        unchecked: rows, by table, that are older than the entries looked at.
    """

    def __init__(self) -> None:
        self.unchecked = {"grants": 0, "requests": 0}
        self._since: datetime | None = None
        self._begun = False
        self._grants: dict[int, Given] = {}
        self._moves: dict[str, tuple[object, ...]] = {}
        self._scratch = sqlite3.connect("")
        self._scratch.executescript(_TABLES)

    def close(self) -> None:
        """Removes the temporary file."""
        self._scratch.close()

    def forget(self) -> None:
        """Begins anew: entries are missing between those looked at and those to come."""
        self._begun = False
        self._grants.clear()
        self._moves.clear()
        for name in ("requests", "approvals"):
            self._scratch.execute(f"DELETE FROM {name}")  # noqa: S608  # the names stand one line above

    def look(self, row: Columns) -> None:
        """Takes in the next entry."""
        if not self._begun:
            self._begun = True
            self._since = row["at"] if row["id"] > 1 else None
        event = row["event"]
        if event in _OF_REQUESTS:
            if row["outcome"] in STATES and row["request_id"] is not None:
                self._moved(row)
        elif event in (Event.GRANT, Event.REVOKE):
            if row["outcome"] is None and row["grant_id"] is not None:
                self._given(row)
        elif event in (Event.APPROVAL, Event.BREAK_GLASS) and row["outcome"] is None:
            values = (row["request_id"], row["user_id"])
            self._scratch.execute("INSERT OR IGNORE INTO approvals VALUES (?, ?)", values)

    def otherwise(self, connection: Connection) -> Iterator[str]:
        """What the tables say otherwise, in words, row by row."""
        yield from self.grants_otherwise(connection)
        yield from self._requests_otherwise(connection)
        yield from self._approvals_otherwise(connection)

    def grants_otherwise(self, connection: Connection) -> Iterator[str]:
        """What the allow-list says otherwise."""
        left = dict(self._grants)
        for row in connection.execute(select(grants).order_by(grants.c.id)):
            yield from (f"grant {row.id} {said}" for said in self._of_grant(row._asdict(), left.pop(row.id, Given())))
        for number, given in left.items():
            if given.terms is not None:
                yield f"grant {number} ({given.terms['subject']}) was given, and is not in the table"

    def _moved(self, row: Columns) -> None:
        identifier, who, state = row["request_id"], _who(row, row["event"]), row["outcome"]
        recorded, mixed = state == "requested", False
        if (earlier := self._moves.get(identifier)) is not None:
            recorded, mixed = recorded or bool(earlier[1]), bool(earlier[5]) or earlier[2] != who
        self._moves[identifier] = (identifier, recorded, who, state, row["grant_id"], mixed)
        if len(self._moves) >= CHUNK:
            self._write()

    def _write(self) -> None:
        self._scratch.executemany(_MOVE, self._moves.values())
        self._moves.clear()

    def _given(self, row: Columns) -> None:
        given = self._grants.setdefault(row["grant_id"], Given())
        if row["event"] == Event.REVOKE:
            given.revoked = (row["user_id"], row["at"])
            return
        detail = _read(row["detail"])
        given.terms = {
            "subject": detail.get("subject"),
            "role": detail.get("role"),
            "job_types": detail.get("job_types") or [],
            "channels": detail.get("channels") or [],
            "expires_at": detail.get("expires_at"),
            "granted_by": row["user_id"],
        }

    def _older(self, moment: datetime) -> bool:
        """Whether a row of that moment may have begun before the entries that were looked at."""
        return self._since is not None and moment <= self._since

    def _of_grant(self, row: Columns, given: Given) -> Iterator[str]:
        named = f"({row['subject']}, {row['role']})"
        if given.terms is not None:
            yield from (f"{named} {said}" for said in _differences(given.terms, _terms(row)))
        elif self._older(row["granted_at"]):
            self.unchecked["grants"] += 1
        else:
            yield f"{named} stands in the table, and no entry says that it was given"
        ended = None if row["revoked_at"] is None else (row["revoked_by"], row["revoked_at"])
        if ended == given.revoked:
            return
        if given.revoked is not None:
            yield f"{named} was revoked, and the table says otherwise"
        elif not self._older(row["revoked_at"]):
            yield f"{named} is revoked in the table, and no entry says so"

    def _requests_otherwise(self, connection: Connection) -> Iterator[str]:
        self._write()
        query = select(*(retries.c[name] for name in _REQUESTS))
        with connection.execute(query, execution_options=STREAMED) as rows:
            for row in rows:
                yield from (f"request {row.id} {said}" for said in self._of_request(row._asdict()))
        lost = self._scratch.execute("SELECT id FROM requests WHERE recorded AND NOT present ORDER BY id")
        yield from (f"request {number} was recorded, and is not in the table" for (number,) in lost)

    def _of_request(self, row: Columns) -> Iterator[str]:
        told = self._scratch.execute(
            "UPDATE requests SET present = 1 WHERE id = ? RETURNING recorded, who, state, grant_id, mixed", (row["id"],)
        ).fetchone()
        recorded, who, state, grant_id, mixed = told or (0, None, None, None, 0)
        if not recorded and not self._older(row["created_at"]):
            yield "stands in the table, and no entry says that it was recorded"
        if told is None:
            self.unchecked["requests"] += self._older(row["created_at"])
            return
        if mixed or who != _who(row, EVENTS[row["kind"]]):
            yield "is another's, or of another job, by some of its entries"
        if state != row["state"]:
            yield f"is {row['state']} in the table, {state} by its last entry"
        elif grant_id != row["grant_id"]:
            yield f"was allowed by grant {row['grant_id']} in the table, {grant_id} by its last entry"
        if row["approved_by"] is not None and not recorded:
            return
        if row["approved_by"] is not None and not self._approved(row["id"], row["approved_by"]):
            yield f"is approved by {row['approved_by']} in the table, and no entry says so"

    def _approvals_otherwise(self, connection: Connection) -> Iterator[str]:
        """Which approvals stand in the table without an entry; version 2 wrote the entries alone."""
        with connection.execute(select(approvals), execution_options=STREAMED) as rows:
            for row in rows:
                if not self._older(row.at) and not self._approved(row.retry_id, row.user_id):
                    yield f"request {row.retry_id} has an approval by {row.user_id} in the table, and no entry says so"

    def _approved(self, request_id: str, user_id: str) -> bool:
        query = "SELECT 1 FROM approvals WHERE id = ? AND user_id = ?"
        return self._scratch.execute(query, (request_id, user_id)).fetchone() is not None


def _read(detail: str) -> dict[str, object]:
    """What an entry says; nothing, if it is none of the bot's own."""
    try:
        found = json.loads(detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _who(row: Columns, event: str) -> str:
    """Who asked for what."""
    return f"{row['team_id']} {row['user_id']} {row['job_id']} {row['source']} {event}"


def _terms(row: Columns) -> dict[str, object]:
    """A grant's row, in the words of its entry."""
    return {
        "subject": row["subject"],
        "role": row["role"],
        "job_types": _listed(row["job_types"]),
        "channels": _listed(row["channels"]),
        "expires_at": None if row["expires_at"] is None else rfc3339(row["expires_at"]),
        "granted_by": row["granted_by"],
    }


def _listed(array: str | None) -> object:
    try:
        return sorted(json.loads(array or "[]"))
    except (ValueError, TypeError):
        return array


def _differences(told: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name, value in told.items():
        if found[name] != value:
            yield f"has {name} {found[name] or 'none'} in the table, {value or 'none'} by its entry"

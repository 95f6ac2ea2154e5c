"""An entry of the audit, what is asked for, and the chain that entries make. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

import rfc8785
from pydantic_core import to_json

from bot.base.clock import rfc3339
from bot.base.requester import Actor, Source

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""

_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


DENIED = "denied"
"""The outcome of what somebody asked for who may not."""


Columns = Mapping[str, Any]
"""An entry as the columns of its row (`at` a datetime, `detail` a text). A tampered file may hold anything."""

Written = Mapping[str, Any]
"""An entry as it is hashed: the same in the order of their names, `at` in RFC 3339, without the hash."""


class Event(StrEnum):
    """What an entry tells of; written as it is."""

    REQUEST = "request"
    """A request to retry a job, or several, entered the state that is its outcome."""

    RERUN = "rerun"
    """The same of a request to evaluate a report again."""

    CANCEL = "cancel"
    """The same of a request to cancel a job."""

    APPROVAL_ASKED = "approval_asked"
    """A request began to wait for a second person."""

    APPROVAL = "approval"
    """A second person let a request through, or wanted to and may not."""

    DECLINE = "decline"
    """A second person ended a request that waited for one, or wanted to and may not."""

    BREAK_GLASS = "break_glass"
    """An admin let a request through without a second person, or somebody wanted to and may not."""

    GRANT = "grant"
    """Somebody was put on the allow-list, or somebody wanted that and may not."""

    REVOKE = "revoke"
    """Somebody was taken off the allow-list, or somebody wanted that and may not."""

    LOOK = "look"
    """Somebody wanted to look at jobs, or at the allow-list, and may not."""

    AUDIT_READ = "audit_read"
    """Somebody read the audit or the statistics, or wanted to and may not."""

    ALERT = "alert"
    """A job failed, and is alerted."""

    OUTSIDE = "outside"
    """A job that was alerted moved without the bot."""

    MUTE = "mute"
    """Somebody muted a job's alerts, and said why, or wanted to and may not."""

    UNMUTE = "unmute"
    """Somebody unmuted a job's alerts, or wanted to and may not."""

    TAKE = "take"
    """Somebody took a failure to see to it, or wanted to and may not, or somebody else was faster."""

    RELEASE = "release"
    """Somebody gave a failure back that they or somebody else was on, or wanted to and may not."""

    SNOOZE = "snooze"
    """Somebody put a failure off until some moment, or ended that; nobody's: its time is over."""

    REMIND = "remind"
    """Somebody was reminded of a failure that nobody takes care of."""

    ANCHOR = "anchor"
    """The head was posted in a channel."""

    ARCHIVE = "archive"
    """Old entries were moved to a file."""

    RECOVER = "recover"
    """After a restore from a backup, open requests became unknown."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that happened; `detail` holds further facts that JSON can hold. Who it was: see `Actor.columns`."""

    event: Event
    outcome: str | None = None
    request_id: str | None = None
    job_id: str | None = None
    status_before: str | None = None
    status_after: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    channel_id: str | None = None
    source: Source | None = None
    reason: str | None = None
    grant_id: int | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


def denied(event: Event, by: Actor, detail: Mapping[str, object], job_id: str | None = None) -> Entry:
    """Returns the entry of what somebody wanted who may not; `detail` says why."""
    return Entry(event=event, outcome=DENIED, job_id=job_id, detail=detail, **by.columns)


@dataclass(frozen=True)
class Filters:
    """Which entries are asked for; all that are given must hold.

    Args:
        run: a run's ID or its name, letter case apart: entries of jobs that belong to it, as far as that was looked up.
        since: from this moment on.
        until: before this moment.
    """

    job_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    outcome: str | None = None
    run: str | None = None
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

    def __str__(self) -> str:
        return f"entry {self.id} was changed: {self.why}"


class NotThere(Broken):
    """The entry that a given head names, which is not among those that were looked at."""

    def __str__(self) -> str:
        return f"entry {self.id or 'with the given hash'} {self.why}"


def canonical(value: Any) -> str:
    """Writes a value as canonical JSON, RFC 8785.

    Raises:
        ValueError: it holds a number beyond 2^53 or text that is no Unicode.
    """
    return rfc8785.dumps(value).decode("utf-8")


def quickly(value: Any) -> str:
    """What `canonical` writes, for what entries hold (a test compares the two), five times as fast.

    Only for what is compared with a hash or a text anyway; whatever it does not confirm, `canonical` decides.
    """
    return _ENCODE(value)


def digest(row: Columns) -> str:
    """Returns the SHA-256 of an entry, in lower-case hex; `detail` must be canonical."""
    return sha256(rfc8785.dumps(_payload(row))).hexdigest()


def _payload(row: Columns) -> dict[str, Any]:
    payload = {**row, "at": rfc3339(row["at"])}
    payload.pop("hash", None)
    return payload


_PLAIN = frozenset({str, int, type(None)})


def likely(written: Written) -> str:
    """Returns what `digest` does, many times as fast, where the columns hold what the bot writes.

    Whatever else they hold, such as bytes, gets no hash here: `digest` decides, which takes no bytes for text.
    """
    return sha256(to_json(written)).hexdigest() if _PLAIN.issuperset(map(type, written.values())) else ""


def _has_its_hash(row: Columns) -> bool:
    try:
        return bool(row["hash"] == likely(_payload(row)) or row["hash"] == digest(row))
    except (TypeError, ValueError, AttributeError):  # a column holds what no entry can
        return False


def follows(last: Head, row: Columns) -> Head | Broken:
    """The head after one more entry, given as its columns; or why it cannot be the next one."""
    if row["id"] != last.count + 1:
        return Broken(row["id"], f"entry {last.count + 1} is missing before it")
    if row["prev_hash"] != last.hash:
        return Broken(row["id"], "it does not follow the entry before it")
    if not _has_its_hash(row):
        return Broken(row["id"], "its content does not match its hash")
    return Head(row["id"], row["hash"])

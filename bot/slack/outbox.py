"""Which rows lag behind the messages that show them: claimed, brought up to date, given back.

The same for every table with the columns of `db.columns.shown`. Everything runs inside one transaction of the caller's.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import (
    BindParameter,
    Case,
    Connection,
    Integer,
    Row,
    Select,
    Table,
    Update,
    UpdateBase,
    bindparam,
    case,
    func,
    select,
    update,
)

from bot.db.columns import Moment, NotAhead
from bot.slack.piece import OutboxRow, in_doubt

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
"""How long a claimed row is left to its claimant; longer than any turn may take."""

GIVE_UP_AFTER = timedelta(days=1)
"""After a day nobody waits for a message any more."""

TRIES_OF_A_DAY = 295
"""What changed a day after it began is tried for another day: so many pauses of `pause_after`."""

TRIES_IF_REFUSED = 8
"""So often, where Slack says no to what is that old: for eight minutes."""

WRITTEN = "?"
"""Stands in `shown` where a message may have been posted unnoticed: whose turn, by its fence, wrote the others down."""

S = TypeVar("S", bound=OutboxRow)


def soon(table: Table) -> Case[datetime]:
    """Returns the value of `show_at` after a change: parameter `b_at`, unless somebody is showing the row.

    The changed version brings whoever that is back to it. Who shows rows goes by the database's clock.
    """
    row = table.c
    return case((row.showing & row.show_at.is_not(None), row.show_at), else_=NotAhead(_moment("b_at")))


class Outbox(Generic[S]):
    """The rows of one table, as far as Slack shows them.

    Args:
        table: with the columns of `db.columns.shown`.
        load: makes the object to be shown from a claimed row.
    """

    def __init__(self, table: Table, load: Callable[[Connection, Row[Any], bool], S]) -> None:
        self._load = load
        self.is_due = table.c.show_at <= bindparam("b_now", type_=Moment())
        self._lagging = _lagging(table)
        self._lagging_one = self._lagging.where(table.c.id == bindparam("b_id"))
        self._claim = _claim(table)
        self._holds = _holds(table)
        self._showed = _showed(table)
        self._put_off = _put_off(table)
        self._not_later = _not_later(table)
        self._claim_changed = _claim_changed(table)
        self._free = _free(table)

    def claim(
        self,
        connection: Connection,
        at: datetime,
        *,
        only: str | None = None,
        limit: int = 50,
        apart_from: Collection[str] = (),
        lease: timedelta = LEASE,
    ) -> list[S]:
        """Takes rows whose messages lag behind, those that have waited longest first, or only one.

        Args:
            apart_from: places whose rows are left alone.
            lease: for how long nobody else takes them.

        Returns:
            The rows, to be shown before the lease is over; none if no message lags behind.
        """
        values: dict[str, object] = {"b_now": at, "b_limit": limit, "b_apart_from": list(apart_from)}
        query = self._lagging if only is None else self._lagging_one
        while lagging := connection.execute(query, values if only is None else values | {"b_id": only}).all():
            interrupted = {row.id: row.showing for row in lagging}
            rows = connection.execute(self._claim, {"b_ids": list(interrupted), "b_until": at + lease}).all()
            loaded = [self._loaded(connection, row, interrupted[row.id], at) for row in rows]
            if found := [row for row in loaded if row is not None]:
                return found
        return []

    def claim_changed(self, connection: Connection, row_id: str, at: datetime, lease: timedelta = LEASE) -> S | None:
        """Takes one row that this very transaction changed; None if somebody is showing it, or did and may have failed.

        Whoever is will find the changed version; what may have failed is left to a claim that says so.
        """
        row = connection.execute(self._claim_changed, {"b_id": row_id, "b_until": at + lease}).first()
        return None if row is None else self._loaded(connection, row, False, at)

    def _loaded(self, connection: Connection, row: Row[Any], interrupted: bool, at: datetime) -> S | None:
        """The object to be shown; a row that cannot be read is put off, so that it holds up no other."""
        try:
            return _as_known(self._load(connection, row, interrupted))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            log.error("showing.unreadable", row_id=row.id, error=type(error).__name__)
            pause = pause_after(row.show_failures) if at - row.created_at <= GIVE_UP_AFTER else None
            values = {"b_id": row.id, "b_later": pause and at + pause, "b_showing": interrupted}
            connection.execute(self._put_off, values)
            return None

    def holds(self, connection: Connection, row: S, at: datetime, until: datetime | None = None) -> bool:
        """Whether a claim still holds: nobody else took the row, and nobody may.

        Args:
            until: when it ends, of one that was perhaps rolled back: the next one has the same fence.
        """
        ends = connection.scalar(self._holds, {"b_id": row.id, "b_fence": row.show_fence, "b_now": at})
        return ends is not None and until in (None, ends)

    def showed(
        self,
        connection: Connection,
        row: S,
        at: datetime,
        *,
        shown: Mapping[str, object],
        unpostable: str | None,
        pause: timedelta = timedelta(0),
        again_in: timedelta | None = None,
        failed: bool = True,
        lost: bool = False,
    ) -> bool:
        """Writes which messages show a row now, and gives the claim back.

        Args:
            pause: how long to leave a row alone that changed meanwhile.
            again_in: how long to wait before trying what failed once more; None if everything is shown.
            failed: whether that counts as a failure, after which the pauses grow.
            lost: whether something may have been posted without our knowing; the next turn then looks for it.

        Returns:
            Whether the row changed meanwhile, so that there is more to show.
        """
        later = at + again_in if again_in is not None else None
        values = {
            "b_id": row.id,
            "b_fence": row.show_fence,
            "b_version": row.version,
            "b_later": later,
            "b_soon": later or at + pause,
            "shown": json.dumps({**shown, WRITTEN: {"fence": str(row.show_fence)}} if lost else shown, sort_keys=True),
            "unpostable": unpostable,
            "showing": lost,
            "show_failures": 0 if again_in is None else row.show_failures + failed,
        }
        if row.response_url is not None and row.final and again_in is None:
            values["response_url"] = None
        version = connection.scalar(self._showed, values)
        return version is not None and version != row.version

    def not_later(self, connection: Connection, at: datetime) -> None:
        """Has no row wait longer than from now on: at most for a lease, where somebody may be showing it."""
        connection.execute(self._not_later, {"b_now": at, "b_until": at + LEASE})

    def free(self, connection: Connection, at: datetime) -> None:
        """Makes every row that lags behind due at once; only for a process that is alone on its database.

        What was posted for one may not be known: a power failure may have undone that it was claimed, or what was
        written of it since. So it is looked for first.
        """
        connection.execute(self._free, {"b_now": at})


def _as_known(row: S) -> S:
    """A row with what is known of its messages: after a turn that never came back, which they are, not what they say.

    That turn may have updated any of them, and the row may be again as it was before.
    """
    shown = dict(row.shown)
    written_by = shown.pop(WRITTEN, {}).get("fence")
    if row.interrupted and written_by != str(row.show_fence - 1):
        shown = {kind: in_doubt(known) if known["ts"] else known for kind, known in shown.items()}
    return replace(row, shown=shown)


def pause_after(failures: int) -> timedelta:
    """Returns how long a row is left alone that could not be shown: 1 s at first, then twice as long, up to 300 s."""
    return timedelta(seconds=min(300, 2 ** min(failures, 9)))


# An outbox builds its statements once: building one costs more than SQLite takes to run it.


def _moment(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=Moment())


def _lagging(table: Table) -> Select[tuple[str, bool]]:
    """The rows whose messages lag behind, those that have waited longest first."""
    row = table.c
    place = func.coalesce(row.channel_id, row.user_id) if "user_id" in row else row.channel_id
    return (
        select(row.id, row.showing)
        .where(row.show_at <= bindparam("b_now"), place.not_in(bindparam("b_apart_from", expanding=True)))
        .order_by(row.show_at)
        .limit(bindparam("b_limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )


def _claim(table: Table) -> UpdateBase:
    row = table.c
    return (
        update(table)
        .where(row.id.in_(bindparam("b_ids", expanding=True)))
        .values(show_fence=row.show_fence + 1, show_at=bindparam("b_until"), showing=True)
        .returning(*row)
    )


def _claim_changed(table: Table) -> UpdateBase:
    row = table.c
    return (
        update(table)
        .where(row.id == bindparam("b_id"), ~row.showing)
        .values(show_fence=row.show_fence + 1, show_at=bindparam("b_until"), showing=True)
        .returning(*row)
    )


def _free(table: Table) -> Update:
    """Makes what lags behind due, as after a claim that never came back: the machine may have lost the last commits."""
    row = table.c
    due = case((row.show_at > bindparam("b_now"), _moment("b_now")), else_=row.show_at)
    freed = {"show_at": due, "showing": True, "show_fence": row.show_fence + 1}
    return update(table).where(row.show_at.is_not(None)).values(freed)


def _holds(table: Table) -> Select[tuple[datetime]]:
    row = table.c
    return select(row.show_at).where(
        row.id == bindparam("b_id"), row.show_fence == bindparam("b_fence"), row.show_at > bindparam("b_now")
    )


def _showed(table: Table) -> UpdateBase:
    """Gives a claim back; a row that changed meanwhile is due sooner than one that is shown as it is."""
    row = table.c
    return (
        update(table)
        .where(row.id == bindparam("b_id"), row.show_fence == bindparam("b_fence"))
        .values(show_at=case((row.version == bindparam("b_version"), _moment("b_later")), else_=_moment("b_soon")))
        .returning(row.version)
    )


def _put_off(table: Table) -> Update:
    row = table.c
    return (
        update(table)
        .where(row.id == bindparam("b_id"))
        .values(show_at=_moment("b_later"), showing=bindparam("b_showing"), show_failures=row.show_failures + 1)
    )


def _not_later(table: Table) -> Update:
    """Has no row wait beyond now or, where somebody may be showing it, beyond `b_until`."""
    row = table.c
    latest = case((row.showing, _moment("b_until")), else_=_moment("b_now"))
    return update(table).where(row.show_at > latest).values(show_at=latest)

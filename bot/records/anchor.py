"""Posts the audit's head to a channel once a day, where whoever owns the database cannot change it."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.audit.signing import SignedHead, Signer
from bot.base.clock import Clock, rfc3339
from bot.db import marks
from bot.db.database import Database
from bot.records.messages import anchored
from bot.slack.client import Slack
from bot.slack.errors import SlackError, SlackUnavailable
from bot.slack.outbox import LEASE
from bot.slack.piece import Piece, marker_of

log = structlog.get_logger(__name__)

MARK = "anchored"
"""The mark that names the day whose head was posted last."""

CLAIM = "anchoring"
"""The mark that says until when nobody else posts to a channel: one is at it, or was refused; and which head is posted.

A head stands there until it is known whether it was posted.
"""

REFUSED_FOR = timedelta(hours=1)
"""A channel that was refused is not tried again for so long, by any process; another channel is."""

ANCHOR_SECONDS = 60.0
"""How often it is looked at whether a new day has begun."""


class Anchor:
    """Anchors the audit: one process a day, whichever is first.

    What is on record as anchored was posted. Where a post got no answer, or its process died, the same head is looked
    for in the channel, as far as the bot may read it, before it is posted once more.

    Args:
        channel_id: where the head is posted.
        signer: signs it.
    """

    def __init__(self, database: Database, slack: Slack, channel_id: str, clock: Clock, signer: Signer) -> None:
        self._database = database
        self._slack = slack
        self._channel_id = channel_id
        self._clock = clock
        self._signer = signer
        self._refused: SlackError | None = None
        self._posted: tuple[SignedHead, str, datetime] | None = None

    async def step(self) -> None:
        """Posts today's head, unless that was done.

        Raises:
            SlackError: it could not be posted, and will be tried again; a refusal is raised until it is.
        """
        at = self._clock()
        if self._posted is not None:  # and not recorded: the database failed just then
            await self._record(*self._posted)
        if await self._database.run(lambda connection: _done(connection, at)):
            self._refused = None
            return
        claimed = await self._database.run(self._claim)
        if claimed is not None:
            await self._post(*claimed, at)
        elif self._refused is not None:
            raise self._refused.with_traceback(None)

    async def _post(self, signed: SignedHead, tried_at: datetime | None, at: datetime) -> None:
        piece, row_id = Piece("anchor", anchored(signed, at)), signed.head.hash[:16]
        try:
            marker = marker_of(row_id, piece.kind)
            found = await self._slack.find(self._channel_id, None, marker, tried_at) if tried_at else None
            ts = found or await self._slack.post(self._channel_id, piece.marked(row_id))
        except SlackUnavailable:
            raise  # the claim ends soon
        except SlackError as error:
            self._refused = error
            await self._database.run(lambda connection: self._hold(connection, REFUSED_FOR))
            raise
        self._refused = None
        self._posted = (signed, ts, at)
        await self._record(signed, ts, at)

    async def _record(self, signed: SignedHead, ts: str, at: datetime) -> None:
        await self._database.run(lambda connection: self._note(connection, signed, ts, at))
        self._posted = None
        log.info("audit.anchored", count=signed.head.count)

    def _claim(self, connection: Connection) -> tuple[SignedHead, datetime | None] | None:
        """Makes today's anchoring ours for a moment; None if somebody has it, or there is nothing to anchor.

        Returns:
            The head to post, and when that was tried before, should it be so.
        """
        now, mark = self._database.now(connection), marks.find(connection, CLAIM)
        until, channel_id, tried = [*(mark.value if mark else "").split(" "), "", ""][:3]
        if channel_id == self._channel_id and rfc3339(now) < until <= rfc3339(now + REFUSED_FOR):
            return None
        if mark and tried and channel_id == self._channel_id and _day(mark.updated_at) == _day(now):
            self._hold(connection, LEASE, tried)
            return SignedHead.read(tried), mark.updated_at
        head = audit.head(connection)
        if head.count == 0:
            return None
        signed = self._signer.sign(head)
        self._hold(connection, LEASE, str(signed))
        return signed, None

    def _hold(self, connection: Connection, long: timedelta, posting: str = "") -> None:
        now = self._database.now(connection)
        marks.write(connection, CLAIM, f"{rfc3339(now + long)} {self._channel_id} {posting}".strip(), now)

    def _note(self, connection: Connection, signed: SignedHead, ts: str, at: datetime) -> None:
        """Records that it was posted."""
        marks.write(connection, MARK, _day(at), at)
        detail = {"count": signed.head.count, "head": signed.head.hash, "signature": signed.signature, "thread_ts": ts}
        said = {name: value for name, value in detail.items() if value is not None}
        audit.append(connection, Entry(event=Event.ANCHOR, channel_id=self._channel_id, detail=said), at)


def _done(connection: Connection, at: datetime) -> bool:
    return marks.read(connection, MARK) == _day(at)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"

"""Brings what Slack shows up to date with the rows: posts what is missing, updates what lags behind."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Generic

import structlog

from bot.base.clock import Clock
from bot.base.loops import Tasks, until_written
from bot.db.database import Database
from bot.slack.client import Slack
from bot.slack.errors import CannotPost, MessageGone, RateLimited, SlackError, SlackUnavailable
from bot.slack.message import Message
from bot.slack.outbox import GIVE_UP_AFTER, LEASE, Outbox, S, pause_after
from bot.slack.pace import Turn
from bot.slack.piece import OutboxRow, Piece, marker_of

log = structlog.get_logger(__name__)

TURN_SECONDS = 45.0
"""Less than a lease: a turn that takes longer is given up, and another one takes over."""

PLACES = 24
"""Rows of one table that are shown at a time."""

PLACES_OF_A_CHANNEL = 8
"""So many of them in one channel, or for one person: a slow one leaves room for the others."""

BEHIND_SECONDS = 60.0
"""So long at most what goes on in a thread waits for what begins one, where a channel takes no more posts just now."""


class ClaimLost(Exception):
    """The lease is over, or somebody else has the row: nothing more may be posted for it."""


class Publisher(Generic[S]):
    """Shows the rows of one table in Slack.

    A place is taken first, then as many rows are claimed as there are places: none waits while its lease runs out.

    Args:
        database: where the rows are, and which messages show them.
        slack: where they are shown.
        board: which rows lag behind.
        pieces: the messages that should show a row, in the order they are posted.
        clock: the present moment.
        pause: how long a row that keeps changing is left alone between two turns.
        turn_seconds: how long one attempt to show a row may take; less than the lease.
        lease: for how long a claimed row is left to its claimant.
    """

    def __init__(
        self,
        database: Database,
        slack: Slack,
        outbox: Outbox[S],
        pieces: Callable[[S], Sequence[Piece]],
        clock: Clock,
        pause: timedelta = timedelta(0),
        turn_seconds: float = TURN_SECONDS,
        lease: timedelta = LEASE,
    ) -> None:
        self._database = database
        self._slack = slack
        self._outbox = outbox
        self._pieces = pieces
        self._clock = clock
        self._pause = pause
        self._turn_seconds = turn_seconds
        self._lease = lease
        self._places: Counter[str] = Counter()
        self._claiming = asyncio.Lock()
        self._crowded = False
        self._stopping = False
        self._tasks = Tasks()
        self.unpostable: dict[str, str] = {}
        """Why a channel cannot be posted to, by its ID; of channels where there is no reader to be told instead."""

    async def sweep(self) -> None:
        """Takes up the rows that lag behind, as many as there are places; each that is done makes room for the next."""
        self._crowded = False
        while (row := await self._claim()) is not None:
            self._tasks.start(self._show_and_go_on(row), request_id=row.id)

    async def show(self, row_id: str) -> None:
        """Shows one row now, unless somebody is at it already, or its place is full: then the sweep finds it."""
        row = await self._claim(row_id)
        if row is not None:
            await self._show(row)
            if self._crowded:
                self._tasks.start(self.sweep())

    async def stop(self, seconds: float) -> None:
        """Takes up nothing more by itself, and waits for what is under way."""
        self._stopping = True
        await self._tasks.drain(seconds)

    async def _claim(self, only: str | None = None) -> S | None:
        """Takes a place and the row that has waited longest for one; None if there is no place, or no such row."""
        async with self._claiming:
            full = [place for place, taken in self._places.items() if taken >= PLACES_OF_A_CHANNEL]
            self._crowded = self._crowded or bool(full) or self._places.total() >= PLACES
            if (self._stopping and only is None) or self._places.total() >= PLACES:
                return None
            rows = await self._database.run(
                lambda connection: self._outbox.claim(
                    connection,
                    self._database.now(connection),
                    only=only,
                    limit=1,
                    apart_from=full,
                    lease=self._lease,
                )
            )
            if not rows:
                return None
            self._places[rows[0].place] += 1
            return rows[0]

    async def _show_and_go_on(self, row: S) -> None:
        await self._show(row)
        await self.sweep()

    async def _show(self, row: S) -> None:
        """Uses the place that was taken for a row, and gives it back."""
        try:
            await self._turn(row)
        except ClaimLost:
            log.info("display.claim_lost", request_id=row.id)
        finally:
            self._places[row.place] -= 1
            if not self._places[row.place]:
                del self._places[row.place]

    async def _turn(self, row: S) -> None:
        """One attempt to show a row; whatever came of it is written down."""
        began = asyncio.get_running_loop().time()
        shown: dict[str, Mapping[str, str]] = dict(row.shown)
        current = replace(row, shown=shown)
        problem: Exception | None = None
        try:
            async with asyncio.timeout(self._turn_seconds):
                current = await self._bring_up_to_date(current, shown)
        except ClaimLost:
            raise
        except RateLimited as error:
            problem = error
        except (SlackError, TimeoutError) as error:
            problem = error
            if isinstance(error, CannotPost) and row.reader is None and row.channel_id is not None:
                self.unpostable[row.channel_id] = error.error
            log.warning("display.failed", request_id=row.id, error=str(error) or type(error).__name__)
        except Exception as error:  # whatever one row runs into, the others go on
            problem = error
            log.exception("display.failed", request_id=row.id)
        left = self._lease.total_seconds() - (asyncio.get_running_loop().time() - began)
        await until_written(lambda: self._write_down(row, current, problem), seconds=left)
        if isinstance(problem, RateLimited):
            asyncio.get_running_loop().call_later(problem.retry_after, self._wake)

    def _wake(self) -> None:
        """Looks for a row whose wait is over, without waiting for the next sweep."""
        if not self._stopping:
            self._tasks.start(self.sweep())

    async def _write_down(self, row: S, current: S, problem: Exception | None) -> None:
        """Writes which messages show the row now, and when it is looked at again."""
        limited = isinstance(problem, RateLimited)
        refused = isinstance(problem, SlackError) and not isinstance(problem, SlackUnavailable)
        await self._database.run(
            lambda connection: self._outbox.showed(
                connection,
                row,
                self._database.now(connection),
                shown=current.shown,
                unpostable=current.unpostable,
                pause=self._pause,
                again_in=self._again_in(row, problem) if problem is not None else None,
                failed=not limited,
                lost=problem is not None and (row.interrupted or not refused),
            )
        )

    async def _bring_up_to_date(self, row: S, shown: dict[str, Mapping[str, str]]) -> S:
        try:
            await self._show_pieces(row, shown)
        except CannotPost as error:
            if row.unpostable is not None or row.reader is None:
                raise
            log.info("display.private", request_id=row.id, channel_id=row.channel_id, error=error.error)
            row = replace(row, unpostable=error.error)
            await self._show_pieces(row, shown)
        return row

    async def _show_pieces(self, row: S, shown: dict[str, Mapping[str, str]]) -> None:
        for piece in self._pieces(row):
            if piece.kind not in shown and (found := await self._find(row, piece)) is not None:
                shown[piece.kind] = {"ts": found, "digest": ""}  # what it says may be older than the row
            known = shown.get(piece.kind)
            if known is None:
                shown[piece.kind] = {"ts": await self._post(row, piece), "digest": piece.digest}
            elif known["digest"] != piece.digest and not piece.private:
                shown[piece.kind] = {**await self._update(row, piece, known), "digest": piece.digest}

    async def _find(self, row: S, piece: Piece) -> str | None:
        """The ts of a piece that an attempt posted whose answer is not known; None if there is none to be found."""
        if not row.interrupted or row.channel_id is None or (row.reader is not None and piece.private):
            return None
        return await self._slack.find(
            row.channel_id, _thread_of(row, piece), marker_of(row.id, piece.kind), row.created_at
        )

    async def _post(self, row: S, piece: Piece) -> str:
        """Posts a piece where it belongs."""
        message = piece.marked(row.id)
        if row.reader is not None and (piece.private or row.channel_id is None):
            await self._check_claim(row)
            await self._tell(row, row.reader, message)
            return ""
        return await self._post_in(row, message, _thread_of(row, piece))

    async def _update(self, row: S, piece: Piece, known: Mapping[str, str]) -> Mapping[str, str]:
        """Updates a message; what cannot be updated any more goes on in the thread, where that says anything."""
        assert row.channel_id is not None  # noqa: S101  # narrows the type: it was posted there
        message = piece.marked(row.id)
        await self._check_claim(row)
        try:
            turn = Turn(row.id, 0 if row.final else BEHIND_SECONDS)
            await self._slack.update(row.channel_id, known.get("reply") or known["ts"], message, turn)
        except MessageGone as error:
            log.info("display.gone", request_id=row.id, kind=piece.kind, error=error.error)
            if piece.kind != "announcement" and not piece.in_channel:
                return {"ts": await self._go_on(row, piece, known, row.root_ts)}
            if piece.in_thread_too:
                return {**known, "reply": await self._go_on(row, piece, known, known["ts"])}
        return known

    async def _go_on(self, row: S, piece: Piece, known: Mapping[str, str], thread_ts: str | None) -> str:
        """Posts below a message that cannot be updated, or updates what an interrupted attempt posted there."""
        assert row.channel_id is not None  # noqa: S101  # as above
        message = piece.marked(row.id)
        gone = (known["ts"], known.get("reply"))
        marker = marker_of(row.id, piece.kind)
        if row.interrupted and (
            found := await self._slack.find(row.channel_id, thread_ts, marker, row.created_at, apart_from=gone)
        ):
            await self._slack.update(row.channel_id, found, message, Turn(row.id))
            return found
        return await self._post_in(row, message, thread_ts)

    async def _post_in(self, row: S, message: Message, thread_ts: str | None) -> str:
        assert row.channel_id is not None  # noqa: S101  # narrows the type: what has no reader has a channel
        await self._check_claim(row)
        try:
            turn = Turn(row.id, BEHIND_SECONDS * min(len(row.shown), 2))
            posted = await self._slack.post(row.channel_id, message, thread_ts, turn)
        except MessageGone as error:  # the thread itself was deleted
            raise CannotPost(error.error) from error
        self.unpostable.pop(row.channel_id, None)
        return posted

    async def _tell(self, row: S, reader: str, message: Message) -> None:
        await self._slack.tell(
            reader,
            message,
            channel_id=row.channel_id,
            thread_ts=row.asked_in,
            response_url=row.response_url,
        )

    async def _check_claim(self, row: S) -> None:
        """Makes sure, right before a message, that nobody else is about to send it: this process may have slept.

        Raises:
            ClaimLost: somebody may be.
        """
        if not await self._database.run(
            lambda connection: self._outbox.holds(connection, row, self._database.now(connection))
        ):
            raise ClaimLost

    def _again_in(self, row: S, problem: Exception) -> timedelta | None:
        """Longer and longer pauses, or the one that Slack asks for; None when nobody waits for the message any more."""
        if self._clock() - row.since > GIVE_UP_AFTER:
            log.error("display.given_up", request_id=row.id)
            return None
        if isinstance(problem, RateLimited):
            return timedelta(seconds=problem.retry_after)
        return pause_after(row.show_failures)


def _thread_of(row: OutboxRow, piece: Piece) -> str | None:
    """The thread that a piece belongs to; None: the channel."""
    return None if piece.in_channel or piece.kind == "announcement" else row.root_ts

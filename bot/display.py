"""Brings what Slack shows up to date with the rows: posts what is missing, updates what lags behind."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Generic

import structlog

from bot.clock import Clock
from bot.database import Database
from bot.presenter.pieces import Piece, marker_of
from bot.showing import Board, S
from bot.slack import CannotPost, Message, MessageGone, Slack, SlackError, SlackUnavailable

log = structlog.get_logger(__name__)

TURN_SECONDS = 45
"""Less than a lease: a turn that takes longer is given up, and another one takes over."""

AT_ONCE = 8
GIVE_UP_AFTER = timedelta(days=1)


class Display(Generic[S]):
    """Shows the rows of one table in Slack.

    Args:
        database: where the rows are, and which messages show them.
        slack: where they are shown.
        board: which rows lag behind.
        pieces: the messages that should show a row, in the order they are posted.
        clock: the present moment.
        pause: how long a row that keeps changing is left alone between two turns.
    """

    def __init__(
        self,
        database: Database,
        slack: Slack,
        board: Board[S],
        pieces: Callable[[S], Sequence[Piece]],
        clock: Clock,
        pause: timedelta = timedelta(0),
    ) -> None:
        self._database = database
        self._slack = slack
        self._board = board
        self._pieces = pieces
        self._clock = clock
        self._pause = pause
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.unpostable: dict[str, str] = {}
        """Why a channel cannot be posted to, by its ID; of channels where there is no reader to be told instead."""

    async def sweep(self) -> None:
        """Shows every row that lags behind."""
        while rows := await self._claim():
            await asyncio.gather(*(self._guarded(row) for row in rows))

    async def show(self, row_id: str) -> None:
        """Shows one row now, unless somebody is at it already."""
        for row in await self._claim(row_id):
            await self._turn(row)

    async def _claim(self, only: str | None = None) -> list[S]:
        return await self._database.run(
            lambda connection: self._board.claim(connection, self._database.now(connection), only=only)
        )

    async def _guarded(self, row: S) -> None:
        async with self._slots:
            await self._turn(row)

    async def _turn(self, row: S) -> None:
        """One attempt to show a row; whatever came of it is written down."""
        shown: dict[str, Mapping[str, str]] = dict(row.shown)
        current = replace(row, shown=shown)
        problem: Exception | None = None
        try:
            async with asyncio.timeout(TURN_SECONDS):
                current = await self._bring_up_to_date(current, shown)
        except (SlackError, TimeoutError) as error:
            problem = error
            if isinstance(error, CannotPost) and row.reader is None and row.channel_id is not None:
                self.unpostable[row.channel_id] = error.error
            log.warning("display.failed", request_id=row.id, error=str(error) or type(error).__name__)
        await self._database.run(
            lambda connection: self._board.showed(
                connection,
                row,
                self._database.now(connection),
                shown=shown,
                unpostable=current.unpostable,
                pause=self._pause,
                again_in=self._again_in(row) if problem is not None else None,
                lost=isinstance(problem, (SlackUnavailable, TimeoutError)),
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
            known = shown.get(piece.kind)
            if known is None:
                shown[piece.kind] = {"ts": await self._post(row, piece), "digest": piece.digest}
            elif known["digest"] != piece.digest and not piece.private:
                shown[piece.kind] = {**await self._update(row, piece, known), "digest": piece.digest}

    async def _post(self, row: S, piece: Piece) -> str:
        """Posts a piece where it belongs; after an attempt whose answer is not known, looks for it first."""
        message = piece.marked(row.id)
        if row.reader is not None and (piece.private or row.channel_id is None):
            await self._tell(row, row.reader, message)
            return ""
        assert row.channel_id is not None  # noqa: S101  # narrows the type: what has no reader has a channel
        thread_ts = None if piece.in_channel or piece.kind == "announcement" else row.root_ts
        if row.interrupted:
            found = await self._slack.find(row.channel_id, thread_ts, marker_of(row.id, piece.kind), row.created_at)
            if found is not None:
                return found
        return await self._post_in(row.channel_id, message, thread_ts)

    async def _update(self, row: S, piece: Piece, known: Mapping[str, str]) -> Mapping[str, str]:
        """Updates a message; what cannot be updated any more goes on in the thread, where that says anything."""
        assert row.channel_id is not None  # noqa: S101  # narrows the type: it was posted there
        message = piece.marked(row.id)
        try:
            await self._slack.update(row.channel_id, known.get("reply") or known["ts"], message)
        except MessageGone as error:
            log.info("display.gone", request_id=row.id, kind=piece.kind, error=error.error)
            if piece.kind != "announcement" and not piece.in_channel:
                return {"ts": await self._post_in(row.channel_id, message, row.root_ts)}
            if piece.in_thread_too:
                return {**known, "reply": await self._post_in(row.channel_id, message, known["ts"])}
        return known

    async def _post_in(self, channel_id: str, message: Message, thread_ts: str | None) -> str:
        try:
            posted = await self._slack.post(channel_id, message, thread_ts)
        except MessageGone as error:  # the thread itself was deleted
            raise CannotPost(error.error) from error
        self.unpostable.pop(channel_id, None)
        return posted

    async def _tell(self, row: S, reader: str, message: Message) -> None:
        await self._slack.tell(
            reader,
            message,
            channel_id=row.channel_id,
            thread_ts=row.asked_in,
            response_url=row.response_url,
        )

    def _again_in(self, row: S) -> timedelta | None:
        """Longer and longer pauses; after a day nobody waits for the message any more."""
        if self._clock() - row.since > GIVE_UP_AFTER:
            log.error("display.given_up", request_id=row.id)
            return None
        return timedelta(seconds=min(300, 2 ** min(row.show_failures, 9)))

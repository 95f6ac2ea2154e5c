"""Brings what Slack shows up to date with the rows: posts what is missing, updates what lags behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from bot.clock import Clock
from bot.database import Database
from bot.presenter import retries
from bot.presenter.place import Place
from bot.presenter.retries import Piece
from bot.record import Retry, claim_shows, showed
from bot.slack import CannotPost, Message, MessageGone, Slack, SlackError, SlackUnavailable

log = structlog.get_logger(__name__)

TURN_SECONDS = 45
"""Less than a lease: a turn that takes longer is given up, and another one takes over."""

AT_ONCE = 8
GIVE_UP_AFTER = timedelta(days=1)


class Display:
    """Shows retries in Slack.

    Args:
        database: where the rows are, and which messages show them.
        slack: where they are shown.
        place: where links lead.
        clock: the present moment.
    """

    def __init__(self, database: Database, slack: Slack, place: Place, clock: Clock) -> None:
        self._database = database
        self._slack = slack
        self._place = place
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def sweep(self) -> None:
        """Shows every row that lags behind."""
        while rows := await self._claim():
            await asyncio.gather(*(self._guarded(row) for row in rows))

    async def show(self, request_id: str) -> None:
        """Shows one row now, unless somebody is at it already."""
        for row in await self._claim(request_id):
            await self._turn(row)

    async def _claim(self, only: str | None = None) -> list[Retry]:
        return await self._database.run(
            lambda connection: claim_shows(connection, self._database.now(connection), only=only)
        )

    async def _guarded(self, retry: Retry) -> None:
        async with self._slots:
            await self._turn(retry)

    async def _turn(self, retry: Retry) -> None:
        """One attempt to show a row; whatever came of it is written down."""
        current = replace(retry, shown=dict(retry.shown))
        problem: Exception | None = None
        try:
            async with asyncio.timeout(TURN_SECONDS):
                current = await self._bring_up_to_date(current)
        except (SlackError, TimeoutError) as error:
            problem = error
            log.warning("display.failed", request_id=retry.id, error=str(error) or type(error).__name__)
        again_in = self._again_in(retry) if problem is not None else None
        lost = isinstance(problem, (SlackUnavailable, TimeoutError))
        await self._database.run(
            lambda connection: showed(
                connection,
                retry,
                self._database.now(connection),
                shown=current.shown,
                unpostable=current.unpostable,
                again_in=again_in,
                lost=lost,
            )
        )

    async def _bring_up_to_date(self, retry: Retry) -> Retry:
        try:
            await self._show_pieces(retry)
        except CannotPost as error:
            if retry.unpostable is not None:
                raise
            log.info("display.private", request_id=retry.id, channel_id=retry.channel_id, error=error.error)
            retry = replace(retry, unpostable=error.error)
            await self._show_pieces(retry)
        return retry

    async def _show_pieces(self, retry: Retry) -> None:
        shown = retry.shown
        assert isinstance(shown, dict)  # noqa: S101  # narrows the type: each turn works on its own copy
        for piece in retries.pieces(retry, self._place):
            known = shown.get(piece.kind)
            if known is None:
                shown[piece.kind] = {"ts": await self._post(retry, piece), "digest": piece.digest}
            elif known["digest"] != piece.digest and not piece.private:
                shown[piece.kind] = {"ts": await self._update(retry, piece, known["ts"]), "digest": piece.digest}

    async def _post(self, retry: Retry, piece: Piece) -> str:
        """Posts a piece where it belongs; after an attempt whose answer is not known, looks for it first."""
        message = piece.marked(retry.id)
        if piece.private or retry.channel_id is None:
            await self._tell(retry, message)
            return ""
        thread_ts = None if piece.kind == "announcement" else retry.root_ts
        if retry.interrupted:
            marker = retries.marker_of(retry.id, piece.kind)
            found = await self._slack.find(retry.channel_id, thread_ts, marker, retry.created_at)
            if found is not None:
                return found
        return await self._post_in(retry.channel_id, message, thread_ts)

    async def _update(self, retry: Retry, piece: Piece, ts: str) -> str:
        """Updates a message; one that cannot be updated any more is answered in the thread instead."""
        assert retry.channel_id is not None  # noqa: S101  # narrows the type: it was posted there
        try:
            await self._slack.update(retry.channel_id, ts, piece.marked(retry.id))
        except MessageGone as error:
            log.info("display.gone", request_id=retry.id, kind=piece.kind, error=error.error)
            if piece.kind == "announcement":
                return ts
            return await self._post_in(retry.channel_id, piece.marked(retry.id), retry.root_ts)
        return ts

    async def _post_in(self, channel_id: str, message: Message, thread_ts: str | None) -> str:
        try:
            return await self._slack.post(channel_id, message, thread_ts)
        except MessageGone as error:  # the thread itself was deleted
            raise CannotPost(error.error) from error

    async def _tell(self, retry: Retry, message: Message) -> None:
        await self._slack.tell(
            retry.user_id,
            message,
            channel_id=retry.channel_id,
            thread_ts=retry.thread_ts,
            response_url=retry.response_url,
        )

    def _again_in(self, retry: Retry) -> timedelta | None:
        """Longer and longer pauses; after a day nobody waits for the message any more."""
        if self._clock() - (retry.ended_at or retry.created_at) > GIVE_UP_AFTER:
            log.error("display.given_up", request_id=retry.id)
            return None
        return timedelta(seconds=min(300, 2 ** min(retry.show_failures, 9)))

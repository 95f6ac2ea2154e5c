"""The messages of one row in Slack: posted where they are missing, updated where they differ."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic

import structlog

from bot.slack.client import Slack
from bot.slack.errors import CannotPost, MessageGone, SlackError
from bot.slack.message import Message
from bot.slack.outbox import S
from bot.slack.pace import Turn
from bot.slack.piece import OutboxRow, Piece, in_doubt, marker_of, said_for_sure

log = structlog.get_logger(__name__)

BEHIND_SECONDS = 60.0
"""So long at most what goes on in a thread waits for what begins one, where a channel takes no more posts just now."""


TRIES = 2
"""So often in a row Slack may refuse by a name that we do not know; then its reader is told privately."""


class Display(Generic[S]):
    """Brings what Slack shows of a row up to date with it.

    Args:
        slack: where it is shown.
        pieces: the messages that should show a row, in the order they are posted.
        check: called right before each message; raises if somebody else may be about to send it.
        first: told of a row when its first message is posted.
    """

    def __init__(
        self,
        slack: Slack,
        pieces: Callable[[S], Sequence[Piece]],
        check: Callable[[S], Awaitable[None]],
        first: Callable[[S], None] | None = None,
    ) -> None:
        self._slack = slack
        self._pieces = pieces
        self._check = check
        self._first = first
        self.unpostable: dict[str, str] = {}
        """Why a channel cannot be posted to, by its ID; of channels where there is no reader to be told instead."""

    async def bring_up_to_date(self, row: S, shown: dict[str, Mapping[str, str]]) -> S:
        """Posts what is missing of a row and updates what differs.

        Args:
            shown: which messages show it; what is posted is added at once, whatever happens next.

        Returns:
            The row, with why it cannot be posted where it belongs, should that be so.
        """
        try:
            await self._show_pieces(row, shown)
        except SlackError as error:
            if row.unpostable is not None or row.reader is None or not _is_for_good(error, row.show_failures):
                raise
            log.info("display.private", request_id=row.id, channel_id=row.channel_id, error=error.error)
            row = replace(row, unpostable=error.error)
            await self._show_pieces(row, shown)
        return row

    def note(self, row: S, error: Exception) -> None:
        """Remembers a channel that cannot be posted to, where there is no reader to be told instead."""
        if isinstance(error, CannotPost) and row.reader is None and row.channel_id is not None:
            self.unpostable[row.channel_id] = error.error

    async def _show_pieces(self, row: S, shown: dict[str, Mapping[str, str]]) -> None:
        for piece in self._pieces(row):
            if piece.kind not in shown and (found := await self._find(row, piece)) is not None:
                shown[piece.kind] = {"ts": found, "digest": ""}  # what it says may be older than the row
            known = shown.get(piece.kind)
            if known is None and piece.taken_back:
                continue
            if known is None:
                posted = await self._post(row, piece)
                if not shown and self._first is not None:
                    self._first(row)
                shown[piece.kind] = {"ts": posted, "digest": piece.digest}
            elif known["digest"] != piece.digest and not piece.private:
                shown[piece.kind] = in_doubt(known)  # whatever comes of it
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
            await self._check(row)
            await self._tell(row, row.reader, message)
            return ""
        return await self._post_in(row, message, _thread_of(row, piece))

    async def _update(self, row: S, piece: Piece, known: Mapping[str, str]) -> Mapping[str, str]:
        """Updates a message; what cannot be updated any more goes on in the thread, where that says anything."""
        assert row.channel_id is not None  # noqa: S101  # narrows the type: it was posted there
        message = piece.marked(row.id)
        await self._check(row)
        if piece.taken_back and await self._slack.take_back(row.channel_id, known["ts"]):
            return {"ts": ""}
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
        """Posts below a message that cannot be updated, or updates what an interrupted attempt posted there.

        Returns:
            The ts of what stands for it now.
        """
        assert row.channel_id is not None  # noqa: S101  # as above
        message = piece.marked(row.id)
        gone = (known["ts"], known.get("reply"))
        marker = marker_of(row.id, piece.kind)
        if row.interrupted and (
            found := await self._slack.find(row.channel_id, thread_ts, marker, row.created_at, apart_from=gone)
        ):
            with contextlib.suppress(MessageGone):
                await self._slack.update(row.channel_id, found, message, Turn(row.id))
                return found
        if said_for_sure(known) == piece.digest:  # it says so already, as far as is known
            return known.get("reply") or known["ts"]
        return await self._post_in(row, message, thread_ts)

    async def _post_in(self, row: S, message: Message, thread_ts: str | None) -> str:
        assert row.channel_id is not None  # noqa: S101  # narrows the type: what has no reader has a channel
        await self._check(row)
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


def _is_for_good(error: SlackError, failures: int) -> bool:
    """Whether Slack takes no message there; a refusal of no kind that we know is one after a few tries."""
    return isinstance(error, CannotPost) or (type(error) is SlackError and failures >= TRIES)


def _thread_of(row: OutboxRow, piece: Piece) -> str | None:
    """The thread that a piece belongs to; None: the channel."""
    return None if piece.in_channel or piece.kind == "announcement" else row.root_ts

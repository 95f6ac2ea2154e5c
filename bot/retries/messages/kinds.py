"""Which messages show a request or a batch, whatever kind it is of. Pure."""

from typing import assert_never

from bot.retries.kind import Kind
from bot.retries.messages import batch as batches
from bot.retries.messages import cancel, rerun, retry
from bot.retries.request import Batch, Retry
from bot.slack.links import Place
from bot.slack.piece import Piece


def pieces(row: Retry, place: Place) -> list[Piece]:
    """Every message that should show a request as its row is now, in the order they are posted."""
    match row.kind:
        case Kind.RETRY:
            private = row.unpostable is not None or row.channel_id is None
            return [*retry.pieces(row, place), *rerun.late_pieces(row.id, row.late, place, private=private)]
        case Kind.RERUN:
            return rerun.pieces(row, place)
        case Kind.CANCEL:
            return cancel.pieces(row, place)
        case unreachable:
            assert_never(unreachable)


def batch_pieces(row: Batch, place: Place) -> list[Piece]:
    """Every message that should show a batch as its row is now, in the order they are posted."""
    if row.kind is Kind.RERUN:
        return rerun.batch_pieces(row, place)
    shown = batches.pieces(row, place)
    if not row.final:
        return shown  # more of its imports may make more reports late
    private = row.unpostable is not None or row.channel_id is None
    return [*shown, *rerun.late_pieces(row.id, rerun.late_of(row.members), place, private=private)]

"""What shows rows in Slack: for each table that is shown its outbox, its messages, and how often they change."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from bot.alerts import messages as shown_alerts
from bot.alerts import queries, storms
from bot.alerts import storm_messages as shown_storms
from bot.base.clock import Clock
from bot.base.metrics import Metrics
from bot.db.database import Database
from bot.digest import store as digests
from bot.digest.digest import pieces
from bot.retries import batch_rows, store
from bot.retries.messages import kinds
from bot.settings import Settings
from bot.slack.client import Slack
from bot.slack.links import Place
from bot.slack.outbox import Outbox
from bot.slack.piece import Piece
from bot.slack.publisher import Publisher

PAUSE = timedelta(seconds=2)
"""How often at most a message that counts is updated: `chat.update` allows about 50 calls a minute."""

OUTBOXES: Sequence[Outbox[Any]] = (store.outbox, batch_rows.outbox, queries.outbox, storms.outbox, digests.outbox)
"""In the order of `make_publishers`."""


def make_publishers(
    settings: Settings, database: Database, slack: Slack, metrics: Metrics, clock: Clock, place: Place
) -> dict[str, Publisher[Any]]:
    """Returns what brings Slack up to date, by the name of the loop that drives it."""

    def publisher(
        outbox: Outbox[Any], pieces: Callable[..., list[Piece]], pause: timedelta = PAUSE, *, asked: bool = False
    ) -> Publisher[Any]:
        told = (lambda row: metrics.told(clock() - row.created_at)) if asked else None
        return Publisher(database, slack, outbox, partial(pieces, place=place), clock, pause, first=told)

    oncall = settings.oncall_group
    return {
        "retries": publisher(store.outbox, kinds.pieces, timedelta(0), asked=True),
        "batches": publisher(batch_rows.outbox, kinds.batch_pieces, asked=True),
        "alerts": publisher(queries.outbox, partial(shown_alerts.pieces, oncall=oncall), timedelta(0)),
        "storms": publisher(storms.outbox, partial(shown_storms.pieces, oncall=oncall)),
        "digests": publisher(digests.outbox, lambda digest, **_: pieces(digest)),
    }

"""A process's ways to the outside: its database, and how Slack and Sift are called. The simulation gives it others."""

from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import httpx

from bot.base.clock import Clock
from bot.db.database import Database
from bot.slack.web import http_session


def _kept_connections() -> None:
    """Leaves it to `sift` how its requests are sent."""


@dataclass(frozen=True)
class Outside:
    """What one process speaks to, and how.

    Args:
        database: opens the database of a URL.
        session: what Slack is called with.
        transport: what Sift is called with; None: over connections that are kept.
    """

    database: Callable[[str, Clock], Database] = Database
    session: Callable[[], aiohttp.ClientSession] = http_session
    transport: Callable[[], httpx.AsyncBaseTransport | None] = _kept_connections


DEFAULT = Outside()

"""Says at the start, and then every hour, when the tables say otherwise than the audit."""

import structlog

from bot.audit import verification
from bot.base.errors import BotError
from bot.db.database import Database

log = structlog.get_logger(__name__)


class SaysOtherwise(BotError):
    """The tables say otherwise than the audit; run: sift-retry audit verify"""


class Inspection:
    """Looks at what is quickly looked at; `sift-retry audit verify` looks at everything.

    What is found is logged once, and the bot goes on.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[str] = set()

    async def step(self) -> None:
        """Looks once.

        Raises:
            SaysOtherwise: something was found.
        """
        found = await self._database.read(verification.at_start)
        for said in found:
            if said not in self._known:
                log.error("audit.says_otherwise", said=said)
        self._known = set(found)
        if found:
            raise SaysOtherwise

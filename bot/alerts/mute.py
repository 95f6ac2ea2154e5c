"""Mutes the alerts of a job, and unmutes them, for people who may retry it."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.access.authorizer import Authorizer
from bot.access.policy import Permission
from bot.alerts import queries, store
from bot.audit import log as audit
from bot.audit.entry import Event
from bot.base.requester import Requester
from bot.slack.message import Message


@dataclass(frozen=True)
class Muting:
    """Decides, changes and audits in time for the ack.

    Args:
        changed: told when an alert is to be shown again.
    """

    authorizer: Authorizer
    changed: Callable[[], None]

    async def mute(self, requester: Requester, alert_id: str, mute: bool) -> Message | None:
        """Mutes or unmutes; returns why not, if it was not done."""
        asked = await self.authorizer.decide_in_time(requester, Permission.RETRY)
        at, event = self.authorizer.clock(), Event.MUTE if mute else Event.UNMUTE

        def work(connection: Connection) -> Message | None:
            busy = self.authorizer.too_many(connection, requester, event)
            if busy is not None:
                return busy
            detail = {"alert": alert_id, "why": asked.decision.why.value}
            audit.append(connection, asked.entry(event, detail, queries.job_of(connection, alert_id)), at)
            if not asked.decision.allowed:
                return self.authorizer.denied(connection, asked.decision, "mute alerts")
            store.mute(connection, alert_id, requester.user_id if mute else None, at)
            return None

        problem = await self.authorizer.database.run(work)
        self.changed()
        return problem

"""Mutes the alerts of a job, and unmutes them, for people who may retry it."""

from collections.abc import Callable

from sqlalchemy import Connection

from bot.access.authorizer import Asked, Authorizer
from bot.access.policy import Permission
from bot.alerts import queries, store
from bot.audit import entry
from bot.audit import log as audit
from bot.slack.message import Message
from bot.slack.payloads import Requester


class Muting:
    """Decides, changes and audits in time for the ack.

    Args:
        changed: told when an alert is to be shown again.
    """

    def __init__(self, authorizer: Authorizer, changed: Callable[[], None]) -> None:
        self._authorizer = authorizer
        self._changed = changed

    async def mute(self, requester: Requester, alert_id: str, mute: bool) -> Message | None:
        """Mutes or unmutes; answers why not, if it was not done."""
        asked = await self._authorizer.decide_in_time(requester, Permission.RETRY)
        at = self._authorizer.clock()

        def work(connection: Connection) -> Message | None:
            busy = self._authorizer.too_many(connection, requester, "mute" if mute else "unmute")
            if busy is not None:
                return busy
            job_id = queries.job_of(connection, alert_id)
            audit.append(connection, _entry(asked, alert_id, job_id, mute), at)
            if not asked.decision.allowed:
                return self._authorizer.denied(connection, asked.decision, "mute alerts")
            store.mute(connection, alert_id, requester.user_id if mute else None, at)
            return None

        problem = await self._authorizer.database.run(work)
        self._changed()
        return problem


def _entry(asked: Asked, alert_id: str, job_id: str | None, mute: bool) -> entry.Entry:
    decision = asked.decision
    return entry.Entry(
        event="mute" if mute else "unmute",
        outcome=None if decision.allowed else "denied",
        job_id=job_id,
        source="alert",
        grant_id=decision.grant.id if decision.grant else None,
        detail={"alert": alert_id, "why": decision.why.value},
        **asked.made_by,
    )

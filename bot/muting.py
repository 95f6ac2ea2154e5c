"""Mutes the alerts of a job, and unmutes them, for people who may retry it."""

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection

from bot import alerts, audit
from bot.access import Access
from bot.clock import Clock
from bot.database import Database
from bot.payloads import Asker
from bot.policy import Decision, Person, Right, Why, Wish
from bot.presenter import answers
from bot.slack import Message, Slack

CHECK_SECONDS = 2.0
"""How long Slack is waited for to say who somebody is: the click must be acknowledged within three."""


class Muting:
    """Decides, changes and audits in time for the ack.

    Args:
        workspace: the Slack workspace whose people may be allowed.
        changed: told when an alert is to be shown again.
    """

    def __init__(
        self,
        *,
        database: Database,
        slack: Slack,
        access: Access,
        workspace: str,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._slack = slack
        self._access = access
        self._workspace = workspace
        self._clock = clock
        self._changed = changed

    async def mute(self, asker: Asker, alert_id: str, mute: bool) -> Message | None:
        """Mutes or unmutes; answers why not, if it was not done."""
        at = self._clock()
        person, decision = await self._decide(asker)

        def work(connection: Connection) -> Message | None:
            job_id = alerts.job_of(connection, alert_id)
            audit.append(connection, _entry(asker, person, decision, alert_id, job_id, mute), at)
            if decision.allowed:
                alerts.mute(connection, alert_id, asker.user_id if mute else None, at)
                return None
            ask = self._access.who_may_grant(connection, at)
            return answers.denied({**decision.explained(at), "ask": ask}, "mute alerts")

        problem = await self._database.run(work)
        self._changed()
        return problem

    async def _decide(self, asker: Asker) -> tuple[Person | None, Decision]:
        wish = Wish(right=Right.RETRY, workspace=self._workspace, at=self._clock(), channel_id=asker.channel_id)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                person = await self._slack.person(asker.user_id, asker.team_id)
                return person, await self._access.decide(wish, person, asker.user_id)
        except TimeoutError:
            return None, Decision(False, Why.UNKNOWN_PERSON)


def _entry(
    asker: Asker, person: Person | None, decision: Decision, alert_id: str, job_id: str | None, mute: bool
) -> audit.Entry:
    return audit.Entry(
        event="mute" if mute else "unmute",
        outcome=None if decision.allowed else "denied",
        job_id=job_id,
        team_id=asker.team_id,
        user_id=asker.user_id,
        user_name=person.name if person else asker.user_name,
        channel_id=asker.channel_id,
        source="alert",
        grant_id=decision.grant.id if decision.grant else None,
        detail={"alert": alert_id, "why": decision.why.value},
    )

"""What every use case behind Slack needs: who asks, whether they may, and what they are told if not."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bot.access.grants import Access
from bot.access.policy import ANYWHERE, Decision, Person, Right, Why, Wish
from bot.access.quota import Quota
from bot.audit import log as audit
from bot.base.clock import Clock
from bot.db.database import Database
from bot.retries.messages import answers
from bot.slack.client import Message, Slack
from bot.slack.payloads import Asker

CHECK_SECONDS = 2.0
"""How long Slack is waited for to say who somebody is, where an ack waits: Slack itself waits three seconds for it."""


@dataclass(frozen=True)
class Asked:
    """Somebody who asked for something, as Slack describes them now, and whether they may."""

    asker: Asker
    person: Person | None
    decision: Decision

    @property
    def made_by(self) -> Mapping[str, Any]:
        """Who it is, and from where, as columns of the audit."""
        columns = _columns(self.asker)
        return {**columns, "user_name": self.person.name} if self.person else columns


def _source(asker: Asker) -> str:
    """Where somebody asked, as the audit names it."""
    if asker.source == "click":
        return "alert" if asker.channel_id else "home"
    return "modal" if asker.source == "view" else asker.source


def _columns(asker: Asker) -> Mapping[str, Any]:
    return {
        "team_id": asker.team_id,
        "user_id": asker.user_id,
        "user_name": asker.user_name,
        "channel_id": asker.channel_id,
    }


@dataclass(frozen=True)
class Office:
    """Decides for whoever asks in Slack.

    Args:
        workspace: the Slack workspace whose people may be allowed.
    """

    database: Database
    slack: Slack
    access: Access
    workspace: str
    clock: Clock
    quota: Quota

    def too_many(self, connection: Connection, asker: Asker, event: str, source: str | None = None) -> Message | None:
        """Counts what is about to be recorded of somebody; what they are told if it is too much, else None.

        Args:
            event: what it is, as the audit names it.
        """
        by = {**_columns(asker), "source": source or _source(asker)}
        at = self.clock()
        if self.quota.admits(connection, by, at):
            return None
        return answers.too_many(self.quota.refuse(connection, by, at, event), self.quota.per_minute)

    def wish(self, right: Right, channel_id: str | None = None, job_type: str | None = None) -> Wish:
        """What somebody wants now; in the Home tab there is no channel that a grant could be limited to."""
        return Wish(
            right=right,
            workspace=self.workspace,
            at=self.clock(),
            channel_id=channel_id or ANYWHERE,
            job_type=job_type,
        )

    async def decide(self, asker: Asker, right: Right, job_type: str | None = None) -> Asked:
        """Whether somebody may do something where they ask for it."""
        person = await self.slack.person(asker.user_id, asker.team_id)
        wish = self.wish(right, asker.channel_id, job_type)
        return Asked(asker, person, await self.access.decide(wish, person, asker.user_id))

    async def decide_in_time(self, asker: Asker, right: Right, job_type: str | None = None) -> Asked:
        """The same in time for an ack; if Slack takes longer, the answer is no."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self.decide(asker, right, job_type)
        except TimeoutError:
            return Asked(asker, None, Decision(False, Why.UNKNOWN_PERSON))

    def denied(self, connection: Connection, decision: Decision, doing: str) -> Message:
        """What somebody is told who may not, and whom to ask.

        Args:
            doing: what they may not do, such as `look at jobs`.
        """
        at = self.clock()
        ask = self.access.who_may_grant(connection, at)
        return answers.denied({**decision.explained(at), "ask": ask}, doing)

    async def refusal(self, asked: Asked, doing: str, event: str = "look") -> Message | None:
        """The same outside a transaction, and on record; None for who may.

        Args:
            event: what they wanted, as the audit names it.
        """
        if asked.decision.allowed:
            return None
        entry = audit.Entry(
            event=event,
            outcome="denied",
            source=_source(asked.asker),
            detail={"what": doing, "why": asked.decision.why.value},
            **asked.made_by,
        )

        def work(connection: Connection) -> Message:
            busy = self.too_many(connection, asked.asker, event)
            if busy is not None:
                return busy
            audit.append(connection, entry, self.clock())
            return self.denied(connection, asked.decision, doing)

        return await self.database.run(work)

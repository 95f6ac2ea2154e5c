"""Grants and revokes on behalf of somebody in Slack: checked, written and audited in time for the ack."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bot import access, audit, policy
from bot.access import Access, NewGrant
from bot.clock import Clock
from bot.database import Database
from bot.payloads import Asker, GrantWanted
from bot.policy import Decision, Grant, Person, Right, Role, Terms, Wish
from bot.presenter import access as shown
from bot.presenter import answers
from bot.slack import Message, Slack

CHECK_SECONDS = 2.0
"""How long Slack is waited for to say who people are: Slack itself waits three seconds for the ack."""


@dataclass(frozen=True)
class _Change:
    """Who wants to change what, and whether they may."""

    event: str
    asker: Asker
    person: Person | None
    decision: Decision
    subject: str
    source: str

    @property
    def made_by(self) -> Mapping[str, Any]:
        """Who does it, and from where, as the audit names them."""
        return {
            "team_id": self.asker.team_id,
            "user_id": self.asker.user_id,
            "user_name": self.person.name if self.person else self.asker.user_name,
            "channel_id": self.asker.channel_id,
            "source": self.source,
        }


class Granting:
    """Changes the allow-list from Slack.

    Args:
        workspace: the Slack workspace whose people may be allowed.
        changed: told when the allow-list changed.
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

    async def allow(self, asker: Asker, wanted: GrantWanted, source: str) -> Message:
        """Adds a grant within what the asker holds; answers what was done, or why nothing was."""
        at = self._clock()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                person, decision = await self._decide(asker)
                problem = await self._unfit(wanted.subject) if decision.allowed else None
        except TimeoutError:
            return shown.slack_silent()

        def work(connection: Connection) -> Message:
            change = _Change("grant", asker, person, decision, wanted.subject, source)
            if not decision.allowed:
                return self._denied(connection, change)
            known = access.delivered(connection, asker.delivery_key)
            if known is not None:
                return shown.granted(known)
            new = self._new(asker, wanted, decision.grant)
            final = self._access.decide_terms(connection, self._wish(Right.GRANT), person, decision, new)
            why = problem or (None if final.allowed else final.why.value)
            if why is not None:
                self._note_refused(connection, change, why)
                return shown.not_granted(wanted.subject, why, final.grant)
            number = access.grant(connection, new, at, change.made_by)
            return shown.granted(access.numbered(connection, number))

        return await self._write(work)

    async def revoke(self, asker: Asker, subject: str, source: str, number: int | None = None) -> Message:
        """Ends the grants of a user or group, or only one; answers what was done, or why nothing was."""
        at = self._clock()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                person, decision = await self._decide(asker)
                manned = await self._manned_groups() if decision.allowed else set()
        except TimeoutError:
            return shown.slack_silent()

        def work(connection: Connection) -> Message:
            change = _Change("revoke", asker, person, decision, subject, source)
            if not decision.allowed:
                return self._denied(connection, change)
            ending = [one for one in access.listed(connection) if one.subject == subject and number in (None, one.id)]
            if not ending:
                return shown.nothing_to_revoke(subject)
            why = self._kept(connection, ending, change, manned)
            if why is not None:
                self._note_refused(connection, change, why)
                return shown.not_revoked(subject, why)
            access.end(connection, ending, at, change.made_by)
            return shown.revoked(subject, ending)

        return await self._write(work)

    async def show(self, asker: Asker) -> Message:
        """The allow-list, for admins and auditors."""
        person = await self._slack.person(asker.user_id, asker.team_id)
        wish = self._wish(Right.READ_AUDIT, asker.channel_id or policy.ANYWHERE)
        decision = await self._access.decide(wish, person, asker.user_id)
        at = self._clock()

        def work(connection: Connection) -> Message:
            if decision.allowed:
                return shown.allow_list(access.listed(connection), self._access.set_admins, at)
            ask = self._access.who_may_grant(connection, at)
            return answers.denied({**decision.explained(at), "ask": ask}, "see the allow-list")

        return await self._database.run(work)

    async def may_grant(self, asker: Asker) -> Message | None:
        """Why somebody may not grant; None if they may."""
        _, decision = await self._decide(asker)
        if decision.allowed:
            return None
        at = self._clock()
        ask = await self._database.run(lambda connection: self._access.who_may_grant(connection, at))
        return answers.denied({**decision.explained(at), "ask": ask}, "grant access")

    async def _write(self, work: Callable[[Connection], Message]) -> Message:
        message = await self._database.run(work)
        self._changed()
        return message

    def _wish(self, right: Right, channel_id: str | None = policy.ANYWHERE) -> Wish:
        return Wish(right=right, workspace=self._workspace, at=self._clock(), channel_id=channel_id)

    async def _decide(self, asker: Asker) -> tuple[Person | None, Decision]:
        person = await self._slack.person(asker.user_id, asker.team_id)
        return person, await self._access.decide_change(self._wish(Right.GRANT), person, asker.user_id)

    async def _unfit(self, subject: str) -> str | None:
        """Why somebody cannot be granted anything, whatever it is."""
        if subject.startswith("S"):
            return None if await self._slack.members(subject) is not None else "unknown_group"
        person = await self._slack.person(subject, self._workspace)
        refusal = policy.refused_as(person, self._workspace)
        return refusal.value if refusal else None

    async def _manned_groups(self) -> Collection[str]:
        """The user groups that hold an admin grant and have anybody in them."""
        at = self._clock()
        named = await self._database.run(lambda connection: access.administrators(connection, at))
        return {group for group in named if group.startswith("S") and await self._slack.members(group)}

    def _new(self, asker: Asker, wanted: GrantWanted, held: Grant | None) -> NewGrant:
        return NewGrant(
            subject=wanted.subject,
            role=Role(wanted.role),
            granted_by=asker.user_id,
            job_types=wanted.job_types or (held.job_types if held else frozenset()),
            channels=wanted.channels or (held.channels if held else frozenset()),
            expires_at=self._clock() + wanted.duration if wanted.duration else None,
            reason=wanted.reason,
            delivery_key=asker.delivery_key,
        )

    def _kept(
        self, connection: Connection, ending: list[Grant], change: _Change, manned: Collection[str]
    ) -> str | None:
        """Why these grants cannot be ended from Slack; when they would have ended by themselves does not matter."""
        wish = self._wish(Right.GRANT)
        for one in ending:
            terms = Terms(role=one.role, job_types=one.job_types, channels=one.channels, expires_at=wish.at)
            if not self._access.decide_terms(connection, wish, change.person, change.decision, terms).allowed:
                return "more_than_held"
        if all(one.role is not Role.ADMIN for one in ending) or self._access.set_admins:
            return None
        numbers, at = {one.id for one in ending}, self._clock()
        others = [
            one
            for one in access.listed(connection)
            if one.role is Role.ADMIN and one.id not in numbers and (one.expires_at is None or one.expires_at > at)
        ]
        return None if any(not one.subject.startswith("S") or one.subject in manned for one in others) else "last_admin"

    def _denied(self, connection: Connection, change: _Change) -> Message:
        at = self._clock()
        self._note_refused(connection, change, change.decision.why.value)
        ask = self._access.who_may_grant(connection, at)
        return answers.denied({**change.decision.explained(at), "ask": ask}, "change the allow-list")

    def _note_refused(self, connection: Connection, change: _Change, why: str) -> None:
        detail = {"subject": change.subject, "why": why}
        entry = audit.Entry(event=change.event, outcome="denied", **change.made_by, detail=detail)
        audit.append(connection, entry, self._clock())

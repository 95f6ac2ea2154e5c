"""Grants and revokes on behalf of somebody in Slack: checked, written and audited in time for the ack."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.access import grants, policy
from bot.access import messages as shown
from bot.access.authorizer import CHECK_SECONDS, Asked, Authorizer
from bot.access.grants import NewGrant
from bot.access.policy import Decision, Grant, Permission, Role, Terms
from bot.access.request import GrantWanted
from bot.audit import log as audit
from bot.audit.entry import Event, denied
from bot.base.requester import Requester
from bot.slack.message import Message


@dataclass(frozen=True)
class _Change:
    """Who wants to change what, and whether they may."""

    event: Event
    asked: Asked
    subject: str


@dataclass(frozen=True)
class Granting:
    """Changes the allow-list from Slack.

    Args:
        changed: told when the allow-list changed.
    """

    authorizer: Authorizer
    changed: Callable[[], None]

    async def allow(self, requester: Requester, wanted: GrantWanted) -> Message:
        """Adds a grant within what the asker holds; answers what was done, or why nothing was."""
        at = self.authorizer.clock()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                asked = await self._decide(requester)
                problem = await self._unfit(wanted.subject) if asked.decision.allowed else None
        except TimeoutError:
            return shown.slack_silent()

        def work(connection: Connection) -> Message:
            busy = self.authorizer.too_many(connection, requester, Event.GRANT)
            if busy is not None:
                return busy
            change = _Change(Event.GRANT, asked, wanted.subject)
            if not asked.decision.allowed:
                return self._denied(connection, change)
            known = grants.delivered(connection, requester.delivery_key)
            if known is not None:
                return shown.granted(known)
            new = self._new(requester, wanted, asked.decision.grant)
            final = self._within(connection, asked, new)
            why = problem or (None if final.allowed else final.why.value)
            if why is not None:
                self._note_refused(connection, change, why)
                return shown.not_granted(wanted.subject, why, final.grant)
            number = grants.grant(connection, new, at, asked.by)
            return shown.granted(grants.numbered(connection, number))

        return await self._write(work)

    async def revoke(self, requester: Requester, subject: str, number: int | None = None) -> Message:
        """Ends the grants of a user or group, or only one; answers what was done, or why nothing was."""
        at = self.authorizer.clock()
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                asked = await self._decide(requester)
                manned = await self._manned_groups() if asked.decision.allowed else set()
        except TimeoutError:
            return shown.slack_silent()

        def work(connection: Connection) -> Message:
            busy = self.authorizer.too_many(connection, requester, Event.REVOKE)
            if busy is not None:
                return busy
            change = _Change(Event.REVOKE, asked, subject)
            if not asked.decision.allowed:
                return self._denied(connection, change)
            ending = [one for one in grants.listed(connection) if one.subject == subject and number in (None, one.id)]
            if not ending:
                return shown.nothing_to_revoke(subject)
            why = self._kept(connection, ending, asked, manned)
            if why is not None:
                self._note_refused(connection, change, why)
                return shown.not_revoked(subject, why)
            grants.end(connection, ending, at, asked.by)
            return shown.revoked(subject, ending)

        return await self._write(work)

    async def show(self, requester: Requester) -> Message:
        """The allow-list, for admins and auditors."""
        refusal = await self.authorizer.refusal(
            await self.authorizer.decide(requester, Permission.READ_AUDIT), "see the allow-list"
        )
        if refusal is not None:
            return refusal
        at, admins = self.authorizer.clock(), self.authorizer.access.admins
        return await self.authorizer.database.run(
            lambda connection: shown.allow_list(grants.listed(connection), admins, at)
        )

    async def may_grant(self, requester: Requester) -> Message | None:
        """Why somebody may not grant; None if they may."""
        return await self.authorizer.refusal(await self._decide(requester), "grant access", Event.GRANT)

    async def _write(self, work: Callable[[Connection], Message]) -> Message:
        message = await self.authorizer.database.run(work)
        self.changed()
        return message

    async def _decide(self, requester: Requester) -> Asked:
        person = await self.authorizer.people.person(requester.user_id, requester.team_id)
        wish = self.authorizer.wish(Permission.GRANT)
        return Asked(requester, person, await self.authorizer.access.decide_change(wish, person, requester.user_id))

    def _within(self, connection: Connection, asked: Asked, terms: Terms) -> Decision:
        """Whether somebody holds what they want to give or take."""
        wish = self.authorizer.wish(Permission.GRANT)
        return self.authorizer.access.decide_terms(connection, wish, asked.person, asked.decision, terms)

    async def _unfit(self, subject: str) -> str | None:
        """Why somebody cannot be granted anything, whatever it is."""
        if subject.startswith("S"):
            return None if await self.authorizer.people.members(subject) is not None else "unknown_group"
        person = await self.authorizer.people.person(subject, self.authorizer.workspace)
        refusal = policy.refused_as(person, self.authorizer.workspace)
        return refusal.value if refusal else None

    async def _manned_groups(self) -> Collection[str]:
        """The user groups that hold an admin grant and have anybody in them."""
        at = self.authorizer.clock()
        named = await self.authorizer.database.run(lambda connection: grants.administrators(connection, at))
        return {group for group in named if group.startswith("S") and await self.authorizer.people.members(group)}

    def _new(self, requester: Requester, wanted: GrantWanted, held: Grant | None) -> NewGrant:
        return NewGrant(
            subject=wanted.subject,
            role=Role(wanted.role),
            granted_by=requester.user_id,
            job_types=wanted.job_types or (held.job_types if held else frozenset()),
            channels=wanted.channels or (held.channels if held else frozenset()),
            expires_at=self.authorizer.clock() + wanted.duration if wanted.duration else None,
            reason=wanted.reason,
            delivery_key=requester.delivery_key,
        )

    def _kept(self, connection: Connection, ending: list[Grant], asked: Asked, manned: Collection[str]) -> str | None:
        """Why these grants cannot be ended from Slack; when they would have ended by themselves does not matter."""
        now = self.authorizer.clock()
        for one in ending:
            terms = Terms(role=one.role, job_types=one.job_types, channels=one.channels, expires_at=now)
            if not self._within(connection, asked, terms).allowed:
                return "more_than_held"
        if all(one.role is not Role.ADMIN for one in ending) or self.authorizer.access.admins:
            return None
        numbers = {one.id for one in ending}
        others = [
            one
            for one in grants.listed(connection)
            if one.role is Role.ADMIN and one.id not in numbers and one.holds(now)
        ]
        return None if any(not one.subject.startswith("S") or one.subject in manned for one in others) else "last_admin"

    def _denied(self, connection: Connection, change: _Change) -> Message:
        self._note_refused(connection, change, change.asked.decision.why.value)
        return self.authorizer.denied(connection, change.asked.decision, "change the allow-list")

    def _note_refused(self, connection: Connection, change: _Change, why: str) -> None:
        detail = {"subject": change.subject, "why": why}
        audit.append(connection, denied(change.event, change.asked.by, detail), self.authorizer.clock())

"""What every change to the allow-list needs, in time for the ack: who wants it, within which bounds, who is told."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.access import answers as shown
from bot.access import grants, policy
from bot.access.authorizer import CHECK_SECONDS, Asked, Authorizer
from bot.access.holding import Holding
from bot.access.policy import Decision, Grant, Permission, Role, Terms
from bot.audit import log as audit
from bot.audit.entry import Event, denied
from bot.base.requester import Requester
from bot.slack.message import Message


@dataclass(frozen=True)
class Change:
    """Who wants to change what somebody holds, and what Slack said of both.

    Args:
        subject: the user or user group whose access is to change.
        unfit: why they can be granted nothing, whatever it is; None if they can.
        groups: the user groups on the allow-list that they are in; None if Slack could not say.
        manned: the user groups that hold an admin grant and have anybody in them.
    """

    event: Event
    asked: Asked
    subject: str
    unfit: str | None = None
    groups: frozenset[str] | None = frozenset()
    manned: Collection[str] = ()


@dataclass(frozen=True)
class Done:
    """What a change came to.

    Args:
        message: said to whoever wanted it.
        told: said to whom it concerns; None: they hold what they held.
    """

    message: Message
    told: Message | None = None


@dataclass(frozen=True)
class Changer:
    """Checks and writes changes of the allow-list.

    Args:
        changed: told when the allow-list changed.
        tell: writes to somebody directly, on the side.
    """

    authorizer: Authorizer
    changed: Callable[[], None]
    tell: Callable[[str, Message], None]

    async def decide(self, requester: Requester) -> Asked:
        """Whether somebody may change the allow-list at all."""
        person = await self.authorizer.people.person(requester.user_id, requester.team_id)
        request = self.authorizer.access_request(Permission.GRANT)
        return Asked(requester, person, await self.authorizer.access.decide_change(request, person, requester.user_id))

    async def carry_out(
        self,
        requester: Requester,
        event: Event,
        subject: str,
        work: Callable[[Connection, Change], Done],
        *,
        ending: bool,
    ) -> Message:
        """Asks Slack what is to be known, and then changes something in one transaction; returns what is said of it.

        Args:
            ending: whether grants may end, or else be given.
        """
        change = await self._look_up(requester, event, subject, ending)
        if change is None:
            return await self._put_off(requester, event, subject)
        known = change

        def checked(connection: Connection) -> Done:
            refusal = self._refusal(connection, known)
            return work(connection, known) if refusal is None else Done(refusal)

        done = await self.authorizer.database.run(checked)
        self.changed()
        if done.told is not None and not subject.startswith("S") and subject != requester.user_id:
            self.tell(subject, done.told)
        return done.message

    async def _look_up(self, requester: Requester, event: Event, subject: str, ending: bool) -> Change | None:
        """What Slack says of a change; None if it takes too long to say who people are."""
        until = asyncio.get_running_loop().time() + CHECK_SECONDS
        unfit, groups, manned = None, None, set[str]()
        try:
            async with asyncio.timeout_at(until):
                asked = await self.decide(requester)
                if not asked.decision.allowed:
                    return Change(event, asked, subject)
                if ending:
                    manned = await self._manned_groups()
                else:
                    unfit = await self._unfit(subject)
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout_at(until):
                groups = await self.authorizer.access.groups_of(subject)
        except TimeoutError:
            groups = None
        return Change(event, asked, subject, unfit, groups, manned)

    async def _put_off(self, requester: Requester, event: Event, subject: str) -> Message:
        """Records that Slack took too long."""
        entry = denied(event, requester, {"subject": subject, "why": "slack_silent"})

        def work(connection: Connection) -> Message:
            busy = self.authorizer.too_many(connection, requester, event)
            if busy is not None:
                return busy
            audit.append(connection, entry, self.authorizer.clock())
            return shown.slack_silent()

        return await self.authorizer.database.run(work)

    def _refusal(self, connection: Connection, change: Change) -> Message | None:
        """Why somebody may change nothing, on record; None if they may."""
        busy = self.authorizer.too_many(connection, change.asked.requester, change.event)
        if busy is not None or change.asked.decision.allowed:
            return busy
        self.note_refused(connection, change, change.asked.decision.why.value)
        return shown.changes_nothing(self.authorizer.denied(connection, change.asked.decision, "change the allow-list"))

    def note_refused(self, connection: Connection, change: Change, why: str) -> None:
        """Records that a change was refused."""
        detail = {"subject": change.subject, "why": why}
        audit.append(connection, denied(change.event, change.asked.by, detail), self.authorizer.clock())

    def held(self, connection: Connection, change: Change) -> Holding:
        """What the subject of a change holds now."""
        at = self.authorizer.clock()
        return self.authorizer.access.holding(connection, change.subject, at, change.groups)

    def within(self, connection: Connection, change: Change, terms: Terms) -> Decision:
        """Whether somebody holds what they want to give or take."""
        request, asked = self.authorizer.access_request(Permission.GRANT), change.asked
        return self.authorizer.access.decide_terms(connection, request, asked.person, asked.decision, terms)

    def kept(self, connection: Connection, ending: list[Grant], change: Change) -> str | None:
        """Why these grants cannot be ended from Slack; when they would have ended by themselves does not matter."""
        now = self.authorizer.clock()
        for one in ending:
            terms = Terms(role=one.role, job_types=one.job_types, channels=one.channels, expires_at=now)
            if not self.within(connection, change, terms).allowed:
                return "more_than_held"
        if all(one.role is not Role.ADMIN for one in ending) or self.authorizer.access.admins:
            return None
        numbers = {one.id for one in ending}
        others = [one for one in grants.listed(connection) if one.id not in numbers and one.holds(now)]
        return None if _anybody(others, change.manned) else "last_admin"

    async def _unfit(self, subject: str) -> str | None:
        """Why somebody cannot be granted anything, whatever it is."""
        if subject.startswith("S"):
            return None if await self.authorizer.people.members(subject) is not None else "unknown_group"
        person = await self.authorizer.people.person(subject, self.authorizer.workspace)
        refusal = policy.refused_as(person, self.authorizer.workspace)
        return refusal.value if refusal else None

    async def _manned_groups(self) -> set[str]:
        """The user groups that hold an admin grant and have anybody in them."""
        at = self.authorizer.clock()
        named = await self.authorizer.database.run(lambda connection: grants.administrators(connection, at))
        return {group for group in named if group.startswith("S") and await self.authorizer.people.members(group)}


def _anybody(held: Iterable[Grant], manned: Collection[str]) -> bool:
    """Whether anybody is an admin by one of these grants."""
    admins = (one for one in held if one.role is Role.ADMIN)
    return any(not one.subject.startswith("S") or one.subject in manned for one in admins)

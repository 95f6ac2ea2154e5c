"""Grants and revokes on behalf of somebody in Slack: checked, written and audited in time for the ack."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from bot.access import answers as shown
from bot.access import grants, messages
from bot.access.changer import Change, Changer, Done
from bot.access.grants import NewGrant
from bot.access.holding import older_and_covering
from bot.access.policy import Grant, Permission, Role
from bot.access.request import GrantWanted
from bot.audit.entry import Event
from bot.base.requester import Requester
from bot.slack.message import Message


class Choice(StrEnum):
    """What becomes of older grants beside which a new one adds nothing; the outcome in the audit."""

    REPLACED = "replaced"
    """They ended, and the new one holds alone."""

    KEPT = "kept"
    """They stay."""


@dataclass(frozen=True)
class Granting:
    """Changes the allow-list from Slack."""

    changer: Changer

    async def allow(self, requester: Requester, wanted: GrantWanted) -> Message:
        """Adds a grant within what the asker holds; returns what was done, or why nothing was."""

        def work(connection: Connection, change: Change) -> Done:
            earlier = grants.delivered(connection, requester.delivery_key)
            if earlier is not None:
                return Done(self._granted(connection, change, earlier))
            return self._add(connection, change, self._new(requester, wanted, change.asked.decision.grant))

        return await self.changer.carry_out(requester, Event.GRANT, wanted.subject, work, ending=False)

    def _add(self, connection: Connection, change: Change, new: NewGrant) -> Done:
        final = self.changer.within(connection, change, new)
        why = change.unfit or (None if final.allowed else final.why.value)
        if why is not None:
            self.changer.note_refused(connection, change, why)
            return Done(shown.not_granted(change.subject, why, final.grant))
        before, at, by = self.changer.held(connection, change), self.changer.authorizer.clock(), change.asked.by
        grant = grants.numbered(connection, grants.grant(connection, new, at, by))
        after = self.changer.held(connection, change)
        told = shown.told_granted(by.user_id, grant, after) if after != before else None
        return Done(self._granted(connection, change, grant), told)

    def _granted(self, connection: Connection, change: Change, grant: Grant) -> Message:
        """What is said of a new grant; asks what is to become of those beside which it adds nothing."""
        at = self.changer.authorizer.clock()
        older = older_and_covering(grants.listed(connection), grant, at)
        return shown.granted(grant, self.changer.held(connection, change), older)

    async def revoke(self, requester: Requester, subject: str, number: int | None = None) -> Message:
        """Ends the grants of a user or group, or only one; returns what was done, or why nothing was."""

        def work(connection: Connection, change: Change) -> Done:
            ending = [one for one in grants.listed(connection) if one.subject == subject and number in (None, one.id)]
            if not ending:
                return Done(shown.nothing_to_revoke(subject, grants.last_ended(connection, subject, number)))
            before = self.changer.held(connection, change)
            refusal = self._end(connection, change, ending)
            if refusal is not None:
                return Done(refusal)
            after, by = self.changer.held(connection, change), requester.user_id
            told = shown.told_revoked(by, [one for one in ending if one in before.grants], after)
            return Done(shown.revoked(subject, ending, after), told if after != before else None)

        return await self.changer.carry_out(requester, Event.REVOKE, subject, work, ending=True)

    def _end(self, connection: Connection, change: Change, ending: list[Grant]) -> Message | None:
        """Ends grants; returns why it did not, if so."""
        why = self.changer.kept(connection, ending, change)
        if why is not None:
            self.changer.note_refused(connection, change, why)
            return shown.not_revoked(change.subject, why)
        grants.end(connection, ending, self.changer.authorizer.clock(), change.asked.by)
        return None

    async def choose(self, requester: Requester, choice: Choice, number: int, subject: str) -> Message:
        """Has a grant take the place of the older ones beside which it adds nothing, or leaves them; once.

        Args:
            number: the new grant.
            subject: the user or user group that holds all of them.
        """

        def work(connection: Connection, change: Change) -> Done:
            earlier = grants.chosen(connection, number, list(Choice))
            if earlier is not None:
                return Done(shown.chosen_before(earlier.user_id, earlier.outcome == Choice.REPLACED, earlier.at))
            listed, at = grants.listed(connection), self.changer.authorizer.clock()
            grant = next((one for one in listed if (one.id, one.subject) == (number, subject) and one.holds(at)), None)
            older = older_and_covering(listed, grant, at) if grant is not None else []
            if grant is None or not older:
                return Done(shown.nothing_to_replace(subject, self.changer.held(connection, change)))
            return self._chosen(connection, change, choice, grant, older)

        return await self.changer.carry_out(requester, Event.GRANT, subject, work, ending=True)

    def _chosen(self, connection: Connection, change: Change, choice: Choice, grant: Grant, older: list[Grant]) -> Done:
        before, at, by = self.changer.held(connection, change), self.changer.authorizer.clock(), change.asked.by
        if choice is Choice.REPLACED:
            refusal = self._end(connection, change, older)
            if refusal is not None:
                return Done(refusal)
        grants.note_choice(connection, grant, choice, older, by, at)
        if choice is Choice.KEPT:
            return Done(shown.kept(grant, before))
        after = self.changer.held(connection, change)
        told = shown.told_replaced(by.user_id, after) if after != before else None
        return Done(shown.replaced(grant, older, after), told)

    async def show(self, requester: Requester) -> Message:
        """The allow-list, for admins and auditors."""
        authorizer = self.changer.authorizer
        refusal = await authorizer.refusal(
            await authorizer.decide(requester, Permission.READ_AUDIT), "see the allow-list"
        )
        if refusal is not None:
            return shown.changes_nothing(refusal)
        at, admins = authorizer.clock(), authorizer.access.admins
        return await authorizer.database.run(
            lambda connection: messages.allow_list(grants.listed(connection), admins, at)
        )

    async def may_grant(self, requester: Requester) -> Message | None:
        """Why somebody may not grant; None if they may."""
        refusal = await self.changer.authorizer.refusal(
            await self.changer.decide(requester), "grant access", Event.GRANT
        )
        return None if refusal is None else shown.changes_nothing(refusal)

    def _new(self, requester: Requester, wanted: GrantWanted, held: Grant | None) -> NewGrant:
        at = self.changer.authorizer.clock()
        return NewGrant(
            subject=wanted.subject,
            role=Role(wanted.role),
            granted_by=requester.user_id,
            job_types=wanted.job_types or (held.job_types if held else frozenset()),
            channels=wanted.channels or (held.channels if held else frozenset()),
            expires_at=at + wanted.duration if wanted.duration else None,
            reason=wanted.reason,
            delivery_key=requester.delivery_key,
        )

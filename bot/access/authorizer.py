"""What every use case behind Slack needs: who asks, whether they may, and what they are told if not."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.access import holding, messages, policy
from bot.access.grants import administrators, concerning, listed
from bot.access.policy import ANYWHERE, AccessRequest, Decision, Permission, Reason, Terms
from bot.access.quota import Quota
from bot.audit import log as audit
from bot.audit.entry import DENIED, Entry, Event, denied
from bot.base.clock import Clock
from bot.base.requester import Actor, Requester
from bot.db.database import Database
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.people import People, Person

CHECK_SECONDS = 2.0
"""How long Slack is waited for to say who somebody is, where an ack waits: Slack itself waits three seconds for it."""


@dataclass(frozen=True)
class Asked:
    """Somebody who asked for something, as Slack describes them now, and whether they may."""

    requester: Requester
    person: Person | None
    decision: Decision

    @property
    def by(self) -> Actor:
        """Who it is, by the name that Slack gives now."""
        return replace(self.requester, user_name=self.person.name) if self.person else self.requester

    def entry(self, event: Event, detail: Mapping[str, Any], job_id: str | None = None) -> Entry:
        """Returns the audit entry of what they asked for: done, or denied, by the grant that decided it."""
        return Entry(
            event=event,
            outcome=None if self.decision.allowed else DENIED,
            job_id=job_id,
            grant_id=self.decision.grant.id if self.decision.grant else None,
            detail=detail,
            **self.by.columns,
        )


def _may_fall_short(request: AccessRequest, decision: Decision) -> bool:
    """Whether what was allowed before the job is known may be refused once it is."""
    return request.job_type is None and decision.grant is not None and bool(decision.grant.job_types)


Members = Callable[[str], Awaitable[Collection[str] | None]]
"""Returns who is in a user group, or None if Slack cannot say."""


@dataclass(frozen=True)
class Access:
    """Looks up what a decision needs, and asks the policy.

    Args:
        database: where the grants are.
        members: returns who is in a user group, or None if Slack cannot say.
        admins: users that are admins by the `ADMINS` setting.
    """

    database: Database
    members: Members
    admins: Collection[str]

    async def decide(self, request: AccessRequest, person: Person | None, user_id: str) -> Decision:
        """Decides one request; user groups are asked for only where one could make the difference."""
        looked_up = asyncio.get_running_loop().create_future()
        looked_up.set_result(person)
        return await self.decide_beside(request, looked_up, user_id)

    async def decide_beside(
        self,
        request: AccessRequest,
        looked_up: Awaitable[Person | None],
        user_id: str,
        listed: Callable[[], None] = lambda: None,
    ) -> Decision:
        """Decides one request while it is looked up who somebody is, and asks for their groups beside that.

        Where they are an admin by the setting, or on the allow-list themselves, groups are asked for afterwards, and
        only where one could make the difference. That is also where somebody's own grant is for some job types, and the
        job is not known yet: `decide_again` needs their groups then.

        Args:
            listed: called where the allow-list alone does not say no already: there is a grant of theirs, or of some
                group's, that would do.
        """
        found = await self.database.run_lazily(lambda connection: concerning(connection, user_id))
        group_ids = {grant.subject for grant in found if grant.subject != user_id}
        if user_id in self.admins or any(
            grant.role is not policy.Role.AUDITOR and grant.holds(request.at) for grant in found
        ):
            listed()
        likely = bool(group_ids) and all(grant.subject != user_id for grant in found) and user_id not in self.admins
        asked = asyncio.create_task(self._groups_of(user_id, group_ids)) if likely else None
        try:
            person = await looked_up
            decision = policy.decide(request, person, found, admins=self.admins)
            enough = decision.allowed and not _may_fall_short(request, decision)
            if enough or not group_ids or decision.why in policy.WHATEVER_IS_GRANTED:
                return decision
            groups = await (asked or self._groups_of(user_id, group_ids))
        finally:
            if asked is not None:
                asked.cancel()
        return policy.decide(request, person, found, admins=self.admins, groups=groups)

    def decide_again(
        self, connection: Connection, request: AccessRequest, person: Person | None, before: Decision
    ) -> Decision:
        """Decides in the running transaction, with the grants as they are now and the user groups as they were."""
        found = concerning(connection, person.user_id) if person else []
        return policy.decide(request, person, found, admins=self.admins, groups=before.groups)

    async def decide_change(self, request: AccessRequest, person: Person | None, user_id: str) -> Decision:
        """Decides whether somebody may change the allow-list at all."""
        found = await self.database.run(lambda connection: concerning(connection, user_id))
        groups = await self._groups_of(user_id, {grant.subject for grant in found if grant.subject != user_id})
        return policy.decide_anywhere(request, person, found, admins=self.admins, groups=groups)

    def decide_terms(
        self, connection: Connection, request: AccessRequest, person: Person | None, before: Decision, terms: Terms
    ) -> Decision:
        """Decides in the running transaction whether somebody may grant, or revoke, just these terms."""
        found = concerning(connection, person.user_id) if person else []
        return policy.decide_anywhere(request, person, found, terms, admins=self.admins, groups=before.groups)

    async def groups_of(self, subject: str) -> frozenset[str] | None:
        """The user groups on the allow-list that somebody is in; None if Slack cannot say. A group is in none."""
        if subject.startswith("S"):
            return frozenset()
        found = await self.database.run(lambda connection: concerning(connection, subject))
        return await self._groups_of(subject, {grant.subject for grant in found if grant.subject != subject})

    def holding(
        self, connection: Connection, subject: str, at: datetime, groups: frozenset[str] | None
    ) -> holding.Holding:
        """What a user or user group holds altogether; `groups` are those that the user is in."""
        return holding.holding(concerning(connection, subject), subject, at, admins=self.admins, groups=groups)

    def who_may_grant(self, connection: Connection, at: datetime) -> list[str]:
        """The admins to turn to: user and group IDs, those of the setting first."""
        return list(dict.fromkeys([*sorted(self.admins), *administrators(connection, at)]))

    def who_may(self, connection: Connection, request: AccessRequest) -> list[str]:
        """Who may do something: user and group IDs, those of the setting last."""
        return policy.who_may(request, listed(connection), self.admins)

    async def _groups_of(self, user_id: str, group_ids: Iterable[str]) -> frozenset[str] | None:
        wanted = sorted(group_ids)
        found = await asyncio.gather(*(self.members(group_id) for group_id in wanted))
        groups: set[str] = set()
        for group_id, members in zip(wanted, found, strict=True):
            if members is None:
                return None
            if user_id in members:
                groups.add(group_id)
        return frozenset(groups)


@dataclass(frozen=True)
class Authorizer:
    """Decides for whoever asks in Slack.

    Args:
        workspace: the Slack workspace whose people may be allowed.
    """

    database: Database
    slack: Slack
    people: People
    access: Access
    workspace: str
    clock: Clock
    quota: Quota

    def too_many(self, connection: Connection, requester: Requester, event: Event) -> Message | None:
        """Counts what is about to be recorded of somebody; returns what they are told if it is too much, else None."""
        at = self.clock()
        if self.quota.admits(connection, requester, at):
            return None
        return messages.too_many(self.quota.refuse(connection, requester, at, event), self.quota.per_minute)

    def access_request(
        self, right: Permission, channel_id: str | None = None, job_type: str | None = None
    ) -> AccessRequest:
        """What somebody wants now; in the Home tab there is no channel that a grant could be limited to."""
        return AccessRequest(
            right=right,
            workspace=self.workspace,
            at=self.clock(),
            channel_id=channel_id or ANYWHERE,
            job_type=job_type,
        )

    async def decide(self, requester: Requester, right: Permission, job_type: str | None = None) -> Asked:
        """Whether somebody may do something where they ask for it."""
        person = await self.people.person(requester.user_id, requester.team_id)
        request = self.access_request(right, requester.channel_id, job_type)
        return Asked(requester, person, await self.access.decide(request, person, requester.user_id))

    async def decide_in_time(self, requester: Requester, right: Permission, job_type: str | None = None) -> Asked:
        """The same in time for an ack; if Slack takes longer, the answer is no."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self.decide(requester, right, job_type)
        except TimeoutError:
            return Asked(requester, None, Decision(False, Reason.UNKNOWN_PERSON))

    def denied(self, connection: Connection, decision: Decision, doing: str) -> Message:
        """What somebody is told who may not, and whom to ask.

        Args:
            doing: what they may not do, such as `look at jobs`.
        """
        at = self.clock()
        ask = self.access.who_may_grant(connection, at)
        return messages.denied({**decision.explained(at), "ask": ask}, doing)

    async def refusal(self, asked: Asked, doing: str, event: Event = Event.LOOK) -> Message | None:
        """The same outside a transaction, and on record; None for who may."""
        if asked.decision.allowed:
            return None
        entry = denied(event, asked.by, {"what": doing, "why": asked.decision.why.value})

        def work(connection: Connection) -> Message:
            busy = self.too_many(connection, asked.requester, event)
            if busy is not None:
                return busy
            audit.append(connection, entry, self.clock())
            return self.denied(connection, asked.decision, doing)

        return await self.database.run(work)

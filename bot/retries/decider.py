"""Whether whoever asked for a retry may have it, as Slack and the allow-list say."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.access.authorizer import Access
from bot.access.policy import AccessRequest, Decision, Permission, Reason
from bot.base.clock import Clock
from bot.retries.batches import Open
from bot.retries.request import Request, Retry
from bot.retries.rules import Refusal
from bot.retries.state import State
from bot.sift.job import Job
from bot.slack.people import People, Person

DECIDE_SECONDS = 10.0
"""How long finding out who somebody is and what they may do can take; then the answer is no."""

PUT_OFF_WITHIN = timedelta(minutes=10)
"""For so long a request waits where Slack wants no look-ups; then the answer is no."""


class PutOff(Exception):
    """Slack wants no questions for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class Decider:
    """Decides about requests that are recorded, alone or a batch at once.

    Args:
        workspace: the Slack workspace whose people may be allowed.
    """

    people: People
    access: Access
    workspace: str
    clock: Clock

    async def decide(
        self, request: Request | Open, asked_at: datetime, listed: Callable[[], None] = lambda: None
    ) -> Decision:
        """What somebody may do, whatever job it is; no, if nobody can say in time.

        Args:
            asked_at: since when they wait.
            listed: see `Access.decide_beside`.

        Raises:
            PutOff: Slack wants to be asked later.
        """
        looking = asyncio.create_task(self.people.person(request.user_id, request.team_id))
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                wanted = self._wanted(request.channel_id)
                decision = await self.access.decide_beside(wanted, looking, request.user_id, listed)
        except TimeoutError:
            known = looking.done() and not looking.cancelled() and looking.result() is not None
            decision = Decision(False, Reason.GROUPS_UNKNOWN if known else Reason.UNKNOWN_PERSON)
        finally:
            looking.cancel()
        unknown = decision.why in (Reason.UNKNOWN_PERSON, Reason.GROUPS_UNKNOWN)
        waited = self.clock() - asked_at > PUT_OFF_WITHIN
        if unknown and not waited and (wait := self.people.look_up_wait):
            raise PutOff(wait)
        return decision

    def decide_again(
        self, connection: Connection, request: Request, job: Job, person: Person | None, before: Decision
    ) -> Decision:
        """Decides in the running transaction about this very job, with the grants as they are now."""
        return self.access.decide_again(connection, self._wanted(request.channel_id, job), person, before)

    def denial(self, decision: Decision) -> Refusal:
        """What becomes of a request whose person may not."""
        return Refusal(State.DENIED, decision.explained(self.clock()))

    def with_whom_to_ask(self, connection: Connection, refusal: Refusal, at: datetime) -> Refusal:
        """The same refusal; of a denied one with who may grant what is missing."""
        if refusal.state is not State.DENIED:
            return refusal
        return Refusal(refusal.state, {**refusal.detail, "ask": self.access.who_may_grant(connection, at)})

    def who_may(self, connection: Connection, retry: Retry) -> list[str]:
        """Who may retry this very job where it was asked for, by the allow-list: user and group IDs."""
        return self.access.who_may(connection, self._wanted(retry.channel_id, retry.job_before))

    def _wanted(self, channel_id: str | None, job: Job | None = None) -> AccessRequest:
        return AccessRequest(
            right=Permission.RETRY,
            workspace=self.workspace,
            at=self.clock(),
            channel_id=channel_id,
            job_type=job.kind if job else None,
        )

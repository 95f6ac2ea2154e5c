"""What people on call do with a failure: take and release it, snooze it, mute it; for those who may retry its jobs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.access.authorizer import Asked, Authorizer
from bot.access.policy import Permission, Reason
from bot.alerts import oncall
from bot.alerts import oncall_messages as shown
from bot.alerts.oncall import Changes, Failure
from bot.alerts.snooze import BadDay, Wanted, until, zone_of
from bot.audit import log as audit
from bot.audit.entry import Event
from bot.base.clock import rfc3339
from bot.base.requester import Requester
from bot.sift.ids import job_kind
from bot.slack.message import Message

TOO_LATE = "refused"
"""The outcome in the audit of what somebody else made impossible meanwhile."""

DOING = {
    Event.TAKE: "take failures",
    Event.RELEASE: "release failures",
    Event.SNOOZE: "snooze alerts",
    Event.MUTE: "mute alerts",
    Event.UNMUTE: "mute alerts",
}
"""What somebody is told that they may not do."""

Check = Callable[[Failure], Message | bool]
"""Returns whether there is anything to change (False: an earlier delivery did it), or why it cannot be."""


@dataclass(frozen=True)
class Act:
    """Something that somebody wants to do with a failure.

    Args:
        event: what the audit calls it.
        check: whether the failure, as it is now, lets them.
        changes: what changes in its row.
        detail: further facts for the audit.
        reminds: whether somebody is to be reminded of it again, if nobody takes care of it.
    """

    event: Event
    check: Check
    changes: Changes
    detail: Mapping[str, object]
    reason: str | None = None
    reminds: bool = False


@dataclass(frozen=True)
class Handling:
    """Decides, changes and audits in time for the ack.

    Args:
        changed: told when a failure is to be shown again.
        timezone: where somebody is of whom Slack does not say it.
        remind_after: after so long somebody is reminded of what nobody takes care of; None: never.
        tell: writes to somebody directly.
        link: to a message, by its channel and `ts`; None where there is none.
    """

    authorizer: Authorizer
    changed: Callable[[], None]
    timezone: ZoneInfo
    remind_after: timedelta | None
    tell: Callable[[str, Message], None]
    link: Callable[[str | None, str | None], str | None]

    async def take(self, requester: Requester, failure_id: str) -> Message | None:
        """Has a failure say that somebody is on it; returns why not, if that was not done."""
        user_id, at = requester.user_id, self.authorizer.clock()
        changes: Changes = {"taken_by": user_id, "taken_at": at, "released_by": None, "remind_at": None}
        act = Act(Event.TAKE, lambda failure: _may_take(failure, user_id), changes, {})
        return _problem(await self._do(await self._decide(requester, failure_id), failure_id, act))

    async def release(self, requester: Requester, failure_id: str, taken_by: str) -> Message | None:
        """Has a failure say that nobody is on it; whoever was is told, if it was somebody else.

        Args:
            taken_by: who was, by the button that was pressed.
        """
        user_id = requester.user_id
        changes: Changes = {"taken_by": None, "taken_at": None, "released_by": user_id}
        act = Act(
            Event.RELEASE,
            lambda failure: _may_release(failure, user_id, taken_by),
            changes,
            {"taken_by": taken_by},
            reminds=True,
        )
        done = await self._do(await self._decide(requester, failure_id), failure_id, act)
        if done is True and taken_by != user_id:
            await self._tell_taker(requester, failure_id, taken_by)
        return _problem(done)

    async def snooze(self, requester: Requester, failure_id: str, wanted: Wanted) -> Message | BadDay | None:
        """Puts a failure off; returns why not, if that was not done."""
        asked = await self._decide(requester, failure_id)
        moment = until(wanted, self.authorizer.clock(), self.zone(asked))
        if isinstance(moment, BadDay) and asked.decision.allowed:
            return moment
        user_id = requester.user_id
        back_at = None if isinstance(moment, BadDay) else moment
        changes: Changes = {"snoozed_by": user_id, "snoozed_until": back_at, "woken_at": None, "remind_at": None}
        detail = {"until": back_at and rfc3339(back_at)}
        act = Act(Event.SNOOZE, lambda failure: _may_snooze(failure, user_id), changes, detail)
        return _problem(await self._do(asked, failure_id, act))

    async def end_snooze(self, requester: Requester, failure_id: str) -> Message | None:
        """Ends a snooze before its time; returns why not, if that was not done."""
        changes: Changes = {"snoozed_by": None, "snoozed_until": None}
        act = Act(Event.SNOOZE, _may_end, changes, {"until": None}, reminds=True)
        return _problem(await self._do(await self._decide(requester, failure_id), failure_id, act))

    async def mute(self, requester: Requester, failure_id: str, reason: str) -> Message | None:
        """Has a job alerted no more; returns why not, if that was not done."""
        user_id = requester.user_id
        changes: Changes = {"muted_by": user_id, "mute_reason": reason, "snoozed_until": None, "remind_at": None}
        act = Act(Event.MUTE, lambda failure: _may_mute(failure, user_id, reason), changes, {}, reason)
        return _problem(await self._do(await self._decide(requester, failure_id), failure_id, act))

    async def unmute(self, requester: Requester, failure_id: str) -> Message | None:
        """Has a job alerted again; returns why not, if that was not done."""
        changes: Changes = {"muted_by": None, "mute_reason": None}
        act = Act(Event.UNMUTE, lambda failure: failure.muted_by is not None, changes, {}, reminds=True)
        return _problem(await self._do(await self._decide(requester, failure_id), failure_id, act))

    async def may(self, requester: Requester, failure_id: str, event: Event) -> tuple[Asked, Failure] | Message:
        """Looks, for a modal that is about to open, whether somebody may snooze or mute a failure.

        Returns:
            Who asked, and the failure; or why not.
        """
        asked = await self._decide(requester, failure_id)
        if not asked.decision.allowed:
            denied = await self._do(asked, failure_id, Act(event, lambda _: True, {}, {}))
            return denied if isinstance(denied, Message) else shown.gone()
        failure = await self.authorizer.database.run(lambda connection: oncall.find(connection, failure_id))
        if failure is None:
            return shown.gone()
        found = _may_snooze(failure) if event is Event.SNOOZE else _may_mute(failure)
        return found if isinstance(found, Message) else (asked, failure)

    async def may_not_retry(self, requester: Requester, failure_id: str) -> Message | None:
        """Why somebody may retry none of the jobs there, which is on record then; None for who may."""
        return await self.authorizer.refusal(await self._decide(requester, failure_id), "retry jobs")

    def zone(self, asked: Asked) -> ZoneInfo:
        """The time zone that somebody is in."""
        return zone_of(asked.person.tz if asked.person else None, self.timezone)

    async def _decide(self, requester: Requester, failure_id: str) -> Asked:
        """Whether somebody may retry any of the jobs there."""
        found = await self.authorizer.database.run(lambda connection: oncall.find(connection, failure_id))
        kinds = [job_kind(one) for one in found.job_types] if found else []
        asked = await self.authorizer.decide_in_time(requester, Permission.RETRY, kinds[0] if kinds else None)
        for kind in kinds[1:]:
            if asked.decision.why is Reason.OTHER_JOB_TYPE:
                asked = await self.authorizer.decide_in_time(requester, Permission.RETRY, kind)
        return asked

    async def _do(self, asked: Asked, failure_id: str, act: Act) -> Message | bool:
        """Changes a failure, and says so in the audit; returns whether there was anything to change, or why not."""
        at = self.authorizer.clock()

        def work(connection: Connection) -> Message | bool:
            failure = oncall.find(connection, failure_id)
            if failure is None:
                return shown.gone()
            found = act.check(failure) if asked.decision.allowed else True
            if found is False:
                return False
            busy = self.authorizer.too_many(connection, asked.requester, act.event)
            if busy is not None:
                return busy
            problem = found if isinstance(found, Message) else None
            self._record(connection, asked, failure, act, problem, at)
            if not asked.decision.allowed:
                return self.authorizer.denied(connection, asked.decision, DOING[act.event])
            if problem is None:
                oncall.change(connection, failure, at, **act.changes)
                if act.reminds and self.remind_after is not None:
                    oncall.await_reminder(connection, [failure_id], at + self.remind_after)
            return problem or True

        done = await self.authorizer.database.run(work)
        self.changed()
        return done

    def _record(
        self, connection: Connection, asked: Asked, failure: Failure, act: Act, problem: Message | None, at: datetime
    ) -> None:
        of_many = {"total": failure.jobs} if failure.job_id is None else {}
        detail = {"alert": failure.id, "why": asked.decision.why.value, **of_many, **act.detail}
        entry = replace(asked.entry(act.event, detail, failure.job_id), reason=act.reason)
        if problem is not None:
            entry = replace(entry, outcome=TOO_LATE, detail={**detail, "why": "too_late"})
        audit.append(connection, entry, at)

    async def _tell_taker(self, requester: Requester, failure_id: str, taken_by: str) -> None:
        """Tells somebody that a failure they were on was released."""
        failure = await self.authorizer.database.run(lambda connection: oncall.find(connection, failure_id))
        if failure is not None:
            link = self.link(requester.channel_id, requester.thread_ts)
            self.tell(taken_by, shown.released_from_you(requester.user_id, failure.name, link))


def _may_take(failure: Failure, user_id: str) -> Message | bool:
    if failure.taken_by == user_id:
        return False
    if failure.taken_by is not None:
        return shown.taken_already(failure)
    return failure.failed or shown.not_failed()


def _may_release(failure: Failure, user_id: str, taken_by: str) -> Message | bool:
    if failure.taken_by is None:
        return False if failure.released_by == user_id else shown.not_taken(failure)
    return failure.taken_by == taken_by or shown.taken_by_another(failure)


def _may_snooze(failure: Failure, user_id: str | None = None) -> Message | bool:
    if failure.snoozed_until is not None:
        return False if failure.snoozed_by == user_id else shown.snoozed_already(failure)
    if failure.muted_by is not None:
        return shown.muted_already(failure)
    return failure.failed or shown.not_failed()


def _may_end(failure: Failure) -> Message | bool:
    return failure.snoozed_until is not None or shown.not_snoozed()


def _may_mute(failure: Failure, user_id: str | None = None, reason: str | None = None) -> Message | bool:
    if failure.muted_by is None:
        return True
    return False if (failure.muted_by, failure.mute_reason) == (user_id, reason) else shown.muted_already(failure)


def _problem(done: Message | bool) -> Message | None:
    return done if isinstance(done, Message) else None

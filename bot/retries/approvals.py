"""A second person's word: given or refused by somebody else, or overridden loudly; see `approval_rows` for the asking.

A request stays `requested` while it waits, due again when the time for an approval is over.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from bot.access.authorizer import Asked, Authorizer
from bot.access.policy import Permission
from bot.audit import entry
from bot.audit import log as audit
from bot.audit.entry import Event
from bot.retries import approval_rows, known, store
from bot.retries.entries import entry_of
from bot.retries.messages import approval as shown
from bot.retries.messages.batch_approval import MAX_AT_ONCE
from bot.retries.request import Retry
from bot.retries.state import ApprovalReason, State
from bot.retries.word import Word
from bot.slack.message import Message

_DOING = {Event.APPROVAL: "approve this", Event.DECLINE: "decline this", Event.BREAK_GLASS: "override a second person"}
"""What somebody is told that they may not do."""

_RIGHTS = {Event.APPROVAL: Permission.RETRY, Event.DECLINE: Permission.RETRY, Event.BREAK_GLASS: Permission.OVERRIDE}


_Key = tuple[str | None, str | None]
"""Where a request was made, and the type of its job: all that its approval is decided by beside the person."""


@dataclass(frozen=True)
class Approvals:
    """Takes approvals, refusals and overrides, checked and recorded in time for the ack.

    Args:
        start: has the runner take up an approved request.
        changed: told when messages are to be shown again.
        entered: told each state that a request entered.
    """

    authorizer: Authorizer
    start: Callable[[Retry], None]
    changed: Callable[[], None]
    entered: Callable[[State], None]

    async def speak(self, word: Word) -> Message | None:
        """Approves, declines or overrides what waits; returns why not, as far as it was not done."""
        asked = await self._decide(word)

        def work(connection: Connection) -> _Done:
            return self._speak(connection, word, asked)

        done = await self.authorizer.database.run(work)
        for retry in done.through:
            self.start(retry)
        for _ in range(done.ended):
            self.entered(State.DENIED)
        if done.changed:
            self.changed()
        return done.problem

    async def may(self, word: Word) -> "list[Retry] | Message":
        """What of it waits for somebody's word; or why they may not say it, which is on record then."""
        asked = await self._decide(word)

        def work(connection: Connection) -> list[Retry] | Message:
            waiting = _waiting(connection, word, self.authorizer.clock())
            if not waiting:
                return shown.no_longer_waiting(approval_rows.last_spoken(connection, word.of))
            mine, refused = _sorted(word, waiting, asked)
            if mine:
                return known.completed(connection, mine)
            busy = self.authorizer.too_many(connection, word.requester, word.event)
            return busy or self._refuse(connection, word, refused, 0)

        return await self.authorizer.database.run(work)

    async def _decide(self, word: Word) -> dict[_Key, Asked]:
        """Whether somebody may say that, for each kind of job, where it was asked for: not where they press."""
        at = self.authorizer.clock()
        waiting = await self.authorizer.database.run(lambda connection: _waiting(connection, word, at))
        keys = list(dict.fromkeys(map(_key, waiting)))
        decided = await asyncio.gather(*(self._decide_one(word, *key) for key in keys))
        return dict(zip(keys, decided, strict=True))

    async def _decide_one(self, word: Word, channel_id: str | None, job_type: str | None) -> Asked:
        there = replace(word.requester, channel_id=channel_id)
        return await self.authorizer.decide_in_time(there, _RIGHTS[word.event], job_type)

    def _speak(self, connection: Connection, word: Word, asked: dict[_Key, Asked]) -> "_Done":
        """What `speak` does, in its transaction."""
        now, at = self.authorizer.database.now(connection), self.authorizer.clock()
        waiting = _waiting(connection, word, at)
        if not waiting:
            return _Done(shown.no_longer_waiting(approval_rows.last_spoken(connection, word.of)))
        mine, refused = _sorted(word, waiting, asked)
        fresh = [one for one in mine if word.event is not Event.APPROVAL or word.requester.user_id not in one.approvers]
        if not fresh and not refused:
            return _Done(shown.approved_already(mine[0]) if mine else None)
        busy = self.authorizer.too_many(connection, word.requester, word.event)
        if busy is not None:
            return _Done(busy)
        spoken = [_say(connection, one, word, asked[_key(one)], now, at) for one in fresh]
        through = [one for one in spoken if one.approved_by is not None]
        problem = self._refuse(connection, word, refused, len(fresh)) if refused else None
        ended = len(spoken) if word.event is Event.DECLINE else 0
        return _Done(problem, through, ended, changed=bool(spoken))

    def _refuse(
        self, connection: Connection, word: Word, refused: "Sequence[tuple[Retry, Asked, str]]", done: int
    ) -> Message:
        """Records that somebody may not say that, once for each reason, and returns what they are told."""
        by_reason: dict[str, list[tuple[Retry, Asked, str]]] = {}
        for one in refused:
            by_reason.setdefault(one[2], []).append(one)
        for why, concerned in by_reason.items():
            retry, asked, _ = concerned[0]
            alone = retry.batch_id is None
            said = _entry(retry, asked, word, why, None if alone else len(concerned))
            if not alone:  # one entry for all of them, which names the batch, and no job
                said = replace(said, request_id=None, job_id=None, status_before=None)
            audit.append(connection, said, self.authorizer.clock())
        retry, asked, why = refused[0]
        if why == ApprovalReason.BY_ONESELF:
            return shown.not_by_oneself()
        denied = self.authorizer.denied(connection, asked.decision, _DOING[word.event])
        return shown.some_left(denied, len(refused), done) if done else denied


@dataclass(frozen=True)
class _Done:
    """What came of somebody's word.

    Args:
        problem: what they are told.
        through: what is sent now.
        ended: how many requests were declined.
        changed: whether any row was.
    """

    problem: Message | None = None
    through: Sequence[Retry] = ()
    ended: int = 0
    changed: bool = False


def _waiting(connection: Connection, word: Word, at: datetime) -> list[Retry]:
    """What waits of what somebody speaks of, so many at once."""
    by = word.requester.user_id
    return approval_rows.waiting(connection, word.of, at, MAX_AT_ONCE, by=by, only=word.only, until=word.until)


def _key(retry: Retry) -> _Key:
    return retry.channel_id, retry.job.kind if retry.job else None


def _sorted(
    word: Word, waiting: Sequence[Retry], asked: dict[_Key, Asked]
) -> tuple[list[Retry], list[tuple[Retry, Asked, str]]]:
    """Of what waits, what somebody may speak of, and what they may not, and why; what came to wait since is left."""
    mine: list[Retry] = []
    refused: list[tuple[Retry, Asked, str]] = []
    for retry in waiting:
        found = asked.get(_key(retry))
        if found is None:
            continue
        if not found.decision.allowed:
            refused.append((retry, found, found.decision.why.value))
        elif word.event is Event.APPROVAL and word.requester.user_id == retry.user_id:
            refused.append((retry, found, ApprovalReason.BY_ONESELF))
        else:
            mine.append(retry)
    return mine, refused


def _say(connection: Connection, retry: Retry, word: Word, asked: Asked, now: datetime, at: datetime) -> Retry:
    """Writes somebody's word down, and what comes of it."""
    audit.append(connection, _entry(retry, asked, word, None), at)
    match word.event:
        case Event.APPROVAL:
            return approval_rows.approve(connection, retry, asked.by, now, at)
        case Event.BREAK_GLASS:
            return approval_rows.override(connection, retry, asked.by, word.reason or "", now, at)
        case _:
            detail = {"why": ApprovalReason.DECLINED, "by": asked.by.user_id, "said": word.reason}
            return store.transition(connection, retry, State.DENIED, at, detail=detail)


def _entry(retry: Retry, asked: Asked, word: Word, why: str | None, total: int | None = None) -> entry.Entry:
    """What the audit says of a request, or of several at once, in the name of whoever spoke."""
    detail = {"for": retry.user_id, "why": why or asked.decision.why.value, "total": total}
    grant = asked.decision.grant
    return replace(
        entry_of(retry, None if why is None else State.DENIED, detail, word.event),
        team_id=word.requester.team_id,
        user_id=word.requester.user_id,
        user_name=asked.by.user_name,
        source=word.requester.source,  # the button, or the modal that asks for a reason
        reason=word.reason,
        grant_id=grant.id if grant else None,
    )

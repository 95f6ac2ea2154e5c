"""A request, alone or one of a batch, and its row as it was read. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from bot.base.requester import Requester, Source
from bot.base.text import new_id
from bot.retries.kept import about_of
from bot.retries.kind import Kind
from bot.retries.late import Late
from bot.retries.record import Record
from bot.retries.spoken import Spoken
from bot.retries.state import FINAL, State
from bot.sift.job import Job
from bot.sift.subject import About, Why
from bot.slack.piece import OutboxRow, values_of

MAX_JOBS = 100
"""So many jobs may be named at once."""

MAX_LISTED = 120
"""So many retries of a batch are listed in its thread; the tally counts all of them."""


@dataclass(frozen=True)
class JobRef:
    """A job to retry, or to cancel, or whose report is to be evaluated again.

    Args:
        offered: what the button stood for, if it was a button; see `Request`.
        report_id: the report.
    """

    job_id: str
    offered: str | None = None
    report_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request(Requester):
    """What somebody asked for.

    Args:
        offered: what the clicked button stood for: a failure of the job; of a rerun, the request whose data came late.
        batch_id: the batch it belongs to, which then shows it.
        report_id: of a rerun, the report that is evaluated again.
    """

    id: str
    job_id: str
    kind: Kind = Kind.RETRY
    report_id: str | None = None
    offered: str | None = None
    reason: str | None = None
    batch_id: str | None = None

    @classmethod
    def by(cls, requester: Requester, wanted: JobRef, reason: str | None = None, kind: Kind = Kind.RETRY) -> "Request":
        """Returns somebody's request, with an ID of its own."""
        return cls(id=new_id(), kind=kind, reason=reason, **vars(wanted), **vars(requester))


@dataclass(frozen=True, kw_only=True)
class Retry(Request, OutboxRow):
    """A row of `retries` as it was read.

    Args:
        about: what the job is about, and why it failed before.
        again: why it failed again, if it did.
        record: how earlier retries after the cause ended that its Retry button stands for.
        waits_until: the end of the cooldown, where it was asked for before and waits by itself.
        cools_until: the end of the cooldown, where it offers the Retry button before.
        approvers: who approved it so far, if it takes somebody else's word.
    """

    state: State
    fence: int
    missed: int
    detail: Mapping[str, Any]
    about: About = field(default_factory=About)
    again: Why = field(default_factory=Why)
    record: Record = field(default_factory=Record)
    grant_id: int | None = None
    attempt: int | None = None
    approval_until: datetime | None = None
    approvals_needed: int | None = None
    approvers: tuple[str, ...] = ()
    approved_by: str | None = None
    override_reason: str | None = None
    job_before: Job | None = None
    job_after: Job | None = None
    new_job_id: str | None = None
    late: Late = field(default_factory=Late)
    late_until: datetime | None = None
    superseded_by: str | None = None
    waits_until: datetime | None = None
    cools_until: datetime | None = None
    sent_at: datetime | None = None
    unknown_at: datetime | None = None
    accepted_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def job(self) -> Job | None:
        """The job as last seen; of a rerun, the new one, once it was seen."""
        return self.job_after or self.job_before

    @property
    def followed_id(self) -> str:
        """The job that is followed: of a rerun the new one, once there is one."""
        return self.new_job_id or self.job_id

    @property
    def reader(self) -> str:
        return self.user_id

    @property
    def since(self) -> datetime:
        return self.ended_at or self.created_at

    @property
    def announced_early(self) -> bool:
        """Whether the channel is told that it is being sent, before Sift has answered.

        Not where others were asked before, nor in the thread that it was asked from.
        """
        shown = self.channel_id is not None and self.thread_ts is None and self.unpostable is None
        return shown and self.kind is Kind.RETRY and self.approval_until is None

    @property
    def waits_for_approval(self) -> bool:
        """Whether a second person has been asked for and has not spoken yet."""
        return self.state is State.REQUESTED and self.approval_until is not None and self.approved_by is None

    @property
    def waits_for_cooldown(self) -> bool:
        """Whether it was asked for during the cooldown and has not been taken up since."""
        return self.state is State.REQUESTED and self.waits_until is not None and self.approval_until is None

    @property
    def could_begin_at(self) -> datetime:
        """When it was asked for, or may be taken up where that is later."""
        return max(self.created_at, self.waits_until or self.created_at)

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @classmethod
    def of(cls, row: Mapping[Any, Any], **more: Any) -> Self:
        values = values_of(cls, row)
        values |= {"state": State(values["state"]), "source": Source(values["source"])}
        values |= {"kind": Kind(values.get("kind", Kind.RETRY)), "late": Late.from_json(_read(values.get("late")))}
        values["detail"] = _read(values["detail"])
        values["about"], values["again"] = about_of(values["about"])
        for name in ("job_before", "job_after"):
            values[name] = Job.from_json(values[name]) if values[name] else None
        return cls(**values, **more)


@dataclass(frozen=True, kw_only=True)
class Batch(Requester, OutboxRow):
    """A row of `batches`, with how its retries stand.

    Args:
        total: how many jobs were asked for.
        states: how many of its retries are in which state.
        members: its first retries, in full.
        offered: how many of its retries may be repeated.
        stale: how many were left alone for too long, and may be asked for once more.
        refusal: why none of it was let through; empty: it was.
        waiting: how many wait for the end of the cooldown, the last one until `waits_until`.
        cools_until: when the last cooldown ends of what is offered again.
        spoken: of those that took a second person's word, how many went which way.
        awaiting: the first of those that wait for one, and `awaiting_until`, how long the last of all does.
        undecided: so many of its retries may come to wait for one.
    """

    total: int
    states: Mapping[State, int]
    members: Sequence[Retry]
    kind: Kind = Kind.RETRY
    reason: str | None = None
    offered: int = 0
    stale: int = 0
    refusal: Mapping[str, Any] = field(default_factory=dict)
    waiting: int = 0
    waits_until: datetime | None = None
    cools_until: datetime | None = None
    spoken: Sequence[Spoken] = ()
    awaiting: Sequence[Retry] = ()
    awaiting_until: datetime | None = None
    undecided: int = 0

    @property
    def waits(self) -> int:
        """How many of its retries wait for a second person."""
        return sum(one.count for one in self.spoken if one.waits)

    @property
    def reader(self) -> str:
        return self.user_id

    @property
    def final(self) -> bool:
        return bool(self.refusal) or sum(count for state, count in self.states.items() if state in FINAL) >= self.total


def _read(stored: str | None) -> Any:
    """A column that holds JSON, or nothing."""
    return json.loads(stored) if stored else {}

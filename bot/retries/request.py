"""A request, alone or one of a batch, and its row: as Slack sends it, and as it was read. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from bot.retries.state import FINAL, State
from bot.sift.ids import JOB_ID, job_ids_in
from bot.sift.job import Job
from bot.slack.payloads import Malformed, Requester, _input, _mapping, _maybe, _text, requester_of_click, value_of
from bot.slack.piece import OutboxRow, values_of

MAX_JOBS = 100
"""So many jobs may be named at once."""


@dataclass(frozen=True)
class JobRef:
    """A job to retry, and the failure that the button stood for, if it was a button."""

    job_id: str
    offered: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody asked for, as Slack sent it.

    Args:
        delivery_key: the same for every delivery of the same click or command.
        thread_ts: the thread to answer in; None lets the bot start one.
        asked_in: the thread where a private answer goes; None: the channel itself.
        offered: the failure that the clicked button stood for.
        response_url: where a private answer may be sent for half an hour.
        batch_id: the batch it belongs to, which then shows it.
    """

    id: str
    delivery_key: str
    job_id: str
    team_id: str
    user_id: str
    source: str
    user_name: str | None = None
    reason: str | None = None
    channel_id: str | None = None
    thread_ts: str | None = None
    asked_in: str | None = None
    offered: str | None = None
    response_url: str | None = None
    batch_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Retry(Request, OutboxRow):
    """A row of `retries` as it was read."""

    state: State
    fence: int
    missed: int
    detail: Mapping[str, Any]
    cause: Mapping[str, Any]
    grant_id: int | None = None
    attempt: int | None = None
    approval_until: datetime | None = None
    approved_by: str | None = None
    override_reason: str | None = None
    job_before: Job | None = None
    job_after: Job | None = None
    superseded_by: str | None = None
    sent_at: datetime | None = None
    unknown_at: datetime | None = None
    accepted_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def job(self) -> Job | None:
        """The job as last seen."""
        return self.job_after or self.job_before

    @property
    def reader(self) -> str:
        return self.user_id

    @property
    def since(self) -> datetime:
        return self.ended_at or self.created_at

    @property
    def waits_for_approval(self) -> bool:
        """Whether a second person has been asked for and has not spoken yet."""
        return self.state is State.REQUESTED and self.approval_until is not None and self.approved_by is None

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @classmethod
    def of(cls, row: Mapping[Any, Any], **more: Any) -> Self:
        values = values_of(cls, row)
        values["state"] = State(values["state"])
        for name in ("detail", "cause"):
            values[name] = json.loads(values[name] or "{}")
        for name in ("job_before", "job_after"):
            values[name] = Job.model_validate_json(values[name]) if values[name] else None
        return cls(**values, **more)


@dataclass(frozen=True, kw_only=True)
class Batch(OutboxRow):
    """A row of `batches`, with how its retries stand.

    Args:
        total: how many jobs were asked for.
        states: how many of its retries are in which state.
        members: its first retries, in full.
        offered: how many of its retries may be repeated.
        stale: how many were left alone for too long, and may be asked for once more.
        refusal: why none of it was let through; empty: it was.
    """

    delivery_key: str
    team_id: str
    user_id: str
    source: str
    user_name: str | None = None
    reason: str | None = None
    total: int
    states: Mapping[State, int]
    members: Sequence[Retry]
    offered: int = 0
    stale: int = 0
    refusal: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reader(self) -> str:
        return self.user_id

    @property
    def final(self) -> bool:
        return bool(self.refusal) or sum(count for state, count in self.states.items() if state in FINAL) >= self.total


def job_of_click(body: Mapping[str, Any]) -> JobRef:
    """The job of a Retry button, and the failure that it stood for, if it stood for one."""
    job_id, _, failure = value_of(body).partition(" ")
    if not JOB_ID.fullmatch(job_id):
        raise Malformed
    return JobRef(job_id, failure or None)


@dataclass(frozen=True)
class Submitted:
    """What somebody filled in to retry jobs."""

    requester: Requester
    jobs: tuple[JobRef, ...]
    source: str
    reason: str | None = None


def from_view(body: Mapping[str, Any]) -> Submitted:
    """A submitted modal: jobs picked, job IDs pasted, and a reason."""
    view = _mapping(body, "view")
    values = _mapping(_mapping(view, "state"), "values")
    try:
        origin = json.loads(_text(view, "private_metadata"))
    except ValueError:
        raise Malformed from None
    picked = _input(values, "jobs").get("selected_options")
    job_ids = [_text(option, "value") for option in picked] if isinstance(picked, list) else []
    job_ids += job_ids_in(_maybe(_input(values, "ids"), "value"))
    if not all(JOB_ID.fullmatch(job_id) for job_id in job_ids):
        raise Malformed
    requester = replace(
        requester_of_click(body),
        channel_id=_maybe(origin, "channel_id"),
        thread_ts=_maybe(origin, "thread_ts"),
        asked_in=_maybe(origin, "asked_in"),
    )
    wanted = tuple(JobRef(job_id) for job_id in dict.fromkeys(job_ids))
    return Submitted(requester, wanted, _text(origin, "source"), _maybe(_input(values, "reason"), "value"))


def from_override(body: Mapping[str, Any]) -> tuple[str, str]:
    """The request that an admin overrides the second person for, and why."""
    view = _mapping(body, "view")
    reason = _input(_mapping(_mapping(view, "state"), "values"), "reason")
    return _text(view, "private_metadata"), _text(reason, "value")

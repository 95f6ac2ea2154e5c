"""An alert and a storm, as they were read. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self

from bot.retries.record import Record
from bot.retries.request import Retry
from bot.retries.state import AlertState, State
from bot.sift.job import KEPT, Job
from bot.sift.subject import About, Why
from bot.slack.piece import OutboxRow, values_of


@dataclass(frozen=True, kw_only=True)
class OnCall:
    """Who takes care of a failure, as its row says.

    Args:
        taken_by: who is on it, since `taken_at`.
        released_by: who gave it back last, where nobody is on it.
        snoozed_by: who put it off, until `snoozed_until`, or did last.
        muted_by: who has the job alerted no more.
        reminded_at: when somebody was reminded of it last.
    """

    taken_by: str | None = None
    taken_at: datetime | None = None
    released_by: str | None = None
    snoozed_by: str | None = None
    snoozed_until: datetime | None = None
    muted_by: str | None = None
    reminded_at: datetime | None = None

    @property
    def reminder(self) -> str:
        """Names the last reminder, as long as nobody took care of it; empty: there was none, or somebody does."""
        cared = any(one is not None for one in (self.taken_by, self.snoozed_until, self.muted_by))
        return f"{self.reminded_at:%Y%m%d%H%M%S}" if self.reminded_at is not None and not cared else ""


@dataclass(frozen=True, kw_only=True)
class Alert(OnCall, OutboxRow):
    """A row of `alerts`.

    Args:
        offered: the failure that the Retry button stands for.
        job: the job as last seen failed, or moved.
        about: what it is about and why it failed, as far as that is known by now.
        cause: why it failed, in one line, where that was known before anything was looked up.
        record: how earlier retries after this cause ended.
        creator_id: who created the job, if they are to be told; empty: nobody whom Slack knows.
        retry: the newest retry of the job that the bot sent.
        awaiting: a retry of the job that waits for a second person.
        repeats: later failures that nobody announces otherwise.
        mute_reason: why it is muted, in the words of whoever did it.
        woken_at: when the last snooze was over and the job still failed.
    """

    job_id: str
    failure: str
    job_type: str
    manner: str
    state: AlertState
    offered: str
    job: Job
    about: About = field(default_factory=About)
    cause: str | None = None
    cause_key: str | None = None
    topic: str | None = None
    record: Record = field(default_factory=Record)
    mute_reason: str | None = None
    woken_at: datetime | None = None
    storm_id: str | None = None
    creator_id: str | None = None
    retry: Retry | None = None
    awaiting: Retry | None = None
    repeats: Sequence["Alert"] = ()

    @classmethod
    def of(cls, row: Mapping[Any, Any], **more: Any) -> Self:
        values = values_of(cls, row)
        values["job"] = Job.from_json(values["job"])
        values["state"] = AlertState(values["state"])
        values["about"] = about_of(values["about"], values["cause"])
        return cls(**values, **more)


@lru_cache(KEPT)
def about_of(kept: str | None, cause: str | None) -> About:
    """What a row knows of its job; the cause alone where the row is older than that, or nothing was found out yet."""
    about = About.from_json(json.loads(kept)) if kept else About()
    return about if about.why.headline or not cause else replace(about, why=Why(message=cause))


class Standing(StrEnum):
    """How a job of a storm stands, for whoever reads the storm's title."""

    FAILED = "failed"
    """Failed, and nothing was done about it that is still of use."""

    FAILED_AGAIN = "failed again"
    """Retried by the bot, and failed once more."""

    QUEUED = "queued"
    """Asked for and not sent yet."""

    AWAITING = "waiting for a second person"
    """Asked for, and somebody else has to approve it."""

    UNDER_WAY = "under way"
    """Sent to Sift, and not ended."""

    OUTSIDE = "retried in Sift by somebody else"
    """Moved by somebody else."""

    THROUGH = "through"
    """Retried by the bot, and finished."""

    CLOSED = "through without the bot"
    """No longer failed, though the bot did not retry it."""


OFFERED = (Standing.FAILED, Standing.FAILED_AGAIN)
"""How a job stands that may be retried now."""


def standing_of(state: AlertState, retry: State | None, asked: Standing | None) -> Standing:
    """How a job of a storm stands.

    Args:
        state: of its alert.
        retry: the state of the newest retry that the bot sent.
        asked: how a retry stands that is asked for and not sent yet; None: there is none.
    """
    match state:
        case AlertState.CLOSED:
            return Standing.THROUGH if retry is State.FINISHED else Standing.CLOSED
        case AlertState.OUTSIDE:
            return Standing.OUTSIDE
        case AlertState.RETRYING:
            return Standing.QUEUED if retry is State.REQUESTED else Standing.UNDER_WAY
        case AlertState.OPEN:
            again = Standing.FAILED_AGAIN if retry is State.FAILED_AGAIN else Standing.FAILED
            return again if asked is None else asked


@dataclass(frozen=True, kw_only=True)
class Group:
    """The failures of a storm that have the same cause, and the same run or asset.

    Args:
        id: finds the group again when its button is pressed.
        standings: how many of them stand how.
        kind: the type of its jobs, such as `data_import`; empty: they are of several.
        cause: why they failed, in their own words if all say the same; empty: nobody says.
        cause_key: what their causes have in common.
        topic: the run or asset; empty: not known.
        record: how earlier retries after this cause ended.
    """

    id: str
    standings: Mapping[Standing, int]
    kind: str = ""
    cause: str = ""
    cause_key: str = ""
    topic: str = ""
    record: Record = field(default_factory=Record)

    @property
    def total(self) -> int:
        return sum(self.standings.values())

    @property
    def offered(self) -> int:
        """How many of them may be retried now."""
        return sum(self.standings.get(standing, 0) for standing in OFFERED)


@dataclass(frozen=True, kw_only=True)
class Storm(OnCall, OutboxRow):
    """A row of `storms`, with how its jobs stand.

    Args:
        kinds: how many of its jobs are of which job type.
        groups: its jobs by what they share, most first.
        retrying: who asked for what is queued or under way.
        awaiting: who asked for what waits for a second person.
        retried: who asked for what is through.
        members: the first of its alerts.
        repeats: later failures that nobody announces otherwise.
        woken_at: when the last snooze was over and some of its jobs still failed.
    """

    kinds: Mapping[str, int]
    groups: Sequence[Group]
    members: Sequence[Alert]
    retrying: Sequence[str] = ()
    awaiting: Sequence[str] = ()
    retried: Sequence[str] = ()
    repeats: Sequence[Alert] = ()
    woken_at: datetime | None = None

    @property
    def standings(self) -> dict[Standing, int]:
        """How many of its jobs stand how."""
        counts = {one: sum(group.standings.get(one, 0) for group in self.groups) for one in Standing}
        return {one: count for one, count in counts.items() if count}

    @property
    def total(self) -> int:
        return sum(group.total for group in self.groups)

    @property
    def offered(self) -> int:
        """How many of its jobs may be retried now."""
        return sum(group.offered for group in self.groups)

    @property
    def over(self) -> bool:
        """Whether none of its jobs is failed or under way any more."""
        standings = self.standings
        return standings.get(Standing.THROUGH, 0) + standings.get(Standing.CLOSED, 0) == self.total

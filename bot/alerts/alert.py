"""An alert and a storm, as they were read. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from bot.retries.request import Retry
from bot.retries.state import AlertState
from bot.sift.job import Job
from bot.slack.piece import OutboxRow, values_of


@dataclass(frozen=True, kw_only=True)
class Alert(OutboxRow):
    """A row of `alerts`.

    Args:
        offered: the failure that the Retry button stands for.
        job: the job as last seen failed, or moved.
        retry: the newest retry of the job that the bot sent.
        repeats: later failures that nobody announces otherwise.
    """

    job_id: str
    failure: str
    job_type: str
    manner: str
    state: AlertState
    offered: str
    job: Job
    cause: str | None = None
    muted_by: str | None = None
    storm_id: str | None = None
    retry: Retry | None = None
    repeats: Sequence["Alert"] = ()

    @classmethod
    def of(cls, row: Mapping[Any, Any], **more: Any) -> Self:
        values = values_of(cls, row)
        values["job"] = Job.model_validate_json(values["job"])
        values["state"] = AlertState(values["state"])
        return cls(**values, **more)


@dataclass(frozen=True, kw_only=True)
class Storm(OutboxRow):
    """A row of `storms`, with how its jobs stand.

    Args:
        states: how many of its jobs are in which state.
        kinds: how many of them are of which job type.
        causes: the most frequent reasons, of as many failures as Sift gave one for.
        members: the first of its alerts.
        repeats: later failures that nobody announces otherwise.
    """

    states: Mapping[AlertState, int]
    kinds: Mapping[str, int]
    causes: Mapping[str, int]
    members: Sequence[Alert]
    repeats: Sequence[Alert] = ()

    @property
    def total(self) -> int:
        return sum(self.states.values())

"""What can be typed, as types. Pure."""

from dataclasses import dataclass, field
from datetime import timedelta

from bot.sift.ids import EXAMPLE, RunRef


@dataclass(frozen=True)
class Retry:
    """Retry these jobs, one or several, in the order given."""

    job_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True)
class Pick:
    """Show the failed jobs to pick from."""


@dataclass(frozen=True)
class ListFailed:
    """List the jobs that failed lately, or those of a run."""

    run: RunRef | None = None


@dataclass(frozen=True)
class RetryRun:
    """Show what failed of a run, to be retried.

    Args:
        readings: the ways to tell the run's name from the reason after it, the likeliest first.
    """

    readings: tuple[tuple[RunRef, str | None], ...]


@dataclass(frozen=True)
class Status:
    """Show a job without retrying it."""

    job_id: str


@dataclass(frozen=True)
class ReadAudit:
    """Show the audit: all of it, one job's or one person's, as far back as asked."""

    job_id: str | None = None
    user_id: str | None = None
    back: timedelta | None = None


@dataclass(frozen=True)
class Stats:
    """Show how retries went, as far back as asked."""

    back: timedelta | None = None


@dataclass(frozen=True)
class Allow:
    """Put somebody, or a user group, on the allow-list."""

    subject: str
    role: str = "operator"
    duration: timedelta | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Revoke:
    """Take somebody, or a user group, off the allow-list."""

    subject: str


@dataclass(frozen=True)
class ShowAccess:
    """Show the allow-list."""


@dataclass(frozen=True)
class Help:
    """Explain what can be typed."""


@dataclass(frozen=True)
class Usage:
    """The text is no command; `problem` says what is wrong with it, `given` repeats the start of it.

    Args:
        word: the one word that `problem` is said of; empty: of the whole.
        changes: whether the command would have changed the allow-list, and not have reached Sift.
        run: what may have been meant as the name of a run; empty: nothing.
    """

    problem: str
    given: str = field(default="")
    example: str = f"{EXAMPLE} sensor was offline"
    word: str = ""
    changes: bool = False
    run: str = ""


Command = Retry | RetryRun | Pick | ListFailed | Status | ReadAudit | Stats | Allow | Revoke | ShowAccess | Help | Usage

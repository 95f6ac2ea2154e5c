"""What is asked of Sift, and as what the audit tells of it. Pure."""

from enum import StrEnum

from bot.audit.entry import Event


class Kind(StrEnum):
    """What a request asks for; also the name of the call of Sift's that does it."""

    RETRY = "retry"
    """To retry a job."""

    RERUN = "rerun"
    """To evaluate a report again: its `job_id` is that of the report as it was, the new job is followed."""

    CANCEL = "cancel"
    """To cancel a job."""


EVENTS = {Kind.RETRY: Event.REQUEST, Kind.RERUN: Event.RERUN, Kind.CANCEL: Event.CANCEL}
"""The event of every entry that tells of a request."""

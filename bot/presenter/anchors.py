"""The audit's head as it is posted daily. Pure."""

from datetime import datetime

from bot.audit import Head
from bot.clock import rfc3339
from bot.presenter.kit import section
from bot.slack import Message


def anchored(head: Head, at: datetime) -> Message:
    """The head, and how to check the log against it."""
    name = f"{head.count}:{head.hash}"
    text = (
        f":anchor: The audit has {head.count:,} entries as of {rfc3339(at)[:19]}Z. Its head is `{name}`\n"
        f"Check later that nothing up to here was changed: `sift-retry audit verify --head {name}`"
    )
    return Message(text, [section(text)])

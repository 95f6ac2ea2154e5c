"""The audit's head as it is posted daily. Pure."""

from datetime import datetime

from bot.audit.signing import SignedHead
from bot.base.clock import rfc3339
from bot.slack.blocks import section
from bot.slack.client import Message


def anchored(signed: SignedHead, at: datetime) -> Message:
    """The head, and how to check the log against it."""
    name = str(signed)
    text = (
        f":anchor: The audit has {signed.head.count:,} entries as of {rfc3339(at)[:19]}Z. Its head is `{name}`\n"
        f"Check later that nothing up to here was changed: `sift-retry audit verify --head {name}`"
    )
    return Message(text, [section(text)])

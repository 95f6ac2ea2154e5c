"""Whether a retry will help, as far as earlier ones tell. Pure.

Retrying this cause helped 41 of 43 times, usually within 6 min
Retrying this cause never helped in 12 tries: the file needs fixing
"""

import re
from datetime import timedelta

from bot.base.clock import say_duration
from bot.retries.record import Record
from bot.slack.blocks import confirm
from bot.slack.message import Block

_NEEDED = {
    "data_import": "the file needs fixing",
    "rule_evaluation": "the rules or their channels need fixing",
    "data_export": "the export needs other settings",
}
"""What would help instead, by kind of job."""


def words(record: Record, kind: str) -> str | None:
    """What earlier retries say of the next one; None where there are too few of them.

    Args:
        kind: the kind of job, such as `data_import`.
    """
    if not record.says_something:
        return None
    if record.hopeless:
        needed = _NEEDED.get(kind, "something else needs fixing")
        return f"Retrying this cause never helped in {record.tried:,} tries: {needed}"
    often = f"Retrying this cause helped {record.helped:,} of {record.tried:,} times"
    return often + (f", usually within {_rounded(record.took)}" if record.took is not None else "")


def asked_once_more(record: Record, kind: str) -> Block | None:
    """The dialog before a retry that has never helped; None where a retry may help."""
    said = words(record, kind)
    if said is None or not record.hopeless:
        return None
    return confirm("Retry all the same?", f"{said}.", "Retry", "Not now")


def readable(cause_key: str) -> str:
    """A normalised cause as people read it: `column ‹name› is not a number` → column … is not a number."""
    return re.sub(r"‹\w+›(?:[\s.,;:/-]*‹\w+›)*", "…", cause_key)


def _rounded(took: timedelta) -> str:
    """A duration without seconds where minutes say it, rounded up: `within` stays true."""
    unit = 60 if took.total_seconds() > 60 else 1
    return say_duration(timedelta(seconds=-(-took.total_seconds() // unit) * unit))

"""A press of a storm's button that retries: what the button promised, and what pressing it would do by now. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from bot.retries.request import JobRef
from bot.slack.blocks import counted, section
from bot.slack.message import Message

WHOLE = "*"
"""Stands for the group in the value of a button that is for all of a storm."""


@dataclass(frozen=True)
class Pressed:
    """What the value of a button that retries stands for.

    Args:
        group_id: the group; None: all of the storm.
        offered: how many jobs it named; None: it is of an older message, which did not say.
    """

    storm_id: str
    group_id: str | None
    offered: int | None

    @classmethod
    def of(cls, value: str) -> "Pressed":
        storm_id, _, rest = value.partition(" ")
        group_id, _, offered = rest.partition(" ")
        return cls(
            storm_id, None if group_id in ("", WHOLE) else group_id, int(offered) if offered.isdecimal() else None
        )

    @property
    def origin(self) -> str:
        """What its batch names as where it came from."""
        return f"{self.storm_id}:{self.group_id}" if self.group_id else self.storm_id


def changed_meanwhile(offered: int, free: int) -> Message:
    """Said when a button promised something else than its press would do by now; the message is shown anew soon.

    Args:
        free: how many jobs it would be; 0: the failures were put together otherwise.
    """
    now = f"it is {counted(free, 'job')} now" if free else "the failures are put together otherwise now"
    text = f":information_source: That button was for {counted(offered, 'job')}, and {now}. Nothing was sent to Sift."
    return Message(text, [section(f"{text}\nLook at the message again, and press what it offers by then.")])


class ToRetry(NamedTuple):
    """What a press of a storm's button asks for.

    Args:
        jobs: those that may be retried now; all that are still failed where every retry is asked for already, so that
            whoever asks is told by whom.
        free: how many of them nobody has asked for.
        known: whether the storm still has the group that the button stood for.
    """

    jobs: list[JobRef]
    free: int
    known: bool

    def differs_from(self, offered: int | None, *, whole: bool) -> bool:
        """Whether the button promised something else: another number, or, for the whole of a storm, fewer.

        Args:
            offered: how many jobs it named; None: an older button, which did not say.
        """
        if offered is None or (self.known and not self.free):
            return False
        return not self.known or self.free > offered or (self.free < offered and not whole)

"""What somebody holds altogether: the grants that are theirs now, and which of them add nothing. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from bot.access.policy import Grant, Terms, exceeded


@dataclass(frozen=True)
class Holding:
    """What a user or a user group holds altogether.

    Args:
        grants: those that hold now, without those that add nothing to another; oldest first.
        by_setting: whether the `ADMINS` setting names them, to which no grant adds anything.
        unsure: whether Slack could not say which user groups they are in, so that they may hold more.
    """

    grants: tuple[Grant, ...] = ()
    by_setting: bool = False
    unsure: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether they may do nothing, as far as is known."""
        return not self.grants and not self.by_setting


def holding(
    grants: Iterable[Grant],
    subject: str,
    at: datetime,
    *,
    admins: Collection[str] = (),
    groups: frozenset[str] | None = frozenset(),
) -> Holding:
    """Returns what somebody holds.

    Args:
        grants: those of the subject, and of any user group.
        subject: a user or a user group.
        admins: users that are admins by the `ADMINS` setting.
        groups: the user groups the user is in; None if Slack cannot say.
    """
    if subject in admins:
        return Holding(by_setting=True)
    names = {subject, *(groups or ())}
    mine = [one for one in grants if one.subject in names and one.holds(at)]
    idle = adding_nothing(mine)
    return Holding(tuple(one for one in mine if one.id not in idle), unsure=groups is None)


def covers(wider: Terms, narrower: Terms) -> bool:
    """Whether one grant allows all that another does: its role, job types, channels and time."""
    return exceeded(wider, narrower) is None


def adding_nothing(grants: Iterable[Grant]) -> set[int]:
    """Returns the numbers of the grants that another of them covers; of equal ones the oldest counts."""
    known = list(grants)
    return {
        one.id
        for one in known
        if any(covers(other, one) and (other.id < one.id or not covers(one, other)) for other in known if other != one)
    }


def idle_of_each(grants: Iterable[Grant], at: datetime) -> set[int]:
    """Returns the numbers of the grants that hold and add nothing to what their own user or group holds."""
    by_subject: dict[str, list[Grant]] = {}
    for one in grants:
        if one.holds(at):
            by_subject.setdefault(one.subject, []).append(one)
    return {number for same in by_subject.values() for number in adding_nothing(same)}


def older_and_covering(grants: Iterable[Grant], new: Grant, at: datetime) -> list[Grant]:
    """Returns the older grants of the same user or group beside which a new one adds nothing."""
    older = (one for one in grants if one.subject == new.subject and one.id < new.id and one.holds(at))
    return [one for one in older if covers(one, new)]

"""When somebody is reminded: a table of moments, in minutes after the failure."""

from datetime import timedelta

import pytest

from bot.alerts.reminders import Turn, turn
from tests.conftest import NOW

AFTER = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("now", "remind_at", "reminded", "told", "again"),
    [
        (0, 0, 0, False, 30),
        (29, 0, 0, False, 30),
        (30, 30, 0, True, 120),
        (31, 30, 0, True, 120),
        (119, 120, 1, False, 120),
        (120, 120, 1, True, None),
        (500, 30, 0, True, None),  # nobody was there for long: said once, not twice
        (40, 70, 0, False, 70),  # released 40 minutes after the failure
        (70, 70, 0, True, 160),
    ],
)
def test_a_failure_is_reminded_of_twice_at_most(
    now: int, remind_at: int, reminded: int, told: bool, again: int | None
) -> None:
    at = [None if minutes is None else NOW + timedelta(minutes=minutes) for minutes in (now, remind_at, again)]
    assert at[0] is not None
    assert at[1] is not None
    found = turn(left=NOW, remind_at=at[1], reminded=reminded, after=AFTER, begun=NOW - AFTER, now=at[0])
    assert found == Turn(told, at[2])


@pytest.mark.parametrize(("failed_minutes_ago", "told"), [(29, False), (31, False), (3_000, False)])
def test_what_was_due_before_reminders_were_switched_on_is_never_told(failed_minutes_ago: int, told: bool) -> None:
    left = NOW - timedelta(minutes=failed_minutes_ago)
    found = turn(left=left, remind_at=left, reminded=0, after=AFTER, begun=NOW, now=NOW)
    assert found == Turn(told, left + AFTER if failed_minutes_ago < 30 else None)

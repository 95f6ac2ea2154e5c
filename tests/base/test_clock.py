from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.base.clock import parse_duration, rfc3339, say_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2), ("15m", 900), ("8h", 28_800), ("7d", 604_800), (" 8H ", 28_800)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "8", "h", "-1h", "1.5h", "0s", "8 h", "٣h", "1w", "999999999d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 15m, 8h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (41, "41 s"),
        (125, "2 min 5 s"),
        (12_000, "3 h 20 min"),
        (3_600, "1 h"),
        (3_605, "1 h"),
        (90_000, "1 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_durations_are_said_in_their_two_largest_units(seconds: float, said: str) -> None:
    assert say_duration(timedelta(seconds=seconds)) == said


def test_a_moment_is_written_in_utc_with_microseconds() -> None:
    moment = datetime(2026, 11, 20, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(moment) == "2026-11-20T08:00:00.000000Z"
    assert datetime.fromisoformat(rfc3339(moment)) == moment.astimezone(UTC)

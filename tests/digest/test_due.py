"""When a digest is due: a table of moments, with clocks that are set forward and back."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.digest.digest import FIRST, LONGEST, covered_since, due
from tests.conftest import NOW

BERLIN, NEW_YORK, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")
MORNING, EVENING = time(8), time(20)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "times", "zone", "last", "expected"),
    [
        # in time, once
        ("2026-11-20T07:59:59", [MORNING], UTC_ZONE, "2026-11-19T08:00:00", None),
        ("2026-11-20T08:00:00", [MORNING], UTC_ZONE, "2026-11-19T08:00:00", "2026-11-20T08:00:00"),
        ("2026-11-20T08:00:10", [MORNING], UTC_ZONE, "2026-11-20T08:00:00", None),
        ("2026-11-20T08:00:10", [MORNING], UTC_ZONE, "2026-11-20T08:00:05", None),
        # the bot was down: less than an hour late it is sent, later it is left out
        ("2026-11-20T08:20:00", [MORNING], UTC_ZONE, "2026-11-19T20:00:00", "2026-11-20T08:00:00"),
        ("2026-11-20T08:59:59", [MORNING], UTC_ZONE, "2026-11-19T20:00:00", "2026-11-20T08:00:00"),
        ("2026-11-20T09:00:00", [MORNING], UTC_ZONE, "2026-11-19T20:00:00", None),
        # there was none yet
        ("2026-11-20T08:20:00", [MORNING], UTC_ZONE, None, "2026-11-20T08:00:00"),
        ("2026-11-20T12:00:00", [MORNING], UTC_ZONE, None, None),
        # several times a day, and none
        ("2026-11-20T20:00:30", [MORNING, EVENING], UTC_ZONE, "2026-11-20T08:00:00", "2026-11-20T20:00:00"),
        ("2026-11-20T08:31:00", [MORNING, time(8, 15), time(8, 30)], UTC_ZONE, None, "2026-11-20T08:30:00"),
        ("2026-11-20T08:00:00", [], UTC_ZONE, None, None),
        # midnight, and zones whose day is another one
        ("2026-11-20T00:00:00", [time(0)], UTC_ZONE, "2026-11-19T00:00:00", "2026-11-20T00:00:00"),
        ("2026-11-20T00:30:00", [time(23, 45)], UTC_ZONE, "2026-11-18T23:45:00", "2026-11-19T23:45:00"),
        ("2026-11-20T01:00:00", [EVENING], NEW_YORK, "2026-11-19T01:00:00", "2026-11-20T01:00:00"),
        ("2026-11-19T23:05:00", [time(0)], BERLIN, "2026-11-18T23:00:00", "2026-11-19T23:00:00"),
        # summer time begins on March 28, 2027 in Berlin: 02:00 is 03:00
        ("2027-03-27T07:00:00", [MORNING], BERLIN, None, "2027-03-27T07:00:00"),
        ("2027-03-28T06:00:00", [MORNING], BERLIN, "2027-03-27T07:00:00", "2027-03-28T06:00:00"),
        ("2027-03-28T01:29:59", [time(2, 30)], BERLIN, "2027-03-27T01:30:00", None),
        ("2027-03-28T01:30:00", [time(2, 30)], BERLIN, "2027-03-27T01:30:00", "2027-03-28T01:30:00"),
        ("2027-03-28T01:30:30", [time(2, 30), time(3, 30)], BERLIN, "2027-03-28T01:30:00", None),
        # and ends on October 25, 2026: 02:30 comes twice, and counts once
        ("2026-10-25T00:30:00", [time(2, 30)], BERLIN, "2026-10-24T00:30:00", "2026-10-25T00:30:00"),
        ("2026-10-25T01:30:00", [time(2, 30)], BERLIN, "2026-10-25T00:30:00", None),
        ("2026-10-25T07:00:00", [MORNING], BERLIN, "2026-10-24T06:00:00", "2026-10-25T07:00:00"),
    ],
)
def test_a_digest_is_due_once_for_each_time(
    now: str, times: list[time], zone: ZoneInfo, last: str | None, expected: str | None
) -> None:
    found = due(utc(now), times, zone, utc(last) if last else None)
    assert found == (utc(expected) if expected else None)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, UTC_ZONE])
@pytest.mark.parametrize(
    "start", ["2026-10-24T00:00:00", "2026-10-31T00:00:00", "2027-03-13T00:00:00", "2027-03-27T00:00:00"]
)
def test_looked_at_often_enough_each_day_has_its_digests(start: str, zone: ZoneInfo) -> None:
    now = last = utc(start)
    made: Counter[date] = Counter()
    for _ in range(4 * 24 * 12):
        now += timedelta(minutes=5)
        if (moment := due(now, [time(2, 30), EVENING], zone, last)) is not None:
            last = now
            made[moment.astimezone(zone).date()] += 1
    first, *whole, final = sorted(made)
    assert [made[day] for day in whole] == [2] * len(whole)
    assert len(whole) >= 2, (first, final)


def test_it_covers_the_time_since_the_last_one_the_first_twelve_hours_and_never_more_than_a_week() -> None:
    assert covered_since(NOW, None) == NOW - FIRST
    assert covered_since(NOW, NOW - timedelta(hours=30)) == NOW - timedelta(hours=30)
    assert covered_since(NOW, NOW - timedelta(days=90)) == NOW - LONGEST

"""Until when a failure is put off, where the person is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.alerts.snooze import MAX_SNOOZE, BadDay, Choice, Wanted, until, zone_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
UTC_ZONE, BERLIN, PACIFIC = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")


@pytest.mark.parametrize(
    ("choice", "zone", "back"),
    [
        (Choice.HOUR, PACIFIC, "2026-11-20T13:00"),
        (Choice.HOURS, PACIFIC, "2026-11-20T16:00"),
        (Choice.TOMORROW, UTC_ZONE, "2026-11-21T09:00"),
        (Choice.TOMORROW, BERLIN, "2026-11-21T08:00"),
        (Choice.TOMORROW, PACIFIC, "2026-11-21T17:00"),
        (Choice.TOMORROW, ZoneInfo("Pacific/Kiritimati"), "2026-11-21T19:00"),  # where it is tomorrow already
    ],
)
def test_the_choices(choice: Choice, zone: ZoneInfo, back: str) -> None:
    assert until(Wanted(choice), NOW, zone) == datetime.fromisoformat(back).replace(tzinfo=UTC)


def test_tomorrow_is_nine_by_the_clock_on_the_wall_when_that_changes() -> None:
    saturday = datetime(2026, 10, 24, 12, tzinfo=UTC)  # the clocks go back in the night
    back = until(Wanted(Choice.TOMORROW), saturday, BERLIN)
    assert back == datetime(2026, 10, 25, 8, tzinfo=UTC)


def test_a_date_counts_in_place_of_the_choice() -> None:
    assert until(Wanted(Choice.HOUR, "2026-11-27"), NOW, PACIFIC) == datetime(2026, 11, 27, 17, tzinfo=UTC)


def test_today_counts_until_it_is_nine() -> None:
    assert until(Wanted(Choice.HOUR, "2026-11-20"), NOW, PACIFIC) == datetime(2026, 11, 20, 17, tzinfo=UTC)
    assert isinstance(until(Wanted(Choice.HOUR, "2026-11-20"), NOW, BERLIN), BadDay)


@pytest.mark.parametrize(
    ("day", "problem"),
    [
        ("2026-11-19", "9:00 on that day is over where you are: choose a later day."),
        ("2027-11-20", "That is too far away: choose 2027-02-18 at the latest."),
        ("9999-12-31", "That is too far away: choose 2027-02-18 at the latest."),
        ("0001-01-01", "9:00 on that day is over where you are: choose a later day."),
        ("soon", "That is no date: choose one."),
    ],
)
def test_a_date_that_cannot_be_taken_says_why(day: str, problem: str) -> None:
    assert until(Wanted(Choice.HOUR, day), NOW, BERLIN) == BadDay(problem)


def test_the_latest_date_that_is_named_can_be_taken() -> None:
    for zone in (UTC_ZONE, BERLIN, PACIFIC):
        for hour in range(24):
            now = NOW + timedelta(hours=hour)
            bad = until(Wanted(Choice.HOUR, "2027-11-20"), now, zone)
            assert isinstance(bad, BadDay)
            latest = bad.problem.split("choose ")[1].split(" ")[0]
            back = until(Wanted(Choice.HOUR, latest), now, zone)
            assert isinstance(back, datetime)
            assert back <= now + MAX_SNOOZE


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus_Mons", "../../etc/passwd", "x" * 5_000, "Europe"])
def test_a_zone_that_is_not_known_is_the_bots(name: str | None) -> None:
    assert zone_of(name, BERLIN) is BERLIN


def test_a_zone_that_is_known() -> None:
    assert zone_of("America/Los_Angeles", BERLIN) == PACIFIC

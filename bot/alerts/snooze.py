"""Until when a failure is put off: an hour, four hours, until tomorrow morning or that of a date. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MORNING = time(9)
"""When a failure comes back on a day, where the person is."""

MAX_SNOOZE = timedelta(days=90)
"""For so long at most: beyond that nobody remembers what it was about."""


class Choice(StrEnum):
    """For how long."""

    HOUR = "1h"
    """An hour."""

    HOURS = "4h"
    """Four hours."""

    TOMORROW = "tomorrow"
    """Until nine tomorrow morning."""


@dataclass(frozen=True)
class Wanted:
    """What somebody chose.

    Args:
        choice: for how long.
        day: a date (`2026-11-27`), which counts in place of the choice.
    """

    choice: Choice
    day: str | None = None


@dataclass(frozen=True)
class BadDay:
    """Why a date cannot be taken, as it is said at its field."""

    problem: str


def zone_of(name: str | None, otherwise: ZoneInfo) -> ZoneInfo:
    """Returns a person's time zone by the name that Slack gives; another one where it gives none that is known here."""
    try:
        return ZoneInfo(name) if name else otherwise
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return otherwise


def until(wanted: Wanted, now: datetime, zone: ZoneInfo) -> datetime | BadDay:
    """Returns the moment at which a failure comes back, in UTC, or why there is none."""
    if wanted.day is not None:
        return _morning_of(wanted.day, now, zone)
    match wanted.choice:
        case Choice.HOUR:
            return now + timedelta(hours=1)
        case Choice.HOURS:
            return now + timedelta(hours=4)
        case Choice.TOMORROW:
            return _morning(tomorrow(now, zone), zone)


def tomorrow(now: datetime, zone: ZoneInfo) -> date:
    """Returns the date of tomorrow, where the person is."""
    return now.astimezone(zone).date() + timedelta(days=1)


def _morning_of(day: str, now: datetime, zone: ZoneInfo) -> datetime | BadDay:
    try:
        moment = _morning(date.fromisoformat(day), zone)
    except (ValueError, OverflowError):
        return BadDay("That is no date: choose one.")
    if moment <= now:
        return BadDay("9:00 on that day is over where you are: choose a later day.")
    if moment > now + MAX_SNOOZE:
        last = (now + MAX_SNOOZE).astimezone(zone) - timedelta(hours=MORNING.hour)
        return BadDay(f"That is too far away: choose {last.date().isoformat()} at the latest.")
    return moment


def _morning(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, MORNING, zone).astimezone(UTC)

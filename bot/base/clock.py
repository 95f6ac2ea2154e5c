"""Time as an argument: the clock's type, and durations as people write and read them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the present moment as an aware datetime in UTC."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def utc_now() -> datetime:
    """The present moment; the one place that asks the machine."""
    return datetime.now(UTC)


def parse_duration(text: str) -> timedelta:
    """Reads a duration of whole seconds, minutes, hours or days: `30s`, `15m`, `8h`, `7d`.

    Raises:
        ValueError: the text is no such duration, or it is zero or longer than a hundred years.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)
    if not timedelta(0) < duration <= timedelta(days=36_525):
        raise ValueError("expected a duration such as 30s, 15m, 8h or 7d")
    return duration


def say_duration(duration: timedelta) -> str:
    """Says a duration the way people do, in its two largest units: `41 s`, `2 min 5 s`, `3 h 20 min`."""
    seconds = max(0, round(duration.total_seconds()))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def rfc3339(moment: datetime) -> str:
    """Writes a moment as RFC 3339 in UTC with microseconds, the one form hashed and exported."""
    return moment.astimezone(UTC).isoformat("T", "microseconds")[:26] + "Z"

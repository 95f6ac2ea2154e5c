"""Draws how retries went: `python -m bot.records.chart` reads the counts as JSON from stdin and writes a PNG to stdout.

A process of its own, so that the bot neither loads a plotting library nor waits for one. Needs the extra `charts`.
"""

import asyncio
import importlib.util
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, TypedDict

from bot.records.stats import Stats
from bot.sift.ids import job_kind

DRAW_SECONDS = 30

_GROUPS = (
    ("helped", "#2a9d8f", ("finished",)),
    ("failed again", "#e76f51", ("failed_again", "cancelled")),
    ("under way or unknown", "#e9c46a", ("requested", "sending", "unknown", "accepted", "lost")),
    ("refused", "#8d99ae", ("denied", "refused")),
    ("not taken", "#457b9d", ("failed", "not_applied")),
)


async def drawn(stats: Stats, names: Mapping[str, str]) -> bytes | None:
    """Draws the chart.

    Args:
        names: what people are called, by user ID.

    Returns:
        The PNG; None without the extra `charts`.

    Raises:
        ChartFailed: it could not be drawn.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    content = json.dumps({**asdict(stats), "since": stats.since.isoformat(), "names": dict(names)})
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.records.chart", stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(DRAW_SECONDS):
            png, _ = await process.communicate(content.encode())
    except TimeoutError:
        process.kill()
        raise ChartFailed from None
    if process.returncode != 0:
        raise ChartFailed
    return png


class ChartFailed(Exception):
    """The chart could not be drawn."""


class Counted(TypedDict):
    """The fields of `Stats` as JSON, and what people are called, by user ID."""

    since: str
    days: dict[str, dict[str, int]]
    types: dict[str, int]
    people: dict[str, int]
    names: dict[str, str]


def draw(counts: Counted) -> bytes:
    """Draws three panels: days by outcome, job types, people; returns a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), width_ratios=[3, 1.4, 1.6], layout="constrained")
    _draw_days(axes[0], _every_day(counts["since"], counts["days"]))
    types = {job_kind(name).replace("_", " "): n for name, n in counts["types"].items()}
    _draw_bars(axes[1], types, "by job type")
    people = {counts["names"].get(user_id, user_id): number for user_id, number in counts["people"].items()}
    _draw_bars(axes[2], people, "by person")
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=120)
    return target.getvalue()


def _every_day(since: str, days: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """The days with those in between on which nothing happened."""
    first, last = date.fromisoformat(since[:10]), date.fromisoformat(max(days, default=since[:10]))
    every = [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]
    return {day: days.get(day, {}) for day in every}


def _draw_days(axis: Any, days: Mapping[str, Mapping[str, int]]) -> None:
    labels = [day[5:] for day in days]
    bottom = [0] * len(labels)
    for name, color, states in _GROUPS:
        heights = [sum(found.get(state, 0) for state in states) for found in days.values()]
        if any(heights):
            axis.bar(labels, heights, bottom=bottom, label=name, color=color)
            bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
    axis.set_title("retries per day (UTC)")
    axis.yaxis.get_major_locator().set_params(integer=True)
    if len(labels) > 12:
        axis.set_xticks(range(0, len(labels), -(-len(labels) // 12)))
    if any(bottom):
        axis.legend(fontsize=8, loc="upper left")


def _draw_bars(axis: Any, counts: Mapping[str, int], title: str) -> None:
    shown = list(counts.items())[:10][::-1]
    axis.barh([name[:24] for name, _ in shown], [number for _, number in shown], height=0.6, color="#1d3557")
    axis.set_ylim(min(0, len(shown) - 4) - 0.6, len(shown) - 0.4)
    axis.set_title(title)
    axis.xaxis.get_major_locator().set_params(integer=True)


if __name__ == "__main__":
    sys.stdout.buffer.write(draw(json.load(sys.stdin)))

"""Draws what was measured beside the goals, for the handbook: `python -m bench.chart FIGURES.json PICTURE.svg`."""

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

RATIOS = (
    (
        "first post, 1 person, real-like peers",
        "peers like the real ones, 1: ours, SQLite / the usual bot",
        0.5,
    ),
    (
        "first post, 20 people, real-like peers",
        "peers like the real ones, 20: ours, SQLite / the usual bot",
        None,
    ),
    ("first post, 20 people, instant peers", "instant peers, 20: ours, SQLite / the usual bot", 0.5),
    ("processor time a retry", "processor time a retry, 20 at once: ours, SQLite / the usual bot", 0.8),
    ("ack, with a record / without", "ack: with a record / without", 2.0),
)
"""What a bar says, the figure's name, and its goal; ours divided by the usual bot's, so less is better."""

INK = "#7a7f87"
"""Readable on a light page and on a dark one."""


def draw(figures: dict[str, float], file: Path) -> None:
    """Draws a bar for each ratio that was measured, and a mark for its goal."""
    found = [(label, figures[name], goal) for label, name, goal in reversed(RATIOS) if name in figures]
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "speed"})  # text as text; the same file each time
    figure, axes = pyplot.subplots(figsize=(8, 0.55 * len(found) + 0.7))
    bars = axes.barh([label for label, _, _ in found], [ratio for _, ratio, _ in found], color="#2a9d8f", height=0.5)
    axes.bar_label(bars, fmt="%.2f", padding=4, color=INK)
    for place, (_, _, goal) in enumerate(found):
        if goal is not None:
            axes.plot([goal, goal], [place - 0.4, place + 0.4], color="#e76f51", linewidth=2)
    axes.axvline(1, color=INK, linewidth=0.6, linestyle=":")
    axes.set_xlabel("ours / the usual bot; the mark is the goal", color=INK)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.savefig(file, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))

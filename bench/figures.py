"""What was measured: printed, and kept for a program to read."""

import json
from pathlib import Path


class Figures:
    """The figures of one run, by their name."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def say(self, name: str, figure: float, form: str = "{:.2f}", goal: str = "") -> None:
        """Prints one line of the table, and keeps the figure.

        Args:
            form: how it is printed, such as `{:.0f} ms`.
        """
        self.found[name] = figure
        print(f"  {name:<74} {form.format(figure):>14}   {goal}".rstrip(), flush=True)

    def write(self, file: Path) -> None:
        """Writes all figures as one JSON object."""
        file.write_text(json.dumps(self.found, indent=2) + "\n", encoding="utf-8")

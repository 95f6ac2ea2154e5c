"""What happened in a run, one line each: hashed always, kept where somebody reads it."""

import hashlib


class Trace:
    """The lines of one run.

    Args:
        keep: whether the lines themselves are kept.
    """

    def __init__(self, keep: bool = False) -> None:
        self.lines: list[str] = []
        self._keep = keep
        self._hash = hashlib.sha256()

    def note(self, at: float, who: str, what: str) -> None:
        """Adds a line.

        Args:
            at: virtual seconds since the start.
        """
        line = f"{at:10.3f} {who:<8} {what}"
        self._hash.update(line.encode())
        if self._keep:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """The same for the same run."""
        return self._hash.hexdigest()[:16]

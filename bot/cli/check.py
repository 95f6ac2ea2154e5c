"""One line of the doctor's report, and how a question that may fail becomes one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was found of one thing.

    Args:
        name: what was looked at, such as `database` or `channel C012AB3CD`.
        said: what is so; where it is wrong, what to do.
    """

    name: str
    passed: bool
    said: str


async def checked(name: str, ask: Callable[[], Awaitable[str]]) -> Check:
    """Asks, and says the answer, or in one line what went wrong."""
    try:
        return Check(name, True, await ask())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the doctor has to say
        return Check(name, False, first_line(error))


def first_line(error: Exception) -> str:
    """Returns an error's first line; its name if it says nothing."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

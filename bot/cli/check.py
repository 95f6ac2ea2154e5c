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


def _nothing_known(_: Exception) -> str:
    return ""


async def checked(
    name: str, ask: Callable[[], Awaitable[str]], what_to_do: Callable[[Exception], str] = _nothing_known
) -> Check:
    """Asks, and says the answer, or in one line what went wrong.

    Args:
        what_to_do: says it of an error that does not say it itself; nothing if there is nothing to say.
    """
    try:
        return Check(name, True, await ask())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the doctor has to say
        return Check(name, False, wrong(error, what_to_do(error)))


def wrong(error: Exception, what_to_do: str) -> str:
    """Returns what an error says, and what to do about it, on one line."""
    said = str(getattr(error, "when_reading", "")) or first_line(error)
    return f"{said.rstrip('.')}; {what_to_do}" if what_to_do else said


def first_line(error: Exception) -> str:
    """Returns an error's first line; its name if it says nothing."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

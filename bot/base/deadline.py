"""Until when somebody waits for an answer. What is done for them keeps to that; what goes on afterwards does not."""

import asyncio
from contextvars import Context, ContextVar, copy_context

_until: ContextVar[float | None] = ContextVar("answer_until", default=None)


def answer_within(seconds: float) -> None:
    """Has everything that the running task does from here on keep to one deadline, by its loop's time."""
    _until.set(asyncio.get_running_loop().time() + seconds)


def seconds_left(most: float) -> float:
    """How long something may take: until the deadline, where there is one, and at most so long; 0 if it is over."""
    until = _until.get()
    return most if until is None else max(0.0, min(most, until - asyncio.get_running_loop().time()))


def nobody_waits() -> Context:
    """The context for work on the side: as it is here, but without a deadline."""
    context = copy_context()
    context.run(_until.set, None)
    return context

"""`sift-retry run`, killed (SIGKILL, so nothing is tidied up) at one point of a retry: python -m … POINT."""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from bot.__main__ import main
from bot.retries import approval_rows, store
from bot.retries.request import Request, Retry
from bot.retries.runner import Runner
from bot.retries.state import State
from bot.sift.client import Sift
from bot.slack.publisher import Publisher


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_state(state: str, *, before: bool) -> None:
    """Dies when a row is about to enter a state, or has entered it but is not committed yet."""
    enter = store.transition

    def dying(connection: Any, row: Any, entered: State, *args: Any, **more: Any) -> Any:
        if entered == state and before:
            die()
        moved = enter(connection, row, entered, *args, **more)
        if entered == state:
            die()
        return moved

    setattr(store, "transition", dying)  # noqa: B010  # mypy would not have it otherwise


def around_post(*, before: bool) -> None:
    """Dies with the mark committed and the POST not sent yet, or with its answer received and not recorded yet."""
    send = Sift.retry

    async def dying(self: Sift, job_id: str) -> Any:
        if not before:
            await send(self, job_id)
        die()

    Sift.retry = dying  # type: ignore[method-assign]  # the point is to change it


def around(call: str, *, before: bool) -> None:
    """The same of another call of Sift's."""
    send = getattr(Sift, call)

    async def dying(self: Sift, identifier: str) -> Any:
        if not before:
            await send(self, identifier)
        die()

    setattr(Sift, call, dying)


def before_showing() -> None:
    """Dies with the outcome committed and nothing shown yet."""
    Publisher.show = die  # type: ignore[assignment,method-assign]  # the point is to change it


def after_posting() -> None:
    """Dies with the first message posted and its ts not written down yet."""
    store.outbox.showed = die  # type: ignore[assignment,method-assign]  # the point is to change it


def in_a_batch(after: int) -> None:
    """Dies with a batch recorded and so many of its retries sent."""
    send = Sift.retry
    sent = itertools.count()

    async def dying(self: Sift, job_id: str) -> Any:
        if next(sent) >= after:
            die()
        return await send(self, job_id)

    Sift.retry = dying  # type: ignore[method-assign]  # the point is to change it


def while_spelling_out() -> None:
    """Dies with the first retries of a batch written down, not committed yet."""
    setattr(store, "touch", die)  # noqa: B010  # mypy would not have it otherwise


def in_the_transaction_of(module: Any, name: str) -> None:
    """Dies with something written down and not committed yet."""
    write = getattr(module, name)

    def dying(*args: Any, **more: Any) -> None:
        write(*args, **more)
        die()

    setattr(module, name, dying)


def before_the_approved_is_taken_up() -> None:
    """Dies with an approval committed and nothing begun yet."""
    start = Runner.start

    def dying(self: Runner, request: Request) -> None:
        if isinstance(request, Retry) and request.approved_by is not None:
            die()
        start(self, request)

    Runner.start = dying  # type: ignore[method-assign]  # the point is to change it


POINTS: dict[str, Callable[[], None]] = {
    "before the mark": lambda: at_state("sending", before=True),
    "in the mark": lambda: at_state("sending", before=False),
    "after the mark": lambda: around_post(before=True),
    "after the POST": lambda: around_post(before=False),
    "cancel after the mark": lambda: around("cancel", before=True),
    "cancel after the POST": lambda: around("cancel", before=False),
    "rerun after the mark": lambda: around("rerun_report", before=True),
    "rerun after the POST": lambda: around("rerun_report", before=False),
    "in the outcome": lambda: at_state("accepted", before=False),
    "before the summary": before_showing,
    "after the summary": after_posting,
    "in a batch": lambda: in_a_batch(7),
    "while spelling out": while_spelling_out,
    "in the asking": lambda: in_the_transaction_of(approval_rows, "ask"),
    "in the approval": lambda: in_the_transaction_of(approval_rows, "approve"),
    "after the approval": before_the_approved_is_taken_up,
}

if __name__ == "__main__":
    POINTS[sys.argv.pop(1)]()
    sys.argv.append("run")
    main()

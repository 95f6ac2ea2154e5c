"""PostgreSQL servers for many seeds at a time: each process has one to itself, so that its runs are the same each time.

On a server that processes share, what others have open decides when PostgreSQL tidies up pages, and that in which order
it finds rows.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import postgres
from tests.simulation.run import Result, run


@dataclass(frozen=True)
class Servers:
    """Servers to pick from.

    Args:
        each: what reaches each of them.
        locks: a directory in which each process says which is its own.
    """

    each: tuple[str, ...]
    locks: Path


@contextlib.contextmanager
def servers(number: int, locks: Path) -> Iterator[Servers]:
    """Runs so many servers."""
    with contextlib.ExitStack() as stack:
        yield Servers(tuple(stack.enter_context(postgres.server()) for _ in range(number)), locks)


def run_on(servers: Servers, seed: str) -> Result:
    """Runs a seed on this process's own server, or on SQLite where there is none."""
    return run(seed, server=_mine(servers) if servers.each else None)


@cache
def _mine(servers: Servers) -> str:
    """Picks a server that no other process has; it is this one's until this one ends."""
    for number, server in enumerate(servers.each):
        taken = os.open(servers.locks / str(number), os.O_CREAT | os.O_RDWR)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return server
        os.close(taken)
    raise AssertionError("there are fewer servers than processes")

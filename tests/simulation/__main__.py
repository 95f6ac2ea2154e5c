"""`make simulate`: many seeds in parallel, or one of them with its trace; on SQLite or on servers of its own."""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests import postgres
from tests.simulation.run import Result, run
from tests.simulation.servers import Servers, run_on, servers

MOST_SHOWN = 20
"""So many failing seeds are named; more of them say nothing more."""


ON_POSTGRESQL = os.environ.get("DATABASE") == "postgresql"
AGAIN = "make simulate DATABASE=postgresql" if ON_POSTGRESQL else "make simulate"


def main() -> int:
    """Runs what the environment names: `SEED`, or `SEEDS` from `FROM` on; on PostgreSQL with `DATABASE=postgresql`."""
    if ON_POSTGRESQL and postgres.program("initdb") is None:
        say("PostgreSQL is not installed here")
        return 2
    seed = os.environ.get("SEED")
    first, number = int(os.environ.get("FROM") or "0"), int(os.environ.get("SEEDS") or "1000")
    at_a_time = 1 if seed else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as locks, servers(at_a_time if ON_POSTGRESQL else 0, Path(locks)) as running:
        if seed:
            return replay(seed, *running.each)
        return many(range(first, first + number), at_a_time, running)


def replay(seed: str, server: str | None = None) -> int:
    """Shows one run, line by line."""
    result = run(seed, keep=True, server=server)
    for line in result.lines:
        say(line)
    say(f"seed {seed}: {result.seconds:.0f} virtual seconds, {result.steps} steps, trace {result.digest}")
    for violation in result.violations:
        say(f"violated: {violation}")
    return bool(result.violations)


def many(seeds: range, at_a_time: int, running: Servers) -> int:
    """Runs many seeds, and names those that fail."""
    began, failed, done, virtual, steps = time.monotonic(), 0, 0, 0.0, 0
    for result in results(map(str, seeds), at_a_time, running):
        done, virtual, steps = done + 1, virtual + result.seconds, steps + result.steps
        if result.violations:
            failed += 1
            if failed <= MOST_SHOWN:
                say(f"seed {result.seed}: {result.violations[0][:300]}")
                say(f"  {AGAIN} SEED={result.seed}")
    took = time.monotonic() - began
    say(
        f"{done} seeds from {seeds.start} on, {failed} with violations; {virtual / 3_600:.1f} virtual hours, "
        f"{steps} steps, in {took:.0f} s"
    )
    return bool(failed)


def results(seeds: Iterable[str], at_a_time: int, running: Servers) -> Iterator[Result]:
    """What comes of each seed, in as many processes at a time."""
    with ProcessPoolExecutor(at_a_time, max_tasks_per_child=500) as pool:
        yield from pool.map(partial(run_on, running), seeds, chunksize=5)


def say(line: str) -> None:
    """Prints a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

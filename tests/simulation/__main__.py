"""`make simulate`: many seeds in parallel, or one of them with its trace."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Result, run

MOST_SHOWN = 20
"""So many failing seeds are named; more of them say nothing more."""


def main() -> int:
    """Runs what the environment names: `SEED`, or `SEEDS` from `FROM` on."""
    seed = os.environ.get("SEED")
    if seed:
        return replay(seed)
    first, number = int(os.environ.get("FROM") or "0"), int(os.environ.get("SEEDS") or "1000")
    return many(range(first, first + number))


def replay(seed: str) -> int:
    """Shows one run, line by line."""
    result = run(seed, keep=True)
    for line in result.lines:
        say(line)
    say(f"seed {seed}: {result.seconds:.0f} virtual seconds, {result.steps} steps, trace {result.digest}")
    for violation in result.violations:
        say(f"violated: {violation}")
    return bool(result.violations)


def many(seeds: range) -> int:
    """Runs many seeds, and names those that fail."""
    began, failed, done, virtual, steps = time.monotonic(), 0, 0, 0.0, 0
    for result in results(map(str, seeds)):
        done, virtual, steps = done + 1, virtual + result.seconds, steps + result.steps
        if result.violations:
            failed += 1
            if failed <= MOST_SHOWN:
                say(f"seed {result.seed}: {result.violations[0][:300]}")
                say(f"  make simulate SEED={result.seed}")
    took = time.monotonic() - began
    say(
        f"{done} seeds from {seeds.start} on, {failed} with violations; {virtual / 3_600:.1f} virtual hours, "
        f"{steps} steps, in {took:.0f} s"
    )
    return bool(failed)


def results(seeds: Iterable[str]) -> Iterator[Result]:
    """What comes of each seed, as many at a time as there are processors."""
    with ProcessPoolExecutor(max_tasks_per_child=500) as pool:
        yield from pool.map(run, seeds, chunksize=5)


def say(line: str) -> None:
    """Prints a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

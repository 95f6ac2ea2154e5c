"""`make chaos`: real processes, one world after the other; prints what was done and what came of it."""

import asyncio
import os
import sys

from tests import postgres
from tests.chaos.run import run
from tests.chaos.world import Figures, Plan


def main() -> int:
    """Runs what the environment names: `ROUNDS` or `KILLS`, from `SEED`; `REPLICAS`, `WORLDS`, `TROUBLES`."""
    environment = os.environ
    seed, rounds = environment.get("SEED") or "1", int(environment.get("ROUNDS") or "60")
    kills = int(environment.get("KILLS") or "0")
    kinds = frozenset(environment["TROUBLES"].split(",")) if environment.get("TROUBLES") else None
    wanted, failed = environment.get("WORLDS") or "http,socket,sqlite", False
    for name, plan in _plans(int(environment.get("REPLICAS") or "10")).items():
        if name not in wanted.split(","):
            continue
        if plan.database == "postgresql" and postgres.program("pg_basebackup") is None:
            say(f"{name}: PostgreSQL is not installed here")
            continue
        figures, violations = asyncio.run(run(f"{seed} {name}", plan, rounds, kinds, kills, say))
        say(f"{name}, seed {seed}, {plan.replicas} processes: {_told(figures)}")
        for violation in violations[:20]:
            say(f"violated: {violation[:1_000]}")
        failed |= bool(violations)
    return failed


def _plans(replicas: int) -> dict[str, Plan]:
    return {
        "http": Plan("postgresql", socket_mode=False, replicas=replicas),
        "socket": Plan("postgresql", socket_mode=True, replicas=replicas),
        "sqlite": Plan("sqlite", socket_mode=True, replicas=1),
    }


def _told(figures: Figures) -> str:
    troubles = ", ".join(f"{count} {name}" for name, count in sorted(figures.troubles.items()))
    return (
        f"{figures.rounds} rounds ({troubles}), {figures.kills} kills, {figures.clicks} deliveries, {figures.acked} "
        f"acknowledged, {figures.requests} requests, {figures.posts} calls of Sift's retry; {figures.doubled} doubled, "
        f"{figures.lost} lost, in {figures.seconds:.0f} s"
    )


def say(line: str) -> None:
    """Prints a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

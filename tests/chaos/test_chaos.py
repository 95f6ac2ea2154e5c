"""A short run of `make chaos`; the long ones are in docs/reliability.md."""

from tests.chaos.run import run
from tests.chaos.world import Plan


async def test_a_process_killed_again_and_again_loses_nothing_and_repeats_nothing() -> None:
    plan = Plan("sqlite", socket_mode=False, replicas=1)
    figures, violations = await run("short", plan, rounds=3, kinds=frozenset({"kill"}))
    assert violations == []
    assert figures.kills >= 1
    assert figures.requests >= 1
    assert (figures.lost, figures.doubled) == (0, 0)

"""How much is tried: a little each time and always the same, as `make test` has it; or as much as FUZZ says, anew."""

import os

from hypothesis import HealthCheck, settings

from tests.scenarios.conftest import world, world_url

__all__ = ["fuzzing", "world", "world_url"]

MANY = int(os.environ.get("FUZZ", "0"))
"""How many payloads `make fuzz` tries; 0: a few hundred."""

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def fuzzing(examples: int) -> settings:
    """So many examples, or as many as FUZZ says; each run the same ones, unless it says."""
    return settings(
        max_examples=MANY or examples, derandomize=not MANY, deadline=None, database=None, suppress_health_check=SLOW
    )

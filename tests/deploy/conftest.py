"""What the tests of the deployment may ask for: the tools that look through its files, and a world with a bot in it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.conftest import world, world_url

__all__ = ["world", "world_url"]

Tool = Callable[[str], str]
"""The path of a tool, given its name."""


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Finds what the dependency group `deploy` installs beside this Python; `make lint` installs it, so CI has it."""

    def find(name: str) -> str:
        path = Path(sys.executable).parent / name
        if not path.exists():
            pytest.skip(f"{name} is not installed: make lint does it")
        return str(path)

    return find

"""The demo in a real browser, one process of it for each story.

Runs where there is a Chromium and the dependency group `browser`; `make test-browser` brings the latter.
"""

import importlib.util
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.demo import AS_ROOT, CHROMIUM, serving

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.people import Desk

collect_ignore_glob = [] if CHROMIUM and importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo that just began."""
    with serving(tmp_path_factory.mktemp("demo")) as address:
        yield address


@pytest.fixture
async def browser() -> "AsyncIterator[Browser]":
    """A Chromium that shows no window."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=AS_ROOT)
        yield browser
        await browser.close()


@pytest.fixture
async def desk(demo: str, browser: "Browser") -> "AsyncIterator[Desk]":
    """Where people sit down at the demo; a window that complains of something fails the test."""
    from tests.browser.people import Desk

    desk = Desk(demo, browser)
    yield desk
    assert desk.troubles() == []

"""The demo in a real browser, one process of it for each story.

Runs where there is a Chromium and the dependency group `browser`; `make test-browser` brings the latter.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.scenarios.test_crash import free_port

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.browser.people import Desk

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FAST = {"RETRY_COOLDOWN_SECONDS": "0", "APPROVAL_AFTER": "2", "ALERT_POLL_SECONDS": "1"}

collect_ignore_glob = [] if CHROMIUM and importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo that just began."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "demo"],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(root), "PORT": str(port), "LOG_LEVEL": "error", **FAST},
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(12)
        process.kill()
        process.wait()


def _wait_for(url: str) -> None:
    until = time.monotonic() + 60  # on a busy machine
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(url)


@pytest.fixture
async def browser() -> "AsyncIterator[Browser]":
    """A Chromium that shows no window."""
    from playwright.async_api import async_playwright

    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own is not for root
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=as_root)
        yield browser
        await browser.close()


@pytest.fixture
async def desk(demo: str, browser: "Browser") -> "AsyncIterator[Desk]":
    """Where people sit down at the demo; a window that complains of something fails the test."""
    from tests.browser.people import Desk

    desk = Desk(demo, browser)
    yield desk
    assert desk.troubles() == []

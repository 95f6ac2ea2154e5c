"""The demo as a process of its own, for the stories and the pictures."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.scenarios.test_crash import free_port

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The system's Chromium, if there is one."""

AS_ROOT = ["--no-sandbox"] if os.geteuid() == 0 else []
"""Chromium's own sandbox is not for root."""

FAST = {"RETRY_COOLDOWN_SECONDS": "0", "APPROVAL_AFTER": "2", "ALERT_POLL_SECONDS": "1"}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a demo that just began.

    Args:
        folder: an empty one, where it runs.
    """
    port = free_port()
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

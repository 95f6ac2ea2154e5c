"""The wheel in an empty environment, on the oldest and the newest Python that are here: `make test-release`.

That fetches every dependency, so it runs where RELEASE is set and nowhere else.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest

from tests.scenarios.test_crash import free_port

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDS = int(re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"])[1])  # type: ignore[index]  # or the test fails

pytestmark = pytest.mark.skipif(not os.environ.get("RELEASE"), reason="fetches every dependency (make test-release)")


def pythons() -> list[str]:
    """The oldest and the newest Python that work here and are new enough."""
    found = [name for minor in range(NEEDS, 30) if works(name := f"python3.{minor}")]
    return sorted({found[0], found[-1]}) if found else []


def works(name: str) -> bool:
    """Whether a Python is here; a version manager may have a name for one that it does not run."""
    path = shutil.which(name)
    return path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.parametrize("python", pythons() if os.environ.get("RELEASE") else ["none"])
def test_it_installs_and_runs_in_an_empty_environment(python: str, wheel: Path, tmp_path: Path) -> None:
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    folder = tmp_path / "venv" / "bin"
    subprocess.run([folder / "pip", "install", "--quiet", wheel], check=True)
    program = folder / "sift-retry"
    assert PROJECT["version"] in said(tmp_path, program, "--version")
    said(tmp_path, program, "migrate")
    assert json.loads(said(tmp_path, program, "doctor", "--json", code=1))[0]["name"] == "settings"
    subprocess.run([folder / "pip", "install", "--quiet", f"{wheel}[demo]"], check=True)
    demo_runs(program, tmp_path)


def environment() -> dict[str, str]:
    """Nothing of this machine's own settings."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def said(folder: Path, program: Path, *arguments: str, code: int = 0) -> str:
    """What a command prints."""
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def demo_runs(program: Path, folder: Path) -> None:
    """Starts the demo, waits for the alert on its page, and stops it."""
    port = free_port()
    process = subprocess.Popen([program, "demo"], cwd=folder, env={**environment(), "PORT": str(port)})
    try:
        until = time.monotonic() + 60
        while 'data-testid="action-retry"' not in page(port):
            assert time.monotonic() < until
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()


def page(port: int) -> str:
    """The demo's page; empty as long as nobody serves it."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/").text
    return ""

"""The Dockerfile and the compose files, as far as they can be tried without Docker."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette

from bot.app.http import web_app
from bot.app.server import serving
from bot.settings import Settings
from tests.deploy.conftest import Tool

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = ["compose.yml", "compose.sqlite.yml"]


def compose(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return content


def copied() -> list[tuple[str, str]]:
    """What the image is made of: each file or folder with where it goes."""
    lines = re.findall(r"^COPY ([^-].*)$", DOCKERFILE, re.MULTILINE)
    return [(source, line.split()[-1]) for line in lines for source in line.split()[:-1]]


def test_hadolint_finds_nothing(tool: Tool) -> None:
    subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], check=True)


def test_what_is_copied_is_not_ignored_and_nothing_else_is_sent() -> None:
    kept = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(kept) == sorted({source for source, _ in copied()})
    assert not [name for name in (".env", "secrets", "tests", ".git") if any(fnmatch(name, it) for it in kept)]


def test_the_wheel_builds_from_what_is_copied(tmp_path: Path) -> None:
    for source, target in copied():
        path = tmp_path / "src" / target / ("" if (ROOT / source).is_dir() else source)
        path.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, path)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path / "src", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"bot/__main__.py", "bot/migrations/env.py"} <= set(names)


@pytest.mark.parametrize(("stuck", "code"), [(False, 0), (True, 1)])
async def test_the_health_check_tells_well_from_stuck(stuck: bool, code: int) -> None:
    async def nothing() -> dict[str, str]:
        return {}

    async def no_metrics() -> bytes:
        return b""

    app: Starlette = web_app(nothing, dict, no_metrics, lambda: stuck)
    (found,) = re.findall(r"HEALTHCHECK .*\\\n\s+CMD (.*)", DOCKERFILE)
    _, *arguments = json.loads(found)
    async with serving(app) as url:
        # In a process of its own, and not waited for here: the loop has to serve it meanwhile.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env={**os.environ, "PORT": url.rpartition(":")[2]},
            stderr=subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(process.wait(), 20) == code


def test_it_runs_as_somebody_without_rights_and_has_a_home() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert " HOME=/data " in final
    assert final.index("USER ") < final.index("ENTRYPOINT ")


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_is_valid(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / name)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("name", COMPOSE)
def test_every_secret_is_given_as_a_file_and_every_variable_is_a_setting(name: str) -> None:
    content = compose(name)
    service = content["services"]["bot"]
    for variable, value in service["environment"].items():
        assert variable.lower() in Settings.model_fields
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
    assert not {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SIFT_API_KEY"} & service["environment"].keys()
    for each in content["services"].values():
        assert set(each.get("secrets", ())) <= content["secrets"].keys()


@pytest.mark.parametrize("name", COMPOSE)
def test_the_bot_can_write_nowhere_but_to_its_data(name: str) -> None:
    service = compose(name)["services"]["bot"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert all(volume.split(":")[1] == "/data" for volume in service.get("volumes", ()))


def test_the_script_makes_what_compose_reads_and_keeps_it(tmp_path: Path) -> None:
    script = tmp_path / "deploy" / "secrets.sh"
    script.parent.mkdir()
    shutil.copy(ROOT / "deploy" / "secrets.sh", script)
    first = subprocess.run([script], check=False, capture_output=True, text=True)
    secrets = tmp_path / "secrets"
    given = ["slack_bot_token", "slack_app_token", "sift_api_key"]
    assert (first.returncode, first.stdout) == (1, "")
    assert first.stderr.splitlines() == [f"still to be filled: secrets/{name}" for name in given]
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    for name in given:
        (secrets / name).write_text("x")
        (secrets / name).chmod(0o600)  # of its owner alone, whom the container's user is not
    assert subprocess.run([script], check=False).returncode == 0
    assert all((secrets / name).stat().st_mode & 0o004 for name in given)
    assert {path.name for path in secrets.iterdir()} == set(compose("compose.yml")["secrets"])
    assert {name: (secrets / name).read_text() for name in made} == made
    assert len(made["bot_password"]) == 48
    assert made["bot_url"] == f"postgresql://sift_retry:{made['bot_password']}@postgres/sift_retry\n"
    assert secrets.stat().st_mode & 0o077 == 0

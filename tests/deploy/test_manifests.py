"""The systemd unit, the Kubernetes manifests and the workflows, looked through by the tools made for them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.settings import Settings
from tests.deploy.conftest import Tool

ROOT = Path(__file__).parent.parent.parent
UNIT = ROOT / "deploy" / "systemd" / "sift-retry-bot.service"
KUBERNETES = ROOT / "deploy" / "kubernetes"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def documents() -> Iterator[dict[str, Any]]:
    """Every object of the manifests."""
    for path in sorted(KUBERNETES.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def pods() -> Iterator[dict[str, Any]]:
    """The specification of each pod that the manifests make."""
    for document in documents():
        if document["kind"] in ("Deployment", "Job"):
            yield document["spec"]["template"]["spec"]


def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here")
    unit = tmp_path / UNIT.name
    # The check wants the program to exist.
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/sift-retry-bot/bin/sift-retry", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(unit)], check=True, capture_output=True
    )


def test_the_unit_s_variables_are_settings() -> None:
    text = UNIT.read_text(encoding="utf-8")
    given = " ".join(re.findall(r"^Environment=(.*)$", text, re.MULTILINE)).split()
    variables = {each.partition("=")[0] for each in given} - {"PYTHONUNBUFFERED"}
    assert {name.lower() for name in variables} <= Settings.model_fields.keys()
    credentials = set(re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE))
    assert credentials == set(re.findall(r"=%d/(\w+)$", text, re.MULTILINE))


def test_kubernetes_takes_the_manifests(tool: Tool) -> None:
    files = [str(path) for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml"]
    subprocess.run([tool("kubernetes-validate"), "--strict", *files], check=True, capture_output=True)


def test_kustomize_names_every_file_and_this_version() -> None:
    content = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    own = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(content["resources"]) == own | {"../postgresql"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [image["newTag"] for image in content["images"]] == [project["version"]]
    sql = yaml.safe_load((ROOT / "deploy" / "postgresql" / "kustomization.yaml").read_text(encoding="utf-8"))
    (files,) = [each["files"] for each in sql["configMapGenerator"]]
    assert set(files) == {path.name for path in (ROOT / "deploy" / "postgresql").glob("*.sql")}


def test_every_container_is_held_as_tightly_as_the_pod_security_standard_restricted_asks() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_secrets_come_as_files_and_variables_are_settings() -> None:
    for pod in pods():
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes
            for variable in container.get("env", ()):
                assert "valueFrom" not in variable
                if variable["name"] != "PASSWORD_FILE":
                    assert variable["name"].lower() in Settings.model_fields
                if variable["name"].endswith("_FILE"):
                    assert str(Path(variable["value"]).parent) in mounts.values()


def test_the_bot_alone_never_sees_the_owner_s_password() -> None:
    (bot,) = [document for document in documents() if document["kind"] == "Deployment"]
    assert "owner" not in json.dumps(bot["spec"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_github_takes_the_workflow(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def test_zizmor_finds_nothing_in_the_workflows(tool: Tool) -> None:
    subprocess.run([tool("zizmor"), "--offline", "--no-progress", str(ROOT / ".github")], check=True)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_fixed_to_a_commit(path: Path) -> None:
    for action in re.findall(r"uses: (.*)", path.read_text(encoding="utf-8")):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action)


def test_the_workflow_tries_every_python_that_is_promised() -> None:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert content["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]


def test_renovate_takes_its_settings() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.renovate"]
    subprocess.run([*command, str(ROOT / "renovate.json")], check=True, capture_output=True)


def test_yamllint_finds_nothing(tool: Tool) -> None:
    rules = "{extends: default, rules: {line-length: {max: 140}, document-start: disable, truthy: {check-keys: false}, "
    rules += "comments: {min-spaces-from-content: 1}, octal-values: disable}}"
    files = ["compose.yml", "compose.sqlite.yml", "deploy", ".github"]
    subprocess.run([tool("yamllint"), "--strict", "-d", rules, *files], cwd=ROOT, check=True)

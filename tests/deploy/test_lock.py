"""requirements*.txt hold what pyproject.toml asks for, each with its hashes, and say nothing of where it comes from."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

RUN = PROJECT["project"]["dependencies"]
EXTRAS = [wanted for extra in PROJECT["project"]["optional-dependencies"].values() for wanted in extra]

GROUPS = ("build", "test", "bench", "deploy", "browser")


def group(name: str) -> list[str]:
    """The requirements of a dependency group, those it includes left out."""
    return [wanted for wanted in PROJECT["dependency-groups"][name] if isinstance(wanted, str)]


def locked(file: str) -> dict[str, list[Requirement]]:
    """The locked requirements by name: one for each of the environments that need different versions."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found: dict[str, list[Requirement]] = {}
    for entry in re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE)[1:]:
        wanted = Requirement(entry.split("\\\n")[0])
        assert "--hash=sha256:" in entry, entry
        found.setdefault(canonicalize_name(wanted.name), []).append(wanted)
    return found


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", RUN),
        ("requirements-test.txt", [*RUN, *EXTRAS, *(it for name in GROUPS for it in group(name))]),
        ("requirements-build.txt", [*group("build"), *PROJECT["build-system"]["requires"]]),
        ("requirements-audit.txt", group("audit")),
    ],
)
def test_it_has_what_is_asked_for_in_a_version_that_fits(file: str, wanted: list[str]) -> None:
    lock = locked(file)
    for requirement in map(Requirement, wanted):
        for fixed in lock[canonicalize_name(requirement.name)]:
            ((only),) = fixed.specifier
            assert only.operator == "=="
            assert requirement.specifier.contains(only.version, prereleases=True), f"make lock: {fixed}"


def test_the_container_and_the_tests_have_the_same_versions() -> None:
    tests = locked("requirements-test.txt")
    for name, fixed in locked("requirements.txt").items():
        assert {str(it.specifier) for it in fixed} == {str(it.specifier) for it in tests[name]}


@pytest.mark.parametrize("file", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_it_names_no_address(file: str) -> None:
    assert not re.findall(r"://|--[\w-]*index|--find-links|@ ", (ROOT / file).read_text(encoding="utf-8"))

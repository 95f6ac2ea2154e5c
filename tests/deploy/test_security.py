"""docs/security.md names tests that exist, for each threat."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")

THREATS = [
    "Forged requests",
    "Replay",
    "A stolen secret",
    "Strangers in shared channels",
    "Injected texts",
    "A curious admin",
    "An owner of the database",
]


def existing() -> set[str]:
    """The names of every test."""
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_threat_has_its_guards() -> None:
    sections = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == THREATS
    for section in sections:
        assert len(re.findall(r"^\| [A-Z].* \| `test_", section, re.MULTILINE)) >= 3


def test_the_named_tests_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 50
    assert named <= existing(), named - existing()


def test_every_guard_names_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| (?!guard|-)", line)]
    assert all(re.search(r"\| `test_\w+`(, `test_\w+`)* \|$", row) for row in rows)

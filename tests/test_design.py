"""docs/design.md shows the tree and the states as they are in the code, and the code keeps to its own limits."""

import ast
import re
from pathlib import Path
from statistics import median

from bot.retries.state import FACTS, State

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    """The one fenced block of a kind."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def drawn() -> dict[str, set[str]]:
    """The packages of the tree with their modules. Words in parentheses are explanations."""
    folders: dict[str, str] = {}
    name = ""
    for line in block("tree").splitlines():
        if found := re.match(r"  ([\w/]+)/ +(.*)", line):
            name = found[1]
            folders[name] = found[2]
        elif name:
            folders[name] += f" {line.strip()}"
    return {
        folder: {item.strip() for item in re.sub(r"\(.*?\)", "", words).split(",") if item.strip()}
        for folder, words in folders.items()
    }


def built() -> dict[str, set[str]]:
    """The packages of the code with their modules."""
    bot = ROOT / "bot"
    packages = [path.parent for path in bot.glob("*/**/__init__.py")]
    return {
        str(package.relative_to(bot)): {path.stem for path in package.glob("*.py")} - {"__init__"}
        for package in packages
    }


def test_the_tree_is_that_of_the_code() -> None:
    assert drawn() == built()
    single = set(re.findall(r"^  (\w+) ", block("tree"), re.MULTILINE))
    assert single == {path.stem for path in (ROOT / "bot").glob("*.py")} - {"__init__"}


def test_the_states_and_their_arrows_are_those_of_the_code() -> None:
    arrows = re.findall(r"^    (\S+) --> ([^\s:]+)(?:: .+)?$", block("mermaid"), re.MULTILINE)
    follow = {(str(state), str(after)) for state in State for after in FACTS[state].next}
    end = {(str(state), "[*]") for state in State if not FACTS[state].next}
    assert sorted(arrows) == sorted({("[*]", "requested")} | follow | end)


def test_the_layers_are_those_that_the_linter_checks() -> None:
    (layers,) = re.findall(r"layers = \[\n(.*?)\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.DOTALL)
    assert "\n".join(re.findall(r'"(.*?)"', layers)) in TEXT


def test_functions_and_files_stay_short() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in (ROOT / "bot").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "bot").rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 45} == {}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > 300} == {}
    assert median(lengths.values()) <= 8

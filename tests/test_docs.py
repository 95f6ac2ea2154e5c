"""What the documents say is there is there: settings, commands, log events, links."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bot.__main__ import cli
from bot.settings import Settings

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT.parent / "shared" / "contract.md"
OPERATING = ROOT / "docs" / "operating.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_of(text: str) -> Iterator[str]:
    """What is set in code, inline and in fenced blocks, without a table's escapes."""
    fenced = r"^ *```\w*\n(.*?)^ *```"
    yield from re.findall(fenced, text, re.MULTILINE | re.DOTALL)
    for found in re.findall(r"`([^`]+)`", re.sub(fenced, "", text, flags=re.MULTILINE | re.DOTALL)):
        yield " ".join(found.replace("\\|", "|").split())


def missing_settings(text: str) -> set[str]:
    """Settings that the text does not name; a secret's file is named with the secret, or as `…_FILE`."""
    named = set(re.findall(r"[A-Z][A-Z0-9_]+", " ".join(code_of(text))))
    needed = {name.upper() for name in Settings.model_fields}
    if "…_FILE" in text:
        needed -= {name for name in needed if name.endswith("_FILE") and name.removesuffix("_FILE") in needed}
    return needed - named


def test_every_setting_is_in_the_manual() -> None:
    assert missing_settings(read(OPERATING)) == set()


def test_every_setting_is_in_the_contract() -> None:
    if not CONTRACT.exists():
        pytest.skip("the contract is not beside this clone (../shared/contract.md)")
    assert missing_settings(read(CONTRACT)) == set()


def test_a_setting_that_is_not_named_is_noticed() -> None:
    assert missing_settings(read(OPERATING).replace("`SETTLE_SECONDS`", "settling")) == {"SETTLE_SECONDS"}
    assert "SIFT_API_KEY_FILE" in missing_settings(read(OPERATING).replace("…_FILE", "a file"))


def commands_of(text: str) -> set[tuple[str, ...]]:
    """The commands of the console script that a text names, `a|b` spelled out; Slack's begin with a slash."""
    found = set()
    for code in code_of(text):
        for words in re.findall(r"(?<![/\w])sift-retry((?: [a-z-]+(?:\|[a-z]+)*)+)", code):
            paths: list[tuple[str, ...]] = [()]
            for word in words.split():
                paths = [(*path, one) for path in paths for one in word.split("|")]
            found.update(paths)
    return found


def is_command(path: tuple[str, ...]) -> bool:
    """Whether the console script knows a command; what follows one that has no commands of its own is an argument."""
    command: click.Command | None = cli
    for word in path:
        if not isinstance(command, click.Group):
            return command is not None
        command = command.get_command(click.Context(command), word)
    return command is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    assert {path for path in commands_of(read(document)) if not is_command(path)} == set()


def test_the_documents_name_commands_and_a_wrong_one_is_noticed() -> None:
    named = {path for document in DOCUMENTS for path in commands_of(read(document))}
    assert {("run",), ("doctor",), ("access", "revoke"), ("audit", "verify")} <= named
    assert commands_of("`sift-retry audit list\\|shown`, `/sift-retry help`") == {("audit", "list"), ("audit", "shown")}
    assert not is_command(("audit", "shown"))
    assert not is_command(("restore",))
    assert is_command(("audit", "show"))


def test_every_command_is_in_some_document() -> None:
    named = {path for document in DOCUMENTS for path in commands_of(read(document))}
    assert set(leaves(cli)) - named == set()


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from leaves(below, (*path, name))
    else:
        yield path


def logged() -> set[str]:
    """Every name of an event that the code logs: the first argument of a call of the logger's, or of one like it."""
    calls = (node for path in (ROOT / "bot").rglob("*.py") for node in ast.walk(ast.parse(read(path))))
    return {
        node.args[0].value
        for node in calls
        if isinstance(node, ast.Call)
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and (ast.unparse(node.func) == "say" or ast.unparse(node.func).startswith("log."))
    }


def events_of(text: str) -> set[str]:
    """What a text names as an event of the log: after the word log, or beginning as one that is logged does."""
    beginnings = {name.split(".")[0] for name in logged()}
    words = {code for code in code_of(text) if re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", code)}
    said = " ".join(re.findall(r"\blog ((?:`[^`]+`(?:, )?)+)", text))
    return set(re.findall(r"`([^`]+)`", said)) | {word for word in words if word.split(".")[0] in beginnings}


def test_every_event_that_the_manual_names_is_logged() -> None:
    assert events_of(read(OPERATING)) - logged() == set()


def test_the_manual_names_events_and_a_wrong_one_is_noticed() -> None:
    assert {"loop.failing", "loop.recovered", "readiness.changed", "retry.put_off"} <= events_of(read(OPERATING))
    assert events_of("log `nothing.such`, or `loop.stuck`") - logged() == {"nothing.such", "loop.stuck"}


def dead_links(document: Path, text: str) -> set[str]:
    """Relative links of a document that lead nowhere; anchors within a document count by its headings."""
    dead = set()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(read(path))):
            dead.add(target)
    return dead


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    assert dead_links(document, read(document)) == set()


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    readme = ROOT / "README.md"
    assert "](docs/operating.md)" in read(readme)
    text = "[a](docs/operating.md#access) [b](docs/operation.md) [c](docs/design.md#nowhere) [d](https://example.com/x)"
    assert dead_links(readme, text) == {"docs/operation.md", "docs/design.md#nowhere"}

"""What the documents tell people to type: found, and spelled out with examples for what they leave open."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def read(path: Path) -> str:
    """A file's text."""
    return path.read_text(encoding="utf-8")


def blocks_of(text: str, language: str) -> list[str]:
    """The fenced blocks of a language; the empty one: what is typed, and settings."""
    return [block for found, block in _FENCE.findall(text) if found == language]


def lines_of(text: str) -> Iterator[str]:
    """Each line of the fenced blocks without a language, continued ones put together, without comments."""
    for block in blocks_of(text, ""):
        for line in block.replace("\\\n", " ").splitlines():
            if line := re.sub(r"(^|\s+)#.*", "", line).strip():
                yield " ".join(line.split())


def spans_of(text: str) -> Iterator[str]:
    """What stands in code within sentences and tables, without a table's escapes."""
    for found in re.findall(r"`([^`]+)`", _FENCE.sub("", text)):
        yield " ".join(found.replace("\\|", "|").split())


def typed(*beginnings: str) -> set[str]:
    """What the documents have people type that begins so, in blocks and sentences."""
    texts = [read(document) for document in DOCUMENTS]
    lines = {line for text in texts for line in (*lines_of(text), *spans_of(text))}
    return {line for line in lines if any(line == one or line.startswith(f"{one} ") for one in beginnings)}


def spelled(line: str, examples: Mapping[str, str]) -> list[str]:
    """All that a line stands for: with and without what is `[optional]`, each of `one|another`, examples put in.

    Args:
        examples: what is put in for what, longer ones first where they overlap.
    """
    if optional := re.search(r" ?\[([^\[\]]+)\]", line):
        before, after = line[: optional.start()], line[optional.end() :]
        return [*spelled(before + after, examples), *spelled(f"{before} {optional[1]}{after}", examples)]
    if choice := re.search(r"[^\s|]+(\|[^\s|]+)+", line):
        before, after = line[: choice.start()], line[choice.end() :]
        return [one for word in choice[0].split("|") for one in spelled(before + word + after, examples)]
    for placeholder, example in examples.items():
        line = line.replace(placeholder, example)
    return [line]

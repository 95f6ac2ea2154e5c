"""The verifier in docs/audit.md, which shares nothing with the bot but the description, on real exports."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.audit import log as audit
from bot.audit.entry import Entry, Event, Filters
from bot.audit.export import write_jsonl
from bot.audit.signing import SignedHead, make_key, signer
from bot.db.database import Database
from tests.audit.test_log import fill
from tests.conftest import NOW
from tests.documents import ROOT, blocks_of, read

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed here")

ODD = {"\u2028": 'a\u2028b\u0000\u001f\\"/', "😀": 1, "\ufb33": 0.1, "é": -1e-7, "1e": 1.5, "a": {"b": [], "": None}}
"""What JSON leaves to taste: the order of keys, ends of lines, escapes, numbers."""


@pytest.fixture
def whole(database: Database, tmp_path: Path) -> tuple[Path, SignedHead]:
    """The export of a log, the public key and the verifier beside it; and its signed head."""
    fill(database, 4)
    with database.transaction() as connection:
        head = audit.append(connection, Entry(event=Event.LOOK, user_id="U1", detail=ODD), NOW)
        audit.append(connection, Entry(event=Event.LOOK, user_id="U2"), NOW)
    target = io.StringIO()
    with database.reading() as connection:
        write_jsonl(audit.written(connection, Filters()), target)
    (tmp_path / "export.jsonl").write_text(target.getvalue(), encoding="utf-8")
    (tmp_path / "public.pem").write_text(make_key(tmp_path / "key.pem"))
    (verifier,) = blocks_of(read(ROOT / "docs" / "audit.md"), "js")
    assert len(verifier.splitlines()) <= 45
    (tmp_path / "verify.mjs").write_text(verifier)
    return tmp_path, signer(tmp_path / "key.pem").sign(head)


def verify(folder: Path, *arguments: str) -> tuple[int, str]:
    """Runs the verifier as the document says, and returns its exit code and what it printed."""
    command = ["node", "verify.mjs", "export.jsonl", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def test_what_was_not_changed_is_found_so(whole: tuple[Path, SignedHead]) -> None:
    folder, head = whole
    last = json.loads((folder / "export.jsonl").read_text(encoding="utf-8").split("\n")[-2])
    said = f"entries 1 to 6 are as they were written; head 6:{last['hash']}"
    assert verify(folder) == (0, said)
    assert verify(folder, f"{head.head.count}:{head.head.hash}") == (0, said)
    assert verify(folder, str(head), "public.pem") == (0, said)


def test_a_log_of_which_a_part_was_archived_is_checked_from_where_it_begins(whole: tuple[Path, SignedHead]) -> None:
    folder, head = whole
    edit(folder, lambda lines: lines[2:])
    code, said = verify(folder, str(head), "public.pem")
    assert (code, said.partition(";")[0]) == (0, "entries 3 to 6 are as they were written")


def edit(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Changes the lines of the export."""
    file = folder / "export.jsonl"
    lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    file.write_text("".join(f"{line}\n" for line in change(lines)), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [line.replace('"user_id":"U2"', '"user_id":"U3"') for line in lines], "entry 6 was changed"),
        (lambda lines: [line.replace('"b":1', '"b":2') for line in lines], "entry 1 was changed"),
        (lambda lines: [lines[0], *lines[2:]], "entry 2 is missing"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "entry 3 is missing"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "entry 4 is missing"),
        (lambda lines: lines[:4], "the entry that the head names is not there"),
    ],
    ids=["a person", "a detail", "removed", "swapped", "twice", "cut off"],
)
def test_whatever_was_changed_is_named(
    whole: tuple[Path, SignedHead], change: Callable[[list[str]], list[str]], said: str
) -> None:
    folder, head = whole
    edit(folder, change)
    assert verify(folder, str(head), "public.pem") == (1, said)


def test_a_head_that_another_signed_and_a_file_that_ends_midway_are_named(whole: tuple[Path, SignedHead]) -> None:
    folder, head = whole
    (folder / "other.pem").write_text(make_key(folder / "another.pem"))
    assert verify(folder, str(head), "other.pem") == (1, "the head is not signed with that key")
    assert verify(folder, f"{head.head.count}:{head.head.hash}", "public.pem") == (
        1,
        "the head is not signed with that key",
    )
    file = folder / "export.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    assert verify(folder) == (1, "the last line is cut off")

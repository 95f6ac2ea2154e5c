"""docs/reliability.md names tests that exist, for each promise."""

import re
from pathlib import Path

from tests.deploy.test_security import existing

TEXT = (Path(__file__).parent.parent.parent / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_promise_has_a_test_for_each_way_it_is_kept() -> None:
    promises = re.split(r"^### ", TEXT.partition("\n## Backup")[0], flags=re.MULTILINE)[1:]
    assert len(promises) == 5
    for promise in promises:
        rows = [line for line in promise.splitlines() if re.match(r"\| (?!how it is kept)", line)]
        assert rows
        assert all(re.search(r"\| `test_\w+`(, `test_\w+`)* \|$", row) for row in rows)


def test_the_named_tests_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert named <= existing(), named - existing()

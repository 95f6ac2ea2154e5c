"""What people read in a digest, word for word."""

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.base.text import width
from bot.digest import messages
from bot.digest.digest import Hands, News, RunNews, Tried
from tests.conftest import NOW
from tests.reading import Shown, Words, as_written, read

DIGEST = "rstvwxyz12"


def a_run(t: Words = as_written, **more: Any) -> RunNews:
    """A run of which nine jobs failed, and nobody cares."""
    values: dict[str, Any] = {"name": t("hotfire-118"), "failed": 9, "waiting": {(Hands.NOBODY, ""): 9}}
    return RunNews(**{**values, **more})


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Every kind of digest, by name; other people's words as `t` puts them."""
    several = {
        (Hands.TAKEN, "UANN"): 3,
        (Hands.NOBODY, ""): 6,
        (Hands.SNOOZED, "UBEN"): 2,
        (Hands.ASKED, "UCYD"): 1,
        (Hands.TAKEN, "UDAN"): 1,
        (Hands.SNOOZED, "UEVE"): 4,
    }
    tried = {"UANN": Tried(14, 13), "UBEN": Tried(2, 0, 1), "UCYD": Tried(0, 0, 3)}
    crowd = {f"U{number}": Tried(1, 1) for number in range(7)}
    found = {
        "one waits": [a_run(t, failed=1, waiting={(Hands.NOBODY, ""): 1})],
        "a night": [
            a_run(t, failed=25, waiting=several, retried=tried, outside=2),
            a_run(t, name=t("hotfire-117"), waiting={}, failed=4, retried={"UANN": Tried(4, 4)}),
            a_run(t, name="", kind="data_import", failed=2, waiting={(Hands.TAKEN, "UANN"): 2}),
        ],
        "a quiet night, and what is left": [a_run(t, failed=0, waiting={(Hands.TAKEN, "UANN"): 1})],
        "all is done": [a_run(t, failed=2, waiting={}, retried={"UANN": Tried(2, 1)}, outside=1)],
        "asked for": [a_run(t, failed=2, waiting={(Hands.ASKED, "UANN"): 2})],
        "many people": [a_run(t, waiting={}, retried=crowd)],
        "an outage": [a_run(t, name=t(f"run-{number}"), failed=100) for number in range(50)],
    }
    digests = {name: messages.digest(News(since=NOW, runs=runs), DIGEST) for name, runs in found.items()}
    return {**digests, "nothing to pick": messages.nothing_waits()}


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


def test_an_outage_of_thousands_is_one_message_that_is_still_read() -> None:
    runs = [a_run(name=f"run-{number}", failed=1, waiting={(Hands.NOBODY, ""): 1}) for number in range(5_000)]
    message = messages.digest(News(since=NOW, runs=runs), DIGEST)
    assert len(message.blocks) <= 15
    assert width(str(message.blocks)) < 5_000

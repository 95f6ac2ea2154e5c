"""What earlier retries say of the next one, in words."""

from datetime import timedelta

import pytest

from bot.retries.messages.record import asked_once_more, readable, words
from bot.retries.record import Record
from bot.slack.blocks import plain_text


@pytest.mark.parametrize(
    ("record", "kind", "said"),
    [
        (Record(), "data_import", None),
        (Record(2, 2, timedelta(minutes=1)), "data_import", None),
        (Record(0, 2), "data_import", None),
        (
            Record(41, 43, timedelta(seconds=330)),
            "data_import",
            "Retrying this cause helped 41 of 43 times, usually within 6 min",
        ),
        (Record(1, 3, timedelta(seconds=12.4)), "x", "Retrying this cause helped 1 of 3 times, usually within 13 s"),
        (Record(3, 3), "data_export", "Retrying this cause helped 3 of 3 times"),
        (Record(0, 12), "data_import", "Retrying this cause never helped in 12 tries: the file needs fixing"),
        (
            Record(0, 1_200),
            "rule_evaluation",
            "Retrying this cause never helped in 1,200 tries: the rules or their channels need fixing",
        ),
        (Record(0, 3), "data_export", "Retrying this cause never helped in 3 tries: the export needs other settings"),
        (Record(0, 3), "canvas", "Retrying this cause never helped in 3 tries: something else needs fixing"),
    ],
)
def test_it_reads(record: Record, kind: str, said: str | None) -> None:
    assert words(record, kind) == said


def test_only_what_never_helped_is_asked_once_more() -> None:
    assert asked_once_more(Record(0, 2), "data_import") is None
    assert asked_once_more(Record(1, 30), "data_import") is None
    asked = asked_once_more(Record(0, 3), "data_import")
    assert asked is not None
    assert asked["text"] == plain_text("Retrying this cause never helped in 3 tries: the file needs fixing.")


@pytest.mark.parametrize(
    ("cause_key", "said"),
    [
        ("column ‹name› is not a number in row ‹n›", "column … is not a number in row …"),
        ("‹name› ‹n›: ‹path›, gone", "…, gone"),
        ("no column ‹name›", "no column …"),
        ("it broke", "it broke"),
        ("", ""),
    ],
)
def test_a_cause_is_readable(cause_key: str, said: str) -> None:
    assert readable(cause_key) == said

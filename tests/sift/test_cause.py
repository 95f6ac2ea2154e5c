"""Causes: the same failure with other names, numbers and files is one cause; another failure is another."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sift.cause import MAX_CAUSE, normalised

PIECES = [
    "'",
    '"',
    "`",
    "‹n›",
    "‹",
    "›",
    "/",
    "\\",
    ".",
    "_",
    "-",
    ":",
    " ",
    "\n",
    "1",
    "7f",
    "a",
    "Error",
    "X_Y",
    "é",
    "://",
]


@pytest.mark.parametrize(
    ("cause", "messages"),
    [
        (
            "row ‹n›: column ‹name› is not a number",
            [
                "row 88124: column 'tank_pressure_kpa' is not a number",
                "row 7: column 'it's odd' is not a number",
                "Row 1,204,551:  column “Tankdruck (kPa)” is not a number\n",
                'row 12: column "a" is not a number',
            ],
        ),
        (
            "channel not found: ‹name›",
            [
                "channel not found: engine.chamber_pressure_1",
                "Channel not found: lox_inlet_temp",
                "channel not found: `p`",
            ],
        ),
        ("no data for channel ‹name›", ["no data for channel <vehicle.tank & valve>.pressure"]),
        (
            "cannot open ‹path›: no such file",
            [
                "cannot open /data/hotfire-118/x.csv: no such file",
                r"cannot open C:\daq\a.tdms: no such file",
            ],
        ),
        (
            "cannot read ‹url› (http ‹n›)",
            [
                "cannot read s3://stand-data/hotfire/telemetry_0412.csv (HTTP 403)",
                "Cannot read https://x.y/z?a=1 (HTTP 404)",
            ],
        ),
        (
            "run ‹id› has no data between ‹time› and ‹time›",
            [
                "run 8d5f0c1a-1111-4222-8333-944455566677 has no data between 2026-11-20T08:33:00Z and 2026-11-21",
                "run 8d5f has no data between 2026-11-20 and 2026-11-20 09:00:00.5+01:00",
                "run 8d5f has no data between 08:33:10 and 09:00",
            ],
        ),
        (
            "segment ‹n› is cut off: expected ‹n› bytes, found ‹n›",
            ["segment 17 is cut off: expected 1,048,576 bytes, found -3e5"],
        ),
        ("deadline exceeded: no answer within ‹n› s", ["DEADLINE_EXCEEDED: no answer within 300 s"]),
        ("keyerror: ‹name›", ["KeyError: 'engine.p'", "builtins.KeyError: 'a b'"]),
        ("hotfire-‹n› can't be read and won't be", ["hotfire-118 can't be read and won't be"]),
        ("", ["", " \n"]),
    ],
)
def test_what_differs_from_one_failure_to_the_next_is_left_out(cause: str, messages: list[str]) -> None:
    assert [normalised(message) for message in messages] == [cause] * len(messages)


def test_other_failures_are_other_causes() -> None:
    messages = ["channel not found: p", "division by zero", "no result within 600 s", "INVALID_ARGUMENT", "NOT_FOUND"]
    assert len({normalised(message) for message in messages}) == len(messages)


@given(st.one_of(st.text(max_size=600), st.lists(st.sampled_from(PIECES), max_size=300).map("".join)))
def test_it_is_bounded_and_the_same_again(text: str) -> None:
    cause = normalised(text)
    assert len(cause) <= MAX_CAUSE
    assert normalised(cause) == cause
    assert cause == " ".join(cause.split())


@pytest.mark.parametrize(
    "piece", ["'", "a.", "a_", "/a", "1.", "-/", "<", "a" * 50 + ".", "'a ", "f0", "‹name›.", "a-"]
)
def test_no_text_takes_long(piece: str) -> None:
    began = time.process_time()
    normalised(piece * 5_000)
    assert time.process_time() - began < 1

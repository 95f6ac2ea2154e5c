"""Every message and view keeps Slack's limits, whatever words other people put into it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

from bot.sandbox.slack.block_kit import problems_of_blocks, problems_of_view, too_large
from bot.slack.message import Message
from tests.access import test_messages as access
from tests.alerts import test_messages as alerts
from tests.alerts import test_thread_messages as threads
from tests.app import test_help as app
from tests.digest import test_messages as digests
from tests.home import test_messages as home
from tests.home import test_run_messages as runs
from tests.reading import Shown, Words, as_written
from tests.records import test_messages as records
from tests.retries import test_kind_messages as kinds
from tests.retries import test_messages as retries

FOREIGN: dict[str, Words] = {
    "natural": as_written,
    "long": lambda words: (words + " ") * (5_000 // len(words)),
    "unbroken": lambda _: "x" * 5_000,
    "ampersands": lambda _: "&<>" * 1_700,
    "channel": lambda _: "<!channel> <@UADA> <https://evil.example|Open Sift>",
    "mrkdwn": lambda _: "*bold* _it_ ~no~ `code` ```block``` > quote :fire:",
    "right to left": lambda _: "\u202eתקלה בחיישן\u202c",
    "emoji": lambda _: "👩\u200d🚀" * 1_000,
    "control characters": lambda _: "\x00\x07\r\n\t\x7f" * 800,
}


def everything(words: Words) -> dict[str, Shown]:
    """What all features show."""
    features = (access, alerts, app, digests, home, kinds, records, retries, runs, threads)
    return {f"{one.__name__}: {name}": shown for one in features for name, shown in one.shown(words).items()}


def _single(shown: Shown) -> Iterator[Message | Mapping[str, Any]]:
    if isinstance(shown, Message | Mapping):
        yield shown
    else:
        yield from (piece.marked("abcdefghjk") for piece in shown)


def problems(shown: Message | Mapping[str, Any]) -> list[str]:
    """What Slack, or its SDK, would refuse."""
    if isinstance(shown, Message):
        for block in shown.blocks:
            Block.parse(dict(block)).validate_json()  # type: ignore[union-attr]  # None would be a fault
        lengthy = ["text for notifications"] if not 0 < len(shown.text) <= 40_000 else []
        return [*problems_of_blocks(list(shown.blocks)), *lengthy]
    if "blocks" not in shown:
        return []
    View(**shown).validate_json()
    return [*problems_of_view(shown), *(["too large"] if too_large(shown) else [])]


@pytest.mark.parametrize("words", FOREIGN)
def test_slack_takes_every_message_and_view(words: str) -> None:
    found = {
        name: problem
        for name, shown in everything(FOREIGN[words]).items()
        for one in _single(shown)
        if (problem := problems(one))
    }
    assert found == {}


def _formatted(value: Any) -> Iterator[str]:
    """The texts in which Slack looks for mentions and links; plain text has none."""
    if isinstance(value, Message):
        yield value.text
        yield from _formatted(list(value.blocks))
    elif isinstance(value, list):
        for one in value:
            yield from _formatted(one)
    elif isinstance(value, dict):
        yield from [value["text"]] if value.get("type") == "mrkdwn" else ()
        for one in value.values():
            yield from _formatted(one)


def test_nobody_is_called_by_other_peoples_words() -> None:
    for name, shown in everything(FOREIGN["channel"]).items():
        for text in (text for one in _single(shown) for text in _formatted(one)):
            assert "<!channel>" not in text, name
            assert "<https://evil.example" not in text, name


def test_other_peoples_words_format_nothing() -> None:
    for name, shown in everything(FOREIGN["mrkdwn"]).items():
        for text in (text for one in _single(shown) for text in _formatted(one)):
            for mark in ("*bold*", "_it_", "~no~", "`code`", "```", ":fire:"):
                assert mark not in text, name


def _strings(value: Any) -> Iterator[str]:
    """Every text in a message or view."""
    if isinstance(value, Message):
        yield from _strings([value.text, list(value.blocks)])
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def test_other_peoples_words_turn_no_line_around() -> None:
    for name, shown in everything(FOREIGN["right to left"]).items():
        for text in (text for one in _single(shown) for text in _strings(one)):
            assert "\u202e" not in text, name
            assert text.count("\u2068") == text.count("\u2069"), name

"""Texts are cut where people would cut them, and nothing in them acts unseen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.base.text import clip, reason_of, shorten, visible, width

ODD = "a\u0301\u200d\u200c👩🚀🏽🇩🇪\u202e\u2066\u2069\u2068שلe \n\t\r\x00\x1b\x7f\x9b\u200b\ufeff\u2028\ud800\ufe0f"
texts = st.text(max_size=60) | st.text(st.sampled_from(ODD), max_size=60)


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("the channel is not known", 80, "the channel is not known"),
        ("the channel is not known", 24, "the channel is not known"),
        ("the channel is not known", 20, "the channel is not…"),
        ("the channel is not known", 19, "the channel is not…"),
        ("the channel (of two)", 15, "the channel…"),
        ("tank_pressure_kpa_unfiltered", 12, "tank_pressu…"),
        ("line one\n  line two", 80, "line one line two"),
        ("👩\u200d🚀👩\u200d🚀", 8, "👩\u200d🚀…"),
        ("🇩🇪🇫🇷", 7, "🇩🇪…"),
        ("👍🏽👍🏽", 7, "👍🏽…"),
        ("e\u0301e\u0301", 4, "e\u0301e\u0301"),
        ("e\u0301e\u0301", 3, "e\u0301…"),
        ("תקלה בחיישן", 80, "\u2068תקלה בחיישן\u2069"),
        ("\u202eevil\u202c", 80, "evil"),
        ("a\x00b\x1b[31m", 80, "a␀b␛[31m"),
        ("zero\u200bwidth", 80, "zerowidth"),
    ],
)
def test_it_is_cut_at_a_sensible_place(text: str, most: int, shown: str) -> None:
    assert clip(text, most) == shown


@given(texts, st.integers(4, 40))
def test_it_is_never_too_long(text: str, most: int) -> None:
    assert width(clip(text, most)) <= most
    assert width(shorten(text, most)) <= most


@given(st.lists(st.sampled_from(["a", "e\u0301", "👩\u200d🚀", "👍🏽", "🇩🇪", "❤\ufe0f", "ש", " "])), st.integers(2, 40))
def test_it_is_a_start_of_whole_characters(characters: list[str], most: int) -> None:
    start = shorten("".join(characters), most).removesuffix("…")
    assert start in {"".join(characters[:count]).rstrip() for count in range(len(characters) + 1)} | {
        "".join(characters)
    }


@given(texts)
def test_nothing_in_it_acts_unseen(text: str) -> None:
    for char in visible(text):
        assert char in "\n\t\u200c\u200d" or unicodedata.category(char) not in ("Cc", "Cs"), repr(char)
        assert not 0x202A <= ord(char) <= 0x202E
        assert not 0x2066 <= ord(char) <= 0x2069
    assert visible(visible(text)) == visible(text)


@given(texts, st.integers(4, 40))
def test_the_direction_of_writing_ends_with_it(text: str, most: int) -> None:
    line = clip(text, most)
    assert line.count("\u2068") == line.count("\u2069") <= 1
    assert "\n" not in line
    assert clip(line, most) == line


@pytest.mark.parametrize("text", ["a" + "\u0301" * 5_000, "👩\u200d" * 5_000, "🇩🇪" * 5_000, "\u200d" * 5_000])
def test_mischief_is_cut_too(text: str) -> None:
    assert 1 <= width(clip(text, 40)) <= 40


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("because the stand is down", "the stand is down"),
        ("Because of the wind", "Because of the wind"),
        ("  because  offline ", "offline"),
        ("becausethe", "becausethe"),
        (" ", None),
        ("", None),
        (None, None),
    ],
)
def test_a_reason_does_not_begin_with_because(typed: str | None, kept: str | None) -> None:
    assert reason_of(typed) == kept

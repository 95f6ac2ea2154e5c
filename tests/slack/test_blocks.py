"""Other people's words stay words, and every block keeps its limit."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.base.text import width
from bot.sandbox.slack.block_kit import problems_of_blocks
from bot.slack import blocks

texts = st.text() | st.text(st.sampled_from("ab1 *_~`:<>&!@#|\n\u200dש👩"), max_size=80)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> <@UADA> & co", "&lt;!channel&gt; &lt;@UADA&gt; &amp; co"),
        ("*bold* _it_ ~no~", "∗bold∗ ˍitˍ ∼no∼"),
        ("`code` ```block```", "ˋcodeˋ ˋˋˋblockˋˋˋ"),
        ("channel tank_pressure_kpa is 2*3", "channel tank_pressure_kpa is 2*3"),
        ("__init__ **kw", "ˍˍinitˍˍ ∗∗kw"),
        (":rotating_light: at 08:33:15", "꞉rotating_light: at 08:33:15"),
        ("cli: root", "cli: root"),
    ],
)
def test_it_is_disarmed(text: str, shown: str) -> None:
    assert blocks.escape(text) == shown


@given(texts)
def test_no_mark_of_other_people_takes_effect(text: str) -> None:
    shown = blocks.foreign(text, 60)
    assert not re.search(r"[<>`]|&(?!amp;|lt;|gt;)", shown)
    assert all(
        re.match(r"[A-Za-z0-9][*_~][A-Za-z0-9]", shown[mark.start() - 1 :]) for mark in re.finditer("[*_~]", shown)
    )
    assert not re.search(r":[a-z+][\w+'-]*:", shown)


@given(st.lists(texts, max_size=8).map("\n".join), st.integers(1, 60))
def test_every_text_fits(text: str, times: int) -> None:
    shown: list[Any] = [
        blocks.plain(text * times),
        blocks.as_it_is(text * times),
        blocks.section(f"x{blocks.escape(text * times)}"),
        blocks.context(f"x{blocks.escape(text * times)}"),
        *blocks.fields([("Name", blocks.escape(text * times))]),
        blocks.input_("name", "Label", blocks.select([blocks.option(f"x{text}" * times, "value")])),
    ]
    assert problems_of_blocks(shown) == []


@given(st.text(st.sampled_from("ab &<>\n"), min_size=2_900, max_size=3_200))
def test_what_is_cut_ends_with_a_whole_entity(text: str) -> None:
    shown: Any = blocks.section(f"x{blocks.escape(text)}")
    assert not re.search(r"&[a-z]*(…|$)", shown["text"]["text"])
    assert width(shown["text"]["text"]) <= 3_000
    plain: Any = blocks.plain(text, 3_000)
    assert not re.search(r"&[a-z]*(…|$)", plain["text"]["text"])


def test_a_long_list_is_cut_after_a_line_and_a_sentence_before_a_link() -> None:
    lines: Any = blocks.section("\n".join(f"• `{number:036}`" for number in range(100)))
    assert lines["text"]["text"].endswith("`\n…")
    assert len(lines["text"]["text"].splitlines()[-2]) == 40
    link: Any = blocks.section(f"{'x' * 2_980} <https://acme.slack.com/archives/COPS/p1|in its thread>")
    assert link["text"]["text"] == f"{'x' * 2_980}…"


def test_nothing_to_show_shows_as_a_dash() -> None:
    assert blocks.plain("\u200b\u202e") == blocks.plain("–")

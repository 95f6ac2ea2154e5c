"""What is kept and shown of a job: titles, headlines, and JSON that is bounded and read tolerantly."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sift.about import file_of
from bot.sift.subject import MAX_JSON, About, FailedRule, Named, Subject, Why

START = datetime(2026, 11, 20, 8, 33, tzinfo=UTC)
RUN, ASSET = Named("r", "hotfire-118"), Named("a", "stand-2")


@pytest.mark.parametrize(
    ("subject", "parts"),
    [
        (Subject((RUN,), (ASSET,), file="telemetry_0412.csv"), ("hotfire-118", "stand-2", "telemetry_0412.csv")),
        (Subject((RUN,), (ASSET,), report=Named("p", "Limits")), ("hotfire-118", "stand-2", "Limits")),
        (Subject(uploader_run="hotfire-120", uploader_asset="stand-1"), ("hotfire-120", "stand-1")),
        (Subject((Named("r"),), uploader_run="hotfire-118"), ("hotfire-118",)),
        (
            Subject((RUN, Named("q", "hotfire-119")), (ASSET, Named("b"))),
            ("hotfire-118 and 1 more", "stand-2 and 1 more"),
        ),
        (Subject((RUN,), more_runs=499), ("hotfire-118 and 499 more",)),
        (Subject((Named("r"),), (Named("a"),)), ()),
        (Subject(uploader_run="same", uploader_asset="same"), ("same",)),
        (Subject(), ()),
    ],
)
def test_a_title_says_run_asset_and_file(subject: Subject, parts: tuple[str, ...]) -> None:
    assert subject.title_parts() == parts


def rule(name: str = "chamber_pressure_max", **more: Any) -> FailedRule:
    return FailedRule(name, "0123456789", **{"message": "channel not found", "exit_code": 1, **more})


@pytest.mark.parametrize(
    ("why", "headline"),
    [
        (Why("no data"), "no data"),
        (Why(), ""),
        (Why(rules_total=40), ""),
        (Why("x", (), 40, (rule(), rule())), "2 of 40 rules failed: chamber_pressure_max – channel not found (exit 1)"),
        (Why("x", (), 1, (rule(exit_code=None),)), "1 of 1 rule failed: chamber_pressure_max – channel not found"),
        (Why("x", (), 0, (rule(""),), 4), "5 rules failed: 01234567 – channel not found (exit 1)"),
        (Why("x", (), 3, (rule(message="", exit_code=0),)), "1 of 3 rules failed: chamber_pressure_max (exit 0)"),
    ],
)
def test_a_headline_says_the_cause(why: Why, headline: str) -> None:
    assert why.headline == headline


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("s3://stand-data/hotfire/telemetry_0412.csv", "telemetry_0412.csv"),
        ("https://files.example/daq/stand-1%20fast.tdms?expires=600&token=secret", "stand-1 fast.tdms"),
        ("https://files.example/a/b/#part", "b"),
        (r"C:\daq\run 1.csv", "run 1.csv"),
        ("telemetry.csv", "telemetry.csv"),
        ("http://[", "["),
        ("%ff%00", "\ufffd\x00"),
        ("", ""),
    ],
)
def test_a_file_is_the_last_part_of_where_it_came_from(url: str, file: str) -> None:
    assert file_of(url) == file


FULL = About(
    Subject(
        (RUN,), (ASSET,), 3, 0, "f.csv", Named("p", "Limits"), "u", "v", (START, START + timedelta(minutes=15)), "CSV"
    ),
    Why("no", ("w",), 40, (rule(stdout="o", stderr="e", explore_link="https://x.example/explore?a=1"),), 2),
)


def test_what_is_kept_is_read_again() -> None:
    assert About.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL
    assert About().to_json() == {}


@pytest.mark.parametrize("kept", [None, 7, "x", [], {}, {"subject": 7, "why": [1]}, {"subject": {"window": ["x", 1]}}])
def test_what_cannot_be_read_is_left_out(kept: object) -> None:
    assert About.from_json(kept) == About()


def test_one_unreadable_item_costs_none_of_the_others() -> None:
    rules = [7, {"name": "a", "exit_code": "x"}, None, {"name": ["b"]}]
    kept = {"later": 1, "why": {"message": "no", "rules_failed": rules}, "subject": {"runs": [RUN.__dict__, "x"]}}
    about = About.from_json(kept)
    assert (about.subject.runs, about.why.message) == ((RUN,), "no")
    assert [rule.name for rule in about.why.rules_failed] == ["a", ""]


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "word " * 2_000, "😀" * 10_000, "\n" * 10_000, "\u202e<!channel>`*" * 800]
)
def test_it_fits_into_a_row_whatever_sift_says(text: str) -> None:
    failed = FailedRule(text, text, text, 1, text, text, "https://x.example/" + "y" * 1_400)
    named = Named(text, text)
    about = About(
        Subject((named,) * 500, (named,) * 500, 0, 0, text, named, text, text, (START, START), text),
        Why(text, (text,) * 100, 500, (failed,) * 500),
    )
    kept = about.to_json()
    assert len(json.dumps(kept)) <= MAX_JSON
    read = About.from_json(kept)
    assert read.to_json() == kept
    assert len(read.subject.runs) + read.subject.more_runs == 500
    assert len(read.why.rules_failed) + read.why.more_failed == 500
    assert read.subject.window == (START, START)


def test_texts_are_cut_between_words_and_output_is_kept_from_its_end() -> None:
    long = " ".join(f"word{number}" for number in range(1_000))
    output = "\n".join(f"line {number}" for number in range(1_000))
    about = About(why=Why(long, (), 1, (FailedRule(stderr=output),))).fitted()
    assert about.why.message.endswith("…")
    assert long.startswith(about.why.message[:-1] + " ")
    assert about.why.rules_failed[0].stderr.startswith("…line ")
    assert about.why.rules_failed[0].stderr.endswith("\nline 999")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["subject", "why", "runs", "message", "window", "rules_failed", "report", "id"]), inner
            )
        ),
    )
)
def test_reading_never_raises(kept: object) -> None:
    assert len(json.dumps(About.from_json(kept).to_json())) <= MAX_JSON

"""What of the audit is asked for: read from the form, and carried from page to page by a button."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.audit.entry import Filters
from bot.records.search import MAX_PATH, Search, from_search_view, search_of, value_of_search, what_of
from bot.slack.payloads import Malformed
from tests.conftest import NOW
from tests.reading import JOB

BERLIN = ZoneInfo("Europe/Berlin")


def submitted(**given: Any) -> dict[str, Any]:
    """A submitted form; an input of each sort is filled in by its name."""
    elements: dict[str, Callable[[Any], dict[str, Any]]] = {
        "person": lambda one: {"selected_user": one},
        "job": lambda one: {"value": one},
        "run": lambda one: {"value": one},
        "outcome": lambda one: {"selected_option": {"value": one}},
        "from": lambda one: {"selected_date": one},
        "until": lambda one: {"selected_date": one},
        "reads": lambda some: {"selected_options": some},
    }
    values = {name: {name: fill(given.get(name))} for name, fill in elements.items()}
    return {"type": "view_submission", "view": {"id": "V1", "state": {"values": values}}}


def asked(**given: Any) -> Search | dict[str, str]:
    return from_search_view(submitted(**given), BERLIN, NOW)


def test_an_empty_form_asks_for_everything() -> None:
    assert asked(reads=[]) == Search()


def test_a_form_filled_in_is_read() -> None:
    given = {"person": "UANN", "job": f" <https://app.siftstack.com/jobs/{JOB}> ", "run": " hotfire-118 "}
    when = {"from": "2026-10-24", "until": "2026-10-25"}
    box = [{"value": "reads"}]
    filters = Filters(
        job_id=JOB,
        user_id="UANN",
        run="hotfire-118",
        outcome="failed_again",
        since=datetime(2026, 10, 23, 22, tzinfo=UTC),
        until=datetime(2026, 10, 25, 23, tzinfo=UTC),  # the day on which the clock went back is 25 hours long
    )
    assert asked(**given, **when, outcome="failed_again", reads=box) == Search(filters, reads=True)


def test_a_run_is_named_by_a_link_or_an_id() -> None:
    for given in (JOB.upper(), f"https://app.siftstack.com/run/{JOB}"):
        found = asked(run=given)
        assert isinstance(found, Search)
        assert found.filters.run == JOB


def test_what_is_wrong_stands_at_its_field() -> None:
    assert asked(job="hotfire-118") == {"job": "That is neither a Sift job ID nor a link that holds one."}
    assert asked(run="x" * 300) == {"run": "A run's name has 150 characters at most here: use its ID or its link."}
    assert asked(**{"from": "2026-12-01"}) == {"from": "That day is still to come."}
    before = {"from": "2026-11-02", "until": "2026-11-01"}
    assert asked(**before, job="x") == {
        "job": "That is neither a Sift job ID nor a link that holds one.",
        "until": "That is before the first day.",
    }
    same = {"from": "2026-11-02", "until": "2026-11-02"}
    assert isinstance(asked(**same), Search)


@pytest.mark.parametrize("odd", [{"outcome": "sent"}, {"from": "yesterday"}, {"until": "9999-12-31"}])
def test_what_no_form_of_ours_sends_is_malformed(odd: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        asked(**odd)


def test_a_search_is_read_back_from_its_button() -> None:
    since, until = NOW - timedelta(days=7), NOW
    narrow = Search(Filters(JOB, "UANN", outcome="lost", run="Prüfstand “2”", since=since, until=until), reads=True)
    for search in (Search(), narrow):
        assert search_of(value_of_search(search, [2_000, 1_231])) == (search, [2_000, 1_231])


def test_the_longest_search_fits_into_a_button() -> None:
    filters = Filters(JOB, "U" * 20, outcome="failed_again", run="\u202e" * 150, since=NOW, until=NOW)
    value = value_of_search(Search(filters, reads=True), [9_999_999_999] * 500)
    assert len(value) <= 2_000
    assert len(search_of(value)[1]) == MAX_PATH


@pytest.mark.parametrize("value", ["", "{}", "[]", "null", '{"p": null}', '{"p": ["x"]}', '{"s": "never", "p": []}'])
def test_a_value_of_another_make_is_no_search(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # JSON's and the dates' own errors, whatever they say
        search_of(value)


def test_a_button_of_the_version_before_still_works() -> None:
    value = f'{{"j": "{JOB}", "u": null, "s": "2026-11-13T12:00:00.000000Z", "p": [2000]}}'
    assert search_of(value) == (Search(Filters(job_id=JOB, since=datetime(2026, 11, 13, 12, tzinfo=UTC))), [2_000])


def test_whoever_reads_leaves_what_they_searched_for() -> None:
    narrow = Search(Filters(JOB, "UANN", "abcdefghjk", "lost", "hotfire-118", NOW, NOW))
    assert set(what_of(narrow)) == {"job", "user", "request", "outcome", "run", "since", "until"}
    assert what_of(Search()) == {}

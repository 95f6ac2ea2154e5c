"""What people read of the records, word for word."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.audit.entry import Filters, Head
from bot.audit.signing import SignedHead
from bot.records import messages
from bot.records.stats import Stats
from bot.retries.record import Frequent, Record
from tests.conftest import NOW
from tests.reading import JOB, PLACE, Shown, Words, as_written, read


def an_entry(**more: Any) -> SimpleNamespace:
    """A row of the audit, as it is read."""
    names = ("outcome", "request_id", "job_id", "status_before", "status_after", "user_id", "user_name", "channel_id")
    blank = dict.fromkeys((*names, "reason"))
    return SimpleNamespace(**{**blank, "id": 1_234, "at": NOW, "event": "request", "detail": "{}", **more})


def entries(t: Words) -> list[SimpleNamespace]:
    """An entry of each sort."""
    whole = {"user_id": "UANN", "user_name": t("Ann"), "request_id": "abcdefghjk", "job_id": JOB}
    return [
        an_entry(
            **whole,
            outcome="finished",
            status_before="JOB_STATUS_FAILED",
            status_after="JOB_STATUS_FINISHED",
            channel_id="COPS",
            detail='{"thread_ts": "1763640000.000100"}',
            reason=t("the sensor was offline"),
        ),
        an_entry(**whole, id=1_233, outcome="requested"),
        an_entry(id=1_232, event="grant", user_id=t("cli: root")),
        an_entry(id=1_231, event="anchor"),
    ]


STATS = Stats(
    NOW - timedelta(days=30),
    {"2026-11-19": {"finished": 5, "failed_again": 2, "denied": 1}, "2026-11-20": {"finished": 1}},
    {"JOB_TYPE_DATA_IMPORT": 6, "JOB_TYPE_RULE_EVALUATION": 1},
    {"UANN": 6, "UBEN": 3},
    (
        Frequent("column ‹name› is not a number in row ‹n›", Record(0, 5)),
        Frequent("the source did not answer within ‹n› s", Record(6, 7)),
    ),
)
"""Nine requests of two people."""


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of the records, by name; other people's words as `t` puts them."""
    head = Head(1_234, "0123456789abcdef" * 4)
    said = messages.exported(12, 1_000, str(SignedHead(head)))
    narrow = Filters(job_id=JOB, user_id="UANN", since=NOW - timedelta(days=7))
    nothing = Stats(NOW - timedelta(days=30), {}, {}, {})
    return {
        "head": messages.anchored(SignedHead(head), NOW),
        "head, signed": messages.anchored(SignedHead(head, "s" * 86), NOW),
        "page": messages.page(entries(t), Filters(), [], True, PLACE.workspace),
        "page, in the middle": messages.page(entries(t), narrow, [2_000, 1_500], True, PLACE.workspace),
        "page, the last": messages.page(entries(t)[:1], Filters(user_id="UANN"), [2_000], False, PLACE.workspace),
        "page, empty": messages.page([], Filters(job_id=JOB), [], False, PLACE.workspace),
        "page, of many": messages.page(entries(t) * 10, Filters(), [], True, PLACE.workspace),
        "export": said,
        "export, cut": messages.exported(1_000, 1_000, str(SignedHead(head))),
        "export, sent directly": messages.sent_directly(said),
        "export, not taken": messages.not_uploaded(t("file_upload_failed")),
        "numbers": messages.numbers(STATS, {"UANN": t("Ann")}),
        "numbers, none": messages.numbers(nothing, {}),
        "numbers, nothing ended": messages.numbers(
            Stats(NOW, {"2026-11-20": {"requested": 1}}, {t("JOB_TYPE_X"): 1}, {"UANN": 1}), {"UANN": t("Ann")}
        ),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


def test_the_picture_has_an_alternative_in_words() -> None:
    assert messages.alternative(STATS, {"UANN": "Ann"}) == (
        "9 requests; 6 of 8 helped. finished 6, failed again 2, denied 1. Per day: 2026-11-19: 8; 2026-11-20: 1. "
        "By person: Ann 6, UBEN 3."
    )
    assert len(messages.alternative(STATS, {"UANN": "Ann " * 2_000})) <= 1_900


def test_the_search_of_a_page_is_read_back_from_its_button() -> None:
    narrow = Filters(job_id=JOB, user_id="UANN", since=NOW - timedelta(days=7))
    page: Any = messages.page(entries(as_written), narrow, [2_000], True, PLACE.workspace)
    newer, older, export = (button["value"] for button in page.blocks[-1]["elements"])
    assert messages.search_of(newer) == (narrow, [])
    assert messages.search_of(older) == (narrow, [2_000, 1_231])
    assert messages.search_of(export) == (narrow, [])


@pytest.mark.parametrize("value", ["", "{}", "[]", "null", '{"p": null}', '{"p": ["x"]}', '{"s": "never", "p": []}'])
def test_a_value_of_another_make_is_no_search(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # JSON's and the dates' own errors, whatever they say
        messages.search_of(value)

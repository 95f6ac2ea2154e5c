"""Which reports missed an import's data, and by which report a rerun is known."""

import json
from datetime import timedelta

import pytest

from bot.retries.kind import Kind
from bot.retries.late import MAX_REPORTS, Late, LateReport, before, may_have_come_late, taken_up, together
from bot.retries.state import State
from bot.sift.job import Job
from bot.sift.report import Report
from bot.sift.subject import Named
from tests.conftest import NOW
from tests.reading import a_job

RUN, SECOND = Named("r1", "hotfire-118"), timedelta(seconds=1)


def report(name: str, seconds: float | None = -60, rerun_from: str = "", job_id: str | None = None) -> Report:
    """A report that was made so many seconds after the import's end."""
    created = None if seconds is None else NOW + timedelta(seconds=seconds)
    job_id = f"job of {name}" if job_id is None else job_id
    return Report(report_id=name, name=name, created_date=created, rerun_from_report_id=rerun_from, job_id=job_id)


@pytest.mark.parametrize(
    ("reports", "late"),
    [
        ([], []),
        ([report("a")], ["a"]),
        ([report("a", -0.001)], ["a"]),
        ([report("a", 0)], []),
        ([report("a", 5)], []),
        ([report("a", None)], []),
        ([report("a", job_id="")], []),
        ([report("")], []),
        ([report("x" * 101)], []),
        ([report("b", 5, "a"), report("a")], []),  # evaluated again since
        ([report("b", -30, "a"), report("a")], ["b"]),  # again, and too early again
        ([report("c", 5, "b"), report("b", -30, "a"), report("a")], []),
        ([report("b"), report("a")], ["b", "a"]),
        ([report("b", job_id="j"), report("a", job_id="j")], ["b"]),  # nonsense: one job, two reports
    ],
)
def test_what_was_evaluated_before_is_late_unless_it_was_again(reports: list[Report], late: list[str]) -> None:
    found = before(RUN, reports, NOW)
    assert [one.id for one in found.reports] == late
    assert found.run == RUN


def test_so_many_are_kept_and_the_others_counted() -> None:
    found = before(
        Named("r1", "n" * 300), [report(f"{n:03}" + "x" * 300, n - 100) for n in range(MAX_REPORTS + 5)], NOW
    )
    assert found.reports == ()
    found = before(RUN, [report(f"{n:03}", n - 100) for n in range(MAX_REPORTS + 5)], NOW)
    assert (len(found.reports), found.more) == (MAX_REPORTS, 5)
    assert len(json.dumps(found.to_json())) < 8_000


def test_it_is_read_as_it_was_kept() -> None:
    found = before(RUN, [report("a"), report("b")], NOW).marked("a", "UBEN")
    assert Late.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert [one.id for one in found.open] == ["b"]
    assert found.marked("a", "").open == found.marked("c", "UBEN").marked("a", "").reports


@pytest.mark.parametrize("kept", [None, 7, "x", [], {"reports": 3}, {"reports": [7, {"id": []}]}, {"run": 5}])
def test_nonsense_in_a_row_offers_nothing(kept: object) -> None:
    assert [one.id for one in Late.from_json(kept).reports if one.id] == []


def test_several_imports_of_a_run_tell_each_report_once() -> None:
    first, second = before(RUN, [report("a"), report("b")], NOW), before(RUN, [report("b"), report("c")], NOW)
    both = together([first, Late(), second.marked("b", "UBEN")])
    assert both.run == RUN
    assert [(one.id, one.rerun_by) for one in both.reports] == [("a", ""), ("b", "UBEN"), ("c", "")]
    assert together([]) == together([Late()]) == Late()
    other = Late(Named("r2", "hotfire-119"), (LateReport("d", "d", "j"),))
    assert together([first, other]).run == Named()


@pytest.mark.parametrize(
    ("rerun", "known", "ours"),
    [
        (report("n", 0, "a"), [], True),
        (report("n", 5, "a"), [], True),
        (report("n", -1, "a"), [], False),  # made before it was asked for
        (report("n", None, "a"), [], False),
        (report("n", 5, "b"), [], False),
        (report("n", 5), [], False),
        (report("n", 5, "a", job_id=""), [], False),
        (report("n", 5, "a"), ["job of n"], False),  # another request's
        (report("n", 5, "a"), ["job of m"], True),
    ],
)
def test_a_rerun_is_known_by_the_report_that_it_made(rerun: Report, known: list[str], ours: bool) -> None:
    assert taken_up(rerun, "a", NOW, known) == ours


IMPORT = a_job("FINISHED", jobDetails={"dataImport": {"dataImportId": "i"}})


@pytest.mark.parametrize(
    ("kind", "state", "job", "expected"),
    [
        (Kind.RETRY, State.FINISHED, IMPORT, True),
        (Kind.CANCEL, State.FINISHED, IMPORT, False),
        (Kind.RERUN, State.FINISHED, IMPORT, False),
        *((Kind.RETRY, state, IMPORT, False) for state in State if state is not State.FINISHED),
        (Kind.RETRY, State.FINISHED, None, False),
        (Kind.RETRY, State.FINISHED, a_job("FINISHED", "DATA_EXPORT"), False),
    ],
)
def test_only_the_retry_of_an_import_brings_data(kind: Kind, state: State, job: Job | None, expected: bool) -> None:
    assert may_have_come_late(kind, state, job) == expected

"""What people read of cancellations, of late data, and of reports that are evaluated again, word for word."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.retries.kind import Kind
from bot.retries.late import Late, LateReport
from bot.retries.messages import cancel, kinds, rerun
from bot.retries.request import Retry
from bot.retries.state import RefusalReason, State
from bot.sift.subject import About, Named, Subject
from tests.conftest import NOW
from tests.reading import JOB, OTHER, PLACE, Shown, Words, a_job, as_written, read
from tests.retries.test_messages import a_batch, a_retry

REPORT, NEW = "5f0e1d2c-0000-4000-8000-000000000001", "5f0e1d2c-0000-4000-8000-000000000002"
BY: dict[str, Any] = {"by": "UBEN", "channel_id": "COPS", "ts": "1763640000.000300"}
THREAD = "1763640000.000400"


def _about(t: Words) -> About:
    named = Named("r1", t("hotfire-118")), Named("a1", t("stand-2"))
    return About(Subject(runs=(named[0],), assets=(named[1],), file=t("telemetry_0412.csv")))


def _late(t: Words, *rerun_by: str, more: int = 0) -> Late:
    names = (t("Hot-fire limits"), t("Start sequence"), "")
    taken = [*rerun_by, "", "", ""]
    times = (NOW - timedelta(minutes=5), NOW - timedelta(minutes=4), None)
    reports = [LateReport(f"{REPORT[:-1]}{n}", name, JOB, taken[n], times[n]) for n, name in enumerate(names)]
    return Late(Named("r1", t("hotfire-118")), tuple(reports), more)


def a_cancellation(t: Words, state: State = State.ACCEPTED, **more: Any) -> Retry:
    values: dict[str, Any] = {
        "kind": Kind.CANCEL,
        "thread_ts": THREAD,
        "attempt": None,
        "about": _about(t),
        "source": "modal",
    }
    values |= {"job_before": a_job("RUNNING", completedDate=None), "sent_at": NOW, "shown": {}}
    return a_retry(state, **{**values, **more})


def a_rerun(t: Words, state: State = State.ACCEPTED, **more: Any) -> Retry:
    about = About(Subject(runs=(Named("r1", t("hotfire-118")),), report=Named(REPORT, t("Hot-fire limits"))))
    values: dict[str, Any] = {
        "kind": Kind.RERUN,
        "thread_ts": THREAD,
        "attempt": None,
        "about": about,
        "report_id": REPORT,
    }
    values |= {"job_before": a_job("FINISHED", "RULE_EVALUATION"), "sent_at": NOW, "shown": {}, "offered": "bcdefghjkm"}
    return a_retry(state, **{**values, **more})


def _new(status: str) -> dict[str, Any]:
    """The job that a rerun began."""
    details = {"jobDetails": {"ruleEvaluation": {"reportId": NEW}}}
    ended = {} if status in ("FINISHED", "FAILED", "CANCELLED") else {"completedDate": None}
    return {"new_job_id": OTHER, "job_after": a_job(status, "RULE_EVALUATION", OTHER, **details, **ended)}


def _cancellations(t: Words) -> dict[str, Retry]:
    stopping: dict[str, Any] = {"job_after": a_job("CANCEL_REQUESTED", completedDate=None)}
    said = {"message": t("Sift does not answer as it should.")}
    return {
        "requested": a_cancellation(t, State.REQUESTED),
        "accepted": a_cancellation(t, reason=t("wrong file"), **stopping),
        "accepted, nothing known of the job": a_cancellation(t, about=About()),
        "accepted in a channel": a_cancellation(t, thread_ts=None),
        "accepted unpostable": a_cancellation(t, unpostable="not_in_channel"),
        "unknown": a_cancellation(t, State.UNKNOWN),
        "unknown overdue": a_cancellation(t, State.UNKNOWN, detail={"overdue": True}),
        "not applied": a_cancellation(t, State.NOT_APPLIED, detail={"why": "unchanged"}),
        "not applied gone": a_cancellation(t, State.NOT_APPLIED, detail={"why": "gone"}),
        "cancelled": a_cancellation(t, State.CANCELLED, job_after=a_job("CANCELLED")),
        "finished": a_cancellation(t, State.FINISHED, job_after=a_job("FINISHED")),
        "failed": a_cancellation(t, State.FAILED_AGAIN, job_after=a_job()),
        "lost": a_cancellation(t, State.LOST, detail={"why": "gone"}),
        "denied": a_cancellation(t, State.DENIED, detail={"why": "not_listed", "ask": ["UADA"]}),
        "refused": a_cancellation(t, State.FAILED, detail={"why": "permission_denied", **said}),
        "unread": a_cancellation(t, State.FAILED, detail={"why": "unavailable", "stage": "read", **said}),
    }


def _reruns(t: Words) -> dict[str, Retry]:
    return {
        "accepted": a_rerun(t, detail={"new_report_id": NEW}, new_job_id=OTHER),
        "running": a_rerun(t, **_new("RUNNING")),
        "being cancelled": a_rerun(t, **_new("CANCEL_REQUESTED")),
        "accepted in a channel": a_rerun(t, thread_ts=None),
        "accepted unpostable": a_rerun(t, unpostable="not_in_channel"),
        "unknown": a_rerun(t, State.UNKNOWN),
        "unknown overdue": a_rerun(t, State.UNKNOWN, detail={"overdue": True}),
        "not applied": a_rerun(t, State.NOT_APPLIED, detail={"why": "unchanged"}),
        "finished": a_rerun(t, State.FINISHED, **_new("FINISHED")),
        "failed": a_rerun(t, State.FAILED_AGAIN, **_new("FAILED")),
        "failed, and retried since": a_rerun(t, State.FAILED_AGAIN, **_new("FAILED"), superseded_by="cdefghjkmn"),
        "cancelled": a_rerun(t, State.CANCELLED, **_new("CANCELLED")),
        "lost": a_rerun(t, State.LOST, detail={"why": "gone"}, new_job_id=OTHER),
        "denied": a_rerun(t, State.DENIED, detail={"why": "other_job_type", "job_types": ["data_import"]}),
        "failed at once": a_rerun(t, State.FAILED, detail={"why": "not_found", "message": t("no such report")}),
    }


def _refusals(t: Words) -> dict[str, Retry]:
    """A private answer for every reason that nothing was done for."""
    details: dict[RefusalReason, dict[str, Any]] = {why: {} for why in RefusalReason}
    details[RefusalReason.UNDER_WAY] = details[RefusalReason.JUST_RETRIED] = BY
    details[RefusalReason.STALE] = {"seconds": 1_500}
    shown: dict[str, Retry] = {}
    for why, detail in details.items():
        told = {"detail": {"why": why.value, **detail}}
        shown[f"cancel refused {why}"] = a_cancellation(t, State.REFUSED, job_after=a_job("FINISHED"), **told)
        shown[f"rerun refused {why}"] = a_rerun(t, State.REFUSED, **told)
    return shown


def _batches(t: Words) -> dict[str, Shown]:
    def batch(*members: Retry, **more: Any) -> Shown:
        counts: dict[State, int] = {}
        for one in members:
            counts[one.state] = counts.get(one.state, 0) + 1
        return kinds.batch_pieces(
            a_batch(counts, list(members), **{"kind": Kind.RERUN, "thread_ts": THREAD, **more}), PLACE
        )

    waiting, under_way = a_rerun(t, State.REQUESTED, sent_at=None), a_rerun(t, **_new("RUNNING"))
    finished, failed = a_rerun(t, State.FINISHED, **_new("FINISHED")), a_rerun(t, State.FAILED_AGAIN, **_new("FAILED"))
    off = a_rerun(t, State.REFUSED, sent_at=None, detail={"why": "rerun_off"})
    denied: dict[str, Any] = {"why": "not_listed", "ask": ["UADA"]}
    again = replace(a_retry(State.FINISHED, job_after=a_job("FINISHED")), late=_late(t, "UBEN"))
    return {
        "reruns waiting": batch(waiting, waiting, shown={}),
        "reruns under way": batch(waiting, under_way),
        "reruns ended": batch(finished, failed),
        "reruns unpostable": batch(under_way, unpostable="not_in_channel", shown={}),
        "reruns refused in part": batch(off, finished),
        "reruns refused": batch(off, off, shown={}),
        "reruns refused, which others saw": batch(off, off),
        "reruns denied": batch(waiting, waiting, refusal=denied),
        "reruns under way already": batch(waiting, waiting, refusal={"why": "under_way", **BY}),
        "late data of a batch": kinds.batch_pieces(
            a_batch({State.FINISHED: 2}, [again, replace(again, late=_late(t))]), PLACE
        ),
    }


def _late_data(t: Words) -> dict[str, Shown]:
    def said(found: Late, **more: Any) -> Shown:
        row = replace(a_retry(State.FINISHED, job_after=a_job("FINISHED"), **more), late=found)
        return [piece for piece in kinds.pieces(row, PLACE) if "late" in piece.kind]

    one = replace(_late(t), reports=_late(t).reports[:1])
    return {
        "late data": said(_late(t)),
        "late data, one report": said(one),
        "late data, some taken up": said(_late(t, "UBEN")),
        "late data, all taken up": said(_late(t, "UBEN", "UANN", "UANN")),
        "late data, many": said(_late(t, more=7)),
        "late data, the run has no name": said(replace(_late(t), run=Named("r1"))),
        "late data unpostable": said(one, unpostable="not_in_channel", shown={}),
        "late data, no way into Sift": rerun.late_pieces(
            "abcdefghjk", one, replace(PLACE, sift_app_url=None), private=False
        ),
    }


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of these kinds, by name; other people's words as `t` puts them."""
    origin = {"source": "modal", "channel_id": "COPS", "thread_ts": THREAD, "asked_in": None}
    stopping = a_retry(job_after=a_job("CANCEL_REQUESTED", completedDate=None))
    rows = {
        **{f"cancel {name}": row for name, row in _cancellations(t).items()},
        **{f"rerun {name}": row for name, row in _reruns(t).items()},
        **_refusals(t),
        "retry being cancelled": stopping,
    }
    return {
        **{name: kinds.pieces(row, PLACE) for name, row in rows.items()},
        **_batches(t),
        **_late_data(t),
        "cancel modal": cancel.cancel_view(a_retry(about=_about(t)), origin),
        "cancel modal of a rerun": cancel.cancel_view(a_rerun(t, **_new("RUNNING")), origin),
        "nothing to cancel": cancel.nothing_to_cancel(),
        "nothing to rerun": rerun.nothing_left(),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


@pytest.mark.parametrize("state", State)
def test_what_may_be_cancelled_is_under_way(state: State) -> None:
    assert cancel.cancellable(a_retry(state)) == (state is State.ACCEPTED)
    assert not cancel.cancellable(a_cancellation(as_written, state))
    assert not cancel.cancellable(a_retry(state, job_after=a_job("CANCEL_REQUESTED")))
    assert not cancel.cancellable(a_retry(state, job_after=a_job("FINISHED")))

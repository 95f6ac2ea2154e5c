"""What people read of retries, batches and second persons, word for word."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.retries.messages import answers, approval, batch, cooldown, modals
from bot.retries.messages import retry as messages
from bot.retries.record import Record
from bot.retries.request import Batch, Retry
from bot.retries.spoken import Spoken
from bot.retries.state import ApprovalReason, RefusalReason, State
from bot.sift.errors import AnswerTooLarge, OutcomeUnknown, SiftError, Unauthenticated
from bot.sift.subject import About, Why
from bot.slack.blocks import message_view
from tests.conftest import NOW
from tests.reading import JOB, OTHER, PLACE, Shown, Words, a_job, about, about_rules, as_written, read

LATER = NOW + timedelta(seconds=25)
"""When the cooldown ends."""


def a_retry(state: State = State.ACCEPTED, **more: Any) -> Retry:
    """A request of a minute ago for a data import that failed."""
    values: dict[str, Any] = {
        "id": "abcdefghjk",
        "delivery_key": "command:1",
        "job_id": JOB,
        "team_id": "T1",
        "user_id": "UANN",
        "source": "command",
        "channel_id": "COPS",
        "created_at": NOW - timedelta(minutes=1),
        "shown": {"announcement": {"ts": "1763640000.000100"}},
        "state": state,
        "fence": 1,
        "missed": 0,
        "detail": {},
        "attempt": 1,
        "job_before": a_job(),
    }
    return Retry(**{**values, **more})


MAY = {"may_approve": ["UBEN", "SLEADS"], "more": 3}
"""Who could approve, as a row keeps it."""


def a_batch(states: dict[State, int], members: list[Retry] | None = None, **more: Any) -> Batch:
    values: dict[str, Any] = {
        "id": "bcdefghjkm",
        "delivery_key": "command:2",
        "team_id": "T1",
        "user_id": "UANN",
        "source": "command",
        "channel_id": "COPS",
        "created_at": NOW - timedelta(minutes=1),
        "shown": {"announcement": {"ts": "1763640000.000200"}},
        "total": sum(states.values()),
        "states": {state.value: count for state, count in states.items()},
        "members": members if members is not None else _members(states),
    }
    return Batch(**{**values, **more})


def _members(states: dict[State, int]) -> list[Retry]:
    each = [state for state, count in states.items() for _ in range(count)]
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number, _ in enumerate(each)]
    return [
        a_retry(state, id=f"member{number:04}", job_id=ids[number], job_before=a_job(job_id=ids[number]))
        for number, state in enumerate(each)
    ]


_EXPORT: dict[str, Any] = {
    "jobDetails": {
        "dataExport": {
            "request": {
                "runsAndTimeRange": {
                    "runIds": ["r1", "r2"],
                    "startTime": "2026-11-19T00:00:00Z",
                    "stopTime": "2026-11-20T00:00:00Z",
                },
                "channelIds": ["c1", "c2", "c3"],
                "calculatedChannelConfigs": [{"name": "ratio", "expression": "$1/$2"}],
                "outputFormat": "EXPORT_OUTPUT_FORMAT_PARQUET",
            }
        }
    }
}


def _points(done: int, total: int) -> dict[str, Any]:
    return {"jobStatusDetails": {"dataImport": {"pointsProcessed": str(done), "pointsTotal": str(total)}}}


def _reasons(t: Words) -> dict[str, Shown]:
    """A private answer for every reason that nothing was retried for."""
    denied: dict[str, dict[str, Any]] = {
        "not_listed": {},
        "nobody_to_ask": {"why": "not_listed", "ask": []},
        "expired": {"expired_seconds": 7_500},
        "other_role": {"role": "auditor"},
        "other_channel": {"channels": ["COPS", "CLAB"]},
        "other_job_type": {"job_types": ["data_export", "rule_evaluation"]},
        **{why: {} for why in ("groups_unknown", "unknown_person", "other_workspace", "deactivated", "is_bot")},
        **{why: {} for why in ("is_guest", "approval_expired", "approval_needed")},
        "approval_declined": {"by": "UBEN", "said": t("the customer watches")},
        "never_heard_of": {},
    }
    by = {"by": "UBEN", "channel_id": "COPS", "ts": "1763640000.000300"}
    refused: dict[str, tuple[dict[str, Any], str]] = {
        "under_way": (by, "RUNNING"),
        "under_way_unseen": ({"why": "under_way", "by": "UBEN"}, "RUNNING"),
        "just_retried": (by, "FAILED"),
        "cooldown": ({"by": "UBEN", "seconds": 25}, "FAILED"),
        "queued": ({**by, "seconds": 25}, "FAILED"),
        "withdrawn": ({}, "FAILED"),
        "restored": ({}, "FAILED"),
        "awaited": (by, "FAILED"),
        "moved_on": ({}, "FINISHED"),
        "moved_on_failed": ({"why": "moved_on"}, "FAILED"),
        "outdated": ({}, "FAILED"),
        "stale": ({"seconds": 1_500}, "FAILED"),
        "unknown_job": ({}, "FAILED"),
        "never_heard_of": ({}, "FAILED"),
        **{
            f"not_retryable_{status.lower()}": ({"why": "not_retryable"}, status)
            for status in ("FINISHED", "RUNNING", "CREATED", "CANCEL_REQUESTED", "ON_HOLD")
        },
        "not_retryable_after_all": ({"why": "not_retryable", "stage": "post"}, "FINISHED"),
    }
    failed: dict[str, dict[str, Any]] = {
        **{why: {} for why in ("unauthenticated", "permission_denied", "cannot_be_retried", "not_found")},
        **{why: {} for why in ("invalid_argument", "conflict", "rate_limited", "unreachable")},
        **{why: {} for why in ("too_long", "never_heard_of")},
        "unread": {"why": "unavailable", "stage": "read"},
    }
    shown: dict[str, Retry] = {}
    for why, detail in denied.items():
        shown[f"denied {why}"] = a_retry(State.DENIED, detail={"why": why, "ask": ["UADA", "UBOB"], **detail})
    for why, (detail, status) in refused.items():
        shown[f"refused {why}"] = a_retry(State.REFUSED, detail={"why": why, **detail}, job_before=a_job(status))
    for why, detail in failed.items():
        said = t("Sift does not answer as it should.")
        shown[f"failed {why}"] = a_retry(State.FAILED, detail={"why": why, "message": said, **detail})
    shown["refused unknown_job, never read"] = a_retry(State.REFUSED, detail={"why": "unknown_job"}, job_before=None)
    shown["refused, known"] = a_retry(State.REFUSED, detail={"why": "cooldown", **by, "seconds": 25}, about=about(t))
    return {name: messages.pieces(replace(one, shown={}), PLACE) for name, one in shown.items()}


def _retries(t: Words) -> dict[str, Shown]:
    after = {"job_after": a_job("FINISHED")}
    why = t("Line 7 is no number.")
    known = about(t)
    failed_again = {
        "job_after": a_job("FAILED", **_points(300, 1_200)),
        "about": About(known.subject, Why(why)),
        "again": Why(t("Line 8 is no number.")),
    }
    never = Record(0, 12)
    retries = {
        "requested": a_retry(State.REQUESTED, shown={}),
        "requested, announced, put off": a_retry(State.REQUESTED, detail={"why": "rate_limited"}, about=known),
        "refused, announced": a_retry(State.REFUSED, detail={"why": "not_retryable", "stage": "post"}, about=known),
        "failed, announced": a_retry(State.FAILED, detail={"why": "unreachable", "message": ""}, about=known),
        "sending": a_retry(State.SENDING, shown={}),
        "sending in a thread": a_retry(State.SENDING, shown={}, thread_ts="1763640000.000400"),
        "sending unpostable": a_retry(State.SENDING, shown={}, unpostable="not_in_channel"),
        "unknown": a_retry(State.UNKNOWN),
        "unknown overdue": a_retry(State.UNKNOWN, detail={"overdue": True}),
        "unknown restored": a_retry(State.UNKNOWN, detail={"why": "restored"}),
        "not applied": a_retry(State.NOT_APPLIED, detail={"why": "unchanged"}),
        "not applied outside": a_retry(State.NOT_APPLIED, detail={"why": "outside"}, job_after=a_job("RUNNING")),
        "not applied restored": a_retry(State.NOT_APPLIED, detail={"why": "restored"}),
        "accepted": a_retry(
            reason=t("the sensor was offline"),
            job_after=a_job("RUNNING", **_points(300, 1_200), completedDate=None),
            about=known,
        ),
        "accepted, never read": a_retry(job_before=None),
        "accepted, not started": a_retry(job_after=a_job("CREATED", startedDate=None, completedDate=None)),
        "accepted, total unknown": a_retry(job_after=a_job("RUNNING", **_points(300, 0))),
        "accepted in a thread": a_retry(thread_ts="1763640000.000400", attempt=3),
        "accepted export": a_retry(job_before=a_job(kind="DATA_EXPORT", **_EXPORT)),
        "accepted evaluation": a_retry(
            job_before=a_job(kind="RULE_EVALUATION"),
            about=about_rules(t),
        ),
        "accepted of a newer sort": a_retry(job_before=a_job(t("HOLD_STILL"), t("DATA_SHREDDING"))),
        "accepted unpostable": a_retry(unpostable="not_in_channel", shown={}),
        "accepted from home": a_retry(channel_id=None, shown={}, source="home"),
        "finished": a_retry(State.FINISHED, **after, about=known, attempt=2),
        "finished evaluation": a_retry(
            State.FINISHED,
            job_before=a_job(kind="RULE_EVALUATION"),
            job_after=a_job("FINISHED", kind="RULE_EVALUATION"),
            about=about_rules(t),
        ),
        "failed again, hopeless": a_retry(State.FAILED_AGAIN, **failed_again, record=never),
        "failed again, evaluation": a_retry(
            State.FAILED_AGAIN,
            job_before=a_job(kind="RULE_EVALUATION"),
            job_after=a_job(kind="RULE_EVALUATION"),
            about=about_rules(t),
            again=about_rules(t).why,
        ),
        "finished unpostable": a_retry(State.FINISHED, **after, unpostable="not_in_channel", shown={}),
        "finished thread deleted": a_retry(State.FINISHED, **after, unpostable="thread_not_found"),
        "failed again": a_retry(State.FAILED_AGAIN, **failed_again),
        "waits for the cooldown": a_retry(State.REQUESTED, waits_until=LATER, about=known, shown={}),
        "failed again, cooling": a_retry(State.FAILED_AGAIN, **failed_again, cools_until=LATER),
        "failed again alike": a_retry(State.FAILED_AGAIN, job_after=a_job(), about=About(why=Why(why)), again=Why(why)),
        "failed again superseded": a_retry(State.FAILED_AGAIN, **failed_again, superseded_by="cdefghjkmn"),
        "cancelled": a_retry(State.CANCELLED, job_after=a_job("CANCELLED")),
        "lost": a_retry(State.LOST, detail={"why": "too_long"}, job_after=a_job("RUNNING")),
        "lost gone": a_retry(State.LOST, detail={"why": "gone"}),
    }
    nowhere = {"finished, no way into Sift": messages.pieces(retries["finished"], replace(PLACE, sift_app_url=None))}
    return {**{name: messages.pieces(retry, PLACE) for name, retry in retries.items()}, **nowhere}


def _approvals(t: Words) -> dict[str, Shown]:
    asked: dict[str, Any] = {"approval_until": NOW + timedelta(minutes=30), "attempt": 3}
    overridden = {**asked, "approved_by": "UADA", "override_reason": t("the customer waits")}
    retries = {
        "approval asked": a_retry(State.REQUESTED, **asked),
        "approval asked, known": a_retry(State.REQUESTED, **asked, about=about(t)),
        "approval asked where nobody sees, known": a_retry(
            State.REQUESTED, **asked, unpostable="not_in_channel", about=about(t)
        ),
        "approval asked where nobody sees": a_retry(State.REQUESTED, **asked, unpostable="not_in_channel"),
        "approval asked of somebody": a_retry(State.REQUESTED, **asked, detail=MAY),
        "approval asked of nobody": a_retry(State.REQUESTED, **asked, detail={"may_approve": [], "more": 0}),
        "approval asked of two": a_retry(State.REQUESTED, **asked, approvals_needed=2, detail=MAY),
        "approval given by one of two": a_retry(
            State.REQUESTED, **asked, approvals_needed=2, approvers=("UBEN",), detail=MAY
        ),
        "approval given by two": a_retry(**asked, approved_by="UADA", approvals_needed=2, approvers=("UBEN", "UADA")),
        "approval asked at home": a_retry(State.REQUESTED, **asked, channel_id=None, shown={}, detail=MAY),
        "approval given in vain": a_retry(
            State.REFUSED, **asked, approved_by="UBEN", job_before=a_job("FINISHED"), detail={"why": "moved_on"}
        ),
        "approval given, then not allowed": a_retry(
            State.DENIED, **asked, approved_by="UBEN", detail={"why": "not_listed", "ask": ["UADA"]}
        ),
        "approval declined": a_retry(
            State.DENIED, **asked, detail={"why": "approval_declined", "by": "UBEN", "said": t("the customer watches")}
        ),
        "approval overtaken": a_retry(State.REFUSED, **asked, job_before=a_job("RUNNING"), detail={"why": "moved_on"}),
        "approval overtaken by a failure": a_retry(
            State.REFUSED, **asked, job_before=a_job(), detail={"why": "moved_on"}
        ),
        "approval overtaken by somebody": a_retry(
            State.REFUSED, **asked, job_before=a_job("RUNNING"), detail={"why": "under_way", "by": "UBEN"}
        ),
        "approval given": a_retry(State.REQUESTED, **asked, approved_by="UBEN"),
        "approval given, accepted": a_retry(**asked, approved_by="UBEN"),
        "approval expired": a_retry(State.DENIED, **asked, detail={"why": "approval_expired"}),
        "approval overridden": a_retry(**overridden, about=about(t)),
        "approval restored": a_retry(State.UNKNOWN, **asked, detail={"why": "restored"}),
    }
    return {
        **{name: messages.pieces(retry, PLACE) for name, retry in retries.items()},
        "approval no longer waited for": approval.no_longer_waiting(),
        "approval of oneself": approval.not_by_oneself(),
        "approval no longer waited for, approved": approval.no_longer_waiting(retries["approval given"]),
        "approval no longer waited for, overridden": approval.no_longer_waiting(retries["approval overridden"]),
        "approval no longer waited for, declined": approval.no_longer_waiting(retries["approval declined"]),
        "approval no longer waited for, expired": approval.no_longer_waiting(retries["approval expired"]),
        "approval no longer waited for, overtaken": approval.no_longer_waiting(retries["approval overtaken"]),
        "approval given twice": approval.approved_already(retries["approval given by one of two"]),
        "approval of some": approval.some_left(approval.not_by_oneself(), 2, 10),
        "approval modal of some": approval.some_view([a_retry(attempt=3), a_retry(about=about(t))], "bcdefghjkm"),
        "decline modal": approval.decline_view([retries["approval asked, known"]], "abcdefghjk"),
        "decline modal of a batch": approval.decline_view([a_retry()] * 12, "bcdefghjkm"),
        "override modal": approval.override_view([a_retry()], "abcdefghjk"),
        "override modal of a batch": approval.override_view([a_retry()] * 12, "bcdefghjkm"),
    }


def _batches(t: Words) -> dict[str, Shown]:
    why = Why(t("Line 8 is no number."))
    again = a_retry(State.FAILED_AGAIN, job_after=a_job(), again=why, about=about(t), record=Record(0, 5))
    refusals = [
        a_retry(State.DENIED, detail={"why": "other_job_type", "job_types": ["data_export"], "ask": ["UADA"]}),
        a_retry(
            State.REFUSED, job_id=OTHER, job_before=a_job("FINISHED"), detail={"why": "not_retryable"}, about=about(t)
        ),
        a_retry(State.REFUSED, job_id=OTHER, detail={"why": "stale", "seconds": 1_500}),
        a_retry(State.FAILED, detail={"why": "unreachable", "message": t("no route to host")}),
    ]
    mixed = {State.DENIED: 1, State.REFUSED: 2, State.FAILED: 1}
    every = dict.fromkeys(State, 1)
    ended = {State.FINISHED: 2, State.FAILED_AGAIN: 1}
    batches = {
        "batch waiting": a_batch({State.REQUESTED: 3}, shown={}),
        "batch waiting again": a_batch({State.REQUESTED: 3}),
        "batch under way": a_batch({State.REQUESTED: 1, State.ACCEPTED: 2}, reason=t("the sensor was offline")),
        "batch in every state": a_batch(every),
        "batch in a thread": a_batch({State.ACCEPTED: 2}, thread_ts="1763640000.000400"),
        "batch ended": a_batch(ended, [*_members({State.FINISHED: 2}), again], offered=1),
        "batch of which some waits": a_batch(
            {State.REQUESTED: 2, State.ACCEPTED: 1}, waiting=2, waits_until=LATER, thread_ts="1763640000.000400"
        ),
        "batch of which one waits, undecided": a_batch({State.REQUESTED: 2}, waiting=1, waits_until=LATER, shown={}),
        "batch ended, cooling": a_batch(ended, [*_members({State.FINISHED: 2}), again], offered=1, cools_until=LATER),
        "batch taken back": a_batch(
            {State.REFUSED: 1}, [a_retry(State.REFUSED, detail={"why": "withdrawn"}, batch_id="bcdefghjkm")], shown={}
        ),
        "batch refused in part": a_batch({**mixed, State.FINISHED: 1}, [*refusals, again], stale=1),
        "batch refused one by one": a_batch(mixed, refusals, shown={}),
        "batch refused one by one, which others saw": a_batch(mixed, refusals),
        "batch unpostable": a_batch({State.ACCEPTED: 2}, unpostable="not_in_channel", shown={}),
        "batch ended from home": a_batch(ended, channel_id=None, shown={}),
        "batch of many": a_batch({State.ACCEPTED: 100}, _members({State.ACCEPTED: 45})),
        "batch denied": a_batch({State.DENIED: 2}, refusal={"why": "not_listed", "ask": ["UADA"]}),
        "batch under way already": a_batch(
            {State.REFUSED: 2},
            refusal={"why": "under_way", "by": "UBEN", "channel_id": "COPS", "ts": "1763640000.000300"},
        ),
        "batch under way already, unseen": a_batch({State.REFUSED: 2}, refusal={"why": "under_way", "by": "UBEN"}),
    }
    return {name: batch.pieces(one, PLACE) for name, one in batches.items()}


def _batches_that_wait(t: Words) -> dict[str, Shown]:
    asked: dict[str, Any] = {"approval_until": NOW + timedelta(minutes=30), "attempt": 3, "detail": MAY}
    waiting = [a_retry(State.REQUESTED, id=f"waiting{n:03}", about=about(t), **asked) for n in range(10)]
    half = [replace(one, approvals_needed=2, approvers=("UBEN",)) for one in waiting]
    declined = {"why": "approval_declined", "by": "UBEN", "said": t("the customer watches")}
    given = [
        Spoken(State.ACCEPTED, "UBEN", None, {}, 3),
        Spoken(State.FINISHED, "UBEN", None, {}, 4),
        Spoken(State.ACCEPTED, "UADA", t("launch in 10 minutes"), {}, 2),
        Spoken(State.DENIED, None, None, declined, 2),
        Spoken(State.DENIED, None, None, {"why": "approval_expired"}, 1),
        Spoken(State.REFUSED, None, None, {"why": "moved_on"}, 1),
        Spoken(State.REFUSED, "UBEN", None, {"why": "moved_on"}, 1),
        Spoken(State.FAILED, "UBEN", None, {"why": "unreachable"}, 1),
    ]
    left = Spoken(State.REQUESTED, None, None, {}, 12)
    some = {State.REQUESTED: 12, State.ACCEPTED: 13}
    ended = {State.ACCEPTED: 5, State.FINISHED: 4, State.DENIED: 3, State.REFUSED: 2, State.FAILED: 1}
    over = [
        a_retry(State.DENIED, **{**asked, "detail": detail})
        for detail in (declined, {"why": "approval_expired"}, {"why": "not_listed"})
    ]
    over += [a_retry(State.REFUSED, **{**asked, "detail": {"why": "moved_on"}}, job_before=a_job("FINISHED"))]
    ways: dict[str, Batch] = {
        "undecided": a_batch(some, waiting[:2], spoken=[left], awaiting=waiting, undecided=3),
        "in part": a_batch(some, [*waiting[:2], half[0]], spoken=[left], awaiting=waiting),
        "as a whole": a_batch({State.REQUESTED: 12}, waiting[:1], spoken=[left], awaiting=waiting),
        "as one": a_batch(
            {State.REQUESTED: 1, State.FINISHED: 1}, [], spoken=[replace(left, count=1)], awaiting=waiting[:1]
        ),
        "for another": a_batch(some, half[:1], spoken=[left], awaiting=half),
        "for another of some": a_batch(some, [], spoken=[left], awaiting=[*waiting[:2], half[2]]),
        "and some went": a_batch(some, [], spoken=[*given[:1], left], awaiting=waiting),
        "unposted": a_batch(some, [], spoken=[left], awaiting=waiting, unpostable="not_in_channel"),
        "at home": a_batch(some, [], spoken=[left], awaiting=waiting, channel_id=None, shown={}),
        "of thousands": a_batch(
            {State.REQUESTED: 2_000}, [], spoken=[replace(left, count=2_000)], awaiting=waiting, undecided=9
        ),
        "no more": a_batch(ended, over, spoken=given),
    }
    return {f"batch waits {name}": batch.pieces(one, PLACE) for name, one in ways.items()}


def _modals(t: Words) -> dict[str, Shown]:
    jobs = [a_job(), a_job("FAILED", t("RULE_EVALUATION"), OTHER)]
    options = [modals.option_of(job, NOW) for job in jobs]
    known = [modals.option_of(jobs[0], NOW, about(t)), modals.option_of(a_job(job_id="j3"), NOW, about_rules(t))]
    picking = {"source": "modal", "channel_id": "COPS", "thread_ts": None}
    shortcut = {"source": "shortcut", "channel_id": "COPS", "thread_ts": "1763640000.000400"}
    return {
        "modal to pick, by run": modals.retry_view([*known, *options[1:]], picking, picked=1),
        "modal to pick": modals.retry_view(options, picking),
        "modal to pick, some under way": modals.retry_view(options, picking, under_way=2),
        "modal to pick, all under way": modals.retry_view([], picking, under_way=1),
        "modal to pick, none failed": modals.retry_view([], picking),
        "modal of a message": modals.retry_view([modals.plain_option(JOB)], shortcut, picked=1),
        "modal of a storm": modals.retry_view(options * 60, shortcut),
        "modal loading": modals.loading_view(),
        "modal nothing found": modals.nothing_found_view(),
        "modal nothing picked": modals.nothing_picked("modal"),
        "modal of a message nothing picked": modals.nothing_picked("shortcut"),
        "modal too many picked": modals.too_many_picked(100, "modal"),
        "modal of a message too many picked": modals.too_many_picked(100, "shortcut"),
        "modal unreadable": message_view(
            answers.unreadable(OutcomeUnknown(t("upstream error")), "4f7k2m9x0q"), modals.TITLE
        ),
    }


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of retries, by name; other people's words as `t` puts them."""
    said: dict[str, Shown] = {
        "still at it": answers.still_at_it("abcdefghjk", JOB),
        "put off": answers.put_off("abcdefghjk", JOB, timedelta(minutes=3)),
        "unreadable": answers.unreadable(OutcomeUnknown(t("upstream error")), "4f7k2m9x0q"),
        "unreadable in time": answers.unreadable(None, "4f7k2m9x0q"),
        "unreadable for the key": answers.unreadable(Unauthenticated(), "4f7k2m9x0q"),
        "nothing left": answers.nothing_left(),
        "taken back": cooldown.withdrawn([a_retry(State.REFUSED, about=about(t))]),
        "several taken back": cooldown.withdrawn(_members({State.REFUSED: 3})),
        "nothing to take back": cooldown.withdrawn([]),
        "another's not taken back": cooldown.not_yours(),
    }
    return {**_retries(t), **_reasons(t), **_approvals(t), **_batches(t), **_batches_that_wait(t), **_modals(t), **said}


def test_a_hundred_are_offered_to_be_approved() -> None:
    view: Any = approval.some_view([a_retry(id=f"r{number}") for number in range(120)], "bcdefghjkm")
    assert len(view["blocks"][0]["element"]["options"]) == 100
    assert "20 more jobs wait" in view["blocks"][1]["text"]["text"]


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


def test_every_state_is_shown() -> None:
    assert {state.replace("_", " ") for state in State} <= {*shown(), "denied", "refused", "failed"}


def test_every_refusal_is_shown() -> None:
    names = {name.removeprefix("refused ").partition("_after_all")[0] for name in _reasons(as_written)}
    others = {RefusalReason.ENDED, RefusalReason.BEING_CANCELLED, RefusalReason.RERUN_OFF}  # see test_kind_messages
    assert set(RefusalReason) - {RefusalReason.NOT_RETRYABLE} - others <= names


def test_every_word_of_a_second_person_is_shown() -> None:
    denied = {name.removeprefix("denied ") for name in _reasons(as_written)}
    assert set(ApprovalReason) - {ApprovalReason.BY_ONESELF} <= denied
    assert "approval of oneself" in shown()


def test_every_refusal_of_sift_is_shown() -> None:
    failed = {name.removeprefix("failed ") for name in _reasons(as_written)}
    unclear = {OutcomeUnknown.name, AnswerTooLarge.name}
    assert {error.name for error in _kinds(SiftError)} - unclear <= failed


def _kinds(error: type[SiftError]) -> set[type[SiftError]]:
    below = {kind for one in error.__subclasses__() for kind in _kinds(one)}
    return below or {error}

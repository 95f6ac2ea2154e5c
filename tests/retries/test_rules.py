"""What state allows, as truth tables: each row differs from its neighbour in what decides it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.base.requester import Source
from bot.retries.kind import Kind
from bot.retries.request import Retry
from bot.retries.rules import (
    UNKNOWN_JOB,
    Earlier,
    Limits,
    Next,
    Refusal,
    Wait,
    awaited,
    job_refusal,
    next_step,
    queued_behind,
    refusal,
)
from bot.retries.state import ACTIVE, State
from bot.sift.job import Job
from tests.conftest import NOW

SECOND = timedelta(seconds=1)
COOLDOWN = 30 * SECOND
FAILED = Job(job_id="j", job_status="JOB_STATUS_FAILED", completed_date=NOW)
RETRY = Retry(
    id="mine",
    delivery_key="k",
    job_id="j",
    team_id="T",
    user_id="U1",
    source=Source.COMMAND,
    state=State.REQUESTED,
    fence=1,
    missed=0,
    detail={},
    created_at=NOW,
    shown={},
)
OTHER = replace(
    RETRY,
    id="other",
    user_id="U2",
    channel_id="C",
    shown={"announcement": {"ts": "7"}},
    state=State.FAILED_AGAIN,
    sent_at=NOW - timedelta(hours=1),
)
TOLD = {"by": "U2", "channel_id": "C", "ts": "7", "request": "other"}
"""What a person is told of the other retry."""


def refused(why: str, **facts: Any) -> Refusal:
    return Refusal(State.REFUSED, {"why": why, **facts})


def denied(why: str) -> Refusal:
    return Refusal(State.DENIED, {"why": why})


UNDER_WAY, NOT_RETRYABLE = refused("under_way", **TOLD), refused("not_retryable")


@pytest.mark.parametrize(
    ("status", "offered", "newest", "expected"),
    [
        ("JOB_STATUS_FAILED", None, None, None),
        ("JOB_STATUS_CANCELLED", None, None, None),
        ("JOB_STATUS_FAILED", FAILED.failure, None, None),
        ("JOB_STATUS_FAILED", "an earlier failure", None, refused("outdated")),
        ("JOB_STATUS_FAILED", "", None, refused("outdated")),
        ("JOB_STATUS_FAILED", None, State.ACCEPTED, None),  # what the rows say of it is the next table
        ("JOB_STATUS_FINISHED", None, None, NOT_RETRYABLE),
        ("JOB_STATUS_RUNNING", None, None, NOT_RETRYABLE),
        ("JOB_STATUS_CREATED", None, None, NOT_RETRYABLE),
        ("JOB_STATUS_CANCEL_REQUESTED", None, None, NOT_RETRYABLE),
        ("a status of tomorrow", None, None, NOT_RETRYABLE),
        ("", None, None, NOT_RETRYABLE),
        ("JOB_STATUS_RUNNING", "an earlier failure", None, NOT_RETRYABLE),
        *(("JOB_STATUS_RUNNING", None, state, UNDER_WAY) for state in ACTIVE),
        ("JOB_STATUS_RUNNING", "an earlier failure", State.ACCEPTED, UNDER_WAY),
        *(("JOB_STATUS_RUNNING", None, state, NOT_RETRYABLE) for state in State if state not in ACTIVE),
    ],
)
def test_what_the_job_allows(status: str, offered: str | None, newest: State | None, expected: Refusal | None) -> None:
    job = FAILED.model_copy(update={"job_status": status})
    other = replace(OTHER, state=newest) if newest is not None else None
    assert job_refusal(job, offered, other) == expected


def test_a_job_that_sift_does_not_know_is_refused() -> None:
    assert refused("unknown_job") == UNKNOWN_JOB


def earlier(state: State, sent: timedelta, accepted: timedelta | None = None, count: int = 1) -> Earlier:
    """The other retry as the newest, with how long ago it was sent and, it or one before it, accepted."""
    return Earlier(replace(OTHER, state=state, sent_at=NOW - sent), None if accepted is None else NOW - accepted, count)


AGAIN, LOST = State.FAILED_AGAIN, State.NOT_APPLIED
JUST_RETRIED = refused("just_retried", **TOLD)


def cooldown(seconds: int) -> Refusal:
    return refused("cooldown", seconds=seconds, **TOLD)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (Earlier(), Next.SEND),
        (Earlier(replace(OTHER, sent_at=None)), Next.SEND),
        *((earlier(state, timedelta(hours=1)), UNDER_WAY) for state in ACTIVE),
        (earlier(State.ACCEPTED, timedelta(0)), UNDER_WAY),  # rather than just retried
        *((earlier(state, timedelta(hours=1)), Next.SEND) for state in State if state not in ACTIVE),
        # The job was read 5 s ago.
        (earlier(AGAIN, 6 * SECOND), Next.SEND),
        (earlier(AGAIN, 5 * SECOND), JUST_RETRIED),
        (earlier(AGAIN, 4 * SECOND), JUST_RETRIED),
        (earlier(AGAIN, 4 * SECOND, 4 * SECOND), JUST_RETRIED),  # rather than the cooldown
        (earlier(State.REQUESTED, 4 * SECOND), Next.SEND),  # it was marked, but queued again, unsent
        # The cooldown is 30 s.
        (earlier(AGAIN, timedelta(hours=1), 31 * SECOND), Next.SEND),
        (earlier(AGAIN, timedelta(hours=1), 30 * SECOND), Next.SEND),
        (earlier(AGAIN, timedelta(hours=1), timedelta(seconds=29.9)), cooldown(1)),
        (earlier(AGAIN, timedelta(hours=1), 29 * SECOND), cooldown(1)),
        (earlier(AGAIN, timedelta(hours=1), timedelta(seconds=28.5)), cooldown(2)),
        (earlier(AGAIN, timedelta(hours=1), timedelta(0)), cooldown(30)),
        (earlier(LOST, 6 * SECOND, 10 * SECOND), cooldown(20)),  # counts from the last one that Sift took
        (earlier(LOST, 6 * SECOND, None), Next.SEND),
    ],
)
def test_what_earlier_retries_allow(before: Earlier, expected: Next | Refusal) -> None:
    assert next_step(RETRY, before, read_at=NOW - 5 * SECOND, at=NOW, limits=Limits(COOLDOWN)) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (earlier(AGAIN, timedelta(hours=1), 31 * SECOND), Next.SEND),
        (earlier(AGAIN, timedelta(hours=1), 30 * SECOND), Next.SEND),
        (earlier(AGAIN, timedelta(hours=1), timedelta(seconds=29.9)), Wait(NOW + timedelta(seconds=0.1))),
        (earlier(AGAIN, timedelta(hours=1), timedelta(0)), Wait(NOW + 30 * SECOND)),
        (earlier(LOST, 6 * SECOND, 10 * SECOND), Wait(NOW + 20 * SECOND)),
        (earlier(AGAIN, 4 * SECOND, 4 * SECOND), JUST_RETRIED),
        (earlier(State.ACCEPTED, 6 * SECOND, 6 * SECOND), UNDER_WAY),
    ],
)
@pytest.mark.parametrize("more", [{}, {"batch_id": "b"}, {"waits_until": NOW}])
def test_what_was_offered_waits_for_the_end_of_the_cooldown(
    before: Earlier, expected: Next | Wait | Refusal, more: dict[str, Any]
) -> None:
    pressed = replace(RETRY, offered=FAILED.failure, **more)
    limits = Limits(COOLDOWN, approval_after=1 if isinstance(expected, Wait) else None)  # waiting comes first
    assert next_step(pressed, before, read_at=NOW - 5 * SECOND, at=NOW, limits=limits) == expected


def test_one_that_waits_is_named_to_the_next() -> None:
    waiting = replace(OTHER, waits_until=NOW + 2.5 * SECOND)
    assert queued_behind(waiting, NOW) == refused("queued", seconds=3, **TOLD)


@pytest.mark.parametrize("offered", [None, FAILED.failure])
def test_without_a_cooldown_nobody_waits(offered: str | None) -> None:
    before = earlier(AGAIN, 6 * SECOND, timedelta(0))
    limits = Limits(timedelta(0))
    asked = replace(RETRY, offered=offered)
    assert next_step(asked, before, read_at=NOW - 5 * SECOND, at=NOW, limits=limits) is Next.SEND


EXPIRED = denied("approval_expired")
WAITING, OVER = {"approval_until": NOW + SECOND}, {"approval_until": NOW}
APPROVED, IN_A_BATCH = {"approved_by": "U3"}, {"batch_id": "b"}


@pytest.mark.parametrize(
    ("after", "accepted", "request_is", "expected"),
    [
        (None, 99, {}, Next.SEND),
        (3, 1, {}, Next.SEND),
        (3, 2, {}, Next.ASK),
        (3, 3, {}, Next.ASK),
        (1, 0, {}, Next.ASK),
        (3, 2, APPROVED, Next.SEND),
        (3, 2, APPROVED | OVER, Next.SEND),
        (3, 2, APPROVED | IN_A_BATCH, Next.SEND),
        (3, 2, WAITING, Next.ASK),
        (3, 2, OVER, EXPIRED),
        (3, 2, {"approval_until": NOW - SECOND}, EXPIRED),
        (3, 1, OVER, Next.SEND),
        (None, 2, OVER, Next.SEND),
        (3, 2, IN_A_BATCH, Next.ASK),
        (3, 2, IN_A_BATCH | OVER, EXPIRED),
        (3, 1, IN_A_BATCH, Next.SEND),
        (None, 99, IN_A_BATCH, Next.SEND),
    ],
)
def test_when_a_second_person_is_needed(
    after: int | None, accepted: int, request_is: dict[str, Any], expected: Next | Refusal
) -> None:
    before = earlier(AGAIN, timedelta(hours=2), timedelta(hours=2), accepted) if accepted else Earlier()
    limits = Limits(COOLDOWN, approval_after=after)
    assert next_step(replace(RETRY, **request_is), before, read_at=NOW, at=NOW, limits=limits) == expected


MOVED_ON = refused("moved_on")
ASKED = replace(RETRY, approval_until=NOW + SECOND, job_before=FAILED.model_copy(update={"modified_date": NOW}))


@pytest.mark.parametrize(
    ("asked", "job_is", "newest", "expected"),
    [
        (ASKED, {}, None, None),
        (ASKED, {"modified_date": NOW + SECOND}, None, None),
        (ASKED, {"job_status": "JOB_STATUS_FINISHED"}, None, MOVED_ON),
        (ASKED, {"job_status": "JOB_STATUS_RUNNING"}, State.ACCEPTED, UNDER_WAY),
        (ASKED, {"job_status": "JOB_STATUS_RUNNING"}, AGAIN, MOVED_ON),
        (ASKED, {"completed_date": NOW + SECOND, "modified_date": NOW + SECOND}, None, MOVED_ON),
        (ASKED, {"completed_date": NOW - SECOND, "modified_date": NOW - SECOND}, None, None),  # a late read
        (replace(ASKED, offered=FAILED.failure), {"completed_date": NOW + SECOND}, None, MOVED_ON),
        (RETRY, {"job_status": "JOB_STATUS_FINISHED"}, None, NOT_RETRYABLE),
        (replace(RETRY, job_before=FAILED), {"completed_date": NOW + SECOND}, None, None),
    ],
)
def test_a_job_that_moves_on_leaves_nothing_to_approve(
    asked: Retry, job_is: dict[str, Any], newest: State | None, expected: Refusal | None
) -> None:
    job = FAILED.model_copy(update=job_is)
    other = replace(OTHER, state=newest) if newest is not None else None
    assert refusal(asked, job, other, Limits(COOLDOWN)) == expected


def test_one_request_of_a_job_waits() -> None:
    other = replace(OTHER, state=State.REQUESTED, approval_until=NOW + SECOND)
    assert awaited(other) == refused("awaited", **TOLD)
    assert awaited(replace(other, approved_by="U3")) == UNDER_WAY


@pytest.mark.parametrize("waits", [{}, OVER, IN_A_BATCH])
def test_what_is_refused_anyway_is_put_before_no_second_person(waits: dict[str, Any]) -> None:
    before = earlier(State.ACCEPTED, timedelta(hours=1), count=9)
    limits = Limits(COOLDOWN, approval_after=1)
    assert next_step(replace(RETRY, **waits), before, read_at=NOW, at=NOW, limits=limits) == UNDER_WAY


ENDED, STOPPING = refused("ended"), refused("being_cancelled")


@pytest.mark.parametrize(
    ("status", "newest", "expected"),
    [
        ("JOB_STATUS_RUNNING", None, None),
        ("JOB_STATUS_CREATED", None, None),
        ("a status of tomorrow", None, None),
        ("JOB_STATUS_RUNNING", State.ACCEPTED, None),  # what the rows say of it is the next table
        ("JOB_STATUS_FINISHED", None, ENDED),
        ("JOB_STATUS_FAILED", None, ENDED),
        ("JOB_STATUS_CANCELLED", None, ENDED),
        ("JOB_STATUS_CANCELLED", State.ACCEPTED, ENDED),
        ("JOB_STATUS_CANCEL_REQUESTED", None, STOPPING),
        ("JOB_STATUS_CANCEL_REQUESTED", State.FINISHED, STOPPING),
        *(("JOB_STATUS_CANCEL_REQUESTED", state, UNDER_WAY) for state in ACTIVE),
    ],
)
def test_what_the_job_allows_of_a_cancellation(status: str, newest: State | None, expected: Refusal | None) -> None:
    job = FAILED.model_copy(update={"job_status": status})
    other = replace(OTHER, state=newest, kind=Kind.CANCEL) if newest is not None else None
    assert refusal(replace(RETRY, kind=Kind.CANCEL), job, other, Limits(COOLDOWN)) == expected


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "CANCELLED", "RUNNING", "CREATED"])
@pytest.mark.parametrize(("on", "expected"), [(True, None), (False, refused("rerun_off"))])
def test_a_report_is_evaluated_again_whatever_became_of_it(status: str, on: bool, expected: Refusal | None) -> None:
    job = FAILED.model_copy(update={"job_status": f"JOB_STATUS_{status}"})
    assert refusal(replace(RETRY, kind=Kind.RERUN), job, None, Limits(COOLDOWN, rerun=on)) == expected


def test_of_a_retry_the_job_alone_decides() -> None:
    assert refusal(RETRY, FAILED, None, Limits(COOLDOWN, rerun=False)) is None
    assert refusal(replace(RETRY, offered="x"), FAILED, None, Limits(COOLDOWN)) == refused("outdated")


@pytest.mark.parametrize("kind", [Kind.RERUN, Kind.CANCEL])
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (Earlier(), Next.SEND),
        *((earlier(state, timedelta(hours=1)), UNDER_WAY) for state in ACTIVE),
        (earlier(AGAIN, 4 * SECOND), JUST_RETRIED),
        (earlier(AGAIN, 6 * SECOND, 6 * SECOND), Next.SEND),  # no cooldown
        (earlier(AGAIN, timedelta(hours=1), timedelta(hours=1), 99), Next.SEND),  # no second person
    ],
)
def test_cooldown_and_second_person_are_for_retries_alone(
    kind: Kind, before: Earlier, expected: Next | Refusal
) -> None:
    limits = Limits(COOLDOWN, approval_after=1)
    asked = replace(RETRY, kind=kind)
    assert next_step(asked, before, read_at=NOW - 5 * SECOND, at=NOW, limits=limits) == expected

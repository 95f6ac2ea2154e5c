"""What became of a retry, read off the job: each rule, and each row of the table of states."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.retries.kind import Kind
from bot.retries.outcome import (
    FOLLOW_LIMIT,
    MISSES,
    Moved,
    NewJob,
    answered,
    followed,
    is_late,
    moved,
    settled,
    settled_rerun,
)
from bot.retries.request import Retry
from bot.sift.job import Job
from tests.conftest import NOW

KEY, OTHER = "key-user", "somebody-else"
SETTLE, GRACE = timedelta(seconds=120), timedelta(seconds=15)


def job(status: str = "FAILED", minutes: int = 0, by: str = OTHER, **more: Any) -> Job:
    moment = NOW + timedelta(minutes=minutes)
    return Job(
        job_id="j",
        job_status=f"JOB_STATUS_{status}",
        modified_date=moment,
        modified_by_user_id=by,
        **{"completed_date": moment if status in ("FAILED", "FINISHED", "CANCELLED") else None, **more},
    )


def retry(state: str = "accepted", **more: Any) -> Retry:
    facts: dict[str, Any] = {
        "id": "r",
        "delivery_key": "k",
        "job_id": "j",
        "team_id": "T",
        "user_id": "U",
        "source": "command",
        "state": state,
        "created_at": NOW,
        "fence": 1,
        "version": 1,
        "show_fence": 0,
        "show_failures": 0,
        "missed": 0,
        "shown": {},
        "detail": {},
        "about": {},
        "job_before": job(),
        "sent_at": NOW,
        "unknown_at": NOW,
        "accepted_at": NOW,
    }
    return Retry(**{**facts, **more})


@pytest.mark.parametrize(
    ("was", "before", "now", "key_user", "minutes", "found"),
    [
        ("requested", None, job(minutes=-1), KEY, 1, None),
        ("requested", None, job(minutes=-1), KEY, 3, ("not_applied", "unchanged")),
        ("requested", None, job("RUNNING", 1, by=KEY), KEY, 1, ("accepted", "read_back")),
        ("requested", None, job("RUNNING", 1, by=KEY), None, 1, ("not_applied", "restored")),
        ("requested", None, job("RUNNING", 1, by=OTHER), KEY, 1, ("not_applied", "restored")),
        ("requested", None, job("RUNNING", 1, by=""), KEY, 1, ("not_applied", "restored")),
        ("requested", None, None, KEY, 1, None),
        ("requested", None, None, KEY, 3, ("not_applied", "gone")),
        ("sending", job(minutes=1), job(minutes=1), KEY, 3, ("not_applied", "unchanged")),
        ("sending", job(), job("FINISHED", 1, by=OTHER), KEY, 1, ("not_applied", "restored")),
        ("sending", job(), job("FINISHED", 1, by=KEY), KEY, 1, ("accepted", "read_back")),
        ("accepted", job(), job("FINISHED", 1, by=OTHER), KEY, 1, ("accepted", "restored")),
        ("accepted", job(), None, KEY, 1, None),
        ("accepted", job(), None, KEY, 3, ("accepted", "restored")),
    ],
)
def test_after_a_restore_only_what_is_known_is_said(
    was: str, before: Job | None, now: Job | None, key_user: str | None, minutes: int, found: tuple[str, str] | None
) -> None:
    restored = retry("unknown", detail={"why": "restored", "was": was}, job_before=before)
    said = settled(restored, now, NOW + timedelta(minutes=minutes), SETTLE, key_user)
    assert (said and (said.state, said.detail["why"])) == found


@pytest.mark.parametrize(
    ("now", "how"),
    [
        (job(), Moved.NOT_AT_ALL),
        (job("RUNNING", by=KEY), Moved.BY_US),
        (job("FAILED", 1, by=KEY), Moved.BY_US),
        (job("RUNNING", 1, by=OTHER), Moved.BY_ANOTHER),
        (job("RUNNING", 1, by=""), Moved.BY_US),
    ],
)
def test_a_job_is_compared_with_what_it_was(now: Job, how: Moved) -> None:
    assert moved(job(), now, KEY) is how


def test_while_the_key_s_user_is_not_known_any_move_counts_as_ours() -> None:
    assert moved(job(), job("RUNNING", 1), None) is Moved.BY_US


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (job("CREATED"), "accepted"),
        (job("RUNNING", 1), "accepted"),
        (job("FAILED", 1, by=KEY), "accepted"),
        (job("FINISHED", 1, by=KEY), "accepted"),
        (job("FINISHED", 1), "refused"),
        (job("CANCEL_REQUESTED", 1), "refused"),
        (job(), "unknown"),
        (job("CANCELLED", 1), "unknown"),
    ],
)
def test_sift_s_answer_gives_the_outcome(answer: Job, state: str) -> None:
    assert answered(job(), answer, KEY).state == state


@pytest.mark.parametrize(
    ("now", "seconds", "state"),
    [
        (job(), 119, None),
        (job(), 120, "not_applied"),
        (job("RUNNING", 1, by=KEY), 0, "accepted"),
        (job("FAILED", 1, by=KEY), 500, "accepted"),
        (job("RUNNING", 1), 0, "not_applied"),
        (None, 119, None),
        (None, 120, "not_applied"),
    ],
)
def test_an_unknown_outcome_is_settled_by_the_job(now: Job | None, seconds: int, state: str | None) -> None:
    found = settled(retry("unknown"), now, NOW + timedelta(seconds=seconds), SETTLE, KEY)
    assert (found.state if found else None) == state


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (job("CREATED", 1, by=KEY), None),
        (job("RUNNING", 1, by=KEY), None),
        (job("CANCEL_REQUESTED", 1), None),
        (job("SOMETHING_NEW", 1), None),
        (job("FINISHED", 2), "finished"),
        (job("FAILED", 2), "failed_again"),
        (job("CANCELLED", 2), "cancelled"),
    ],
)
def test_a_followed_job_ends_as_sift_says(now: Job, state: str | None) -> None:
    found = followed(retry(), now, NOW, GRACE)
    assert (found.state if found else None) == state


def test_a_job_that_is_gone_is_lost_after_some_looks() -> None:
    assert followed(retry(missed=MISSES - 2), None, NOW, GRACE) is None
    found = followed(retry(missed=MISSES - 1), None, NOW, GRACE)
    assert found is not None
    assert (found.state, found.detail) == ("lost", {"why": "gone"})


def test_a_job_that_never_ends_is_lost_after_a_week() -> None:
    running = job("RUNNING", 1, by=KEY)
    assert followed(retry(), running, NOW + FOLLOW_LIMIT - timedelta(seconds=1), GRACE) is None
    found = followed(retry(), running, NOW + FOLLOW_LIMIT, GRACE)
    assert found is not None
    assert (found.state, found.detail) == ("lost", {"why": "too_long"})


def test_a_late_read_is_no_new_failure() -> None:
    accepted = replace(retry(), job_after=job("CREATED", 1, by=KEY))
    assert is_late(accepted, job())
    assert followed(accepted, job(), NOW + GRACE - timedelta(seconds=1), GRACE) is None
    assert followed(accepted, job(), NOW + GRACE, GRACE) is not None
    assert not is_late(accepted, job("FAILED", 2, by=KEY))


def test_a_date_from_2099_makes_no_later_read_a_late_one() -> None:
    absurd = retry(job_after=job("RUNNING", minutes=60 * 24 * 365 * 70, by=KEY))
    assert not is_late(absurd, job("RUNNING", 5, by=KEY))
    assert is_late(retry(job_after=job("RUNNING", 6, by=KEY)), job("RUNNING", 5, by=KEY))


RUNNING = job("RUNNING")


@pytest.mark.parametrize(
    ("now", "seconds", "detail", "found"),
    [
        (RUNNING, 119, {}, None),
        (RUNNING, 120, {}, ("not_applied", "unchanged")),
        (job("CREATED"), 120, {}, ("not_applied", "unchanged")),
        (job("RUNNING", 1), 119, {}, None),  # it moved, but not because it is being cancelled
        (job("CANCEL_REQUESTED", 1), 0, {}, ("accepted", "read_back")),
        (job("CANCELLED", 1), 0, {}, ("accepted", "read_back")),
        (job("FINISHED", 1), 0, {}, ("finished", "read_back")),
        (job("FAILED", 1), 0, {}, ("failed_again", "read_back")),
        (job("A_STATUS_OF_TOMORROW", 1), 120, {}, ("not_applied", "unchanged")),
        (None, 119, {}, None),
        (None, 120, {}, ("not_applied", "gone")),
        (RUNNING, 0, {"why": "restored", "was": "accepted"}, ("accepted", "restored")),
        (None, 119, {"why": "restored", "was": "accepted"}, None),
        (RUNNING, 119, {"why": "restored", "was": "sending"}, None),
        (RUNNING, 120, {"why": "restored", "was": "requested"}, ("not_applied", "unchanged")),
        (job("CANCELLED", 1), 0, {"why": "restored", "was": "sending"}, ("accepted", "read_back")),
    ],
)
def test_an_unknown_cancellation_is_settled_by_the_job(
    now: Job | None, seconds: int, detail: dict[str, Any], found: tuple[str, str] | None
) -> None:
    asked = retry("unknown", kind=Kind.CANCEL, job_before=RUNNING, detail=detail)
    said = settled(asked, now, NOW + timedelta(seconds=seconds), SETTLE, KEY)
    assert (said and (said.state, said.detail["why"])) == found


MADE = NewJob("new", "report")


@pytest.mark.parametrize(
    ("new_job_id", "made", "overdue", "why", "found"),
    [
        (None, None, False, None, None),
        (None, None, True, None, ("not_applied", "unchanged")),
        (None, MADE, False, None, ("accepted", "read_back")),
        (None, MADE, True, None, ("accepted", "read_back")),
        (None, None, True, "restored", ("not_applied", "restored")),
        (None, MADE, True, "restored", ("accepted", "read_back")),
        ("known", None, False, "restored", ("accepted", "restored")),
    ],
)
def test_an_unknown_rerun_is_settled_by_the_report_that_it_made(
    new_job_id: str | None, made: NewJob | None, overdue: bool, why: str | None, found: tuple[str, str] | None
) -> None:
    asked = retry("unknown", kind=Kind.RERUN, new_job_id=new_job_id, detail={"why": why})
    said = settled_rerun(asked, made, overdue)
    assert (said and (said.state, said.detail["why"])) == found


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (RUNNING, None),
        (job("CANCEL_REQUESTED", 1), None),
        (job("CANCELLED", 1), "cancelled"),
        (job("FINISHED", 1), "finished"),
        (job("FAILED", 1), "failed_again"),
    ],
)
def test_a_cancellation_ends_as_its_job_does(now: Job, state: str | None) -> None:
    found = followed(retry(kind=Kind.CANCEL, job_before=RUNNING), now, NOW + timedelta(hours=1), GRACE)
    assert (found.state if found else None) == state


def test_a_rerun_s_new_job_is_not_taken_for_the_old_one() -> None:
    old, new = job("FINISHED"), job("FINISHED").model_copy(update={"job_id": "new"})
    again = retry(kind=Kind.RERUN, job_before=old, new_job_id="new")
    assert again.followed_id == "new"
    assert not is_late(again, new)

"""What people read of the records, word for word."""

from datetime import timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.access.policy import Reason
from bot.audit.entry import Event, Filters, Head
from bot.audit.signing import SignedHead
from bot.db.lines import ENDED
from bot.records import messages, why
from bot.records.events import TOLD
from bot.records.line import Line
from bot.records.search import Search, search_view
from bot.records.stats import Stats
from bot.records.story import story
from bot.records.words import OUTCOMES
from bot.retries.kind import EVENTS, Kind
from bot.retries.record import Frequent, Record
from bot.retries.state import FINAL, ApprovalReason, OutcomeReason, RefusalReason, State
from bot.slack.message import Message
from tests.conftest import NOW
from tests.reading import JOB, OTHER, PLACE, Shown, Words, about, as_written, read
from tests.retries.test_messages import a_retry


def a_line(**more: Any) -> Line:
    """An entry of a request, or of whatever `event` says."""
    return Line(**{"id": 1_234, "at": NOW, "event": "request", **more})


def of_request(t: Words = as_written, state: State = State.FINISHED, **more: Any) -> Line:
    """The first entry of a request, with the request as it is now."""
    retry = a_retry(state, about=about(t), **more)
    told = {"user_id": "UANN", "request_id": retry.id, "job_id": JOB, "channel_id": "COPS"}
    return a_line(**told, outcome="requested", reason=retry.reason, retry=retry, about=retry.about)


def lines(t: Words = as_written) -> list[Line]:
    """A line of some sorts."""
    grant = {"subject": "UBEN", "role": "operator", "expires_at": (NOW + timedelta(hours=8)).isoformat()}
    return [
        of_request(t, reason=t("the sensor was offline")),
        of_request(t, State.DENIED, detail={"why": "not_listed"}),
        a_line(id=1_232, event="grant", user_id="UADA", detail=grant, reason=t("on call")),
        a_line(id=1_231, event="anchor", channel_id="COPS", detail={"count": 1_230, "thread_ts": "1763640000.000100"}),
    ]


def every_event(t: Words = as_written) -> dict[str, Line]:
    """A line for each event, and for each way that it may end, by name."""
    terms: dict[str, Any] = {"role": "operator", "job_types": [], "channels": [], "expires_at": None}
    here = {"user_id": "UANN", "job_id": JOB, "about": about(t)}
    of_hers = {**here, "user_id": "UBEN", "request_id": "abcdefghjk", "retry": a_retry(about=about(t))}
    denied = {"outcome": "denied", "detail": {"why": "other_role", "for": "UANN", "subject": "SOPS"}}
    found: dict[str, dict[str, Any]] = {
        "grant, for ever": {"user_id": "cli:root", "detail": {**terms, "subject": "SOPS", "role": "admin"}},
        "grant, limited": {
            "user_id": "UADA",
            "detail": {**terms, "subject": "UBEN", "job_types": ["data_import"], "channels": ["COPS"]},
            "reason": t("because it is their shift"),
        },
        "grant, replaced": {"outcome": "replaced", "user_id": "UADA", "detail": {"subject": "UBEN", "older": [3, 4]}},
        "grant, kept": {"outcome": "kept", "user_id": "UADA", "detail": {"subject": "UBEN", "older": [3]}},
        "grant, denied": {"user_id": "UANN", **denied},
        "grant, odd": {"user_id": "UADA", "detail": {"role": t("owner"), "expires_at": "never"}},
        "revoke": {"user_id": "UADA", "detail": {"subject": "UBEN", "role": "operator"}},
        "revoke, denied": {"user_id": "UANN", "outcome": "denied", "detail": {"subject": "UBEN", "why": "last_admin"}},
        "approval_asked": of_hers,
        "approval": {**of_hers, "detail": {"for": "UANN"}},
        "approval, denied": {**of_hers, "outcome": "denied", "detail": {"for": "UBEN", "why": "self_approval"}},
        "decline": {**of_hers, "detail": {"for": "UANN"}, "reason": t("not during the test")},
        "break_glass": {**of_hers, "reason": t("the test begins at noon")},
        "break_glass, denied": {**of_hers, **denied},
        "look": {"user_id": "UANN", "outcome": "denied", "detail": {"what": t("look at jobs"), "why": "is_guest"}},
        "audit_read, home": {"user_id": "UANN", "detail": {"what": "home"}},
        "audit_read, filtered": {
            "user_id": "UANN",
            "detail": {"what": "list", "filters": {"user": "UBEN", "job": JOB, "run": t("hotfire-118")}},
        },
        "audit_read, denied": {"user_id": "UANN", **denied},
        "request, denied for all": {
            "user_id": "UANN",
            "outcome": "denied",
            "detail": {"batch": "b", "total": 25, "why": "expired"},
        },
        "request, too many": {"user_id": "UANN", "outcome": "refused", "detail": {"why": "too_many", "per_minute": 60}},
        "request, many more": {"user_id": "UANN", "outcome": "refused", "detail": {"why": "too_many", "more": 12}},
        "request, of a bot": {
            "user_id": "BBOT",
            "outcome": "denied",
            "detail": {"why": "is_bot", "jobs": [JOB, OTHER]},
        },
        "rerun, denied": {"user_id": "UANN", "outcome": "denied", "detail": {"total": 3, "why": t("something new")}},
        "cancel, denied": {**here, "outcome": "denied", "detail": {"why": "deactivated"}},
        "alert": {**here, "user_id": None},
        "outside": {**here, "user_id": None, "status_after": t("JOB_STATUS_FINISHED")},
        "mute": {**here, "reason": t("known")},
        "unmute": here,
        "mute, denied": {**here, **denied},
        "take": here,
        "take, of a storm": {"user_id": "UANN", "detail": {"storm": "s", "total": 25}},
        "take, denied": {**here, **denied},
        "release": here,
        "snooze": {**here, "detail": {"until": "2026-11-21T09:00:00Z"}, "reason": t("waits for parts")},
        "remind": {**here, "user_id": None},
        "anchor": {"channel_id": "COPS", "detail": {"count": 1_234}},
        "archive": {"user_id": "cli:root", "detail": {"first_id": 1, "last_id": 9_000, "file": t("one.jsonl")}},
        "recover": {"user_id": "cli:root", "detail": {"unknown": 2, "refused": 1}},
        "something_new": {**here, "outcome": t("done")},
    }
    return {name: a_line(event=name.partition(",")[0], **values) for name, values in found.items()}


def every_request(t: Words = as_written) -> dict[str, Line]:
    """A line for each state of each kind of request, by name."""
    found = {f"{kind}, {state}": of_request(t, state, kind=kind) for kind in Kind for state in State}
    waits = {"approval_until": NOW + timedelta(hours=1)}
    return found | {
        "retry, waits for somebody": of_request(t, State.REQUESTED, **waits),
        "retry, refused by another": of_request(t, State.REFUSED, detail={"why": "under_way", "by": "UBEN"}),
        "retry, failed with words": of_request(t, State.FAILED, detail={"why": "conflict", "message": t("Not now.")}),
        "retry, not read": of_request(t, State.FAILED, detail={"stage": "read", "message": t("Not now.")}),
        "retry, not applied": of_request(t, State.NOT_APPLIED, detail={"why": "outside"}),
    }


def steps(t: Words = as_written) -> list[Line]:
    """The entries of one request that went a long way."""
    retry = a_retry(State.FAILED_AGAIN, about=about(t), reason=t("the sensor was offline"))
    made: list[dict[str, Any]] = [
        {"outcome": "requested", "source": "bulk", "detail": {"batch": "b"}},
        {"event": "approval_asked"},
        {"event": "approval", "user_id": "UBEN", "detail": {"for": "UANN"}},
        {"outcome": "sending", "detail": {"granted_by": "UADA", "attempt": 3}},
        {"outcome": "requested", "status_before": "JOB_STATUS_FAILED", "detail": {"why": "rate_limited"}},
        {"outcome": "sending", "detail": {"granted_by": "ADMINS", "attempt": 3}},
        {"outcome": "sending", "detail": {"granted_by": t("cli:root")}},
        {"outcome": "unknown", "detail": {"why": "interrupted"}},
        {"outcome": "accepted", "detail": {"why": "read_back"}},
        {"outcome": "failed", "detail": {"message": t("Not now.")}},
        {"outcome": "refused", "detail": {"why": "cooldown"}},
        {"outcome": "failed_again"},
    ]
    known = {"request_id": retry.id, "job_id": JOB, "channel_id": "COPS", "retry": retry, "about": retry.about}
    numbered = enumerate(made)
    return [
        a_line(**{"user_id": "UANN", **known, **one, "id": number, "at": NOW + timedelta(seconds=number)})
        for number, one in numbered
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
    week = NOW - timedelta(days=7)
    narrow = Search(
        Filters(JOB, "UANN", outcome="failed_again", run=t("hotfire-118")[:150], since=week, until=NOW), True
    )
    nothing = Stats(NOW - timedelta(days=30), {}, {}, {})
    begun = Stats(NOW, {"2026-11-20": {"requested": 1}}, {t("JOB_TYPE_X"): 1}, {"UANN": 1})
    month = timedelta(days=30)
    return {
        "head": messages.anchored(SignedHead(head), NOW),
        "head, signed": messages.anchored(SignedHead(head, "s" * 86), NOW),
        "page": messages.page(lines(t), Search(), [], True, PLACE.workspace),
        "page, in the middle": messages.page(lines(t), narrow, [2_000, 1_500], True, PLACE.workspace),
        "page, the last": messages.page(lines(t)[:1], Search().of("UANN"), [2_000], False, PLACE.workspace),
        "page, empty": messages.page([], Search(Filters(job_id=JOB)), [], False, PLACE.workspace),
        "page, nothing older": messages.page([], Search(), [1], False, PLACE.workspace),
        "every event": messages.page(list(every_event(t).values()), Search(), [], False, PLACE.workspace),
        "every request": Message(
            "Requests", [messages.block_of(one, PLACE.workspace) for one in every_request(t).values()]
        ),
        "form": search_view(Search(), ZoneInfo("UTC")),
        "form, filled in": search_view(narrow, ZoneInfo("Europe/Berlin")),
        "form, too slow": messages.too_slow(),
        "steps": story(steps(t), 60, PLACE.workspace),
        "steps, too many": story(steps(t), 10, PLACE.workspace),
        "steps, none": story([], 60, PLACE.workspace),
        "modal, reading": messages.reading(),
        "modal, sent": messages.sent(),
        "export": said,
        "export, cut": messages.exported(1_000, 1_000, str(SignedHead(head))),
        "export, sent directly": messages.sent_directly(said),
        "export, not taken": messages.not_uploaded(t("file_upload_failed")),
        "numbers": messages.numbers(STATS, {"UANN": t("Ann")}),
        "numbers, one's own": messages.numbers(STATS, {"UANN": t("Ann")}, month, own=True),
        "numbers, of a day": messages.numbers(STATS, {}, timedelta(days=1)),
        "numbers, none": messages.numbers(nothing, {}),
        "numbers, none of one's own": messages.numbers(nothing, {}, month, own=True),
        "numbers, nothing ended": messages.numbers(begun, {"UANN": t("Ann")}, timedelta(hours=36)),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


def test_the_picture_has_an_alternative_in_words() -> None:
    assert messages.alternative(STATS, {"UANN": "Ann"}) == (
        "9 requests; 6 of 8 retries helped. finished 6, failed again 2, denied 1. "
        "Per day: 2026-11-19: 8; 2026-11-20: 1. By person: Ann 6, UBEN 3."
    )
    assert len(messages.alternative(STATS, {"UANN": "Ann " * 2_000})) <= 1_900


def test_every_event_is_told_in_words() -> None:
    told = {line.event for line in every_event().values()}
    assert {event.value for event in Event} <= told | {"request", "rerun", "cancel"}
    for event in set(Event) - set(EVENTS.values()) - {Event.LOOK}:
        assert event in TOLD, event


@pytest.mark.parametrize("reasons", [Reason, RefusalReason, ApprovalReason, OutcomeReason])
def test_every_reason_is_told_in_words(reasons: type[StrEnum]) -> None:
    for reason in set(reasons) - {Reason.GRANTED, Reason.ADMINS_SETTING}:
        assert reason in why.WHY, reason


def test_what_came_of_requests_may_be_searched_for() -> None:
    assert set(OUTCOMES) == set(FINAL)
    assert all(f"'{outcome}'" in ENDED for outcome in FINAL)

"""What people read who only look, and in the Home tab, word for word."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.access.holding import Holding
from bot.access.policy import PERMISSIONS, Decision, Reason, Role
from bot.alerts.alert import OnCall
from bot.app.help import help_text
from bot.home import messages
from bot.home.approval_messages import Entry
from bot.home.messages import Listed, Seen
from bot.retries.record import Record
from bot.retries.state import State
from bot.sift.subject import About, Why
from tests.access.test_messages import a_grant, grants
from tests.conftest import NOW
from tests.reading import JOB, OTHER, PLACE, Shown, Words, a_job, about, about_rules, as_written, read
from tests.records.test_messages import STATS, lines
from tests.retries.test_messages import a_retry


def seen(decision: Decision, **more: Any) -> Seen:
    """A Home tab with nothing to show but what its reader may do."""
    lists: dict[str, Any] = {"admins": ["UADA"], "under_way": [], "waiting": [], "own": []}
    nothing: dict[str, Any] = {"lines": None, "grants": None, "stats": None}
    role = decision.grant.role if decision.grant is not None else Role.ADMIN
    rights = PERMISSIONS[role] if decision.allowed else frozenset()
    return Seen(at=NOW, decision=decision, rights=rights, **{**lists, **nothing, **more})


def _granted(role: Role, **more: Any) -> Decision:
    return Decision(True, Reason.GRANTED, a_grant(role, **more))


def _tabs(t: Words) -> dict[str, Shown]:
    ends = NOW + timedelta(minutes=30)
    asked: dict[str, Any] = {"approval_until": ends, "attempt": 3, "reason": t("power cut")}
    waits = a_retry(State.REQUESTED, **asked, user_id="UBEN")
    of_batch = replace(waits, batch_id="bcdefghjkm", about=about(t))
    one = Entry([waits], 1, [()], (ends, ends))
    full = {
        "waiting": [a_job(), a_job(kind=t("DATA_SHREDDING"), job_id=OTHER, completedDate=None)],
        "under_way": [a_retry(), a_retry(State.UNKNOWN, user_id="UBEN")],
        "own": [a_retry(State.FINISHED), a_retry(State.DENIED)],
        "stats": STATS,
        "approvals": [one, Entry([of_batch] * 3, 5, [()] * 5, (ends, ends + timedelta(minutes=2))), one, one, one],
        "more": {"approvals": 2},
        "known": Listed({}, {JOB: about(t)}, on_call={JOB: OnCall()}),
    }
    asked_for = {"waiting": [a_job()], "known": Listed({JOB: waits}, {JOB: about(t)}, on_call={JOB: OnCall()})}
    admin = {"lines": lines(t), "grants": grants(t)}
    expired = a_grant(expires_at=NOW - timedelta(hours=2))
    types, ends = frozenset({"data_import"}), NOW + timedelta(hours=8)
    leads = a_grant(Role.AUDITOR, id=9, subject="SLEADS")
    several = Holding((a_grant(job_types=types), a_grant(Role.OPERATOR, id=8, expires_at=ends), leads))
    few = {"more": {"own": 28, "approvals": 2}}
    more = {"more": {"waiting": 1, "under_way": 1_000, "own": 28, "lines": 1, "grants": 12, "approvals": 2}}
    tabs = {
        "home, operator, empty": seen(_granted(Role.OPERATOR)),
        "home, operator, retry waits": seen(_granted(Role.OPERATOR), **asked_for),
        "home, operator": seen(_granted(Role.OPERATOR, expires_at=NOW + timedelta(hours=8)), **full),
        "home, auditor, empty": seen(_granted(Role.AUDITOR), lines=[]),
        "home, auditor": seen(_granted(Role.AUDITOR), stats=STATS, lines=lines(t)),
        "home, admin, empty": seen(_granted(Role.ADMIN), lines=[], grants=[]),
        "home, admin": seen(_granted(Role.ADMIN), **full, **admin),
        "home, admin by setting": seen(Decision(True, Reason.ADMINS_SETTING), **full, **admin),
        "home, several grants": seen(_granted(Role.OPERATOR), held=several),
        "home, admin, one adds nothing": seen(_granted(Role.ADMIN), grants=grants(t)[:2], idle={7}),
        "home, admin, more than is shown": seen(_granted(Role.ADMIN), **{**full, **admin, **more}),
        "home, operator, more than is shown": seen(_granted(Role.OPERATOR), **{**full, **few}),
        "home, guest, nobody to ask": seen(Decision(False, Reason.IS_GUEST), admins=[]),
        "home, guest": seen(Decision(False, Reason.IS_GUEST)),
        "home, not listed": seen(Decision(False, Reason.NOT_LISTED)),
        "home, expired": seen(Decision(False, Reason.EXPIRED, expired)),
    }
    return {name: messages.home_view(tab, partial(help_text, None), PLACE.workspace) for name, tab in tabs.items()}


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown to who looks, by name; other people's words as `t` puts them."""
    why = t("Line 7 is no number.")
    known = Listed({}, {JOB: about(t), OTHER: About(why=Why(why))}, {about(t).why.cause: Record(0, 12)})
    rules = Listed({}, {JOB: about_rules(t)}, {about_rules(t).why.cause: Record(41, 43, timedelta(minutes=6))})
    export = a_job(kind="DATA_EXPORT", job_id=OTHER, jobStatusDetails={"dataExport": {"errorMessage": why}})
    ended = a_retry(State.FAILED_AGAIN)
    waits = a_retry(State.REQUESTED, approval_until=NOW + timedelta(hours=1))
    snoozed = OnCall(snoozed_by="UBEN", snoozed_until=NOW + timedelta(hours=4), muted_by="UCLEO")
    on_call = {JOB: OnCall(taken_by="UANN", taken_at=NOW), OTHER: snoozed}
    return {
        "list": messages.failed([a_job(), export], known, PLACE),
        "list, under way": messages.failed([a_job(), export], replace(known, under_way={JOB: a_retry()}), PLACE),
        "list, asked for": messages.failed([a_job(), export], replace(known, under_way={JOB: waits}), PLACE),
        "list, under way unseen": messages.failed([a_job()], Listed({JOB: a_retry(channel_id=None)}), PLACE),
        "list, taken": messages.failed([a_job(), export], replace(known, on_call=on_call), PLACE),
        "status, taken": messages.status(a_job(), None, replace(known, on_call=on_call), PLACE),
        "list, empty": messages.failed([], Listed(), PLACE),
        "status, failed": messages.status(export, None, known, PLACE),
        "status, failed, retried before": messages.status(a_job(), ended, known, PLACE),
        "status, asked for": messages.status(a_job(), None, replace(known, under_way={JOB: waits}), PLACE),
        "status, running": messages.status(a_job("RUNNING"), a_retry(), Listed(), PLACE),
        "status, finished": messages.status(a_job("FINISHED"), a_retry(State.FINISHED), known, PLACE),
        "status, no way into Sift": messages.status(a_job(), None, known, replace(PLACE, sift_app_url=None)),
        "status, evaluation": messages.status(a_job(kind="RULE_EVALUATION"), None, rules, PLACE),
        "status, unknown": messages.unknown(JOB),
        **_tabs(t),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot

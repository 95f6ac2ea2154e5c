"""The policy as a truth table."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.access.policy import PERMISSIONS, AccessRequest, Grant, Permission, Reason, Role, decide
from bot.slack.people import Person

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PERSON = Person(team_id="T1", user_id="U1", name="Operator")
WISH = AccessRequest(right=Permission.RETRY, workspace="T1", at=NOW, channel_id="C1", job_type="data_import")
GRANT = Grant(id=1, subject="U1", role=Role.OPERATOR, granted_by="U0")


def test_nobody_is_allowed_by_default() -> None:
    assert decide(WISH, PERSON, []).why is Reason.NOT_LISTED


def test_a_grant_allows_and_is_named() -> None:
    decision = decide(WISH, PERSON, [GRANT])
    assert (decision.allowed, decision.why, decision.grant) == (True, Reason.GRANTED, GRANT)


@pytest.mark.parametrize(("role", "right"), list(itertools.product(Role, Permission)))
def test_a_role_allows_just_its_rights(role: Role, right: Permission) -> None:
    decision = decide(replace(WISH, right=right), PERSON, [replace(GRANT, role=role)])
    assert decision.allowed is (right in PERMISSIONS[role])
    assert decision.allowed or decision.why is Reason.OTHER_ROLE


def test_an_auditor_does_not_retry_and_an_operator_does_not_read_the_audit() -> None:
    assert Permission.RETRY not in PERMISSIONS[Role.AUDITOR]
    assert Permission.READ_AUDIT not in PERMISSIONS[Role.OPERATOR]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"team_id": "T2"}, Reason.OTHER_WORKSPACE),
        ({"is_stranger": True}, Reason.OTHER_WORKSPACE),
        ({"deleted": True}, Reason.DEACTIVATED),
        ({"is_bot": True}, Reason.IS_BOT),
        ({"is_guest": True}, Reason.IS_GUEST),
    ],
)
def test_some_are_refused_whatever_they_were_granted(change: dict[str, object], why: Reason) -> None:
    person = replace(PERSON, **change)  # type: ignore[arg-type]  # the parameters are typed by the table above
    assert decide(WISH, person, [replace(GRANT, role=Role.ADMIN)], admins={"U1"}).why is why


def test_whom_slack_does_not_know_is_refused() -> None:
    assert decide(WISH, None, [GRANT], admins={"U1"}).why is Reason.UNKNOWN_PERSON


def test_admins_by_setting_may_do_everything() -> None:
    assert all(decide(replace(WISH, right=right), PERSON, [], admins={"U1"}).allowed for right in Permission)


@pytest.mark.parametrize(("seconds", "allowed"), [(1, True), (0, False), (-1, False)])
def test_a_grant_ends_to_the_second(seconds: int, allowed: bool) -> None:
    grant = replace(GRANT, expires_at=NOW + timedelta(seconds=seconds))
    assert decide(WISH, PERSON, [grant]).allowed is allowed
    assert grant.holds(NOW) is allowed
    assert GRANT.holds(NOW), "one without an end"


@pytest.mark.parametrize(
    ("job_types", "channels", "why"),
    [
        ({"data_import"}, set(), Reason.GRANTED),
        ({"data_export"}, set(), Reason.OTHER_JOB_TYPE),
        (set(), {"C1", "C2"}, Reason.GRANTED),
        (set(), {"C2"}, Reason.OTHER_CHANNEL),
        ({"data_export"}, {"C2"}, Reason.OTHER_CHANNEL),
    ],
)
def test_a_scope_limits_a_grant(job_types: set[str], channels: set[str], why: Reason) -> None:
    grant = replace(GRANT, job_types=frozenset(job_types), channels=frozenset(channels))
    assert decide(WISH, PERSON, [grant]).why is why


def test_a_scope_of_types_waits_until_the_type_is_known() -> None:
    grant = replace(GRANT, job_types=frozenset({"data_export"}))
    assert decide(replace(WISH, job_type=None), PERSON, [grant]).allowed


def test_of_several_grants_the_fitting_one_decides() -> None:
    grants = [
        replace(GRANT, id=1, expires_at=NOW),
        replace(GRANT, id=2, channels=frozenset({"C2"})),
        replace(GRANT, id=3),
    ]
    decision = decide(WISH, PERSON, grants)
    assert decision.grant is not None
    assert decision.grant.id == 3


def test_of_several_noes_the_nearest_explains() -> None:
    grants = [replace(GRANT, role=Role.AUDITOR), replace(GRANT, id=2, expires_at=NOW)]
    assert decide(WISH, PERSON, grants).why is Reason.EXPIRED


def test_a_group_counts_for_its_members_only() -> None:
    grant = replace(GRANT, subject="S1")
    assert decide(WISH, PERSON, [grant], groups=frozenset({"S1"})).allowed
    assert decide(WISH, PERSON, [grant], groups=frozenset({"S2"})).why is Reason.NOT_LISTED


def test_when_slack_cannot_say_who_is_in_a_group_the_answer_is_no() -> None:
    group = replace(GRANT, subject="S1")
    assert decide(WISH, PERSON, [group], groups=None).why is Reason.GROUPS_UNKNOWN
    assert decide(WISH, PERSON, [group, GRANT], groups=None).allowed


def test_a_grant_of_another_workspace_counts_for_nothing() -> None:
    assert decide(WISH, PERSON, [replace(GRANT, team_id="T2")]).why is Reason.NOT_LISTED
    assert decide(WISH, PERSON, [replace(GRANT, team_id="T1")]).allowed

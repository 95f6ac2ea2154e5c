"""What people read of the allow-list, word for word."""

from datetime import timedelta
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.access import answers, messages, modal
from bot.access.holding import Holding
from bot.access.policy import Grant, Reason, Role
from bot.slack.blocks import message_view
from tests.conftest import NOW
from tests.reading import Shown, Words, as_written, read


def a_grant(role: Role = Role.OPERATOR, **more: Any) -> Grant:
    """A grant of somebody, by an admin."""
    values: dict[str, Any] = {"id": 7, "subject": "UANN", "granted_by": "UADA", "role": role}
    return Grant(**{**values, **more})


def grants(t: Words) -> list[Grant]:
    """One grant of each sort."""
    return [
        a_grant(reason=t("on call this week")),
        a_grant(Role.ADMIN, id=8, subject="UBEN", granted_by=t("cli: root")),
        a_grant(Role.AUDITOR, id=9, subject="SLEADS", expires_at=NOW + timedelta(days=7)),
        a_grant(id=10, subject="UCLEO", expires_at=NOW - timedelta(hours=1)),
        a_grant(
            id=11,
            subject="UDAN",
            job_types=frozenset({"data_import", "data_export"}),
            channels=frozenset({"COPS", "CLAB"}),
        ),
    ]


UNFIT = (
    *("is_guest", "is_bot", "deactivated", "other_workspace", "unknown_person", "unknown_group"),
    *("other_role", "other_job_type", "other_channel", "longer", "more_than_held", "last_admin"),
)
DENIED: dict[str, dict[str, Any]] = {
    "not_listed": {},
    "expired": {"expired_seconds": 90},
    "other_role": {"role": "operator"},
    "other_channel": {"channels": ["COPS"]},
    "other_job_type": {"job_types": ["data_import"]},
    **{why: {} for why in ("groups_unknown", "unknown_person", "other_workspace", "deactivated", "is_bot", "is_guest")},
}


def _changes(t: Words) -> dict[str, Shown]:
    """What is said of changes where somebody holds more than the one grant."""
    wide = a_grant(reason=t("on call this week"))
    new = a_grant(id=12, expires_at=NOW + timedelta(hours=8), reason=t("night shift"))
    reads, group = a_grant(Role.AUDITOR, id=9), a_grant(Role.ADMIN, id=4, subject="SLEADS")
    alone, both, setting = Holding((new,)), Holding((reads, new)), Holding(by_setting=True)
    return {
        "granted, beside another": answers.granted(new, both),
        "granted, beside a wider one": answers.granted(new, Holding((wide,)), [wide]),
        "granted, beside wider ones": answers.granted(new, Holding((wide,)), [wide] * 7),
        "granted, beside a group's": answers.granted(new, Holding((group,))),
        "granted, beside the setting": answers.granted(new, setting),
        "granted, groups unknown": answers.granted(new, Holding((new,), unsure=True)),
        "revoked, something is left": answers.revoked("UANN", [new], Holding((reads, group))),
        "revoked, groups unknown": answers.revoked("UANN", [new], Holding(unsure=True)),
        "revoked already": answers.nothing_to_revoke("UANN", ("UADA", NOW)),
        "revoked already, by command line": answers.nothing_to_revoke("UANN", (t("cli:root"), NOW)),
        "replaced": answers.replaced(new, [wide, reads], alone),
        "kept both": answers.kept(new, Holding((wide,))),
        "chosen before, replace": answers.chosen_before("UADA", True, NOW),
        "chosen before, keep": answers.chosen_before("UADA", False, NOW),
        "nothing to replace": answers.nothing_to_replace("UANN", Holding()),
        "told: granted": answers.told_granted("UADA", new, alone),
        "told: granted, beside another": answers.told_granted("UADA", new, both),
        "told: revoked": answers.told_revoked("UADA", [new, reads], Holding()),
        "told: revoked, something is left": answers.told_revoked("UADA", [new], Holding((reads,))),
        "told: replaced": answers.told_replaced("UADA", alone),
        "refused, changes nothing": answers.changes_nothing(messages.denied({"why": "not_listed"}, "grant access")),
        "list, one adds nothing": messages.allow_list([wide, *grants(t)[1:2], new], set(), NOW),
        "modal, errors": {
            f"{subject} {why}": str(dict(answers.not_granted(subject, why, wide).errors))
            for why in UNFIT
            for subject in ("UANN", "SLEADS")
        },
        "modal, nobody": modal.nobody_named(),
        "modal, two": modal.two_named(),
    }


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Everything that is shown of the allow-list, by name; other people's words as `t` puts them."""
    held = a_grant(Role.ADMIN, expires_at=NOW + timedelta(hours=4))
    denied = {"why": "not_listed", "ask": ["UADA"]}
    types = ("data_import", "rule_evaluation", "data_export")
    return {
        **{f"granted {grant.id}": answers.granted(grant, Holding((grant,))) for grant in grants(t)},
        **{f"not granted, {why}": answers.not_granted("UANN", why, held) for why in UNFIT},
        **_changes(t),
        "revoked": answers.revoked("UANN", [a_grant(), a_grant(Role.AUDITOR, id=8)], Holding()),
        "not revoked, last_admin": answers.not_revoked("UANN", "last_admin"),
        "not revoked, more_than_held": answers.not_revoked("SLEADS", "more_than_held"),
        "nothing to revoke": answers.nothing_to_revoke("UANN"),
        "slack is silent": answers.slack_silent(),
        "list": messages.allow_list(grants(t), {"UADA"}, NOW),
        "list, empty": messages.allow_list([], set(), NOW),
        "list, of many": messages.allow_list([*grants(t)[:1]] * 405, set(), NOW),
        "grant modal": modal.grant_view([("SLEADS", t("leads")), ("SOPS", t("ops"))], types),
        "grant modal without groups": modal.grant_view([], types),
        **{
            f"denied, {why}": messages.denied({"why": why, "ask": ["UADA", "UBOB"], **detail}, "look at jobs")
            for why, detail in DENIED.items()
        },
        "denied, modal": message_view(messages.denied(denied, "grant access"), modal.GRANT_TITLE),
        "denied, nobody to ask": messages.denied({"why": "not_listed", "ask": []}, "read the audit"),
        "too many": messages.too_many(42, 60),
        "too many, of one": messages.too_many(60, 1),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot


def test_every_reason_is_shown() -> None:
    granting = {Reason.GRANTED, Reason.ADMINS_SETTING}
    assert set(Reason) - granting <= {*DENIED, *UNFIT}
    assert set(Reason) - granting - {Reason.LONGER} <= set(DENIED)

"""What somebody holds altogether says neither more nor less than the policy allows."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.access.holding import adding_nothing, covers, holding, idle_of_each, older_and_covering
from bot.access.policy import AccessRequest, Grant, Permission, Role, decide
from bot.slack.people import Person
from tests.access.test_messages import a_grant
from tests.conftest import NOW

ANN = Person(team_id="T1", user_id="UANN", name="Ann")
TYPES, CHANNELS = ("data_import", "data_export"), ("C1", "C2")
ENDS = (None, *(NOW + timedelta(hours=hours) for hours in (-1, 1, 8)))

some = st.builds(
    lambda role, types, channels, ends, subject: a_grant(
        role, job_types=types, channels=channels, expires_at=ends, subject=subject
    ),
    st.sampled_from(Role),
    st.frozensets(st.sampled_from(TYPES)),
    st.frozensets(st.sampled_from(CHANNELS)),
    st.sampled_from(ENDS),
    st.sampled_from(("UANN", "SLEADS", "SOTHERS", "UBEN")),
)
grants = st.lists(some, max_size=6).map(
    lambda made: [Grant(**{**vars(one), "id": number}) for number, one in enumerate(made, 1)]
)
requests = st.builds(
    lambda right, channel, kind, hours: AccessRequest(
        right=right, workspace="T1", at=NOW + timedelta(hours=hours), channel_id=channel, job_type=kind
    ),
    st.sampled_from(Permission),
    st.sampled_from(CHANNELS),
    st.sampled_from(TYPES),
    st.sampled_from((0, 4, 20)),
)


@given(grants, requests)
def test_it_allows_what_all_grants_together_allow_from_now_on(listed: list[Grant], asked: AccessRequest) -> None:
    groups = frozenset({"SLEADS"})
    held = holding(listed, "UANN", NOW, groups=groups)
    assert (
        decide(asked, ANN, held.grants, groups=groups).allowed
        == decide(asked, ANN, [one for one in listed if one.subject != "UBEN"], groups=groups).allowed
    )


@given(grants)
def test_nothing_held_adds_nothing(listed: list[Grant]) -> None:
    held = holding(listed, "UANN", NOW)
    assert not adding_nothing(held.grants)
    assert {one.subject for one in held.grants} <= {"UANN"}


def test_of_equal_grants_the_oldest_counts() -> None:
    same = [a_grant(id=number) for number in (3, 1, 2)]
    assert adding_nothing(same) == {2, 3}


@pytest.mark.parametrize(
    ("wider", "narrower", "expected"),
    [
        (a_grant(), a_grant(expires_at=NOW), True),
        (a_grant(Role.ADMIN), a_grant(Role.AUDITOR), True),
        (a_grant(Role.AUDITOR), a_grant(), False),
        (a_grant(), a_grant(job_types=frozenset({"data_import"}), channels=frozenset({"C1"})), True),
        (a_grant(channels=frozenset({"C1"})), a_grant(), False),
        (a_grant(channels=frozenset({"C1", "C2"})), a_grant(channels=frozenset({"C2"})), True),
        (a_grant(expires_at=NOW), a_grant(expires_at=NOW + timedelta(seconds=1)), False),
    ],
)
def test_a_grant_covers_another(wider: Grant, narrower: Grant, expected: bool) -> None:
    assert covers(wider, narrower) is expected


def test_only_older_grants_of_the_same_person_that_hold_are_asked_about() -> None:
    new = a_grant(id=9, expires_at=NOW + timedelta(hours=8))
    listed = [
        a_grant(id=1),
        a_grant(id=2, expires_at=NOW - timedelta(hours=1)),
        a_grant(id=3, subject="UBEN"),
        a_grant(Role.AUDITOR, id=4),
        new,
        a_grant(id=10),
    ]
    assert [one.id for one in older_and_covering(listed, new, NOW)] == [1]
    assert idle_of_each(listed, NOW) == {9, 10}


def test_the_setting_outweighs_every_grant() -> None:
    held = holding([a_grant()], "UANN", NOW, admins={"UANN"}, groups=None)
    assert (held.grants, held.by_setting, held.is_empty, held.unsure) == ((), True, False, False)
    assert holding([], "UANN", NOW, groups=None).unsure

"""The policy against an oracle of its own: every fact about what is asked, a person and grants, in any combination."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.access.policy import AccessRequest, Grant, Permission, Reason, Role, Terms, decide, decide_anywhere, exceeded
from bot.slack.people import Person

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ALLOWED = {
    ("operator", "look"),
    ("operator", "retry"),
    ("auditor", "look"),
    ("auditor", "read_audit"),
    ("admin", "look"),
    ("admin", "retry"),
    ("admin", "read_audit"),
    ("admin", "grant"),
    ("admin", "override"),
}
TYPES = ("data_import", "data_export")
CHANNELS = ("C1", "C2")


def some(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values))


moments = st.none() | st.sampled_from([-3600, -1, 0, 1, 3600]).map(lambda seconds: NOW + timedelta(seconds=seconds))
moments_apart = st.none() | st.integers(0, 5).map(lambda hours: NOW + timedelta(hours=hours))
people = st.builds(
    Person,
    team_id=st.sampled_from(["T1", "T1", "T1", "T2"]),
    user_id=st.sampled_from(["U1", "U2"]),
    name=st.just("somebody"),
    deleted=st.sampled_from([False, False, False, True]),
    is_bot=st.sampled_from([False, False, False, True]),
    is_guest=st.sampled_from([False, False, False, True]),
    is_stranger=st.sampled_from([False, False, False, True]),
)
terms = st.builds(
    Terms, role=st.sampled_from(Role), job_types=some(TYPES), channels=some(CHANNELS), expires_at=moments_apart
)


@st.composite
def lists_of_grants(draw: st.DrawFn) -> list[Grant]:
    grants = st.builds(
        Grant,
        id=st.just(0),
        subject=st.sampled_from(["U1", "U2", "S1", "S2"]),
        role=st.sampled_from(Role),
        granted_by=st.just("U0"),
        team_id=st.sampled_from([None, "T1", "T2"]),
        job_types=some(TYPES),
        channels=some(CHANNELS),
        expires_at=moments,
    )
    return [replace(grant, id=number) for number, grant in enumerate(draw(st.lists(grants, max_size=4)), 1)]


requests = st.builds(
    AccessRequest,
    right=st.sampled_from(Permission),
    workspace=st.just("T1"),
    at=st.just(NOW),
    channel_id=st.sampled_from([None, *CHANNELS]),
    job_type=st.sampled_from([None, *TYPES]),
)
memberships = st.none() | some(("S1", "S2"))
admin_settings = st.sampled_from([frozenset[str](), frozenset({"U1"})])


def nobody(person: Person | None) -> bool:
    """Whether somebody may do nothing, whatever they were granted."""
    if person is None:
        return True
    return any([person.team_id != "T1", person.deleted, person.is_bot, person.is_guest, person.is_stranger])


def allows(grant: Grant, asked: AccessRequest, person: Person, groups: frozenset[str] | None) -> bool:
    """The oracle: a grant allows if each of these is so, written without a look at the policy."""
    return all(
        [
            grant.subject in {person.user_id, *(groups or ())},
            grant.team_id in (None, "T1"),
            (str(grant.role), str(asked.right)) in ALLOWED,
            grant.expires_at is None or grant.expires_at > NOW,
            not grant.channels or asked.channel_id in grant.channels,
            not grant.job_types or asked.job_type is None or asked.job_type in grant.job_types,
        ]
    )


def expected(
    asked: AccessRequest,
    person: Person | None,
    grants: Sequence[Grant],
    admins: frozenset[str],
    groups: frozenset[str] | None,
) -> bool:
    if person is None or nobody(person):
        return False
    return person.user_id in admins or any(allows(grant, asked, person, groups) for grant in grants)


@given(requests, st.none() | people, lists_of_grants(), admin_settings, memberships)
def test_it_allows_just_what_the_oracle_allows(
    asked: AccessRequest,
    person: Person | None,
    grants: list[Grant],
    admins: frozenset[str],
    groups: frozenset[str] | None,
) -> None:
    decision = decide(asked, person, grants, admins=admins, groups=groups)
    assert decision.allowed is expected(asked, person, grants, admins, groups)
    assert decision.allowed is (decision.why in (Reason.GRANTED, Reason.ADMINS_SETTING))
    if decision.why is Reason.GRANTED:
        assert person is not None
        assert decision.grant in grants
        assert allows(decision.grant, asked, person, groups)


@given(requests, people)
def test_without_a_grant_nobody_may_anything(asked: AccessRequest, person: Person) -> None:
    assert not decide(asked, person, []).allowed


@given(requests, people.filter(nobody), lists_of_grants(), memberships)
def test_whatever_is_granted_some_are_refused(
    asked: AccessRequest, person: Person, grants: list[Grant], groups: frozenset[str] | None
) -> None:
    assert not decide(asked, person, grants, admins={person.user_id}, groups=groups).allowed
    assert not decide_anywhere(asked, person, grants, admins={person.user_id}, groups=groups).allowed


@given(requests, people, lists_of_grants(), memberships, st.data())
def test_taking_a_grant_away_never_allows_more(
    asked: AccessRequest, person: Person, grants: list[Grant], groups: frozenset[str] | None, data: st.DataObject
) -> None:
    fewer = [grant for grant in grants if data.draw(st.booleans())]
    if decide(asked, person, fewer, groups=groups).allowed:
        assert decide(asked, person, grants, groups=groups).allowed


@given(requests, people, lists_of_grants())
def test_not_knowing_the_groups_never_allows_more_than_being_in_none(
    asked: AccessRequest, person: Person, grants: list[Grant]
) -> None:
    unknown = decide(asked, person, grants, groups=None)
    assert unknown.allowed is decide(asked, person, grants, groups=frozenset()).allowed


@given(requests, people, lists_of_grants(), memberships)
def test_the_order_of_grants_changes_nothing(
    asked: AccessRequest, person: Person, grants: list[Grant], groups: frozenset[str] | None
) -> None:
    assert decide(asked, person, grants, groups=groups) == decide(asked, person, grants[::-1], groups=groups)


@given(terms, terms)
def test_what_does_not_exceed_a_grant_allows_nothing_that_the_grant_does_not(held: Terms, wanted: Terms) -> None:
    person = Person(team_id="T1", user_id="U1", name="somebody")

    def can(given_terms: Terms) -> set[tuple[Permission, str, str, int]]:
        grant = Grant(id=1, subject="U1", granted_by="U0", **given_terms.__dict__)
        return {
            (right, channel, job_type, hour)
            for right in Permission
            for channel in (*CHANNELS, "C3")
            for job_type in (*TYPES, "rule_evaluation")
            for hour in range(-1, 7)
            if decide(
                AccessRequest(
                    right=right,
                    workspace="T1",
                    at=NOW + timedelta(hours=hour),
                    channel_id=channel,
                    job_type=job_type,
                ),
                person,
                [grant],
            ).allowed
        }

    if exceeded(held, wanted) is None:
        assert can(wanted) <= can(held)
    elif wanted.expires_at is None or wanted.expires_at > NOW:
        assert not can(wanted) <= can(held)


@given(people.filter(lambda person: not nobody(person)), lists_of_grants(), terms, memberships)
def test_nobody_grants_more_than_one_of_their_admin_grants_holds(
    person: Person, grants: list[Grant], wanted: Terms, groups: frozenset[str] | None
) -> None:
    asked = AccessRequest(right=Permission.GRANT, workspace="T1", at=NOW)
    holding = [
        grant
        for grant in grants
        if allows(replace(grant, channels=frozenset(), job_types=frozenset()), asked, person, groups)
    ]
    decision = decide_anywhere(asked, person, grants, wanted, groups=groups)
    assert decision.allowed is any(exceeded(grant, wanted) is None for grant in holding)

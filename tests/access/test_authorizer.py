"""What is looked up for a decision, and whether that is enough once more is known; on both databases."""

from collections.abc import Collection

import pytest

from bot.access import grants
from bot.access.authorizer import Access
from bot.access.grants import NewGrant
from bot.access.policy import AccessRequest, Permission, Role
from bot.db.database import Database
from bot.slack.people import Person
from tests.conftest import NOW

ANN = Person(user_id="UANN", team_id="T1", name="Ann")
IMPORT, EXPORT = "data_import", "data_export"


def retrying(job_type: str | None) -> AccessRequest:
    return AccessRequest(right=Permission.RETRY, workspace="T1", at=NOW, channel_id="C1", job_type=job_type)


def allow(database: Database, own: Collection[str], of_group: Collection[str]) -> None:
    with database.transaction() as connection:
        for subject, types in (("UANN", own), ("SOPS", of_group)):
            new = NewGrant(subject=subject, role=Role.OPERATOR, granted_by="UADA", job_types=frozenset(types))
            grants.grant(connection, new, NOW)


@pytest.mark.parametrize(
    ("own", "of_group", "known", "asked", "allowed"),
    [
        ([EXPORT], [], None, ["SOPS"], True),  # the group's goes further than their own
        ([EXPORT], [IMPORT], None, ["SOPS"], True),
        ([EXPORT], [EXPORT], None, ["SOPS"], False),
        ([], [EXPORT], None, [], True),  # their own is for every job: nobody needs asking
        ([IMPORT], [EXPORT], IMPORT, [], True),
    ],
)
async def test_groups_are_asked_for_where_the_job_may_turn_out_to_be_another(
    database: Database, own: list[str], of_group: list[str], known: str | None, asked: list[str], allowed: bool
) -> None:
    allow(database, own, of_group)
    questions: list[str] = []

    async def members(group_id: str) -> Collection[str]:
        questions.append(group_id)
        return {"UANN"}

    access = Access(database, members, admins=())
    before = await access.decide(retrying(known), ANN, "UANN")
    assert (before.allowed, questions) == (True, asked)
    with database.reading() as connection:
        assert access.decide_again(connection, retrying(IMPORT), ANN, before).allowed == allowed


async def test_ones_own_grant_counts_where_slack_cannot_say_who_is_in_a_group(database: Database) -> None:
    allow(database, [EXPORT], [])

    async def members(group_id: str) -> None:
        return None

    access = Access(database, members, admins=())
    before = await access.decide(retrying(None), ANN, "UANN")
    with database.reading() as connection:
        assert access.decide_again(connection, retrying(EXPORT), ANN, before).allowed
        refused = access.decide_again(connection, retrying(IMPORT), ANN, before)
        assert (refused.allowed, refused.why.value) == (False, "other_job_type")

"""What the allow-list remembers of choices and of who ended what, on both databases."""

from datetime import timedelta

from sqlalchemy import text

from bot.access import grants
from bot.access.grants import NewGrant
from bot.access.policy import Role
from bot.audit import verification
from bot.base.requester import Actor, Source
from bot.db.database import Database
from tests.conftest import NOW

ADA = Actor(user_id="UADA", team_id="T1", source=Source.COMMAND)


def test_a_choice_is_remembered_and_the_audit_agrees(database: Database) -> None:
    with database.transaction() as connection:
        first, second = (
            grants.grant(connection, NewGrant(subject="UANN", role=Role.OPERATOR, granted_by="UADA"), NOW, ADA)
            for _ in range(2)
        )
        assert grants.chosen(connection, second, ["kept", "replaced"]) is None
        given = grants.numbered(connection, second)
        older = [grants.numbered(connection, first)]
        grants.end(connection, older, NOW, ADA)
        grants.note_choice(connection, given, "replaced", older, ADA, NOW)
    with database.reading() as connection:
        chosen = grants.chosen(connection, second, ["kept", "replaced"])
        assert (chosen.user_id, chosen.outcome, chosen.at) == ("UADA", "replaced", NOW)
        assert grants.chosen(connection, first, ["kept", "replaced"]) is None
        assert list(verification.at_start(connection)) == []


def test_a_choice_is_found_by_an_index(database: Database) -> None:
    if not database.is_sqlite:
        return
    with database.reading() as connection:
        plan = connection.execute(
            text(f"EXPLAIN QUERY PLAN {grants._ENTRIES}"),  # a statement of our own
            {"event_1": "grant", "b_number": 1},
        )
        assert "ix_audit_grants" in str(plan.all())


def test_who_ended_the_last_of_it_is_known(database: Database) -> None:
    with database.transaction() as connection:
        assert grants.last_ended(connection, "UANN") is None
        numbers = [
            grants.grant(connection, NewGrant(subject="UANN", role=role, granted_by="UADA"), NOW, ADA) for role in Role
        ]
        later = NOW + timedelta(hours=1)
        for number, by, at in zip(numbers, ("U1", "U2"), (later, NOW), strict=False):
            ended = Actor(user_id=by, team_id="T1", source=Source.HOME)
            grants.end(connection, [grants.numbered(connection, number)], at, ended)
        assert grants.last_ended(connection, "UANN") == ("U1", later)
        assert grants.last_ended(connection, "UANN", numbers[1]) == ("U2", NOW)
        assert grants.last_ended(connection, "UANN", numbers[2]) is None

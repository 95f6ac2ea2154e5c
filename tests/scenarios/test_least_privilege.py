"""The bot on PostgreSQL as the role of deploy/postgresql/roles.sql: it can add to the audit and read it, no more."""

from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from bot.access import grants
from bot.audit import archive, verification
from bot.base.clock import utc_now
from bot.db.database import Database
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.audit.test_verification import fill
from tests.scenarios.conftest import World

ROLES = Path(__file__).parent.parent.parent / "deploy" / "postgresql" / "roles.sql"


@pytest.fixture
def bound_url(postgres_url: str) -> str:
    """The URL of a database for a role with just the grants of the file, which may be run again and again."""
    owner = Database(postgres_url, utc_now)
    for _ in range(2):
        with owner.transaction() as connection:
            connection.exec_driver_sql(ROLES.read_text(encoding="utf-8"))
    owner.close()
    return make_url(postgres_url).set(username="sift_retry").render_as_string()


async def test_the_bot_does_its_work_as_a_role_that_can_only_add_entries(world: World, bound_url: str) -> None:
    settings = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "0.1", "ANCHOR_CHANNEL": LAUNCH_OPS}
    async with world.running(socket_mode=False, DATABASE_URL=bound_url, **settings) as bot:
        world.allow()
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await world.until_outcome("finished")
        failed = world.sift.fail_one()
        await world.until(lambda: any(failed.job_id in message.text_shown() for message in world.messages()))
        with bot.database.transaction() as connection:
            grants.revoke(connection, OPERATOR, "cli:test", utc_now())
        await world.slack.command(OPERATOR, LAUNCH_OPS, failed.job_id)
        await world.until_outcome("denied")
    database = Database(bound_url, utc_now)
    found = verification.verify(database, None, (), None, lambda _: iter)
    database.close()
    assert found.head.count > 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET reason = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_no_change ON audit",
        "DROP TABLE audit",
        "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
        "SET session_replication_role = replica",
        "UPDATE alembic_version SET version_num = 'x'",
        "DELETE FROM grants",
        "DELETE FROM retries",
        "ALTER TABLE retries ADD COLUMN x int",
        "CREATE TABLE x (y int)",
        "CREATE TEMPORARY TABLE x (y int)",
        "CREATE ROLE x",
    ],
)
def test_that_role_can_change_nothing(bound_url: str, statement: str) -> None:
    database = Database(bound_url, utc_now)
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), database.transaction() as connection:
        connection.execute(text(statement))
    database.close()


def test_archiving_takes_the_owner(bound_url: str, postgres_url: str, tmp_path: Path) -> None:

    owner, bound = Database(postgres_url, utc_now), Database(bound_url, utc_now)
    fill(owner, 5)
    file = tmp_path / "one.jsonl"
    with pytest.raises(DBAPIError, match="must be owner"):
        archive.archive(bound, utc_now(), file, "cli:test", utc_now())
    assert not file.exists()
    owner.close()
    bound.close()

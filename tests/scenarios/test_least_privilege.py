"""The bot on PostgreSQL as the role that docs/audit.md describes: it can add to the audit and read it, no more."""

import re
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

DOCS = Path(__file__).parent.parent.parent / "docs" / "audit.md"


@pytest.fixture
def bound_url(postgres_url: str) -> str:
    """The URL of a database for a role with just the documented grants."""
    (documented,) = re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    owner = Database(postgres_url, utc_now)
    with owner.transaction() as connection:
        if not connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = 'sift_retry'")):
            connection.execute(text("CREATE ROLE sift_retry LOGIN"))
        connection.exec_driver_sql(documented)
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

"""`sift-retry move-database`: everything that the app wrote to SQLite is in PostgreSQL, and a bot goes on there."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from bot.access.policy import Role
from bot.audit import verification
from bot.base.clock import utc_now
from bot.db import marks, moving
from bot.db.columns import metadata
from bot.db.database import Database
from bot.db.tables import audit, grants, retries
from bot.sandbox import ADMIN, AUDITOR, LAUNCH_OPS, OPERATOR
from tests.conftest import NOW
from tests.scenarios.conftest import World
from tests.scenarios.test_process import output

pytestmark = pytest.mark.sqlite

AT = NOW + timedelta(microseconds=123_456)


@pytest.fixture
def target(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url, utc_now)
    yield database
    database.close()


async def at_work(world: World) -> None:
    """Has the app write to every kind of row: alerts, storms, batches, grants, a retry superseded by another."""
    again = world.sift.add(then=["fail"])
    async with world.running(ALERT_CHANNEL=LAUNCH_OPS, ALERT_POLL_SECONDS="0.05", ALERT_STORM="3"):
        world.allow()
        world.allow(AUDITOR, Role.AUDITOR, reason="reads, “and” 💥", job_types=frozenset({"data_import"}))
        await world.slack.command(ADMIN, LAUNCH_OPS, f"revoke <@{AUDITOR}>")
        for ends in ("failed_again", "finished"):
            await world.slack.command(OPERATOR, LAUNCH_OPS, f"{again.job_id} twice")
            await world.until_outcome(ends, timeout=8)
        world.sift.fail_one()
        await world.until(lambda: len(world.messages()) >= 2)
        for _ in range(6):
            world.sift.fail_one()
        jobs = " ".join(job.job_id for job in world.sift.outage(5))
        await world.slack.command(OPERATOR, LAUNCH_OPS, jobs)
        async with asyncio.timeout(10):
            while world.outcomes().count("finished") < 6:
                await asyncio.sleep(0.05)
    await approved(world)


async def approved(world: World) -> None:
    """Has the app write down who approved a retry."""
    async with world.running(APPROVAL_AFTER="1"):
        await world.slack.command(OPERATOR, LAUNCH_OPS, (job := world.sift.add()).job_id)
        (message,) = await world.until(lambda: [m for m in world.replies() if "has to approve" in m.text_shown()])
        await world.slack.click(ADMIN, LAUNCH_OPS, message.ts, "approve_retry")
        await world.until_outcome("finished", job_id=job.job_id)
        thread = message.thread_ts
        await world.until(lambda: [m for m in world.replies() if m.thread_ts == thread and "finished after" in m.text])


def all_of(database: Database) -> dict[str, list[dict[str, Any]]]:
    with database.reading() as connection:
        return {
            table.name: sorted((dict(row._mapping) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


async def test_what_the_app_wrote_arrives_as_it_was_and_the_bot_goes_on(world: World, target: Database) -> None:
    await at_work(world)
    source = Database(f"sqlite:///{world.directory}/bot.db", utc_now)
    before = all_of(source)
    assert {name for name, rows in before.items() if not rows} <= {"quotas", "offers", "digests"}
    url = target.engine.url.render_as_string()
    code, out, error = await output(world, "move-database", source.engine.url.render_as_string(), url)
    assert code == 0, error
    assert [line.partition(":")[0] for line in error.splitlines()[:-1]] == [
        table.name for table in metadata.sorted_tables
    ]
    assert all_of(target) == before
    head = verification.verify(target, None, (), None, lambda _: iter).head
    assert out.endswith(f"{head.count} audit entries, head {head.count}:{head.hash}\n")
    source.close()
    async with world.running(DATABASE_URL=url):
        world.allow(reason="a grant's number goes on")
        await world.slack.command(OPERATOR, LAUNCH_OPS, (job := world.sift.add()).job_id)
        await world.until_outcome("finished", job_id=job.job_id)
        world.bot = None
    code, _, error = await output(world, "run", DATABASE_URL=f"sqlite:///{world.directory}/bot.db")
    assert (code, len(error.splitlines())) == (1, 1)
    assert "was moved to postgresql://bot@/test_" in error


def move(source: Database, target: Database) -> list[str]:
    told: list[str] = []
    with source.transaction() as left, target.transaction() as arrived:
        moving.move(left, arrived, told.append)
    return told


@pytest.fixture
def source(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url, utc_now)
    yield database
    database.close()


def fill(connection: Connection, count: int = 1) -> None:
    """Rows whose types and references are the hard ones: each retry but the first is superseded by a later key."""
    big = 2**53
    connection.execute(
        grants.insert().values(id=big, subject="U1", role="admin", granted_by="cli:é", granted_at=AT, expires_at=None)
    )
    for number in reversed(range(count)):
        connection.execute(
            retries.insert().values(
                id=f"r{number:06}",
                delivery_key=f"{'Zz'[number % 2]}-ä{number}",
                state="refused",
                job_id="j",
                team_id="T",
                user_id="U1",
                source="command",
                reason='{"not": "parsed", "n": 1e400} \\ \n\t “”',
                grant_id=big,
                superseded_by=f"r{number + 1:06}" if number + 1 < count else None,
                created_at=AT,
                ended_at=datetime(1970, 1, 1, tzinfo=AT.tzinfo),
                showing=bool(number % 2),
                fence=2**31 - 1,
            )
        )
    connection.execute(
        audit.insert().values(
            id=big, at=AT, event="grant", grant_id=big, detail='{"a":1}', prev_hash="0" * 64, hash="f" * 64
        )
    )


def test_every_type_survives_in_any_number_of_chunks(
    source: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "CHUNK", 7)
    with source.transaction() as connection:
        fill(connection, 50)
    told = move(source, target)
    assert "retries: 50 rows, " in "".join(told)
    assert all_of(target) == all_of(source)
    with target.reading() as connection:
        row = connection.execute(select(retries).where(retries.c.id == "r000001")).one()
        assert (row.created_at, row.showing, row.grant_id, row.superseded_by) == (AT, True, 2**53, "r000002")


def test_a_target_with_rows_is_refused(source: Database, target: Database) -> None:
    with target.transaction() as connection:
        marks.write(connection, "workspace", "T1", NOW)
    with pytest.raises(moving.NotEmpty, match="marks has rows"):
        move(source, target)
    assert {name for name, rows in all_of(target).items() if rows} == {"marks"}


def test_what_does_not_arrive_as_it_was_is_noticed_and_taken_back(source: Database, target: Database) -> None:
    with source.transaction() as connection:
        fill(connection)
    with target.transaction() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN NEW.user_id = 'U2'; RETURN NEW; END $$"
            )
        )
        connection.execute(text("CREATE TRIGGER other BEFORE INSERT ON retries FOR EACH ROW EXECUTE FUNCTION other()"))
    with pytest.raises(moving.NotTheSame, match=r"retries is not what was there \(1 rows, "):
        move(source, target)
    assert not any(all_of(target).values())


def test_a_failure_half_way_leaves_the_target_empty(source: Database, target: Database) -> None:
    with source.transaction() as connection:
        fill(connection)

    def tell(line: str) -> None:
        if line.startswith("retries"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), source.transaction() as left, target.transaction() as arrived:
        moving.move(left, arrived, tell)
    assert not any(all_of(target).values())


async def test_it_refuses_in_one_line(world: World, sqlite_url: str, source: Database, target: Database) -> None:
    url = target.engine.url.render_as_string()

    async def refused(*urls: str) -> tuple[int, str]:
        code, out, error = await output(world, "move-database", *urls)
        assert (out, len(error.splitlines())) == ("", 1), error
        return code, error

    assert (await refused(url, sqlite_url))[0] == 2
    assert (await refused(sqlite_url, sqlite_url))[0] == 2
    assert (await refused("sqlite:///x", "mysql://me:hunter22@host/name"))[0] == 2
    assert "hunter22" not in (await refused("sqlite:///x", "mysql://me:hunter22@host/name"))[1]
    assert "there is no database /nowhere.db" in (await refused("sqlite:////nowhere.db", url))[1]
    source.claim_file()
    code, said = await refused(sqlite_url, url)
    assert (code, "is in use by another bot" in said) == (1, True)
    source.close()
    with target.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert "TO: The database schema is at version 0001" in (await refused(sqlite_url, url))[1]
    with target.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = (SELECT max(x) FROM (VALUES ('9999')) v(x))"))
    assert "TO: The database schema is at version 9999, newer" in (await refused(sqlite_url, url))[1]


async def test_a_broken_audit_is_not_moved(world: World, sqlite_url: str, source: Database, target: Database) -> None:
    with source.transaction() as connection:
        fill(connection)
    source.close()
    code, _, error = await output(world, "move-database", sqlite_url, target.engine.url.render_as_string())
    assert code == 1
    assert "The audit is not whole: entry" in error.splitlines()[-1]
    assert not any(all_of(target).values())

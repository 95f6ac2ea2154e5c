"""Rows brought to Slack: by several replicas, slowly, past a lease, through odd answers and a database that is away."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from bot.alerts import store
from bot.alerts.alert import Alert
from bot.app.server import serving
from bot.base.clock import Clock, utc_now
from bot.base.redactor import Redactor
from bot.db.database import Database
from bot.db.tables import alerts as alerts_table
from bot.sandbox import DATA_IMPORTS, LAUNCH_OPS, SlackWorkspace
from bot.sift.job import Job
from bot.slack.client import Slack, http_session, web_client
from bot.slack.message import Message
from bot.slack.outbox import LEASE
from bot.slack.piece import Piece
from bot.slack.publisher import PLACES_OF_A_CHANNEL, Display


def pieces(row: Alert) -> list[Piece]:
    block = {"type": "section", "text": {"type": "plain_text", "text": row.job_id}}
    return [Piece("announcement", Message(row.job_id, [block]))]


@dataclass
class Office:
    """A workspace, a database with failures to alert, and as many displays of them as wanted."""

    workspace: SlackWorkspace
    slack: Slack
    database: Database
    displays: list[Display[Alert]] = field(default_factory=list)

    def display(self, show: Callable[[Alert], Sequence[Piece]] = pieces, **more: Any) -> Display[Alert]:
        """A replica."""
        display = Display(self.database, self.slack, store.board, show, utc_now, **more)
        self.displays.append(display)
        return display

    def failures(self, count: int, channel_id: str = LAUNCH_OPS) -> None:
        """So many failures, due to be shown now, the first one longest."""
        at = utc_now()
        names = [f"{channel_id}-{number:03}" for number in range(count)]
        jobs = [
            Job.model_validate({"jobId": name, "jobStatus": "JOB_STATUS_FAILED", "jobType": "JOB_TYPE_DATA_EXPORT"})
            for name in names
        ]
        with self.database.transaction() as connection:
            store.note_failures(connection, {channel_id: jobs}, at)
            store.fold(connection, 1_000, at)
            for number, name in enumerate(names):
                due = at - timedelta(seconds=60) + timedelta(milliseconds=number)
                row = update(alerts_table).where(alerts_table.c.job_id == name)
                connection.execute(row.values(show_at=due))

    def said(self, channel_id: str = LAUNCH_OPS) -> list[str]:
        """What stands in a channel."""
        return [message.text for message in self.workspace.channel(channel_id).messages]

    async def until_shown(self, seconds: float = 15) -> None:
        """Waits until no row lags behind any more."""
        async with asyncio.timeout(seconds):
            while await self.database.run(self._lagging):
                await asyncio.gather(*(display.sweep() for display in self.displays))
                await asyncio.sleep(0.02)

    def _lagging(self, connection: Connection) -> list[Any]:
        return list(connection.execute(select(alerts_table.c.id).where(alerts_table.c.show_at.is_not(None))))


@pytest.fixture
def clock() -> Clock:
    """The database's, too: real time, since leases run out while Slack is slow."""
    return utc_now


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    workspace = SlackWorkspace()
    async with serving(workspace.app) as url, http_session() as session:
        client = web_client(workspace.bot_token, f"{url}/api/", session)
        slack = Slack(client, time.monotonic, Redactor([]), call_seconds=5)
        office = Office(workspace, slack, database)
        yield office
        await asyncio.gather(*(display.stop(2) for display in office.displays))


async def test_two_replicas_and_a_slow_slack_double_nothing(office: Office) -> None:
    for _ in range(2):
        office.display(turn_seconds=1, lease=timedelta(seconds=1.2))
    office.failures(60)
    office.workspace.delay("chat.postMessage", 0.4, times=60)
    await office.until_shown(30)
    assert len(office.said()) == 60
    assert len(set(office.said())) == 60


async def test_a_turn_that_slept_past_its_lease_posts_nothing(office: Office) -> None:
    def sleepy(row: Alert) -> list[Piece]:
        with office.database.transaction() as connection:  # another replica, after the lease
            later = office.database.now(connection) + LEASE + timedelta(seconds=1)
            assert [taken.id for taken in store.board.claim(connection, later)] == [row.id]
        return pieces(row)

    display = office.display(sleepy)
    office.failures(1)
    await display.sweep()
    await display.stop(10)
    assert office.said() == []


async def test_rows_are_taken_one_by_one_those_that_waited_longest_first(office: Office) -> None:
    display = office.display()
    office.failures(PLACES_OF_A_CHANNEL + 5)
    office.workspace.delay("chat.postMessage", 0.8, times=PLACES_OF_A_CHANNEL)
    await display.sweep()

    def claimed(connection: Connection) -> list[str]:
        taken = select(alerts_table.c.job_id).where(alerts_table.c.showing).order_by(alerts_table.c.job_id)
        return list(connection.scalars(taken))

    at_work = await office.database.run(claimed)
    assert at_work == [f"{LAUNCH_OPS}-{number:03}" for number in range(PLACES_OF_A_CHANNEL)]
    await office.until_shown()
    assert sorted(office.said()) == [f"{LAUNCH_OPS}-{number:03}" for number in range(PLACES_OF_A_CHANNEL + 5)]


async def test_a_slow_channel_holds_up_no_other(office: Office) -> None:
    display = office.display()
    office.failures(40)
    office.failures(5, DATA_IMPORTS)
    office.workspace.delay("chat.postMessage", 3, times=99, channel=LAUNCH_OPS)
    await display.sweep()
    await office.workspace.until(lambda: len(office.said(DATA_IMPORTS)) == 5)
    assert office.said() == []


async def test_a_wait_that_slack_asks_for_is_the_row_s(office: Office) -> None:
    display = office.display()
    office.failures(3)
    office.workspace.fail("chat.postMessage", "ratelimited", status=429, retry_after=100, times=3)
    await display.sweep()
    await display.stop(10)
    columns = (alerts_table.c.show_at, alerts_table.c.show_failures, alerts_table.c.showing)
    rows = await office.database.run(lambda connection: connection.execute(select(*columns)).all())
    for row in rows:
        assert timedelta(seconds=90) < row.show_at - utc_now() < timedelta(seconds=101)
        assert (row.show_failures, row.showing) == (0, False), "nothing failed, and nothing can have been posted"
    posts = [call for call in office.workspace.calls if call.method == "chat.postMessage"]
    assert len(posts) <= 3


async def test_a_row_that_cannot_be_rendered_or_read_holds_up_no_other(office: Office) -> None:
    def picky(row: Alert) -> list[Piece]:
        if row.job_id.endswith("-001"):
            raise KeyError("what is this")
        return pieces(row)

    display = office.display(picky)
    office.failures(4)
    with office.database.transaction() as connection:
        connection.execute(text(f"UPDATE alerts SET job = '[' WHERE job_id = '{LAUNCH_OPS}-000'"))
    await display.sweep()
    await office.workspace.until(lambda: len(office.said()) == 2)
    await display.stop(10)
    await display.sweep()
    rows = await office.database.run(
        lambda connection: connection.execute(
            select(alerts_table.c.show_failures, alerts_table.c.show_at).order_by(alerts_table.c.job_id)
        ).all()
    )
    assert [row.show_failures for row in rows] == [1, 1, 0, 0]
    assert [row.show_at is not None for row in rows] == [True, True, False, False], "they are tried again, later"


async def test_an_odd_answer_stops_nobody_and_repeats_nothing(office: Office) -> None:
    office.display()
    office.failures(3)
    office.workspace.garble("chat.postMessage", b"\xff\xfe")
    office.workspace.garble("chat.postMessage", b'{"ok": true}')
    await office.until_shown()
    assert sorted(office.said()) == [f"{LAUNCH_OPS}-{number:03}" for number in range(3)]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_was_posted_is_written_down_once_the_database_takes_it(office: Office) -> None:
    """The lock of another process outlasts the database's patience, just when the post has been made."""
    display = office.display()
    office.failures(1)
    with office.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    office.workspace.scopes -= {"channels:history", "groups:history"}
    office.workspace.delay("chat.postMessage", 0.5)
    await display.sweep()
    await office.workspace.until(lambda: office.workspace.calls)
    path = office.database.engine.url.database
    assert path is not None
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await office.workspace.until(office.said)
        await asyncio.sleep(0.3)
        other.execute("COMMIT")
    await display.stop(10)
    assert "ts" in (await office.database.run(lambda connection: str(connection.scalar(select(alerts_table.c.shown)))))
    await office.until_shown()
    assert len(office.said()) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_reasons_that_come_late_bring_nobody_else_to_a_storm_that_is_being_posted(office: Office) -> None:
    office.failures(3)
    at = utc_now()
    with office.database.transaction() as connection:
        connection.execute(update(alerts_table).values(manner="new"))
        wanted = store.fold(connection, 1, at)
        (storm,) = store.storm_board.claim(connection, at + timedelta(seconds=10))
        store.add_causes(connection, {wanted[0].id: "late"}, at + timedelta(seconds=11))
        assert store.storm_board.claim(connection, at + timedelta(seconds=12)) == [], "two at once would post twice"
        store.storm_board.showed(connection, storm, at + timedelta(seconds=13), shown={}, unpostable=None)
        (again,) = store.storm_board.claim(connection, at + timedelta(seconds=14))
        assert again.causes == {"late": 1}

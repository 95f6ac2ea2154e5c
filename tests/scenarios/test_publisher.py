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

from bot.alerts import queries, store, storms, subjects
from bot.alerts.alert import Alert
from bot.app.server import serving
from bot.base.clock import Clock, utc_now
from bot.base.redactor import Redactor
from bot.db.database import Database
from bot.db.tables import alerts as alerts_table
from bot.sandbox import DATA_IMPORTS, LAUNCH_OPS, SlackWorkspace
from bot.sift.job import Job
from bot.sift.subject import About, Why
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.outbox import LEASE
from bot.slack.pace import Rate
from bot.slack.piece import Piece
from bot.slack.publisher import Publisher
from bot.slack.showing import PLACES, PLACES_OF_A_CHANNEL
from bot.slack.web import http_session, web_client


def marked(text: str) -> Message:
    """A message that is found again by its block."""
    return Message(text, [{"type": "section", "text": {"type": "plain_text", "text": text}}])


def pieces(row: Alert) -> list[Piece]:
    return [Piece("announcement", marked(row.job_id))]


def announcing(words: list[str], **more: bool) -> Callable[[Alert], list[Piece]]:
    """One announcement, of what the first of some words is by then."""
    return lambda _: [Piece("announcement", marked(words[0]), **more)]


@dataclass
class Stage:
    """A workspace, a database with failures to alert, and as many displays of them as wanted."""

    workspace: SlackWorkspace
    slack: Slack
    database: Database
    publishers: list[Publisher[Alert]] = field(default_factory=list)

    def publisher(self, show: Callable[[Alert], Sequence[Piece]] = pieces, **more: Any) -> Publisher[Alert]:
        """A replica."""
        publisher = Publisher(self.database, self.slack, queries.outbox, show, utc_now, **more)
        self.publishers.append(publisher)
        return publisher

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
                await asyncio.gather(*(publisher.sweep() for publisher in self.publishers))
                await asyncio.sleep(0.02)

    def _lagging(self, connection: Connection) -> list[Any]:
        return list(connection.execute(select(alerts_table.c.id).where(alerts_table.c.show_at.is_not(None))))


@pytest.fixture
def clock() -> Clock:
    """The database's, too: real time, since leases run out while Slack is slow."""
    return utc_now


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    workspace = SlackWorkspace()
    async with serving(workspace.app) as url, http_session() as session:
        client = web_client(workspace.bot_token, f"{url}/api/", session)
        slack = Slack(client, time.monotonic, Redactor([]), call_seconds=5, rates={})
        stage = Stage(workspace, slack, database)
        yield stage
        await asyncio.gather(*(publisher.stop(2) for publisher in stage.publishers))


async def test_two_replicas_and_a_slow_slack_double_nothing(stage: Stage) -> None:
    for _ in range(2):
        stage.publisher(turn_seconds=1, lease=timedelta(seconds=1.2))
    stage.failures(60)
    stage.workspace.delay("chat.postMessage", 0.4, times=60)
    await stage.until_shown(30)
    assert len(stage.said()) == 60
    assert len(set(stage.said())) == 60


async def test_a_turn_that_slept_past_its_lease_posts_nothing(stage: Stage) -> None:
    asleep = 0.0

    def sleepy(row: Alert) -> list[Piece]:
        nonlocal asleep
        asleep = LEASE.total_seconds() + 1
        with stage.database.transaction() as connection:  # another replica, after the lease
            later = stage.database.now(connection) + LEASE + timedelta(seconds=1)
            assert [taken.id for taken in queries.outbox.claim(connection, later)] == [row.id]
        return pieces(row)

    publisher = stage.publisher(sleepy, timer=lambda: time.monotonic() + asleep)
    stage.failures(1)
    await publisher.sweep()
    await publisher.stop(10)
    assert stage.said() == []


async def test_what_a_turn_that_never_came_back_made_of_a_message_is_put_right(stage: Stage) -> None:
    publisher = stage.publisher()
    stage.failures(1)
    await publisher.sweep()
    await stage.until_shown()
    (message,) = stage.workspace.channel(LAUNCH_OPS).messages
    as_it_was, message.text = message.text, "as the row was in between"
    await stage.database.run(_claimed_by_a_process_that_died)
    await stage.until_shown()
    assert message.text == as_it_was
    assert len(stage.said()) == 1


async def test_what_is_put_right_after_a_turn_that_never_came_back_is_not_put_right_again(stage: Stage) -> None:
    """Else the first message would take what the channel allows each time, and the second one wait for ever."""

    def two(row: Alert) -> list[Piece]:
        return [*pieces(row), Piece("summary", Message("the summary", []))]

    publisher = stage.publisher(two)
    stage.failures(1)
    await publisher.sweep()
    await stage.until_shown()
    first, second = stage.workspace.channel(LAUNCH_OPS).messages
    await stage.database.run(_claimed_by_a_process_that_died)
    stage.workspace.fail("chat.update", "ratelimited", status=429, retry_after=1, times=2, ts=second.ts)
    await stage.until_shown()
    updated = [call.arguments["ts"] for call in stage.workspace.calls if call.method == "chat.update"]
    assert updated == [first.ts, second.ts, second.ts, second.ts]


async def test_an_update_whose_answer_is_lost_is_put_right_though_the_row_is_again_as_before(stage: Stage) -> None:
    words = ["before"]
    publisher = stage.publisher(announcing(words))
    stage.failures(1)
    await stage.until_shown()
    words[0] = "in between"
    await stage.database.run(_due)
    stage.workspace.lose_answer("chat.update", times=9)
    await publisher.sweep()
    await stage.workspace.until(lambda: stage.said() == ["in between"])
    await publisher.stop(10)
    stage.workspace.faults.clear()
    words[0] = "before"
    stage.publisher(announcing(words))
    await stage.until_shown()
    assert stage.said() == ["before"]


async def test_what_can_no_longer_be_updated_is_not_told_again_after_a_turn_that_never_came_back(stage: Stage) -> None:
    """What went on below, and what never changed, in a workspace with an edit window: one message each, and rest."""
    words, more = ["before"], list[Piece]()

    def changing(_: Alert) -> list[Piece]:
        first = Piece("announcement", Message("first", []), in_thread_too=True)
        return [first, Piece("summary", Message(words[0], [])), *more]

    publisher = stage.publisher(changing)
    stage.failures(1)
    await publisher.sweep()
    await stage.until_shown()
    stage.workspace.fail("chat.update", "edit_window_closed", times=99)
    words[0] = "after"
    await stage.database.run(_due)
    await stage.until_shown()
    await stage.database.run(_claimed_by_a_process_that_died)
    more.append(Piece("ending", Message("the end", [])))
    await stage.until_shown()
    assert stage.said() == ["first", "before", "after", "the end"]


@pytest.mark.parametrize(
    "fault",
    [{"error": "internal_error"}, {"error": "ratelimited", "status": 429, "retry_after": 1}],
    ids=["unavailable", "limited"],
)
async def test_what_changes_days_after_it_began_outlasts_trouble_of_slack(stage: Stage, fault: dict[str, Any]) -> None:
    words = ["before"]
    publisher = stage.publisher(announcing(words))
    stage.failures(1)
    await publisher.sweep()
    await stage.until_shown()
    words[0] = "after"
    days_ago = update(alerts_table).values(show_at=utc_now(), created_at=utc_now() - timedelta(days=2))
    stage.workspace.fail("chat.update", times=2, **fault)
    await stage.database.run(lambda connection: connection.execute(days_ago))
    await stage.until_shown()
    assert stage.said() == ["after"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_a_machine_lost_that_stopped_is_put_right(stage: Stage) -> None:
    """A turn failed, the next one updated a message, and its commit, which was not flushed, is undone."""
    words = ["before"]

    def two(_: Alert) -> list[Piece]:
        return [Piece("announcement", marked(words[0])), Piece("summary", marked("the summary"))]

    publisher = stage.publisher(two)
    stage.failures(1)
    stage.workspace.fail("chat.postMessage", "internal_error", times=9, text="the summary")
    await publisher.sweep()
    await publisher.stop(10)
    stage.workspace.faults.clear()
    failed = await stage.database.run(lambda connection: connection.execute(alerts_table.select()).mappings().one())
    assert "?" in failed["shown"]
    words[0] = "in between"
    stage.publisher(two)
    await stage.database.run(_due)
    await stage.until_shown()
    assert stage.said()[0] == "in between"
    words[0] = "before"

    def undo_and_start(connection: Connection) -> None:
        connection.execute(update(alerts_table).values(**failed))
        queries.outbox.free(connection, utc_now())

    await stage.database.run(undo_and_start)
    await stage.until_shown()
    assert stage.said() == ["before", "the summary"]


async def test_a_post_that_outlasts_its_lease_is_waited_for_by_the_next_turn(stage: Stage) -> None:
    """What is on its way cannot be found yet, so a second turn of the same process would post it again."""
    publisher = stage.publisher(lease=timedelta(seconds=0.3))
    stage.failures(1)
    stage.workspace.delay("chat.postMessage", 0.9)
    await publisher.sweep()
    await asyncio.sleep(0.4)
    await stage.until_shown()
    await publisher.stop(5)
    assert len(stage.said()) == 1


@pytest.mark.sqlite
async def test_a_turn_whose_lease_a_clock_ended_does_not_go_by_the_claim_of_the_next_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(0)

    def two(row: Alert) -> list[Piece]:
        return [*pieces(row), Piece("summary", Message("the summary", []))]

    monkeypatch.setattr(stage.database, "clock", lambda: utc_now() + ahead)
    stage.workspace.fail("conversations.history", "missing_scope", times=99)
    stage.workspace.fail("conversations.replies", "missing_scope", times=99)
    publisher = stage.publisher(two)
    stage.failures(1)
    stage.workspace.delay("chat.postMessage", 0.4)
    await publisher.sweep()
    await asyncio.sleep(0.1)
    ahead = LEASE + timedelta(seconds=1)
    await publisher.sweep()
    await stage.until_shown()
    await publisher.stop(5)
    assert sorted(stage.said()) == [f"{LAUNCH_OPS}-000", "the summary"]


async def test_a_claim_that_was_rolled_back_is_not_mistaken_for_the_one_that_came_after_it(stage: Stage) -> None:
    """The database did not commit at first; by the next try the sweep shows the row, under the same fence."""
    publisher = stage.publisher()
    stage.failures(1)
    with stage.database.reading() as connection:
        row_id = connection.scalars(select(alerts_table.c.id)).one()

    def changed(connection: Connection) -> None:
        connection.execute(update(alerts_table).values(version=alerts_table.c.version + 1))
        claim(connection)

    def fails(connection: Connection) -> None:
        changed(connection)
        raise RuntimeError

    with publisher.claiming(row_id, LAUNCH_OPS) as claim:
        with pytest.raises(RuntimeError):
            await stage.database.run(fails)
        stage.workspace.delay("chat.postMessage", 0.3)
        await publisher.sweep()
        await stage.database.run(changed)
    await stage.until_shown()
    await publisher.stop(5)
    assert len(stage.said()) == 1


async def test_rows_are_taken_one_by_one_those_that_waited_longest_first(stage: Stage) -> None:
    publisher = stage.publisher()
    stage.failures(PLACES_OF_A_CHANNEL + 5)
    stage.workspace.delay("chat.postMessage", 1.6, times=PLACES_OF_A_CHANNEL)
    await publisher.sweep()

    def claimed(connection: Connection) -> list[str]:
        taken = select(alerts_table.c.job_id).where(alerts_table.c.showing).order_by(alerts_table.c.job_id)
        return list(connection.scalars(taken))

    at_work = await stage.database.run(claimed)
    assert at_work == [f"{LAUNCH_OPS}-{number:03}" for number in range(PLACES_OF_A_CHANNEL)]
    await stage.until_shown()
    assert sorted(stage.said()) == [f"{LAUNCH_OPS}-{number:03}" for number in range(PLACES_OF_A_CHANNEL + 5)]


async def test_a_slow_channel_holds_up_no_other(stage: Stage) -> None:
    publisher = stage.publisher()
    stage.failures(40)
    stage.failures(5, DATA_IMPORTS)
    stage.workspace.delay("chat.postMessage", 3, times=99, channel=LAUNCH_OPS)
    await publisher.sweep()
    await stage.workspace.until(lambda: len(stage.said(DATA_IMPORTS)) == 5)
    assert stage.said() == []


async def test_a_wait_that_slack_asks_for_is_the_row_s(stage: Stage) -> None:
    publisher = stage.publisher()
    stage.failures(3)
    stage.workspace.fail("chat.postMessage", "ratelimited", status=429, retry_after=100, times=3)
    await publisher.sweep()
    await publisher.stop(10)
    columns = (alerts_table.c.show_at, alerts_table.c.show_failures, alerts_table.c.showing)
    rows = await stage.database.run(lambda connection: connection.execute(select(*columns)).all())
    for row in rows:
        assert timedelta(seconds=90) < row.show_at - utc_now() < timedelta(seconds=101)
        assert (row.show_failures, row.showing) == (0, False), "nothing failed, and nothing can have been posted"
    posts = [call for call in stage.workspace.calls if call.method == "chat.postMessage"]
    assert len(posts) <= 3


async def test_a_row_that_cannot_be_rendered_or_read_holds_up_no_other(stage: Stage) -> None:
    def picky(row: Alert) -> list[Piece]:
        if row.job_id.endswith("-001"):
            raise KeyError("what is this")
        return pieces(row)

    publisher = stage.publisher(picky)
    stage.failures(4)
    with stage.database.transaction() as connection:
        connection.execute(text(f"UPDATE alerts SET job = '[' WHERE job_id = '{LAUNCH_OPS}-000'"))
    await publisher.sweep()
    await stage.workspace.until(lambda: len(stage.said()) == 2)
    await publisher.stop(10)
    await publisher.sweep()
    rows = await stage.database.run(
        lambda connection: connection.execute(
            select(alerts_table.c.show_failures, alerts_table.c.show_at).order_by(alerts_table.c.job_id)
        ).all()
    )
    assert [row.show_failures for row in rows] == [1, 1, 0, 0]
    assert [row.show_at is not None for row in rows] == [True, True, False, False], "they are tried again, later"


async def test_an_odd_answer_stops_nobody_and_repeats_nothing(stage: Stage) -> None:
    stage.publisher()
    stage.failures(3)
    stage.workspace.garble("chat.postMessage", b"\xff\xfe")
    stage.workspace.garble("chat.postMessage", b'{"ok": true}')
    await stage.until_shown()
    assert sorted(stage.said()) == [f"{LAUNCH_OPS}-{number:03}" for number in range(3)]


async def test_a_message_that_is_found_says_what_is_true_by_now(stage: Stage) -> None:
    """The post arrives, its answer does not, and the row moves before anybody looks for it."""
    words = ["before"]
    stage.publisher(announcing(words))
    stage.failures(1)
    stage.workspace.lose_answer("chat.postMessage")
    await asyncio.gather(*(publisher.sweep() for publisher in stage.publishers))
    await stage.workspace.until(lambda: stage.said() == ["before"])
    words[0] = "after"
    await stage.until_shown()
    assert stage.said() == ["after"]
    calls = len(stage.workspace.calls)
    await stage.database.run(_due)
    await stage.until_shown()
    assert len(stage.workspace.calls) == calls, "and it is known what it says"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_was_posted_is_written_down_once_the_database_takes_it(stage: Stage) -> None:
    """The lock of another process outlasts the database's patience, just when the post has been made."""
    publisher = stage.publisher()
    stage.failures(1)
    with stage.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 20")
    stage.workspace.scopes -= {"channels:history", "groups:history"}
    stage.workspace.delay("chat.postMessage", 0.5)
    await publisher.sweep()
    await stage.workspace.until(lambda: stage.workspace.calls)
    path = stage.database.engine.url.database
    assert path is not None
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await stage.workspace.until(stage.said)
        await asyncio.sleep(0.3)
        other.execute("COMMIT")
    await publisher.stop(10)
    assert "ts" in (await stage.database.run(lambda connection: str(connection.scalar(select(alerts_table.c.shown)))))
    await stage.until_shown()
    assert len(stage.said()) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_reasons_that_come_late_bring_nobody_else_to_a_storm_that_is_being_posted(stage: Stage) -> None:
    stage.failures(3)
    at = utc_now()
    with stage.database.transaction() as connection:
        connection.execute(update(alerts_table).values(manner="new"))
        store.fold(connection, 1, at)
        first = subjects.load(connection, subjects.waiting(connection, at, at + subjects.LOOK_UP), at)[0]
        (storm,) = storms.outbox.claim(connection, at + timedelta(seconds=10))
        subjects.explain(connection, [(first, About(why=Why(message="late")))], at + timedelta(seconds=11))
        assert storms.outbox.claim(connection, at + timedelta(seconds=12)) == [], "two at once would post twice"
        storms.outbox.showed(connection, storm, at + timedelta(seconds=13), shown={}, unpostable=None)
        (again,) = storms.outbox.claim(connection, at + timedelta(seconds=14))
        assert {group.cause: group.total for group in again.groups} == {"late": 1, "": 2}


async def test_what_goes_on_below_is_looked_for_before_it_is_posted_again(stage: Stage) -> None:
    """The answer to a reply is lost, which stands for a message that cannot be updated any more."""
    words = ["before"]
    publisher = stage.publisher(announcing(words, in_thread_too=True))
    stage.failures(1)
    await stage.until_shown()
    words[0] = "after"
    await stage.database.run(_due)
    stage.workspace.fail("chat.update", "edit_window_closed", times=2)
    stage.workspace.lose_answer("chat.postMessage")
    await publisher.sweep()
    await stage.workspace.until(lambda: stage.said() == ["before", "after"])
    words[0] = "after all"
    await stage.until_shown()
    assert stage.said() == ["before", "after all"]


async def test_a_row_whose_channel_takes_no_post_just_now_holds_no_place(stage: Stage) -> None:
    slack = Slack(stage.slack.client, time.monotonic, Redactor([]), rates={"chat.postMessage": Rate(60, 2)})
    publisher = Publisher(stage.database, slack, queries.outbox, pieces, utc_now)
    stage.publishers.append(publisher)
    stage.failures(PLACES + 5)
    stage.failures(2, DATA_IMPORTS)
    await publisher.sweep()
    await stage.workspace.until(lambda: len(stage.said(DATA_IMPORTS)) == 2)
    await publisher.stop(10)
    assert len(stage.said()) == 2
    assert len([call for call in stage.workspace.calls if call.method == "chat.postMessage"]) == 4

    def put_off(connection: Connection) -> list[Any]:
        columns = select(alerts_table.c.show_failures, alerts_table.c.showing)
        return list(connection.execute(columns.where(alerts_table.c.show_at > utc_now())))

    assert await stage.database.run(put_off) == [(0, False)] * (PLACES + 3)


async def test_two_replicas_share_nothing_and_each_stops_at_429(stage: Stage) -> None:
    stage.workspace.rate_limits = True
    for _ in range(2):
        slack = Slack(stage.slack.client, time.monotonic, Redactor([]))
        stage.publishers.append(Publisher(stage.database, slack, queries.outbox, pieces, utc_now))
    stage.failures(8)
    await stage.until_shown(30)
    assert sorted(stage.said()) == [f"{LAUNCH_OPS}-{number:03}" for number in range(8)]
    assert stage.workspace.limits.turned_away.total() <= 8, "one each second and replica at most"


def _claimed_by_a_process_that_died(connection: Connection) -> None:
    """Its lease is over."""
    claimed = {"showing": True, "show_at": utc_now(), "show_fence": alerts_table.c.show_fence + 1}
    connection.execute(update(alerts_table).values(claimed))


def _due(connection: Connection) -> None:
    """Has what is shown be looked at anew."""
    connection.execute(update(alerts_table).values(show_at=utc_now()))

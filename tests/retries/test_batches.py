"""Batches on both databases: decided once, one of a storm at a time, refused where they were left alone."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from bot.audit import log as audit
from bot.audit.entry import Filters
from bot.base.requester import Source
from bot.db.database import Database
from bot.db.tables import batches as rows
from bot.db.tables import retries
from bot.retries import batch_rows, batches, claims, store
from bot.retries.kind import Kind
from bot.retries.request import JobRef, Request
from bot.retries.rules import Refusal
from bot.retries.state import State
from tests.conftest import NOW

MANY = batches.CHUNK + 5
DENIED = Refusal(State.DENIED, {"why": "not_listed"})
LATE = NOW + timedelta(minutes=16)


@pytest.fixture
def connection(database: Database) -> Any:
    """One transaction, in which all of a test takes place."""
    with database.transaction() as connection:
        yield connection


def opened(connection: Connection, batch_id: str, origin: str | None = "storm", user_id: str = "U") -> None:
    first = Request(id=batch_id, delivery_key=batch_id, job_id="j0", team_id="T", user_id=user_id, source=Source.BULK)
    wanted = [JobRef(f"j{number}", "f") for number in range(MANY)]
    assert batches.open_batch(connection, first, wanted, NOW, origin)


def count(connection: Connection) -> int:
    return int(connection.scalar(select(func.count()).select_from(retries)) or 0)


def test_who_may_not_leaves_one_entry_and_no_rows(connection: Connection) -> None:
    opened(connection, "a")
    assert batches.refuse(connection, "a", DENIED, NOW, NOW)
    assert batches.due(connection, NOW) == []
    assert count(connection) == 0
    (entry,) = audit.export(connection, Filters())
    assert (entry.event, entry.outcome, entry.user_id) == ("request", "denied", "U")
    detail = json.loads(entry.detail)
    assert (detail["batch"], detail["total"], detail["why"]) == ("a", MANY, "not_listed")
    (batch,) = batch_rows.outbox.claim(connection, NOW)
    assert batch.final
    assert batch.refusal == {"why": "not_listed"}


def test_a_job_that_is_named_twice_is_wanted_once_so_that_the_batch_ends(connection: Connection) -> None:
    first = Request(id="a", delivery_key="a", job_id="j0", team_id="T", user_id="U", source=Source.BULK)
    assert batches.open_batch(connection, first, [JobRef(name) for name in ("j0", "j1", "j0")], NOW)
    assert len(batches.spell_out(connection, "a", NOW, NOW).requests) == 2
    (batch,) = batch_rows.outbox.claim(connection, NOW)
    assert (batch.total, batch.undecided) == (2, 2)


def test_a_batch_that_has_begun_is_not_refused_whole(connection: Connection) -> None:
    opened(connection, "a")
    batches.spell_out(connection, "a", NOW, NOW)
    assert not batches.refuse(connection, "a", DENIED, NOW, NOW)
    assert len(batches.spell_out(connection, "a", NOW, NOW).requests) == 5
    assert count(connection) == MANY


def test_of_one_storm_one_batch_is_under_way(connection: Connection) -> None:
    opened(connection, "a", user_id="U1")
    opened(connection, "b", user_id="U2")
    opened(connection, "elsewhere", "another storm")
    opened(connection, "by name", None)
    assert batches.under_way(connection, "b") is None, "the first has not begun: its person may not be allowed"
    batches.spell_out(connection, "a", NOW, NOW)
    told = batches.under_way(connection, "b")
    assert told is not None
    assert (told.detail["why"], told.detail["by"], told.detail["request"]) == ("under_way", "U1", "a")
    assert batches.under_way(connection, "elsewhere") is None
    assert batches.under_way(connection, "by name") is None
    while batches.spell_out(connection, "a", NOW, NOW).left:
        pass
    assert batches.under_way(connection, "b") is not None, "none of it is sent yet"
    connection.execute(update(retries).values(state="finished"))
    assert batches.under_way(connection, "b") is None


def test_one_that_waits_does_not_hold_up_the_rest_of_the_storm(connection: Connection) -> None:
    opened(connection, "a", user_id="U1")
    while batches.spell_out(connection, "a", NOW, NOW).left:
        pass
    connection.execute(update(retries).where(retries.c.job_id != "j0").values(state="failed_again"))
    opened(connection, "b", user_id="U2")
    assert batches.under_way(connection, "b") is None, "all but one of it may be retried"
    connection.execute(update(retries).values(state="accepted"))
    connection.execute(update(retries).where(retries.c.job_id == "j0").values(state="requested"))
    assert batches.under_way(connection, "b") is not None, "whether asked for or sent, nothing is left"


def test_whoever_is_denied_frees_the_storm(connection: Connection) -> None:
    opened(connection, "a")
    batches.refuse(connection, "a", DENIED, NOW, NOW)
    opened(connection, "b")
    assert batches.under_way(connection, "b") is None


def test_a_batch_left_alone_is_refused_and_may_be_asked_for_again(connection: Connection) -> None:
    opened(connection, "a")
    steps = []
    while True:
        steps.append(batches.spell_out(connection, "a", LATE, LATE))
        if not steps[-1].left:
            break
    assert [step.refused for step in steps] == [batches.CHUNK, 5]
    assert set(connection.scalars(select(retries.c.state))) == {"refused"}
    assert set(batches.left_over(connection, "a")) == {JobRef(f"j{number}", "f") for number in range(MANY)}
    (batch,) = batch_rows.outbox.claim(connection, LATE)
    assert batch.stale == MANY
    assert batch.members[0].detail == {"why": "stale", "seconds": 960}


def test_what_is_asked_for_again_is_no_longer_left_over(connection: Connection) -> None:
    opened(connection, "a")
    batches.spell_out(connection, "a", LATE, LATE)
    request = Request(id="n", delivery_key="n", job_id="j0", team_id="T", user_id="U", source=Source.COMMAND)
    store.add(connection, request, LATE)
    (retry,) = claims.claim(connection, (State.REQUESTED,), LATE, only="n")
    sending = store.transition(connection, retry, State.SENDING, LATE, sent_at=LATE)
    store.transition(connection, sending, State.ACCEPTED, LATE, due_at=LATE)
    assert "j0" not in [one.job_id for one in batches.left_over(connection, "a")]


def test_one_that_goes_on_in_time_is_carried_out(connection: Connection) -> None:
    opened(connection, "a")
    almost = NOW + claims.STALE_AFTER
    assert batches.spell_out(connection, "a", almost, almost).left
    late = almost + claims.STALE_AFTER
    assert len(batches.spell_out(connection, "a", late, late).requests) == 5
    assert connection.scalar(select(rows.c.due_at)) is None


def test_what_is_retried_and_what_is_rerun_of_one_batch_do_not_block_each_other(connection: Connection) -> None:
    opened(connection, "a", user_id="U1")
    batches.spell_out(connection, "a", NOW, NOW)
    opened(connection, "b", user_id="U2")
    connection.execute(update(rows).where(rows.c.id == "b").values(kind=Kind.RERUN))
    assert batches.under_way(connection, "b") is None
    opened(connection, "c", user_id="U3")
    assert batches.under_way(connection, "c") is not None


def test_what_waits_for_a_second_person_by_now_waits_for_no_cooldown(connection: Connection) -> None:
    opened(connection, "a")
    while batches.spell_out(connection, "a", NOW, NOW).left:
        pass
    over = NOW - timedelta(minutes=1)
    connection.execute(update(retries).values(waits_until=over, approval_until=LATE))
    connection.execute(update(rows).values(show_at=NOW))
    (batch,) = batch_rows.outbox.claim(connection, NOW)
    assert (batch.waiting, batch.waits_until, batch.waits) == (0, None, MANY)

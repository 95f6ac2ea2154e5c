"""What waits for a second person as their Home tab counts it, and as a press takes it: in the same order."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from bot.base.requester import Source
from bot.db.database import Database
from bot.db.tables import approvals, retries
from bot.retries import approval_rows, batches
from bot.retries.request import JobRef, Request
from tests.conftest import NOW
from tests.reading import a_job
from tests.retries.test_store import ask

BATCH = "bcdefghjkm"
BY: dict[str, Any] = {"team_id": "T", "user_id": "U", "source": Source.BULK}


@pytest.fixture
def connection(database: Database) -> Any:
    """One transaction, in which all of a test takes place."""
    with database.transaction() as connection:
        yield connection


def waits(connection: Connection, number: int, batch_id: str | None = None, job: str | None = None) -> str:
    """A request that waits, asked for so many seconds after the first; returns its ID."""
    request_id = ask(connection, number, job_id=f"j{number}", batch_id=batch_id)
    at = NOW + timedelta(seconds=number)
    values = {"created_at": at, "approval_until": at + timedelta(hours=1), "job_before": job or a_job().to_json()}
    connection.execute(update(retries).where(retries.c.id == request_id).values(values))
    return request_id


def opened(connection: Connection, user_id: str = "UBOB", limit: int = 100) -> list[str]:
    return [one.id for one in approval_rows.open_to(connection, user_id, NOW, limit)]


def test_the_newest_come_first_and_those_of_a_batch_in_the_order_of_a_press(connection: Connection) -> None:
    alone = waits(connection, 1)
    wanted = [JobRef("j")] * 3
    batches.open_batch(connection, Request(id=BATCH, delivery_key="k", job_id="j", **BY), wanted, NOW)
    batch = [waits(connection, number, BATCH) for number in (2, 4, 3)]
    newest = waits(connection, 9)
    in_order = [batch[0], batch[2], batch[1]]
    assert opened(connection) == [newest, *in_order, alone]
    assert opened(connection, limit=3) == [newest, *in_order[:2]]
    press = approval_rows.waiting(connection, BATCH, NOW, 2, by="UBOB")
    assert [retry.id for retry in press] == in_order[:2], "as many as are counted are taken, and the same"


def test_what_one_asked_for_or_has_approved_is_not_open_to_them(connection: Connection) -> None:
    mine, other = waits(connection, 1), waits(connection, 2)
    connection.execute(insert(approvals).values(retry_id=other, user_id="UBOB", user_name="Bob", at=NOW))
    assert opened(connection, "U") == []
    assert opened(connection, "UBOB") == [mine]


def test_a_row_that_cannot_be_read_is_left_out(connection: Connection) -> None:
    waits(connection, 1, job="{")
    other = waits(connection, 2)
    assert opened(connection) == [other]

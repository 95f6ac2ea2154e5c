"""The rows on both databases: claims and fences, one active retry per job, redeliveries, what is to be shown."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from bot.alerts import store as alert_store
from bot.base.errors import WrongState
from bot.base.requester import Source
from bot.db.database import Database
from bot.db.tables import retries, storms
from bot.retries import approval_rows, claims, cooldown, queries, store
from bot.retries.kind import Kind
from bot.retries.request import Request, Retry
from bot.retries.state import ACTIVE, OFFERING, State
from bot.sift.job import Job
from bot.slack.outbox import LEASE
from tests.conftest import NOW, HandClock

JOB = Job(job_id="j", job_status="JOB_STATUS_FAILED", completed_date=NOW)


@pytest.fixture
def connection(database: Database) -> Any:
    """One transaction, in which all of a test takes place."""
    with database.transaction() as connection:
        yield connection


def ask(connection: Connection, number: int = 1, **more: Any) -> str:
    facts: dict[str, Any] = {
        "id": f"r{number}",
        "delivery_key": f"k{number}",
        "job_id": "j",
        "team_id": "T",
        "user_id": "U",
        "source": Source.COMMAND,
        **more,
    }
    store.add(connection, Request(**facts), NOW)
    return str(facts["id"])


def claimed(connection: Connection, request_id: str, at: Any = NOW) -> Retry:
    (retry,) = claims.claim(connection, (State.REQUESTED,), at, only=request_id)
    return retry


def fetched(connection: Connection, request_id: str) -> Retry:
    return Retry.of(connection.execute(select(retries).where(retries.c.id == request_id)).one()._mapping)


def sent(connection: Connection, number: int = 1, job_id: str = "j", **more: Any) -> Retry:
    retry = claimed(connection, ask(connection, number, job_id=job_id, **more))
    return store.transition(connection, retry, State.SENDING, NOW, job_before=JOB, sent_at=NOW, due_at=NOW + LEASE)


def test_a_redelivery_is_not_recorded_again(connection: Connection) -> None:
    assert ask(connection) == "r1"
    again = Request(id="r2", delivery_key="k1", job_id="j", team_id="T", user_id="U", source=Source.COMMAND)
    assert not store.add(connection, again, NOW)
    assert connection.scalar(text("SELECT count(*) FROM retries")) == 1
    assert connection.scalar(text("SELECT count(*) FROM audit")) == 1


def test_a_claimed_row_is_left_alone_until_its_lease_ends(connection: Connection) -> None:
    first = claimed(connection, ask(connection))
    assert claims.claim(connection, (State.REQUESTED,), NOW + LEASE - timedelta(seconds=1)) == []
    (second,) = claims.claim(connection, (State.REQUESTED,), NOW + LEASE)
    assert second.fence == first.fence + 1


def test_who_slept_past_the_lease_changes_nothing(connection: Connection) -> None:
    slept = claimed(connection, ask(connection))
    claims.claim(connection, (State.REQUESTED,), NOW + LEASE)
    with pytest.raises(WrongState):
        store.transition(connection, slept, State.SENDING, NOW)
    assert connection.scalar(text("SELECT count(*) FROM audit")) == 1


def test_a_row_enters_a_state_once(connection: Connection) -> None:
    retry = claimed(connection, ask(connection))
    store.transition(connection, retry, State.DENIED, NOW, detail={"why": "not_listed"})
    with pytest.raises(WrongState):
        store.transition(connection, retry, State.SENDING, NOW)


def test_a_row_goes_only_where_its_state_leads(connection: Connection) -> None:
    with pytest.raises(ValueError, match="sending is never followed by finished"):
        store.transition(connection, sent(connection), State.FINISHED, NOW)
    assert fetched(connection, "r1").state is State.SENDING


@pytest.mark.parametrize("state", ACTIVE)
def test_a_job_has_one_retry_under_way(connection: Connection, state: State) -> None:
    first = sent(connection)
    if state != "sending":
        store.transition(connection, first, state, NOW, due_at=NOW)
    second = claimed(connection, ask(connection, 2))
    with pytest.raises(IntegrityError), connection.begin_nested():
        store.transition(connection, second, State.SENDING, NOW)
    assert fetched(connection, "r2").state == "requested"


def test_a_final_row_is_never_due_again(connection: Connection) -> None:
    accepted = store.transition(connection, sent(connection), State.ACCEPTED, NOW, due_at=NOW)
    store.transition(connection, accepted, State.FINISHED, NOW)
    assert claims.claim(connection, (State.ACCEPTED, State.FINISHED), NOW + timedelta(days=9)) == []


@pytest.mark.parametrize("state", OFFERING)
def test_a_later_retry_takes_the_earlier_one_s_button_away(connection: Connection, state: State) -> None:
    first = store.transition(
        connection, sent(connection), State.UNKNOWN if state == State.NOT_APPLIED else State.ACCEPTED, NOW
    )
    store.transition(connection, first, state, NOW)
    store.transition(connection, sent(connection, 2), State.ACCEPTED, NOW)
    earlier = fetched(connection, "r1")
    assert earlier.superseded_by == "r2"
    assert {retry.id for retry in store.outbox.claim(connection, NOW)} == {"r1", "r2"}


def test_a_retry_of_the_job_that_a_rerun_began_takes_the_rerun_s_button_away(connection: Connection) -> None:
    asked = sent(connection, job_id="evaluated", kind=Kind.RERUN)
    accepted = store.transition(connection, asked, State.ACCEPTED, NOW, new_job_id="j")
    store.transition(connection, accepted, State.FAILED_AGAIN, NOW)
    store.transition(connection, sent(connection, 2), State.ACCEPTED, NOW)
    assert fetched(connection, "r1").superseded_by == "r2"
    assert {retry.id for retry in store.outbox.claim(connection, NOW)} == {"r1", "r2"}


def test_what_changed_while_it_was_shown_is_shown_again(connection: Connection) -> None:
    accepted = store.transition(connection, sent(connection), State.ACCEPTED, NOW, due_at=NOW)
    (showing,) = store.outbox.claim(connection, NOW)
    store.transition(connection, accepted, State.FINISHED, NOW)
    assert store.outbox.claim(connection, NOW) == [], "two at once would post twice"
    store.outbox.showed(
        connection, showing, NOW, shown={"summary": {"ts": "1", "digest": "d"}}, unpostable=None, again_in=None
    )
    (again,) = store.outbox.claim(connection, NOW)
    assert (again.state, again.shown["summary"]["ts"], again.interrupted) == ("finished", "1", False)
    store.outbox.showed(connection, again, NOW, shown=again.shown, unpostable=None, again_in=None)
    assert store.outbox.claim(connection, NOW + timedelta(days=9)) == []


def test_a_show_that_never_came_back_is_taken_over_as_interrupted(connection: Connection) -> None:
    store.transition(connection, sent(connection), State.ACCEPTED, NOW, due_at=NOW)
    store.outbox.claim(connection, NOW)
    (taken,) = store.outbox.claim(connection, NOW + LEASE)
    assert taken.interrupted


def test_the_way_back_is_forgotten_once_the_answer_is_given(connection: Connection) -> None:
    retry = claimed(connection, ask(connection, response_url="https://hooks.slack.example/x"))
    store.transition(connection, retry, State.DENIED, NOW)
    (showing,) = store.outbox.claim(connection, NOW)
    assert showing.response_url
    store.outbox.showed(connection, showing, NOW, shown={"private": {}}, unpostable=None, again_in=None)
    assert fetched(connection, "r1").response_url is None


def test_the_last_attempts_of_a_job_are_known(connection: Connection) -> None:
    assert queries.last_attempts(connection, "j") == (None, None, 0)
    store.transition(connection, sent(connection), State.ACCEPTED, NOW, due_at=NOW)
    newest, accepted_at, count = queries.last_attempts(connection, "j")
    assert newest is not None
    assert (newest.id, accepted_at, count) == ("r1", NOW, 1)


async def test_leases_are_reckoned_by_the_database_s_clock_where_replicas_share_it(
    database: Database, clock: HandClock
) -> None:
    clock.advance(-3_600)
    now = await database.run(database.now)
    assert (now == clock.now) is database.is_sqlite


def test_a_request_that_waits_here_is_left_alone_by_others_and_carried_out_here(connection: Connection) -> None:
    ask(connection)
    claims.keep(connection, ["r1"], NOW)
    assert claims.due(connection, (State.REQUESTED,), NOW) == []
    assert claims.claim(connection, (State.REQUESTED,), NOW) == []
    assert claimed(connection, "r1").id == "r1"


def test_a_request_that_was_put_off_for_longer_stays_so_until_it_is_given_back(connection: Connection) -> None:
    until = NOW + timedelta(minutes=10)
    claims.claim(connection, (State.REQUESTED,), NOW, only=ask(connection), until=until)
    claims.keep(connection, ["r1"], NOW)
    assert fetched(connection, "r1").due_at == until
    claims.give_back(connection, ["r1"], NOW)
    assert [retry.id for retry in claims.due(connection, (State.REQUESTED,), NOW)] == ["r1"]


def test_a_request_that_waits_for_a_cooldown_is_left_to_its_end_and_kept_from_then_on(connection: Connection) -> None:
    ends = NOW + LEASE / 2
    retry = claimed(connection, ask(connection))
    store.note_progress(connection, retry, NOW, waits_until=ends, due_at=ends)
    claims.keep(connection, ["r1"], NOW)
    assert fetched(connection, "r1").due_at == ends
    claims.keep(connection, ["r1"], ends)
    assert fetched(connection, "r1").due_at == ends + LEASE


def test_a_request_that_waits_for_a_second_person_is_neither_put_off_nor_taken(connection: Connection) -> None:
    retry = claimed(connection, ask(connection))
    until = NOW + timedelta(hours=1)
    waiting = store.note_progress(connection, retry, NOW, approval_until=until, due_at=until)
    claims.keep(connection, ["r1"], NOW)
    assert fetched(connection, "r1").due_at == until
    assert claims.claim(connection, (State.REQUESTED,), NOW, only="r1") == []
    assert claimed(connection, "r1", until).id == "r1"
    assert not claims.is_stale(waiting, until + timedelta(days=1))


def test_a_request_that_waits_for_a_second_person_waits_for_the_cooldown_no_longer(connection: Connection) -> None:
    first = claimed(connection, ask(connection, 1))
    assert cooldown.wait(connection, first, NOW + timedelta(seconds=1), NOW, NOW) is None
    assert fetched(connection, first.id).waits_for_cooldown
    first = fetched(connection, first.id)
    assert approval_rows.ask(connection, first, ["UBOB"], 1, NOW, NOW) is None
    waiting = fetched(connection, first.id)
    assert (waiting.waits_until, waiting.waits_for_approval) == (None, True)
    second = claimed(connection, ask(connection, 2))
    refused = cooldown.wait(connection, second, NOW + timedelta(seconds=1), NOW, NOW)
    assert refused is not None, "it is there, though for another reason by now"
    assert refused.detail["request"] == first.id


def test_an_outage_is_shown_again_when_a_job_of_it_comes_to_wait_for_a_second_person(
    connection: Connection,
) -> None:
    failures = [JOB.model_copy(update={"job_id": job_id, "job_type": "JOB_TYPE_DATA_EXPORT"}) for job_id in ("j", "k")]
    alert_store.note_failures(connection, {"C1": failures}, NOW)
    alert_store.fold(connection, 1, NOW)
    first = claimed(connection, ask(connection, 1))
    before = connection.execute(select(storms.c.version)).scalar_one()
    assert approval_rows.ask(connection, first, ["UBOB"], 1, NOW, NOW) is None
    assert connection.execute(select(storms.c.version)).scalar_one() == before + 1


def test_a_request_is_stale_a_quarter_of_an_hour_after_it_was_last_touched(connection: Connection) -> None:
    ask(connection)
    claims.keep(connection, ["r1"], NOW)
    retry, quarter = fetched(connection, "r1"), timedelta(minutes=15)
    assert not claims.is_stale(retry, NOW + LEASE + quarter)
    late = NOW + LEASE + quarter + timedelta(seconds=1)
    assert claims.is_stale(retry, late)
    store.refuse_stale(connection, "r1", NOW, late, late)
    refused = fetched(connection, "r1")
    assert (refused.state, refused.detail) == ("refused", {"why": "stale", "seconds": 961})


def test_a_row_that_cannot_be_read_holds_up_no_other(connection: Connection) -> None:
    broken, other = ask(connection, 1), ask(connection, 2, job_id="other")
    connection.execute(retries.update().where(retries.c.id == broken).values(job_before="{"))
    assert [one.id for one in claims.due(connection, [State.REQUESTED], NOW)] == [other]
    assert [one.id for one in claims.claim(connection, [State.REQUESTED], NOW)] == [other]

"""The audit as a stream: in order, at least once, through refusals, crashes and a second process."""

import json
import threading
from datetime import timedelta
from io import RawIOBase
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.app.server import serving
from bot.audit import log as audit
from bot.audit import ocsf, stream
from bot.audit.entry import Entry, Event, Filters, digest
from bot.audit.stream import Address, NotTaken, Stdout, Stream, destination
from bot.base.requester import Source
from bot.db.database import Database
from tests.audit.test_log import fill
from tests.conftest import NOW


class Collector:
    """Takes lines, until it is told not to."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.refuses = False

    async def __call__(self, lines: str) -> None:
        if self.refuses:
            raise NotTaken(why="full")
        self.lines += [json.loads(line) for line in lines.splitlines()]

    @property
    def numbers(self) -> list[int]:
        return [line["metadata"]["sequence"] for line in self.lines]


async def test_every_entry_is_sent_once_in_order_and_from_where_it_was_left(database: Database) -> None:
    collector = Collector()
    sender = Stream(database, collector)
    await sender.step()
    assert collector.lines == []
    fill(database, 7)
    await sender.step()
    fill(database, 3)
    await sender.step()
    await sender.step()
    assert collector.numbers == list(range(1, 11))


async def test_many_are_sent_a_chunk_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK", 3)
    fill(database, 8)
    collector = Collector()
    await Stream(database, collector).step()
    assert collector.numbers == list(range(1, 9))


async def test_what_was_refused_is_sent_again(database: Database) -> None:
    fill(database, 4)
    collector = Collector()
    sender = Stream(database, collector)
    collector.refuses = True
    with pytest.raises(NotTaken, match="AUDIT_STREAM did not take the entries: full; they are sent again"):
        await sender.step()
    collector.refuses = False
    await sender.step()
    assert collector.numbers == [1, 2, 3, 4]


async def test_one_process_sends_and_another_takes_over_from_a_dead_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.is_sqlite:
        pytest.skip("one bot has the file")
    fill(database, 2)
    first, second = Collector(), Collector()
    await Stream(database, first).step()
    fill(database, 2)
    other = Stream(database, second)
    await other.step()
    assert second.lines == []
    monkeypatch.setattr(stream, "LEASE", timedelta(0))
    await other.step()
    assert (first.numbers, second.numbers) == ([1, 2], [3, 4])


async def test_what_was_being_sent_at_a_stop_is_not_sent_again(database: Database) -> None:
    fill(database, 4)

    async def stopping(lines: str) -> None:
        await sender.stop()

    sender = Stream(database, stopping)
    await sender.step()
    next_one = Collector()
    await Stream(database, next_one).step()
    assert next_one.lines == []


async def test_who_was_overtaken_moves_nothing_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database, 2)
    taken = Collector()

    async def slowly(lines: str) -> None:
        monkeypatch.setattr(stream, "LEASE", timedelta(0))
        await Stream(database, taken).step()
        raise NotTaken(why="too late")

    with pytest.raises(NotTaken):
        await Stream(database, slowly).step()
    assert taken.numbers == [1, 2]


class Pipe(RawIOBase):
    """Takes a few bytes at a time, or none until it is read."""

    def __init__(self) -> None:
        self.taken = b""
        self.read_now = threading.Event()
        self.read_now.set()

    def write(self, given: Any) -> int:
        self.read_now.wait(5)
        self.taken += bytes(given[:7])
        return len(given[:7])


async def test_stdout_gets_whole_lines() -> None:
    pipe = Pipe()
    await Stdout(pipe)('{"a": 1}\n{"b": "é"}\n')
    assert pipe.taken.decode() == '{"a": 1}\n{"b": "é"}\n'


async def test_a_pipe_that_nobody_reads_holds_up_the_stream_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEND_SECONDS", 0.05)
    pipe = Pipe()
    pipe.read_now.clear()
    send = Stdout(pipe)
    for _ in range(2):
        with pytest.raises(NotTaken, match="nobody reads stdout"):
            await send("x\n")
    assert threading.active_count() < 50
    pipe.read_now.set()


async def test_an_address_gets_lines_and_its_password_is_in_no_error() -> None:
    taken: list[bytes] = []
    status = 200

    async def collect(request: Request) -> Response:
        taken.append(await request.body())
        return PlainTextResponse("", status_code=status)

    app = Starlette(routes=[Route("/in", collect, methods=["POST"])])
    async with serving(app, "127.0.0.1", 0) as url:
        address = Address(SecretStr(url.replace("://", "://bot:hush-4711@") + "/in"))
        await address('{"a": 1}\n')
        assert taken == [b'{"a": 1}\n']
        status = 503
        with pytest.raises(NotTaken, match="it answered Service Unavailable") as caught:
            await address("x\n")
        assert "hush" not in str(caught.value)
    with pytest.raises(NotTaken) as caught:
        await Address(SecretStr("https://bot:hush-4711@127.0.0.1:9/in"))("x\n")
    assert "hush" not in str(caught.value)


def test_the_setting_names_one_of_the_two() -> None:
    assert isinstance(destination(SecretStr("stdout")), Stdout)
    assert isinstance(destination(SecretStr("https://siem.example/in")), Address)


def test_every_event_has_what_its_class_requires(database: Database) -> None:
    with database.transaction() as connection:
        for event in Event:
            entry = Entry(
                event=event,
                outcome="denied" if event == Event.GRANT else None,
                user_id="U1",
                source=Source.COMMAND,
                detail={"subject": "U2", "role": "operator"},
            )
            audit.append(connection, entry, NOW)
    with database.reading() as connection:
        rows = [dict(row._mapping) for row in audit.export(connection, Filters())]
    for row in rows:
        sent = ocsf.event_of(row)
        assert sent["type_uid"] == sent["class_uid"] * 100 + sent["activity_id"]
        required = {"metadata", "time", "category_uid", "severity_id", "actor", "src_endpoint", "status_id"}
        assert required <= sent.keys()
        assert {"user", "privileges"} <= sent.keys() or {"api", "resources"} <= sent.keys()
        whole = sent["unmapped"]
        assert digest({**whole, "at": row["at"], "detail": row["detail"]}) == whole["hash"] == sent["metadata"]["uid"]


def test_an_entry_as_a_siem_reads_it(database: Database) -> None:
    with database.transaction() as connection:
        entry = Entry(
            event=Event.REQUEST,
            outcome="denied",
            request_id="r1",
            job_id="j1",
            source=Source.ALERT,
            team_id="T1",
            user_id="U1",
            user_name="ada",
            channel_id="C1",
        )
        audit.append(connection, entry, NOW)
    with database.reading() as connection:
        (row,) = [dict(row._mapping) for row in audit.export(connection, Filters())]
    event = ocsf.event_of(row)
    unmapped = event.pop("unmapped")
    assert unmapped["job_id"] == "j1"
    assert event == {
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "sift-retry-bot", "vendor_name": "sift-retry-bot"},
            "log_name": "audit",
            "sequence": 1,
            "uid": row["hash"],
        },
        "time": int(NOW.timestamp() * 1000),
        "category_uid": 6,
        "class_uid": 6003,
        "activity_id": 1,
        "type_uid": 600301,
        "severity_id": 3,
        "status_id": 2,
        "status": "denied",
        "message": "request denied",
        "actor": {"user": {"uid": "U1", "name": "ada", "domain": "T1"}},
        "src_endpoint": {"name": "alert", "uid": "C1"},
        "api": {"operation": "request", "service": {"name": "Sift"}, "request": {"uid": "r1"}},
        "resources": [{"uid": "j1", "type": "job"}],
    }

"""The audit as a stream: every entry as a JSON line, in order, at least once, to stdout or to an https address.

How far it is stands in the database. It is moved on only after the lines were taken, so a crash in between repeats
some and loses none; `metadata.sequence` tells which. One process at a time sends.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from io import RawIOBase

import httpx
import structlog
from pydantic import SecretStr
from sqlalchemy import Connection, select

from bot.audit import log as audit
from bot.audit.entry import Columns
from bot.audit.ocsf import event_of
from bot.base.errors import BotError
from bot.base.text import new_id
from bot.db import marks
from bot.db.database import Database
from bot.db.tables import audit as table

log = structlog.get_logger(__name__)

CURSOR, SENDER = "audit_stream", "audit_streaming"
"""The marks that say which entry was sent last, and which process sends."""

STREAM_SECONDS = 5.0
"""How often it is looked for new entries."""

CHUNK = 500
"""Entries of one request."""

SEND_SECONDS = 10.0
"""How long one may take."""

LEASE = timedelta(seconds=30)
"""A process that has not sent for so long is taken for dead."""

Send = Callable[[str], Awaitable[None]]
"""Has lines taken, or raises."""


class NotTaken(BotError):
    """AUDIT_STREAM did not take the entries: {why}; they are sent again"""


class Stream:
    """Sends what is new of the audit.

    Args:
        send: where to.
    """

    def __init__(self, database: Database, send: Send) -> None:
        self._database = database
        self._send = send
        self._me = new_id()
        self._stopping = False

    async def stop(self) -> None:
        """Leaves the entries to come to another process, at once."""
        self._stopping = True
        await self._database.run_lazily(lambda connection: marks.give_up(connection, SENDER, self._me))

    async def step(self) -> None:
        """Sends every entry that was not sent yet, a chunk at a time.

        Raises:
            NotTaken: it was refused, or there was no answer; the next step sends the same again.
        """
        while rows := await self._database.run(self._next):
            await self._send("".join(json.dumps(event_of(row), ensure_ascii=False) + "\n" for row in rows))
            await self._database.run(partial(self._sent, last=rows[-1]["id"]))
            if len(rows) < CHUNK:
                return

    def _next(self, connection: Connection) -> Sequence[Columns]:
        """Returns what is to be sent next; nothing while another process sends."""
        now = self._database.now(connection)
        held = marks.find(connection, SENDER, lock=True)
        others = held is not None and held.value != self._me and held.updated_at > now - LEASE
        if others and not self._database.is_sqlite:  # one file serves one bot: who sent before is gone
            return []
        if self._stopping:
            return []
        after = int(marks.read(connection, CURSOR) or 0)
        found = select(table).where(table.c.id > after).order_by(table.c.id).limit(CHUNK)
        rows = [dict(zip(audit.COLUMNS, row, strict=True)) for row in connection.execute(found)]
        if rows:
            marks.write(connection, SENDER, self._me, now)
        return rows

    def _sent(self, connection: Connection, *, last: int) -> None:
        held = marks.find(connection, SENDER, lock=True)
        taken_over = held is not None and held.value != self._me  # by somebody who sends the same
        if not taken_over and last > int(marks.read(connection, CURSOR) or 0):
            marks.write(connection, CURSOR, str(last), self._database.now(connection))


class Stdout:
    """Writes lines to stdout, where whoever runs the process collects them; the log goes to stderr.

    A pipe that nobody reads holds up a thread of its own, and with it the stream, but neither the bot nor its end.

    Args:
        raw: stdout without its buffer, which would be written out at the end of the process.
    """

    def __init__(self, raw: RawIOBase) -> None:
        self._raw = raw
        self._writing: threading.Thread | None = None

    async def __call__(self, lines: str) -> None:
        """Writes the lines.

        Raises:
            NotTaken: nobody reads them.
        """
        if self._writing is not None and self._writing.is_alive():
            raise NotTaken(why="nobody reads stdout")
        written = asyncio.get_running_loop().create_future()
        self._writing = threading.Thread(target=self._write, args=(lines.encode(), written), daemon=True)
        self._writing.start()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await asyncio.shield(written)
        except TimeoutError:
            raise NotTaken(why="nobody reads stdout") from None
        except OSError as error:
            raise NotTaken(why=type(error).__name__) from None

    def _write(self, rest: bytes, written: "asyncio.Future[None]") -> None:
        failure: OSError | None = None
        try:
            while rest:
                rest = rest[self._raw.write(rest) or 0 :]
        except OSError as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the bot has ended
            written.get_loop().call_soon_threadsafe(_settle, written, failure)


def _settle(written: "asyncio.Future[None]", failure: OSError | None) -> None:
    if failure is None:
        written.set_result(None)
    else:
        written.set_exception(failure)
        written.exception()  # seen, should nobody wait any more


class Address:
    """Posts lines to an https address.

    Args:
        address: it may hold a password, so no error names it.
    """

    def __init__(self, address: SecretStr) -> None:
        self._address = address
        self._tls = httpx.create_ssl_context()

    async def __call__(self, lines: str) -> None:
        """Posts the lines.

        Raises:
            NotTaken: they were refused, or there was no answer.
        """
        address, headers = self._address.get_secret_value(), {"Content-Type": "application/x-ndjson"}
        try:
            async with asyncio.timeout(SEND_SECONDS), httpx.AsyncClient(verify=self._tls) as client:
                answer = await client.post(address, content=lines.encode(), headers=headers)
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotTaken(why=f"{type(error).__name__} {error}".strip()[:200]) from None  # such as of its certificate
        if not answer.is_success:
            raise NotTaken(why=f"it answered {answer.reason_phrase or 'an error'}")


def destination(stream: SecretStr) -> Send:
    """Returns what takes the lines, by the setting AUDIT_STREAM: `stdout`, or an https address."""
    if stream.get_secret_value() != "stdout":
        return Address(stream)
    return Stdout(open(1, "wb", buffering=0, closefd=False))  # stdout is not ours to close

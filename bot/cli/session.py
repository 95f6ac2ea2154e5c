"""What the commands share: the database, the operator, the target of an export, a progress bar on a terminal."""

import contextlib
import getpass
import io
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import click
from sqlalchemy import Connection

from bot.audit.signing import Signer, signer
from bot.base import logs
from bot.base.clock import utc_now
from bot.db.database import Database, is_outdated, migrate, require_schema
from bot.db.guard import guard
from bot.db.moving import require_not_moved
from bot.settings import StoreSettings, load, redactor_at_hand

T = TypeVar("T")


def operator() -> str:
    """Who uses the command line: the operating system's user, marked as no Slack user."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


def signing_key() -> Signer:
    """What signs heads, by the settings.

    Raises:
        SettingsError: there is no such key.
    """
    return signer(load(StoreSettings).audit_signing_key_file)


@contextlib.contextmanager
def opened(current: bool = False) -> Iterator[Database]:
    """The database of the settings; with `current`, only if its schema is."""
    settings = load(StoreSettings)
    redactor = redactor_at_hand()
    logs.configure("warning", settings.log_format, redactor.scrub)
    database = Database(settings.database_url.get_secret_value(), utc_now)
    for engine in database.engines:
        guard(engine, redactor)
    try:
        if current:
            with database.reading() as connection:
                require_schema(connection)
        yield database
    finally:
        database.close()


@contextlib.contextmanager
def transaction(alone: bool = False) -> Iterator[Connection]:
    """One transaction on the database; an SQLite file that is missing or old is brought up to date first.

    Args:
        alone: only while no bot has the SQLite file.

    Raises:
        AlreadyRunning: a bot has it.
        Moved: what is in it is worked on elsewhere.
    """
    with opened() as database:
        if alone:
            database.claim_file()
        with database.reading() as connection:
            outdated = is_outdated(connection)
        if outdated and database.is_sqlite:
            migrate(database.engine)
        with database.transaction() as connection:
            require_schema(connection)
            require_not_moved(connection)
            yield connection


@contextlib.contextmanager
def target(output: Path | None) -> Iterator[IO[str]]:
    """A file, or stdout."""
    if output is None:
        stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="replace", newline="")
        yield stdout
        stdout.flush()
        stdout.detach()
        return
    with output.open("w", encoding="utf-8", errors="replace", newline="") as file:
        yield file


@contextlib.contextmanager
def tidying_up() -> Iterator[None]:
    """Has SIGTERM and a closed terminal end the block as Ctrl-C does, so that what was begun is removed."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def one_line(text: str | None) -> str:
    """A text on one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text or "").split())


def watched(label: str, length: int) -> Callable[[Iterable[T]], Iterable[T]]:
    """Passes rows on, and shows on a terminal how far it is."""

    def watch(rows: Iterable[T]) -> Iterator[T]:
        with click.progressbar(rows, length=length, label=label, file=sys.stderr, update_min_steps=1_000) as shown:
            yield from shown

    return watch if sys.stderr.isatty() else iter

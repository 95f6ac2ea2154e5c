"""A consistent copy of an SQLite file while the bot writes on."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bot.base.errors import BotError
from bot.base.files import sync_folder

PAGES = 1_000
"""Pages copied in one step; between two of them the copying can be stopped."""


class NotCopied(BotError):
    """The copy was not made: {why}"""


def back_up(source: Path, target: Path) -> None:
    """Copies the database as it is at one moment into a single file; whoever writes to it is not held up.

    The copy is made beside `target` and checked there. It gets its name only when it is whole and on the disk; what a
    killed process leaves is `target` empty, and the piece beside it.

    Args:
        source: the bot's file; a bot may be running on it.
        target: a file that does not exist yet.

    Raises:
        NotCopied: it exists, something of another database is beside it, or either of them cannot be read or written.
    """
    piece = target.with_name(f"{target.name}.partial")
    for left in (f"{name}{end}" for name in (target.name, piece.name) for end in ("", "-wal", "-shm", "-journal")):
        if target.with_name(left).exists():  # SQLite would take a journal for the copy's own
            raise NotCopied(why=f"{target.with_name(left)} exists already; choose another name")
    try:
        target.touch(0o600, exist_ok=False)  # nobody else makes a copy of that name meanwhile
    except OSError as error:
        raise NotCopied(why=f"{target} cannot be created ({error.strerror})") from error
    try:
        piece.touch(0o600, exist_ok=False)
        with _told():
            _copy(source, piece)
        piece.replace(target)
        sync_folder(target)
    except BaseException:
        for made in (target, piece, piece.with_name(f"{piece.name}-journal")):
            made.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise NotCopied(why=str(error)) from error


def _copy(source: Path, target: Path) -> None:
    """Copies, and has the copy be one file that needs nothing beside it."""
    address = f"{source.absolute().as_uri()}?mode=rw"  # so that a wrong name creates no database
    with (
        contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as origin,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # One snapshot from the first step to the last: without it each write of the bot's begins the copy anew.
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_master").fetchone()
        origin.backup(copy, pages=PAGES, progress=lambda *_: None)  # a stop is noticed where Python gets a turn
        copy.execute("PRAGMA journal_mode=DELETE")
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise NotCopied(why=f"the copy is damaged, and so may be the database: {found}")

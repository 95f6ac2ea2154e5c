"""One SQLite file serves one bot, whatever name it is called by, and it stays the file that was opened."""

import contextlib
import fcntl
import struct
import sys
from pathlib import Path
from typing import IO

from bot.base.errors import AlreadyRunning, FileReplaced

FAR_AWAY = 1 << 62
"""The byte that is locked; no SQLite database reaches that far (281 TB at most), and SQLite locks others."""


class SqliteFile:
    """A claim on a database file, held until it is released or the process ends.

    Two locks hold it: on a file beside the database, which works everywhere, and on the database itself, which goes by
    no name at all: that one is found under a hard link, and when the file beside it was removed.

    Args:
        path: as the settings name it; a symbolic link means what it points to.

    Raises:
        AlreadyRunning: another bot has it.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        beside = self._path.resolve()
        self._held = contextlib.ExitStack()
        try:
            # Closing the file gives up this process's own locks on it, SQLite's included: claim it before connecting,
            # release it after (sqlite.org/howtocorrupt.html, section 2.2).
            self._file = self._held.enter_context(beside.open("ab"))
            lock = self._held.enter_context(beside.with_name(f"{beside.name}.lock").open("w"))
            _lock_beside(lock, path)
            _lock_itself(self._file, path)
        except BaseException:
            self._held.close()
            raise
        self._identity = _identity(beside)

    def check(self) -> None:
        """Checks that the name still stands for the file that was opened; what is written elsewhere is lost.

        Raises:
            FileReplaced: it was deleted, moved away, or another one put in its place.
        """
        try:
            found = _identity(self._path)
        except OSError:
            found = None
        if found != self._identity:
            raise FileReplaced(path=str(self._path))

    def release(self) -> None:
        """Lets another bot have it; only when no connection to it is open any more."""
        self._held.close()


def _lock_beside(lock: IO[str], path: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise AlreadyRunning(path=path) from None


def _lock_itself(file: IO[bytes], path: str) -> None:
    """Locks one byte of the open file itself, where the system and the file system can.

    Such a lock belongs to our opening of the file, not to the process: SQLite's opening and closing does not touch it.
    """
    if sys.platform != "linux":
        return
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, 0, FAR_AWAY, 1, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except (BlockingIOError, PermissionError):
        raise AlreadyRunning(path=path) from None
    except OSError:  # a file system without such locks; the one beside it holds
        return


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino

"""A PostgreSQL server of the tests' own, on a Unix socket in a directory that goes away with it."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_OPTIONS = "-c listen_addresses='' -k {directory}"
_FORGETFUL = " -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off"


def program(name: str) -> str | None:
    """Where one of PostgreSQL's programs is, if it is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(found[0]) if found else shutil.which(name)


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """Runs a server; yields the start of its databases' URLs' query, to be completed with a name.

    Args:
        durable: whether commits wait for the disk, as in earnest.
    """
    options = _OPTIONS if durable else _OPTIONS + _FORGETFUL
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    assert initdb is not None
    assert pg_ctl is not None
    user = unprivileged()
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        if user is not None:
            shutil.chown(directory, user)
        data = f"{directory}/data"

        def run(*command: str) -> None:
            subprocess.run(command, user=user, check=True, stdout=subprocess.DEVNULL, cwd=directory)

        run(initdb, "-D", data, "-U", "bot", "-A", "trust", "-E", "UTF8", "--no-sync")
        run(pg_ctl, "-D", data, "-w", "-o", options.format(directory=directory), "-l", f"{directory}/log", "start")
        try:
            yield f"host={directory}"
        finally:
            run(pg_ctl, "-D", data, "-w", "-m", "immediate", "stop")


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root; so root runs it as somebody else."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"

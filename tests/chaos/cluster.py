"""A PostgreSQL that bots reach through a relay: it is restarted, goes silent, and gives way to its standby."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import create_engine

from bot.db.database import migrate
from tests import postgres
from tests.relay import Relay, relayed

_PATIENCE_SECONDS = 60.0
"""A server follows its orders within so long, on a busy machine."""

# What is committed must outlive the server, but not the machine. Its replicas say that they have what they got.
_OPTIONS = "-c listen_addresses='' -c fsync=off -c max_connections=200 -k {directory}"


class Cluster:
    """One server at a time, each in a directory of its own.

    Args:
        directory: where those are.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._user = postgres.unprivileged()
        self._number = 1
        self.relay: Relay | None = None

    @property
    def _home(self) -> Path:
        return self._root / str(self._number)

    @property
    def url(self) -> str:
        """The database, past the relay."""
        return f"postgresql+psycopg://bot@/postgres?host={self._home}"

    def start(self) -> None:
        """Makes the first server, with an empty database of the newest schema."""
        self._make_home()
        self._run("initdb", "-D", f"{self._home}/data", "-U", "bot", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._ctl("start")
        engine = create_engine(self.url)
        migrate(engine)
        engine.dispose()

    def stop(self) -> None:
        """Ends the server."""
        self._ctl("stop", "-m", "immediate")

    def restart(self, mode: str) -> None:
        """Restarts the server: `fast`, as an upgrade does, or `immediate`, as after a crash."""
        self._ctl("restart", "-m", mode)

    def promote(self) -> None:
        """Makes a standby that has every commit, ends the server without a word, and puts the standby in its place."""
        before = self._home
        self._number += 1
        self._make_home()
        base = ("-h", str(before), "-U", "bot", "-D", f"{self._home}/data", "-R", "-X", "stream")
        self._run("pg_basebackup", *base, "--checkpoint=fast", "--no-sync")
        self._ctl("start")
        self._wait_for_standby(before)
        self._ctl("stop", "-m", "immediate", home=before)
        self._ctl("promote")
        if self.relay is not None:
            self.relay.lead_to(f"{self._home}/.s.PGSQL.5432")
        shutil.rmtree(before)

    def rows(self, query: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        """What a query finds."""
        with self._connected(self._home) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def _wait_for_standby(self, primary: Path) -> None:
        """Has every commit from now on wait for the standby, and waits until it has those before."""
        with self._connected(primary) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            until = time.monotonic() + _PATIENCE_SECONDS
            while not connection.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchall():
                if time.monotonic() > until:
                    raise TimeoutError("the standby does not follow")
                time.sleep(0.05)
            connection.execute("SELECT txid_current()")

    @contextlib.contextmanager
    def _connected(self, home: Path) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        with psycopg.connect(
            host=str(home), user="bot", dbname="postgres", autocommit=True, row_factory=psycopg.rows.dict_row
        ) as connection:
            yield connection

    def _make_home(self) -> None:
        self._home.mkdir()
        if self._user is not None:
            shutil.chown(self._home, self._user)

    def _ctl(self, order: str, *more: str, home: Path | None = None) -> None:
        home = home or self._home
        options = ("-o", _OPTIONS.format(directory=home), "-l", f"{home}/log") if order in ("start", "restart") else ()
        self._run("pg_ctl", "-D", f"{home}/data", "-w", "-t", str(int(_PATIENCE_SECONDS)), *options, *more, order)

    def _run(self, name: str, *arguments: str) -> None:
        program = postgres.program(name)
        assert program is not None, f"{name} is not installed"
        command = (program, *arguments)
        subprocess.run(
            command,
            user=self._user,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._root,
            timeout=2 * _PATIENCE_SECONDS,
        )


@contextlib.contextmanager
def running() -> Iterator[tuple[Cluster, str]]:
    """A cluster; yields it and the URL that goes through its relay."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as directory:
        root = Path(directory)
        root.chmod(0o755)  # for whoever runs the servers
        cluster = Cluster(root)
        if cluster._user is not None:
            shutil.chown(root, cluster._user)
        cluster.start()
        try:
            with relayed(cluster.url) as (relay, url):
                cluster.relay = relay
                yield cluster, url
        finally:
            cluster.stop()

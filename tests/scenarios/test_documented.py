"""Every `sift-retry …` that a document names is run, each in a folder of its own, against the sandbox."""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from bot.__main__ import cli
from bot.audit import archive
from bot.audit import log as audit
from bot.audit.entry import Entry, Event
from bot.audit.signing import Signer, make_key, signer
from bot.base.clock import utc_now
from bot.db.database import Database, migrate
from bot.sandbox import LAUNCH_OPS, OPERATOR
from tests.documents import ROOT, spelled, typed
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import free_port, until_ready

WRITTEN = (
    *("sift-retry", ".venv/bin/sift-retry", "docker compose exec bot sift-retry"),
    "cd /var/lib/sift-retry-bot && runuser -u sift-retry /opt/sift-retry-bot/bin/sift-retry",
)
"""As what the documents write the program, by where it runs."""

SERVING = {"run", "demo"}
LAST_YEAR = datetime(2025, 6, 1, tzinfo=UTC)
AT_ONCE = 3


def needs_more(arguments: list[str]) -> bool:
    """Whether the arguments only name a command that takes some, or a group of commands."""
    command: click.Command | None = cli
    for word in arguments:
        if not isinstance(command, click.Group):
            return False
        command = command.get_command(click.Context(command), word)
    if command is None:
        return False
    return isinstance(command, click.Group) or any(parameter.required for parameter in command.params)


def old_segments(folder: Path, key: Signer) -> None:
    """Writes an audit that began last year, of which two segments were archived and one is left to be."""
    database = Database(f"sqlite:///{folder}/sift-retry.db", utc_now)
    migrate(database.engine)
    for number, name in enumerate(("one.jsonl", "two.jsonl", None)):
        at = LAST_YEAR + timedelta(days=30 * number)
        with database.transaction() as connection:
            for minute in range(3):
                audit.append(connection, Entry(event=Event.AUDIT_READ, user_id="U0ANA"), at + timedelta(minutes=minute))
        if name:
            archive.archive(database, at + timedelta(days=1), folder / name, "cli:test", at + timedelta(days=1), key)
    database.close()


async def with_history(world: World, folder: Path) -> dict[str, str]:
    """Fills a folder with all that the commands speak of, and returns what stands for what they leave open."""
    folder.mkdir()
    (folder / "public.pem").write_text(make_key(folder / "signing.pem"))
    key = signer(folder / "signing.pem")
    old_segments(folder, key)
    async with world.running(DATABASE_URL=f"sqlite:///{folder}/sift-retry.db") as bot:
        world.allow(OPERATOR)
        world.allow("U045EF6GH")
        await world.slack.command(OPERATOR, LAUNCH_OPS, f"{world.sift.add().job_id} a reason")
        await world.until_outcome("finished")
        reference = world.entries(user_id=OPERATOR)[-1].request_id
        with bot.database.reading() as connection:
            newest = key.sign(audit.head(connection))
    return {
        "<reference>": reference,
        "--head …": f"--head {newest}",
        "COUNT:HASH": str(newest),
        "HEAD": str(newest),
        "--segment …": "--segment one.jsonl --segment two.jsonl",
        "FILE": "copy.db",
    }


class Typist:
    """Runs what the documents have people type, some at once."""

    def __init__(self, world: World, scene: Path) -> None:
        self._world = world
        self._scene = scene
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self, number: int, line: str) -> str | None:
        """Runs a line in a copy of the scene, and returns what went wrong."""
        async with self._free:
            folder = self._scene.with_name(f"line-{number}")
            shutil.copytree(self._scene, folder)
            arguments, port = shlex.split(line.partition(" > ")[0]), free_port()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", *arguments, *(["--help"] if needs_more(arguments) else [])),
                cwd=folder,
                env=self._environment(port),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            if arguments[0] in SERVING:
                alone = "--without-bot" in arguments
                await until_ready(f"http://127.0.0.1:{port}/{'' if alone else 'readyz'}")
                process.send_signal(signal.SIGTERM)
            said, _ = await asyncio.wait_for(process.communicate(), 60)
            return f"{line}: {said.decode()}" if process.returncode else None

    def _environment(self, port: int) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        own = {**self._world.sandbox.environment(self._world.url), "AUDIT_SIGNING_KEY_FILE": "signing.pem"}
        return {**kept, **own, "PYTHONPATH": str(ROOT), "PORT": str(port), "ALERT_CHANNEL": LAUNCH_OPS}


async def test_every_command_in_every_document_runs(world: World, tmp_path: Path, postgres_url: str) -> None:
    examples = await with_history(world, tmp_path / "scene")
    examples["postgresql://owner@host/name"] = postgres_url.replace("+psycopg", "")
    found = {line.removeprefix(one).strip() for one in WRITTEN for line in typed(one)}
    lines = sorted({one for line in found for one in spelled(line, examples) if one})
    for word in ("run", "demo", "doctor", "recover", "audit verify --head", "access grant"):
        assert any(line.startswith(word) for line in lines), f"{word} is in no document"
    typist = Typist(world, tmp_path / "scene")
    wrong = await asyncio.gather(*(typist.run(number, line) for number, line in enumerate(lines)))
    assert [problem for problem in wrong if problem] == []


@pytest.mark.parametrize(
    ("line", "more"), [("audit", True), ("backup", True), ("doctor", False), ("access list", False)]
)
def test_what_only_names_a_command_is_told_apart(line: str, more: bool) -> None:
    assert needs_more(line.split()) is more

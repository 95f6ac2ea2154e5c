"""`sift-retry demo`: the very same bot, against the embedded Slack and the embedded Sift."""

import asyncio
import contextlib
import errno
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

from sqlalchemy import Connection

from bot.access import grants
from bot.access.policy import Role
from bot.app.bot import Bot
from bot.app.server import serving
from bot.base import logs
from bot.base.clock import utc_now
from bot.base.errors import CannotListen, WrongWorkspace
from bot.db import marks
from bot.sandbox import AUDITOR, LAUNCH_OPS, ON_CALL_GROUP, OPERATOR, SECOND_OPERATOR, TEAM, Sandbox
from bot.settings import Settings, load

_ALERTS = {"ALERT_CHANNEL": LAUNCH_OPS, "ALERT_POLL_SECONDS": "2", "FOLLOW_POLL_SECONDS": "1"}
_ON_CALL = {
    "REMIND_AFTER": "5m",
    "ONCALL_GROUP": ON_CALL_GROUP,
    "DIGEST_AT": "08:00,20:00",
    "NOTIFY_CREATOR": "on",
}
_GRANTS = {OPERATOR: Role.OPERATOR, SECOND_OPERATOR: Role.OPERATOR, AUDITOR: Role.AUDITOR}

_DOCTOR_SECONDS = 0.5
"""A socket that is closed again within this was the doctor's."""


async def run_demo(stop: asyncio.Event) -> None:
    """Serves the sandbox's page, and the bot behind it, until `stop` is set.

    The workspace lives as long as the process, and so does the database, unless DATABASE_URL names another.

    Raises:
        WrongWorkspace: DATABASE_URL is that of a real workspace.
    """
    sandbox = Sandbox()
    address = load(Settings, sandbox.environment("http://127.0.0.1"))
    logs.configure(address.log_level, address.log_format, address.redactor().scrub)
    async with _served(sandbox, address) as url:
        here = url.replace("//0.0.0.0:", "//127.0.0.1:")
        with _database(address) as database:
            settings = load(
                Settings, {**sandbox.environment(here), **_ALERTS, **_ON_CALL, **database, "SIFT_APP_URL": here}
            )
            with Bot(settings) as bot:
                with bot.database.transaction() as connection:
                    _allow_the_cast(connection)
                sandbox.fallback = bot.http
                sys.stderr.write(f"\nThe demo is at {url}/ (Ctrl-C ends it)\n{_how_to_read_the_audit(database)}\n")
                async with _first_failure(sandbox):
                    await bot.work(stop)


async def run_sandbox(stop: asyncio.Event) -> None:
    """Serves the embedded Slack and Sift alone until `stop` is set, for a bot that is started as anywhere else.

    The settings of that bot go to stdout, one a line as in `.env`; its PORT is the one after this one.
    """
    sandbox = Sandbox()
    address = load(Settings, sandbox.environment("http://127.0.0.1"))
    logs.configure(address.log_level, address.log_format, address.redactor().scrub)
    async with _served(sandbox, address) as url:
        here = url.replace("//0.0.0.0:", "//127.0.0.1:")
        for name, value in {**sandbox.environment(here), **_elsewhere(here, address.port)}.items():
            sys.stdout.write(f"{name}={value}\n")
        sys.stdout.flush()
        sys.stderr.write(f"\nSlack and Sift are at {url}/ and wait for a bot (Ctrl-C ends them)\n\n")
        async with _first_failure(sandbox):
            await stop.wait()


def _elsewhere(here: str, port: int) -> dict[str, str]:
    """What a bot in a process of its own is set to besides the secrets."""
    return {"SIFT_APP_URL": here, "ALERT_CHANNEL": LAUNCH_OPS, "PORT": str(_next(port))}


def _next(port: int) -> int:
    return port % 65_535 + 1


@contextlib.asynccontextmanager
async def _served(sandbox: Sandbox, address: Settings) -> AsyncIterator[str]:
    """Serves the sandbox; says which command to use where the port is taken."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(serving(sandbox.app, address.host, address.port))
        except CannotListen as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
                another = _next(address.port)
                raise CannotListen(
                    f"Port {address.port} is taken; use another: PORT={another} make demo"
                    f" (without make: PORT={another} sift-retry demo)"
                ) from error
            raise
        yield url


@contextlib.contextmanager
def _database(address: Settings) -> Iterator[dict[str, Any]]:
    """The setting of a database that is gone with the sandbox; none where the environment names one."""
    if "database_url" in address.model_fields_set:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="sift-retry-demo-") as folder:
        yield {"DATABASE_URL": f"sqlite:///{folder}/demo.db"}


def _how_to_read_the_audit(database: dict[str, Any]) -> str:
    """The command that reads the demo's audit in another terminal; nothing where the environment names its database."""
    if not database:
        return ""
    program = sys.argv[0] if sys.argv[0].endswith("sift-retry") else "python -m bot"
    return f"Its audit, from another terminal: DATABASE_URL={database['DATABASE_URL']} {program} audit list\n"


@contextlib.asynccontextmanager
async def _first_failure(sandbox: Sandbox) -> AsyncIterator[None]:
    """Has a job fail as soon as the bot is there: what failed before its first start is nobody's news."""

    async def fail() -> None:
        while not len(sandbox.slack.sockets):
            await sandbox.slack.change()
            await asyncio.sleep(_DOCTOR_SECONDS)
        sandbox.sift.fail_one()

    failing = asyncio.create_task(fail(), name="first failure")
    try:
        yield
    finally:
        failing.cancel()


def _allow_the_cast(connection: Connection) -> None:
    """Puts the sandbox's operators and its auditor on the allow-list, once; on that of no real workspace."""
    recorded = marks.read(connection, "workspace")
    if recorded not in (None, TEAM):
        raise WrongWorkspace(recorded=recorded, connected=TEAM)
    listed = {grant.subject for grant in grants.listed(connection)}
    for subject, role in _GRANTS.items():
        if subject not in listed:
            new = grants.NewGrant(subject=subject, role=role, granted_by="cli:demo", reason="the demo's cast")
            grants.grant(connection, new, utc_now())

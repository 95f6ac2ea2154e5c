"""`sift-retry doctor`: looks at everything the bot depends on, and changes nothing."""

import asyncio
import dataclasses
import errno
import json
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import click
import httpx
from sqlalchemy import make_url

from bot.audit.signing import signer
from bot.base import logs
from bot.base.clock import utc_now
from bot.base.errors import BotError, SettingsError
from bot.cli.check import Check, first_line, wrong
from bot.db.database import Database, is_outdated, require_schema, schema_version
from bot.db.guard import guard
from bot.db.tables import SCHEMA_VERSION
from bot.settings import Settings, StoreSettings, load, redactor_at_hand


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for a program to read.")
def doctor(as_json: bool) -> None:
    """Checks settings, Slack, Sift and the database; one line each, exit 1 if any fails."""
    logs.configure("error", "console", redactor_at_hand().scrub)
    if not asyncio.run(report(as_json)):
        sys.exit(1)


async def report(as_json: bool) -> bool:
    """Prints a line for each check when it is done, or all of them as JSON; returns whether all are well."""
    done: list[Check] = []
    async for check in examine():
        done.append(check)
        if not as_json:
            click.echo(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.said}")
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in done], ensure_ascii=False, indent=2))
    return all(check.passed for check in done)


async def examine() -> AsyncIterator[Check]:
    """Checks the settings, then as much as they allow; what it says holds no secret."""
    scrub = redactor_at_hand().scrub
    async for check in _examine():
        yield dataclasses.replace(check, said=scrub(check.said))


async def _examine() -> AsyncIterator[Check]:
    from bot.cli.doctor_sift import sift_checks  # both bring heavy clients, which `sift-retry --help` can do without
    from bot.cli.doctor_slack import slack_checks

    try:
        settings = load(Settings)
    except SettingsError as error:
        for problem in error.problems:
            yield Check("settings", False, problem)
        for check in _store_only():
            yield check
        return
    yield Check("settings", True, f"complete, {'Socket Mode' if settings.socket_mode else 'HTTP'}")
    yield _port(settings)
    yield _database(settings)
    yield _signing_key(settings)
    async for check in slack_checks(settings):
        yield check
    async for check in sift_checks(settings):
        yield check


def _store_only() -> list[Check]:
    try:
        return [_database(load(StoreSettings))]
    except SettingsError:
        return []


def _port(settings: Settings) -> Check:
    """Takes the port for a moment, the way the server does."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _has_a_bot(where):
            return Check("port", True, f"{where} is a running bot's")
        why = error.strerror or first_line(error)
        return Check("port", False, f"{where}: {why}; set PORT (or HOST) to another")
    return Check("port", True, f"{where} is free")


def _has_a_bot(where: str) -> bool:
    """Whether what listens there answers as a bot of ours does."""
    try:
        return httpx.get(f"http://{where}/healthz", timeout=2).text == "ok"
    except httpx.HTTPError:
        return False


def _signing_key(settings: Settings) -> Check:
    if settings.audit_signing_key_file is None:
        return Check("signing key", True, "none: heads of the audit are unsigned")
    try:
        signer(settings.audit_signing_key_file)
    except SettingsError as error:
        return Check("signing key", False, "; ".join(error.problems))
    return Check("signing key", True, "heads of the audit are signed")


def _new_file(shown: str, folder: Path) -> Check:
    """Says whether an SQLite file can be made."""
    if not folder.is_dir():
        return Check("database", False, f"no {folder}; make that folder, or set DATABASE_URL")
    try:
        tempfile.TemporaryFile(dir=folder).close()  # without a name, so it leaves nothing behind
    except OSError:
        return Check("database", False, f"{folder}: may not be written; let the bot do so, or set DATABASE_URL")
    return Check("database", True, f"{shown} will be created")


def _database(settings: StoreSettings) -> Check:
    url = make_url(settings.database_url.get_secret_value())
    shown = url.set(query={}).render_as_string(hide_password=True)  # options may hold passwords, too
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return _new_file(shown, Path(url.database or "").absolute().parent)
    database = Database(settings.database_url.get_secret_value(), utc_now)
    for engine in database.engines:
        guard(engine, settings.redactor())
    try:
        with database.reading() as connection:
            found = schema_version(connection)
            if is_outdated(connection) and database.is_sqlite:
                return Check("database", True, f"{shown}, schema {found} will be upgraded to {SCHEMA_VERSION}")
            require_schema(connection)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the doctor has to say
        todo = "" if isinstance(error, BotError) else "check DATABASE_URL, and whether the bot may write there"
        return Check("database", False, f"{shown}: {wrong(error, todo)}")
    finally:
        database.close()
    return Check("database", True, f"{shown}, schema {found}")

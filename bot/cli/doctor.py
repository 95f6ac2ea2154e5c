"""`sift-retry doctor`: looks at everything the bot depends on, and changes nothing."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from sqlalchemy import make_url

from bot.base.clock import utc_now
from bot.base.errors import BotError, SettingsError
from bot.db.database import Database, is_outdated, require_schema, schema_version
from bot.db.guard import guard
from bot.db.tables import SCHEMA_VERSION
from bot.settings import Settings, StoreSettings, load, redactor_at_hand
from bot.sift.client import Sift
from bot.slack.client import EMAIL_SCOPE, HISTORY_SCOPES, Slack
from bot.slack.web import http_session, web_client

NEEDED_SCOPES = frozenset({"commands", "chat:write", "chat:write.public", "users:read", "usergroups:read"})
"""Without these the bot cannot do its main job; `app_manifest.yml` asks for them."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    passed: bool
    said: str


async def examine() -> list[Check]:
    """Checks the settings, then as much as they allow; what it says holds no secret."""
    scrub = redactor_at_hand().scrub
    return [replace(check, said=scrub(check.said)) for check in await _examine()]


async def _examine() -> list[Check]:
    try:
        settings = load(Settings)
    except SettingsError as error:
        return [*(Check("settings", False, problem) for problem in error.problems), *_store_only()]
    mode = "Socket Mode" if settings.socket_mode else "HTTP"
    checks = [Check("settings", True, f"complete, {mode}"), _database(settings)]
    async with http_session() as session:
        checks += [check async for check in _slack(settings, session)]
    sift = Sift(
        settings.sift_rest_uri,
        settings.sift_api_key,
        timeout_seconds=settings.sift_timeout_seconds,
        scrub=settings.redactor().scrub,
    )
    try:
        checks.append(await _check("sift", lambda: _ask_sift(sift, settings.sift_rest_uri)))
    finally:
        await sift.aclose()
    return checks


def _store_only() -> list[Check]:
    try:
        return [_database(load(StoreSettings))]
    except SettingsError:
        return []


def _database(settings: StoreSettings) -> Check:
    url = make_url(settings.database_url.get_secret_value())
    shown = url.set(query={}).render_as_string(hide_password=True)  # options may hold passwords, too
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        parent = Path(url.database or "").absolute().parent
        return Check("database", parent.is_dir(), f"{shown} will be created" if parent.is_dir() else f"no {parent}")
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
        return Check("database", False, f"{shown}: {_first_line(error)}")
    finally:
        database.close()
    return Check("database", True, f"{shown}, schema {found}")


async def _slack(settings: Settings, session: aiohttp.ClientSession) -> AsyncIterator[Check]:
    client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url, session)
    slack = Slack(client, time.monotonic, settings.redactor())

    async def identify() -> str:
        workspace = await slack.identify()
        missing = NEEDED_SCOPES - workspace.scopes if workspace.scopes else frozenset()
        if missing:
            raise BotError(f"the token lacks {', '.join(sorted(missing))}; reinstall the app from app_manifest.yml")
        found = f"workspace {workspace.team_id}, bot user {workspace.bot_user_id}"
        unread = HISTORY_SCOPES - workspace.scopes if workspace.scopes else frozenset()
        if unread:
            found += f"; without {', '.join(sorted(unread))} a crash may repeat {_repeated(unread)}, never a retry"
        if settings.notify_creator and workspace.scopes and EMAIL_SCOPE not in workspace.scopes:
            found += f"; without {EMAIL_SCOPE} nobody is told that a job of theirs failed (NOTIFY_CREATOR)"
        return found

    yield await _check("slack", identify)
    token = settings.slack_app_token
    if token is not None:
        yield await _check("socket mode", lambda: _open_socket(slack, token.get_secret_value()))


def _repeated(unread: frozenset[str]) -> str:
    """What is posted twice if the bot dies while it posts, since it may not look for what it posted."""
    kinds = {"channels:history": "public channels", "groups:history": "private channels"}
    return f"the message being posted then in {' and '.join(kinds[scope] for scope in sorted(unread))}"


async def _open_socket(slack: Slack, app_token: str) -> str:
    await slack.open_connection(app_token)
    return "a connection may be opened"


async def _ask_sift(sift: Sift, address: str) -> str:
    await sift.ping()
    return f"{address} answers; the key is user {await sift.me()}"


async def _check(name: str, ask: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, True, await ask())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the doctor has to say
        return Check(name, False, _first_line(error))


def _first_line(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

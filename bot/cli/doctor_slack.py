"""What the doctor asks Slack: the token and its scopes, the clock, the socket, the channels, the group on call."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp

from bot.base.clock import utc_now
from bot.base.errors import BotError
from bot.cli.check import Check, checked, wrong
from bot.settings import Settings
from bot.slack.answers import part
from bot.slack.channels import problem_with
from bot.slack.channels import what_to_do as what_to_do_there
from bot.slack.client import Slack
from bot.slack.errors import SlackError, SlackUnavailable, TokenRefused
from bot.slack.links import Workspace
from bot.slack.scopes import NEEDED, OPTIONAL
from bot.slack.web import http_session, web_client

CLOCK_SECONDS = 30
"""Slack's requests count as forged when they are five minutes old; a clock that is off by so much needs care."""

HANDSHAKE_SECONDS = 10.0
"""How long Slack may take to say hello on a new socket."""

# Names of settings and places, no secrets.
_BOT_TOKEN = "set SLACK_BOT_TOKEN to the app's (OAuth & Permissions), of the Slack at SLACK_API_URL"  # noqa: S105
_APP_TOKEN = "set SLACK_APP_TOKEN to one of the app's (Basic Information) with connections:write"  # noqa: S105


def what_to_do(error: Exception, token: str = _BOT_TOKEN) -> str:
    """Returns what to do about an error of Slack's.

    Args:
        token: what to do about the token of that call.
    """
    if isinstance(error, SlackUnavailable):
        return "check SLACK_API_URL and the network, and whether Slack is well"
    if not isinstance(error, TokenRefused):
        return ""
    if error.error == "missing_scope" and token == _BOT_TOKEN:
        return "reinstall the app from app_manifest.yml"
    return token


async def slack_checks(settings: Settings) -> AsyncIterator[Check]:
    """Asks Slack for everything that the bot will need of it; posts nothing."""
    async with http_session() as session:
        client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url, session)
        slack = Slack(client, time.monotonic, settings.redactor())
        try:
            workspace = await slack.identify()
        except BotError as error:
            yield Check("slack", False, wrong(error, what_to_do(error)))
        else:
            yield Check("slack", True, f"workspace {workspace.team_id}, bot user {workspace.bot_user_id}")
            for check in _scopes(workspace):
                yield check
            yield await checked("clock", lambda: _clock(slack), what_to_do)
            async for check in _places(settings, slack, workspace):
                yield check
        if not settings.socket_mode:
            yield Check("signing secret", True, "given; whether it is the app's, the first /sift-retry help tells")
        token = settings.slack_app_token
        if token is not None:
            app_token = token.get_secret_value()
            shake_hands = partial(_shake_hands, slack, app_token, session)
            yield await checked("socket mode", shake_hands, partial(what_to_do, token=_APP_TOKEN))


def _scopes(workspace: Workspace) -> list[Check]:
    """One line for each scope that the bot asks for; Slack names those that were granted in a header."""
    if not workspace.scopes:
        return [Check("scopes", True, "Slack does not say which were granted")]
    needed = [
        Check(f"scope {scope}", True, what)
        if scope in workspace.scopes
        else Check(f"scope {scope}", False, f"not granted ({what}): reinstall the app from app_manifest.yml")
        for scope, what in NEEDED.items()
    ]
    optional = [
        Check(f"scope {scope}", True, "granted" if scope in workspace.scopes else f"not granted: {without}")
        for scope, without in OPTIONAL.items()
    ]
    return [*needed, *optional]


async def _clock(slack: Slack) -> str:
    headers: Mapping[str, str] = (await slack.web.call("auth.test")).headers
    said = {name.lower(): value for name, value in headers.items()}.get("date")
    if said is None:
        return "Slack does not say what time it is"
    theirs = parsedate_to_datetime(said)
    off = (utc_now() - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))).total_seconds()
    if abs(off) > CLOCK_SECONDS:
        way = "ahead of" if off > 0 else "behind"
        raise BotError(f"{abs(off):.0f} s {way} Slack's: set this machine's clock (NTP)")
    return f"within {max(1, round(abs(off)))} s of Slack's"


async def _places(settings: Settings, slack: Slack, workspace: Workspace) -> AsyncIterator[Check]:
    """The channels and the user group that the settings name."""
    public = not workspace.scopes or "chat:write.public" in workspace.scopes
    for channel_id in sorted(settings.channels):
        yield await checked(f"channel {channel_id}", partial(_channel, slack, channel_id, public), what_to_do)
    group_id = settings.oncall_group
    if group_id is not None:
        yield await checked(f"group {group_id}", lambda: _group(slack, group_id), what_to_do)


async def _channel(slack: Slack, channel_id: str, public: bool) -> str:
    problem = await problem_with(slack, channel_id, posts_in_public=public)
    if problem is not None:
        raise BotError(what_to_do_there(problem))
    return "takes the bot's posts"


async def _group(slack: Slack, group_id: str) -> str:
    try:
        answer = await slack.web.call("usergroups.users.list", usergroup=group_id)
    except SlackError as error:
        if error.error == "no_such_subteam":
            raise BotError("there is no such user group: check ONCALL_GROUP") from None
        raise
    return f"{len(part(answer, 'users', list))} people are mentioned in reminders"


async def _shake_hands(slack: Slack, app_token: str, session: aiohttp.ClientSession) -> str:
    """Opens a socket as the bot does, waits for Slack's hello, and closes it at once."""
    address = await slack.open_connection(app_token)
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS), session.ws_connect(address) as socket:
            hello = await socket.receive_json()
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError) as error:
        raise BotError(
            f"the socket did not open: {type(error).__name__}; is a proxy in the way of WebSockets?"
        ) from None
    others = int(hello.get("num_connections") or 1) - 1
    beside = f"; {others} more are open, of bots that share this app" if others > 0 else ""
    return f"a connection was opened, and closed again{beside}"

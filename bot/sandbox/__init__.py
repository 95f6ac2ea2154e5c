"""The embedded Slack workspace and the embedded Sift, in one application: for `sift-retry demo` and for the tests."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.base.clock import Clock, utc_now
from bot.sandbox.connection import Droppable
from bot.sandbox.page.page import page_routes
from bot.sandbox.page.sift_app import sift_app_routes
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.slack.directory import (
    ADMIN,
    AUDITOR,
    DATA_IMPORTS,
    DEACTIVATED,
    LAUNCH_OPS,
    MULTI_CHANNEL_GUEST,
    ON_CALL_GROUP,
    OPERATOR,
    OPERATORS_GROUP,
    OTHER_BOT,
    PRIVATE,
    SECOND_OPERATOR,
    SHARED,
    SINGLE_CHANNEL_GUEST,
    STRANGER,
    TEAM,
    UNLISTED,
)
from bot.sandbox.slack.workspace import Delivered, SlackWorkspace

__all__ = [
    "ADMIN",
    "AUDITOR",
    "DATA_IMPORTS",
    "DEACTIVATED",
    "LAUNCH_OPS",
    "MULTI_CHANNEL_GUEST",
    "ON_CALL_GROUP",
    "OPERATOR",
    "OPERATORS_GROUP",
    "OTHER_BOT",
    "PRIVATE",
    "SECOND_OPERATOR",
    "SHARED",
    "SINGLE_CHANNEL_GUEST",
    "STRANGER",
    "TEAM",
    "UNLISTED",
    "Delivered",
    "Sandbox",
    "SlackWorkspace",
]


class Sandbox:
    """Slack, Sift and the page, to be served at one address: `/slack/…`, `/sift/…` and `/`.

    Args:
        clock: the present moment, for both.
        run_seconds: how long a retried job runs.
    """

    def __init__(self, *, clock: Clock = utc_now, run_seconds: float = 8.0) -> None:
        self.slack = SlackWorkspace(clock)
        self.sift = EmbeddedSift(clock=clock, run_seconds=run_seconds)
        self.sift.on_change.append(self.slack.changed)
        self.fallback: ASGIApp = PlainTextResponse("the bot is not here yet", status_code=503)
        bot = _Fallback(self)
        routes = [
            *page_routes(self.slack, self.sift),
            *sift_app_routes(self.sift),
            Route("/slack/events", bot),
            Mount("/slack", self.slack.app),
            Mount("/sift", self.sift.app),
        ]
        everything = Starlette(routes=routes)
        everything.router.default = bot
        self.app: ASGIApp = Droppable(everything)

    def environment(self, base_url: str, *, socket_mode: bool = True) -> dict[str, str]:
        """The settings with which the bot runs against this sandbox.

        Args:
            base_url: where `app` is served.
            socket_mode: whether the bot opens connections, or is sent signed HTTP requests (set `slack.request_url`).
        """
        base_url = base_url.rstrip("/")
        entrance = (
            {"SLACK_APP_TOKEN": self.slack.app_token}
            if socket_mode
            else {"SLACK_SIGNING_SECRET": self.slack.signing_secret}
        )
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_API_URL": f"{base_url}/slack/api/",
            "SIFT_REST_URI": f"{base_url}/sift",
            "SIFT_API_KEY": self.sift.api_key,
            "ADMINS": ADMIN,
            **entrance,
        }


class _Fallback:
    """Whatever is not the sandbox's own is the bot's: its health, its metrics, its Slack requests."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sandbox.fallback(scope, receive, send)

"""One process's bot: settings → database, clients, Bolt app, loops; started in order, drained at the end."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Self

import structlog
from slack_bolt.adapter.starlette.async_handler import to_starlette_response
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.app import listeners
from bot.app.bolt import bolt_app
from bot.app.build import Features
from bot.app.gauges import Gauges
from bot.app.http import slack_route, web_app
from bot.app.limits import Limits
from bot.app.outside import DEFAULT, Outside
from bot.app.publishers import OUTBOXES
from bot.app.readiness import UNREADABLE, Readiness, asking_slack
from bot.app.rotation import Rotation
from bot.app.schedule import drain, loops
from bot.app.server import serving
from bot.app.socket_mode import SocketMode
from bot.app.timekeeper import not_later
from bot.audit.signing import signer
from bot.base.clock import Clock, utc_now
from bot.base.errors import WrongToken, WrongWorkspace
from bot.base.loops import Loop, looping, unless
from bot.base.metrics import Metrics
from bot.db import marks
from bot.db.database import is_outdated, migrate, require_schema
from bot.db.guard import guard
from bot.db.moving import require_not_moved
from bot.retries import claims
from bot.retries.limiter import Limiter
from bot.settings import Settings, load
from bot.sift.client import Sift
from bot.slack.client import Slack
from bot.slack.errors import RateLimited, SlackUnavailable, TokenRefused
from bot.slack.links import Workspace
from bot.slack.pace import RATES, Rate
from bot.slack.people import People
from bot.slack.web import web_client

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 4.5
"""How long a stop waits for what is under way. A platform kills after ten seconds, and the loops, the socket, the
HTTP server and a silent database have about four of them."""

RENEWAL_SECONDS = 3_600.0
"""How often it is looked whether somebody asked to renew secrets; whoever asks has it looked at once."""


class Bot:
    """One process's bot.

    Args:
        settings: what it was told.
        clock: the present moment, unless the database has a clock of its own, which all processes share.
        timer: monotonic seconds, for what is remembered, and for how long Slack and Sift ask to wait.
        outside: its database and its ways to Slack and to Sift.
        rates: how often which method of Slack's is called at most.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock = utc_now,
        timer: Callable[[], float] = time.monotonic,
        outside: Outside = DEFAULT,
        rates: Mapping[str, Rate] = RATES,
    ) -> None:
        self.settings = settings
        self._rates = rates
        self.timer = timer
        self.outside = outside
        self.metrics = Metrics(socket_mode=settings.socket_mode)
        self.signer = signer(settings.audit_signing_key_file)
        self.redactor = settings.redactor()
        self.database = outside.database(settings.database_url.get_secret_value(), clock)
        for engine in self.database.engines:
            guard(engine, self.redactor)
        self.limiter = Limiter(settings.retry_concurrency)
        self.clock = self.database.present
        self._prepared = self.clock(), self.timer()
        self.readiness = Readiness(self.database, self.clock)
        self._verifier = _verifier(settings)
        self._rotation: Rotation | None = None
        self._renewing = Loop("secrets", RENEWAL_SECONDS, self._take_over)
        self.http = self._http()
        self._bolt: AsyncApp | None = None
        self._asking_sift: Loop | None = None

    def __enter__(self) -> Self:
        """Makes the database ours and current: SQLite is upgraded here, PostgreSQL by `sift-retry migrate`.

        Raises:
            AlreadyRunning: another bot has the SQLite file.
            SchemaOutdated: PostgreSQL's schema is not this bot's.
            Moved: what is in it is worked on elsewhere.
        """
        try:
            self._prepare()
        except BaseException:
            self.database.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def _prepare(self) -> None:
        if self.database.is_sqlite:
            self.database.claim_file()
            with self.database.transaction() as connection:
                outdated = is_outdated(connection)
            if outdated:
                migrate(self.database.engine)
        with self.database.transaction() as connection:
            require_schema(connection)
            require_not_moved(connection)
            self.database.now(connection)
            self._prepared = self.clock(), self.timer()
            if self.database.is_sqlite:
                claims.free_leases(connection, self.clock())
                for outbox in OUTBOXES:
                    outbox.free(connection, self.clock())
                not_later(connection, self.clock(), OUTBOXES)

    async def work(self, stop: asyncio.Event) -> None:
        """Connects to Slack and works until `stop` is set; then finishes what is under way, within seconds.

        Raises:
            SlackError: Slack refuses the token.
            WrongToken: Slack does not take the bot's.
            WrongWorkspace: the database belongs to another workspace.
        """
        settings = self.settings
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(self.outside.session())
            sift = Sift(
                settings.sift_rest_uri,
                settings.sift_api_key,
                timeout_seconds=settings.sift_timeout_seconds,
                observe=self._observe,
                left_out=self.metrics.left_out,
                timer=self.timer,
                scrub=self.redactor.scrub,
                transport=self.outside.transport(),
            )
            stack.push_async_callback(sift.aclose)
            client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url, session)
            slack = Slack(client, self.timer, self.redactor, rates=self._rates, observe=self.metrics.called_slack)
            workspace = await self._identify(slack, stop)
            if workspace is not None:
                await self.database.run(lambda connection: self._claim_workspace(connection, workspace))
                await self._serve_slack(slack, sift, workspace, stop)

    def _observe(self, operation: str, seconds: float, result: str) -> None:
        """Counts a call to Sift; retries slow down when Sift limits them, and failures have it looked at."""
        self.metrics.called(operation, seconds, result)
        asking = self._asking_sift
        if result in UNREADABLE and asking is not None and asking.failing is None:
            asking.wake()
        if operation == "retry" and result == "rate_limited":
            self.limiter.back_off()
        elif operation == "retry" and result == "ok":
            self.limiter.recover()

    async def _serve_slack(self, slack: Slack, sift: Sift, workspace: Workspace, stop: asyncio.Event) -> None:
        features = Features(
            settings=self.settings,
            clock=self.clock,
            timer=self.timer,
            prepared=self._prepared,
            database=self.database,
            metrics=self.metrics,
            limiter=self.limiter,
            signer=self.signer,
            slack=slack,
            people=People(slack.web, self.timer),
            sift=sift,
            workspace=workspace,
        )
        self._asking_sift = features.asking_sift
        await features.begin()
        self._bolt = bolt_app(slack.client, workspace, self.redactor)
        listeners.register(self._bolt, features.use_cases)
        asking, repeating = asking_slack(slack), loops(features)
        async with looping([*repeating, asking, self._renewing]), self._listening(self._bolt) as socket:
            self._rotation = Rotation(
                settings=self.settings,
                read=partial(load, Settings),
                team_id=workspace.team_id,
                redactor=self.redactor,
                slack=slack,
                sift=sift,
                verifier=self._verifier,
                socket=socket,
            )
            self.readiness.watch(
                asking=asking,
                socket=socket,
                loops=repeating,
                publishers=features.publishers.values(),
                watcher=features.watcher,
                channels=features.channels,
            )
            log.info("bot.ready", team_id=workspace.team_id, socket_mode=self.settings.socket_mode)
            await stop.wait()
            self.readiness.stop()
            log.info("bot.stopping", under_way=len(features.working))
            await drain(features, DRAIN_SECONDS)

    def renew(self) -> None:
        """Has the settings read again, and new secrets taken over."""
        if self._rotation is not None:
            self._rotation.asked = True
            self._renewing.wake()

    async def _take_over(self) -> None:
        if self._rotation is not None:
            await self._rotation.step()

    async def _identify(self, slack: Slack, stop: asyncio.Event) -> Workspace | None:
        """Returns whose token this is; while Slack does not answer, asks again. None if stopped meanwhile."""
        pause = 0.5
        while not stop.is_set():
            try:
                return await unless(stop, slack.identify())
            except (SlackUnavailable, RateLimited) as error:
                log.warning("slack.unavailable", error=error.error)
            except TokenRefused as error:
                raise WrongToken(error=error.error) from error
            await unless(stop, asyncio.sleep(pause))
            pause = min(pause * 2, 30)
        return None

    def _claim_workspace(self, connection: Connection, workspace: Workspace) -> None:
        """Ties the database to one workspace: user IDs and channels mean nothing in another."""
        recorded = marks.add(connection, "workspace", workspace.team_id, self.clock())
        if recorded != workspace.team_id:
            raise WrongWorkspace(recorded=recorded, connected=workspace.team_id)
        marks.add(connection, "workspace_url", workspace.url, self.clock())

    @contextlib.asynccontextmanager
    async def _listening(self, app: AsyncApp) -> AsyncIterator[SocketMode | None]:
        """Keeps the Socket Mode connection up; None in HTTP mode, where requests come by themselves."""
        if self.settings.slack_app_token is None:
            yield None
            return
        observe = self.metrics.socket.looked_at if self.metrics.socket is not None else lambda _connected, _new: None
        socket = SocketMode(app, self.settings.slack_app_token.get_secret_value(), observe=observe)
        async with socket.connected():
            yield socket

    def _http(self) -> Starlette:
        ready = self.readiness
        gauges = Gauges(self.database, ready, self.metrics, self.clock, time.monotonic)
        app = web_app(ready.not_ready, ready.degraded, gauges.text, lambda: self.database.worker.stuck)
        if self._verifier is not None:
            app.router.routes.append(slack_route(self._verifier, self._receive))
        return app

    async def _receive(self, request: Request, body: str) -> Response:
        """Hands one verified request to Bolt; one that Bolt cannot read is the sender's mistake, not ours."""
        if self._bolt is None:
            return PlainTextResponse("not ready", status_code=503)
        try:
            bolt_request = AsyncBoltRequest(body=body, query=request.url.query, headers=dict(request.headers))
            return to_starlette_response(await self._bolt.async_dispatch(bolt_request))
        except Exception as error:  # noqa: BLE001  # Bolt trusts the shape of what it parses; our own errors never get here
            log.warning("request.not_understood", error=type(error).__name__)  # no more: it may quote what was sent
            return PlainTextResponse("not understood", status_code=400)


def _verifier(settings: Settings) -> SignatureVerifier | None:
    """What checks Slack's signatures over HTTP; in Socket Mode there are none."""
    secret = settings.slack_signing_secret
    return None if settings.socket_mode or secret is None else SignatureVerifier(secret.get_secret_value())


async def run_bot(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the bot and its HTTP side until `stop` is set; SIGHUP has it take over new secrets."""
    with Bot(settings) as bot:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, bot.renew)
        async with serving(bot.http, settings.host, settings.port, Limits()) as url:
            log.info("http.serving", url=url)
            await bot.work(stop)

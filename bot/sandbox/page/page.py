"""The demo page: the workspace on a screen. Who one is, the channel and the open thread live in the address."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox.page.mrkdwn import emoji, link, plain
from bot.sandbox.page.screen import Screen
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.slack.messages import elements
from bot.sandbox.slack.views import NotOnScreen
from bot.sandbox.slack.workspace import SHORTCUT_NAME, SLASH_COMMAND, Delivered, SlackWorkspace

OUTAGE = 25
"""How many jobs the page's outage fails."""

_TICK = 1.0
"""How often running jobs are looked at: they move with the clock, not by events."""

_GATHER = 0.05
"""How long changes are gathered before the page is told."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; connect-src 'self' ws:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Act = Callable[["Form"], Awaitable[Delivered | None]]


class Form:
    """What the page sent: every field may be given several times."""

    def __init__(self, body: bytes) -> None:
        self._fields = parse_qs(body.decode(), keep_blank_values=True)

    def __getitem__(self, name: str) -> str:
        return self._fields[name][0]

    def get(self, name: str) -> str | None:
        """A field that may be missing or empty."""
        return self._fields.get(name, [""])[0] or None

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return self._fields.get(name, [])


class Page:
    """Serves the page and does what is clicked on it.

    Args:
        slack: the workspace that is shown.
        sift: whose jobs the panel at the side shows.
    """

    def __init__(self, slack: SlackWorkspace, sift: EmbeddedSift) -> None:
        self.slack = slack
        self.sift = sift
        self._templates = Environment(
            loader=PackageLoader("bot.sandbox.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"emoji": emoji, "plain": plain, "link": link}
        self._templates.globals |= {
            "slash_command": SLASH_COMMAND,
            "shortcut_name": SHORTCUT_NAME,
            "outage": OUTAGE,
        }

    async def whole(self, request: Request) -> Response:
        """The page."""
        return self._render("page.html", request)

    async def regions(self, request: Request) -> Response:
        """The parts of the page that change, for the page to put in place."""
        return self._render("regions.html", request)

    async def updates(self, websocket: WebSocket) -> None:
        """Tells the page whenever something changed; what, it asks for itself."""
        await websocket.accept()
        leaving: asyncio.Future[Any] = asyncio.ensure_future(websocket.receive())
        try:
            seen = self._fingerprint()
            while not leaving.done():
                await asyncio.wait({leaving, self.slack.change()}, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
                if self.slack.version == seen[0] and self._fingerprint() == seen:
                    continue
                await asyncio.sleep(_GATHER)
                seen = self._fingerprint()
                await websocket.send_text("changed")
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            leaving.cancel()

    async def act(self, request: Request) -> Response:
        """Does one thing that was clicked or typed; the answer is a note where something did not work."""
        if "x-sandbox" not in request.headers:
            return PlainTextResponse("only from the page itself", status_code=403)
        act = self._acts().get(request.path_params["act"])
        if act is None:
            return PlainTextResponse("no such thing to do", status_code=404)
        try:
            delivered = await act(Form(await request.body()))
        except NotOnScreen:
            return JSONResponse({"note": "That is no longer there."})
        except (KeyError, ValueError):
            return PlainTextResponse("not understood", status_code=400)
        failed = delivered is not None and delivered.reached and not delivered.acked
        return JSONResponse({"note": "The app did not respond." if failed else None})

    def _render(self, template: str, request: Request) -> Response:
        screen = Screen(self.slack, self.sift, request.query_params)
        html = self._templates.get_template(template).render(screen=screen, reader=screen.reader, user=screen.user)
        return HTMLResponse(html, headers=_HEADERS)

    def _fingerprint(self) -> tuple[int, list[str]]:
        """Differs whenever the page does; jobs move by the clock alone."""
        now = self.slack.clock()
        return self.slack.version, [job.status(now) for job in self.sift.jobs.values()]

    def _acts(self) -> dict[str, Act]:
        return {
            "send": self._send,
            "click": self._click,
            "click-view": self._click_view,
            "submit": self._submit,
            "close": self._close,
            "shortcut": self._shortcut,
            "home": self._home,
            "fail": self._fail,
            "outage": self._outage,
        }

    async def _send(self, form: Form) -> Delivered | None:
        """Whatever was typed: a command, a message to the app, or just a message."""
        user_id, channel_id, thread_ts = form["as"], form["channel"], form.get("thread")
        text = form["text"].strip()
        first, _, rest = text.partition(" ")
        if not text:
            return None
        if first.startswith("/") and thread_ts:
            self.slack.whisper(user_id, channel_id, f"{first} is not supported in threads. Sorry!", thread_ts)
        elif first == SLASH_COMMAND:
            return await self.slack.command(user_id, channel_id, rest.strip())
        elif first.startswith("/"):
            self.slack.whisper(user_id, channel_id, f"{first} is not a valid command.")
        elif self.slack.mentions_app(text):
            return await self.slack.mention(user_id, channel_id, text, thread_ts)
        else:
            self.slack.say(user_id, channel_id, text, thread_ts)
        return None

    async def _click(self, form: Form) -> Delivered:
        values = form.all("value")
        value = values[0] if len(values) == 1 else values
        return await self.slack.click(
            form["as"], form["channel"], form["ts"], form["action_id"], form["block_id"], value or None
        )

    async def _click_view(self, form: Form) -> Delivered:
        values = form.all("value")
        value = values[0] if len(values) == 1 else values
        filled = self._filled(form)
        return await self.slack.click_view(
            form["as"], form["view"], form["action_id"], form["block_id"], value or None, filled
        )

    async def _submit(self, form: Form) -> Delivered:
        return await self.slack.submit(form["as"], form["view"], self._filled(form))

    async def _close(self, form: Form) -> Delivered | None:
        return await self.slack.close(form["as"], form["view"])

    async def _shortcut(self, form: Form) -> Delivered:
        return await self.slack.shortcut(form["as"], form["channel"], form["ts"])

    async def _home(self, form: Form) -> Delivered:
        return await self.slack.home_opened(form["as"])

    async def _fail(self, _: Form) -> None:
        self.sift.fail_one()

    async def _outage(self, _: Form) -> None:
        self.sift.outage(OUTAGE)

    def _filled(self, form: Form) -> dict[str, list[str]]:
        """What a view's inputs hold; one that the browser does not mention is empty."""
        view = self.slack.view(form["view"])
        keys = [
            f"{block['block_id']}:{element['action_id']}" for block, element in elements(view.blocks if view else [])
        ]
        return {key: form.all(key) for key in keys}


def page_routes(slack: SlackWorkspace, sift: EmbeddedSift) -> list[BaseRoute]:
    """The routes of the page, to stand at the root."""
    page = Page(slack, sift)
    return [
        Route("/", page.whole),
        Route("/regions", page.regions),
        Route("/act/{act}", page.act, methods=["POST"]),
        WebSocketRoute("/updates", page.updates),
        Mount("/static", StaticFiles(packages=[("bot.sandbox.page", "static")])),
    ]

"""The workspace over HTTP: the Web API, response URLs, file uploads, and the Socket Mode endpoint."""

import asyncio
import contextlib
import json
import mimetypes
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from bot.sandbox.connection import Droppable, NoAnswer
from bot.sandbox.payload import Payload
from bot.sandbox.slack.answers import answer_by
from bot.sandbox.slack.delivery import Sockets
from bot.sandbox.slack.methods import METHODS
from bot.sandbox.slack.state import ApiCall, Refused, WorkspaceState
from bot.sandbox.slack.trouble import Fault

_OPEN_CONNECTION = "apps.connections.open"
_FILE_HEADERS = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
_JSON_ARGUMENTS = ("blocks", "attachments", "view", "files", "metadata")


def slack_app(state: WorkspaceState, sockets: Sockets) -> ASGIApp:
    """The ASGI application that the app talks to instead of Slack."""

    async def api(request: Request) -> Response:
        _learn_base_url(state, request)
        return await _call(state, sockets, request)

    async def respond(request: Request) -> Response:
        return await _respond(state, request)

    async def upload(request: Request) -> Response:
        file = state.files.get(request.path_params["file_id"])
        if file is None:
            return PlainTextResponse("no such upload", status_code=404)
        file.content = await request.body()
        return PlainTextResponse(f"OK - {len(file.content)}")

    async def download(request: Request) -> Response:
        file = state.files.get(request.path_params["file_id"])
        if file is None:
            return PlainTextResponse("no such file", status_code=404)
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return Response(file.content, media_type=media_type, headers=_FILE_HEADERS)

    return Droppable(
        Starlette(
            routes=[
                Route("/api/{method}", api, methods=["GET", "POST"]),
                Route("/response/{token}", respond, methods=["POST"]),
                Route("/upload/{file_id}", upload, methods=["POST"]),
                Route("/files/{file_id}", download),
                Route("/files/{file_id}/{name}", download),
                WebSocketRoute("/link", sockets.serve),
                WebSocketRoute("/silent", sockets.keep_waiting),
            ]
        )
    )


async def _call(state: WorkspaceState, sockets: Sockets, request: Request) -> Response:
    """One call of the Web API, with whatever is to go wrong with it."""
    method = request.path_params["method"]
    try:
        arguments = await _arguments(request)
    except ValueError:
        return _answer({"ok": False, "error": "invalid_json"})
    token = request.headers.get("authorization", "").removeprefix("Bearer ") or str(arguments.pop("token", ""))
    state.calls.append(ApiCall(method, arguments, state.clock()))
    state.changed()
    fault = _next_fault(state, method, arguments)
    await asyncio.sleep(fault.delay if fault else 0)
    if state.offline:
        return NoAnswer()
    if fault is not None and fault.error is not None:
        return _answer({"ok": False, "error": fault.error}, fault.status, fault.retry_after)
    response = _carry_out(state, sockets, method, token, arguments)
    if fault is not None and fault.answer is not None:
        return Response(fault.answer, media_type="application/json")
    return NoAnswer() if fault is not None and fault.lost else response


def _carry_out(state: WorkspaceState, sockets: Sockets, method: str, token: str, arguments: Payload) -> Response:
    try:
        _check_token(state, method, token)
        if method == _OPEN_CONNECTION:
            address = state.base_url.replace("http", "ws", 1)
            return _answer({"ok": True, "url": f"{address}/{sockets.path()}?ticket={sockets.ticket()}"})
        known = METHODS[method]
        if known.scope and known.scope not in state.scopes:
            raise Refused("missing_scope", needed=known.scope, provided=",".join(sorted(state.scopes)))
        channel = str(arguments.get("channel") or "")
        wait = state.limits.wait(method, channel, state.clock()) if state.rate_limits else None
        if wait is not None:
            return _answer({"ok": False, "error": "ratelimited"}, 429, wait)
        answer = {"ok": True, **known.run(state, arguments)}
    except Refused as refused:
        answer = {"ok": False, "error": refused.error, **refused.details}
    return _answer(answer, scopes=state.scopes)


def _check_token(state: WorkspaceState, method: str, token: str) -> None:
    """Refuses unknown methods, unknown tokens, and the wrong one of the two."""
    if method != _OPEN_CONNECTION and method not in METHODS:
        raise Refused("unknown_method", req_method=method)
    if not token:
        raise Refused("not_authed")
    if token not in (state.bot_token, state.app_token):
        raise Refused("invalid_auth")
    if (token == state.app_token) != (method == _OPEN_CONNECTION):
        raise Refused("not_allowed_token_type")


async def _respond(state: WorkspaceState, request: Request) -> Response:
    """A message by response URL."""
    if state.offline:
        return NoAnswer()
    way = state.response_urls.get(request.path_params["token"])
    if way is None or way.uses_left == 0 or state.clock() > way.until:
        return _answer({"ok": False, "error": "expired_url"}, 404)
    try:
        body = json.loads(await request.body())
        answer_by(state, way, body)
    except Refused as refused:
        return _answer({"ok": False, "error": refused.error, **refused.details}, 400)
    except (ValueError, AttributeError):
        return _answer({"ok": False, "error": "invalid_payload"}, 400)
    way.uses_left -= 1
    return PlainTextResponse("ok")


async def _arguments(request: Request) -> Payload:
    """The arguments of a call, however they were sent.

    Raises:
        ValueError: what should be JSON is not.
    """
    arguments: Payload = dict(request.query_params)
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        given = json.loads(body or b"{}")
        if not isinstance(given, dict):
            raise ValueError("not an object")
        arguments |= given
    else:
        arguments |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    for name in _JSON_ARGUMENTS:
        if isinstance(arguments.get(name), str):
            with contextlib.suppress(ValueError):
                arguments[name] = json.loads(arguments[name])
    return arguments


def _next_fault(state: WorkspaceState, method: str, arguments: Payload) -> Fault | None:
    """Takes the next thing that is to go wrong with such a call."""
    fault = next((fault for fault in state.faults if fault.concerns(method, arguments)), None)
    if fault is not None:
        fault.times -= 1
        if fault.times <= 0:
            state.faults.remove(fault)
    return fault


def _answer(
    body: Payload, status: int = 200, retry_after: int | None = None, scopes: set[str] | None = None
) -> Response:
    headers = {"x-oauth-scopes": ",".join(sorted(scopes))} if scopes is not None else {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return JSONResponse(body, status, headers)


def _learn_base_url(state: WorkspaceState, connection: HTTPConnection) -> None:
    """Remembers under which address the app reaches this workspace, for the addresses it is given."""
    root = connection.scope.get("root_path", "").rstrip("/")
    state.base_url = f"{connection.url.scheme}://{connection.url.netloc}{root}"

"""The bot's HTTP side: health and metrics in both modes, Slack's signed requests in HTTP mode."""

from collections.abc import Awaitable, Callable, Mapping

from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Problems = Callable[[], Awaitable[Mapping[str, str]]]
"""Answers what is not ready and why, by name; empty when all is well."""

Degraded = Callable[[], Mapping[str, str]]
"""The same for what else does not work as it should."""

Receive = Callable[[Request, str], Awaitable[Response]]
"""Handles one verified request of Slack's, given its body."""

MOST_BYTES = 1_000_000
"""More than Slack ever sends: a view submission is 250 KB at most."""


def web_app(problems: Problems, degraded: Degraded, metrics: Callable[[], bytes]) -> Starlette:
    """The paths that exist in both modes. They ask nobody who they are, so they give names and no messages."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        not_ready = await problems()
        body = {"ready": not not_ready, "not_ready": sorted(not_ready), "degraded": sorted(degraded())}
        return JSONResponse(body, status_code=503 if not_ready else 200)

    async def show_metrics(_: Request) -> Response:
        return Response(metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", show_metrics)])


def slack_route(signing_secret: str, receive: Receive) -> Route:
    """`POST /slack/events`: refuses whatever Slack did not sign within the last five minutes."""
    verifier = SignatureVerifier(signing_secret)

    async def events(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return PlainTextResponse("too large", status_code=413)
        if not _signed(verifier, body, request.headers):
            return PlainTextResponse("not signed by Slack", status_code=401)
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return PlainTextResponse("not UTF-8", status_code=400)
        return await receive(request, text)

    return Route("/slack/events", events, methods=["POST"])


async def _body(request: Request) -> bytes | None:
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BYTES:
            return None
    return b"".join(chunks)


def _signed(verifier: SignatureVerifier, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether Slack signed this just now; anything odd in the headers is a no, not an error."""
    timestamp = headers.get("x-slack-request-timestamp", "")
    signature = headers.get("x-slack-signature", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12 and signature.isascii()):
        return False
    try:
        return verifier.is_valid(body, timestamp, signature)
    except UnicodeDecodeError:
        return False

"""The bot's HTTP side: health and metrics in both modes, Slack's signed requests in HTTP mode."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping

import structlog
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

log = structlog.get_logger(__name__)

NotReady = Callable[[], Awaitable[Mapping[str, str]]]
"""Returns what is not ready and why, by name; empty when all is well."""

Degraded = Callable[[], Mapping[str, str]]
"""The same for what else does not work as it should."""

Receive = Callable[[Request, str], Awaitable[Response]]
"""Handles one verified request of Slack's, given its body."""

MAX_BYTES = 1_000_000
"""More than Slack ever sends: a view submission is 250 KB at most."""

BODY_SECONDS = 5.0
"""How long the whole of a body may take; Slack itself waits three seconds for the answer."""

FEW_BYTES = 65_536
MAX_HELD = 16_000_000
"""So many bytes of bodies are held while it is not known yet who signed them; beyond, only small ones are read."""

SIGNED_WITHIN = 300
"""Seconds between Slack's clock and ours: what is older may be a replay."""

SILENT_SECONDS = 60
"""Requests that are refused are told of at most so often."""

TIMESTAMP, SIGNATURE = "x-slack-request-timestamp", "x-slack-signature"

_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,12}")


def web_app(
    not_ready: NotReady, degraded: Degraded, metrics: Callable[[], Awaitable[bytes]], stuck: Callable[[], bool]
) -> Starlette:
    """The paths that exist in both modes. They ask nobody who they are, so they give names and no messages.

    Args:
        stuck: whether nothing but a restart helps; an event loop that is stuck answers nobody, which says the same.
    """

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("stuck", status_code=503) if stuck() else PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        missing = await not_ready()
        body = {"ready": not missing, "not_ready": sorted(missing), "degraded": sorted(degraded())}
        return JSONResponse(body, status_code=503 if missing else 200)

    async def show_metrics(_: Request) -> Response:
        return Response(await metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", show_metrics)])


def slack_route(
    verifier: SignatureVerifier,
    receive: Receive,
    *,
    body_seconds: float = BODY_SECONDS,
) -> Route:
    """`POST /slack/events`: refuses whatever Slack did not sign within the last five minutes.

    Whoever cannot have signed is refused before a byte of the body is read.

    Args:
        verifier: with the signing secret, which may be renewed.
        body_seconds: how long the whole of a body may take.
    """
    bodies, refusals = _Bodies(), _Refusals()

    async def events(request: Request) -> Response:
        now = verifier.clock.now()
        if (age := _age(request.headers, now)) is None or abs(age) > SIGNED_WITHIN:
            if age is not None:
                refusals.add(
                    now, f"signed {abs(age)} s {'ago' if age > 0 else 'ahead'}; is this machine's clock right?"
                )
            return PlainTextResponse("not signed by Slack", status_code=401)
        try:
            async with asyncio.timeout(body_seconds):
                body = await bodies.read(request)
        except TimeoutError:
            return PlainTextResponse("too slow", status_code=408)
        except _Refused as refused:
            return PlainTextResponse(refused.why, status_code=refused.status)
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return PlainTextResponse("not UTF-8", status_code=400)
        if not verifier.is_valid(text, request.headers[TIMESTAMP], request.headers[SIGNATURE]):
            refusals.add(now, "another signature; is SLACK_SIGNING_SECRET the app's?")
            return PlainTextResponse("not signed by Slack", status_code=401)
        return await receive(request, text)

    return Route("/slack/events", events, methods=["POST"])


class _Refusals:
    """Says in the log that what looks signed is refused, for nothing else does if the secret is mistyped."""

    def __init__(self) -> None:
        self._count = 0
        self._silent_until = 0.0

    def add(self, now: float, why: str) -> None:
        """Counts one; strangers may send any number."""
        self._count += 1
        if now >= self._silent_until or now < self._silent_until - SILENT_SECONDS:  # or the clock was set back
            log.warning("slack.not_signed", why=why, requests=self._count)
            self._count, self._silent_until = 0, now + SILENT_SECONDS


class _Refused(Exception):
    """A body is not read to its end."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class _Bodies:
    """Reads bodies, so much of them at a time."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """The whole body.

        Raises:
            _Refused: it is too large, or the others are just now.
        """
        length = request.headers.get("content-length", "0")
        if not _NUMBER.fullmatch(length) or int(length) > MAX_BYTES:
            raise _Refused(413, "too large")
        chunks, size = [], 0
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                self._held += len(chunk)
                if size > MAX_BYTES:
                    raise _Refused(413, "too large")
                if size > FEW_BYTES and self._held > MAX_HELD:
                    raise _Refused(503, "busy")
            return b"".join(chunks)
        except ClientDisconnect:
            raise _Refused(400, "unfinished") from None
        finally:
            self._held -= size


def _age(headers: Mapping[str, str], now: float) -> int | None:
    """Returns how many seconds ago the headers say that this was signed; None if they do not look like Slack's."""
    timestamp = headers.get(TIMESTAMP, "")
    if not _SIGNATURE.fullmatch(headers.get(SIGNATURE, "")) or not _NUMBER.fullmatch(timestamp):
        return None
    return round(now) - int(timestamp)

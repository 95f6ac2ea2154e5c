"""What the bot is compared with, as ASGI applications: `python -m bench.peers raw|recordless PORT`."""

import asyncio
import os
import sys
from typing import Any

import uvloop
from slack_bolt.adapter.starlette.async_handler import to_starlette_response
from slack_bolt.async_app import AsyncAck, AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from bot.app import commands
from bot.app.bolt import bolt_app
from bot.app.command import Retry
from bot.app.http import slack_route
from bot.app.server import serving
from bot.base.redactor import Redactor
from bot.slack import payloads
from bot.slack.links import Workspace


def raw() -> Starlette:
    """Verifies the signature and answers: the least that can be done."""

    async def receive(_: Request, __: str) -> Response:
        return Response()

    return Starlette(routes=[slack_route(SignatureVerifier(os.environ["SLACK_SIGNING_SECRET"]), receive)])


def recordless() -> Starlette:
    """Our own Bolt app and listener, with everything but the record."""
    client = AsyncWebClient(token=os.environ["SLACK_BOT_TOKEN"])
    app = bolt_app(client, Workspace("T0SANDBOX", "", "U0", "B0", frozenset()), Redactor([client.token or ""]))

    async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
        command = commands.parse(str(body.get("text") or ""))
        if isinstance(command, Retry):
            payloads.requester_of_command(body)
        await ack()

    async def receive(request: Request, body: str) -> Response:
        parsed = AsyncBoltRequest(body=body, query=request.url.query, headers=dict(request.headers))
        return to_starlette_response(await app.async_dispatch(parsed))

    app.command("/sift-retry")(on_command)
    return Starlette(routes=[slack_route(SignatureVerifier(os.environ["SLACK_SIGNING_SECRET"]), receive)])


async def _serve(app: Starlette, port: int) -> None:
    async with serving(app, "127.0.0.1", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve({"raw": raw, "recordless": recordless}[sys.argv[1]](), int(sys.argv[2])))

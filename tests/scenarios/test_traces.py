"""Traces over OTLP: what is traced, what is not told, and a collector that does not answer."""

import asyncio
import contextlib
import importlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.app.server import serving
from bot.sandbox import ADMIN, LAUNCH_OPS
from tests.scenarios.conftest import World
from tests.scenarios.test_crash import free_port, until_ready
from tests.scenarios.test_process import ROOT, environment

needs_otel = pytest.mark.skipif(
    find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None,
    reason="the extra `otel` is not installed",
)


class Collector:
    """Takes traces, or hangs."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.bodies: list[bytes] = []
        self.hangs = hangs
        self.app = Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        if self.hangs:
            await asyncio.sleep(30)
        self.bodies.append(await request.body())
        return Response(status_code=200, media_type="application/x-protobuf")

    def names(self) -> set[str]:
        """What the spans are called."""
        wire = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        requests = [wire.ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        scopes = [
            scope for request in requests for resource in request.resource_spans for scope in resource.scope_spans
        ]
        return {span.name for scope in scopes for span in scope.spans}


@contextlib.asynccontextmanager
async def traced(world: World, collector: Collector) -> AsyncIterator["asyncio.subprocess.Process"]:
    """Runs the bot with a collector."""
    own, port = free_port(), str(free_port())
    async with serving(collector.app, "127.0.0.1", own) as url:
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none", "PORT": port}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "run"),
            cwd=world.directory,
            env={**environment(world, **more), "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )
        try:
            await until_ready(f"http://127.0.0.1:{port}/readyz")
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def ended(process: "asyncio.subprocess.Process") -> tuple[int | None, float]:
    """How a process ends that is told to, and after how many seconds."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 15)
    return process.returncode, time.monotonic() - began


@needs_otel
async def test_requests_calls_and_transactions_are_traced_without_a_word_of_anybody(world: World) -> None:
    collector = Collector()
    async with traced(world, collector) as process:
        await world.slack.command(ADMIN, LAUNCH_OPS, f"{world.sift.add().job_id} hush-hush")
        await world.until(lambda: len(world.replies()) == 1, 20)
        assert (await ended(process))[0] == 0
    assert {"Slack request", "Slack chat.postMessage", "Sift retry", "transaction"} <= collector.names()
    for word in (*world.canaries, "hush-hush", ADMIN):
        assert not any(word.encode() in body for body in collector.bodies)


@needs_otel
async def test_a_collector_that_hangs_holds_up_nothing(world: World) -> None:
    async with traced(world, Collector(hangs=True)) as process:
        await world.slack.command(ADMIN, LAUNCH_OPS, world.sift.add().job_id)
        await world.until(lambda: len(world.replies()) == 1, 20)
        code, seconds = await ended(process)
        assert code == 0
        assert seconds < 10

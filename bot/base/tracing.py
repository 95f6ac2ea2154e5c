"""Spans for OpenTelemetry, where the extra `otel` is installed and somebody takes them; otherwise nothing.

A span has a name, a time and whether it failed, and no word of anybody's.
"""

import contextlib
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import structlog

log = structlog.get_logger(__name__)

EXPORT_SECONDS = 2
"""One export takes no longer, and neither does the last one, before the process ends."""

WAITED = "waited"
"""The result under which who observes calls is told how long one waited, or was put off, since it was asked to."""

_tracer: Any = None


@contextlib.contextmanager
def span(name: str) -> Iterator[None]:
    """Everything that is done within is one span, with those within it below it."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as current:
        try:
            yield
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            raise


@contextlib.contextmanager
def exporting(version: str) -> Iterator[None]:
    """Sends spans over OTLP until the block ends; what is not taken is thrown away.

    The SDK itself reads where to and how from its own variables `OTEL_…`
    (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
    """
    global _tracer  # one process has one tracer, and whoever is traced must not know of it
    try:
        provider = _provider(version)
    except ImportError:
        log.warning("traces.off", problem="the extra `otel` is not installed")
        yield
        return
    _tracer = provider.get_tracer("sift-retry-bot", version)
    try:
        yield
    finally:
        _tracer = None
        ending = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(EXPORT_SECONDS)


def _provider(version: str) -> Any:
    """The SDK's tracer provider; the SDK is there only with the extra, so it has no types here.

    Raises:
        ImportError: it is not there.
    """
    exporter = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    resources = importlib.import_module("opentelemetry.sdk.resources")
    sdk = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    resource = resources.Resource.create({"service.name": "sift-retry-bot", "service.version": version})
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter(timeout=EXPORT_SECONDS)))
    return provider

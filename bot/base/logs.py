"""Structured logs on stderr, for people or for machines; the libraries' logs take the same way."""

import logging
import sys
from collections.abc import Callable

import structlog
from structlog.typing import Processor

QUIET = ("slack_bolt", "slack_sdk", "httpx", "aiohttp", "uvicorn", "alembic", "asyncio")
"""Libraries that speak up only when something is wrong: what they say at lower levels may hold what users wrote."""


def configure(level: str, form: str, scrub: Callable[[str], str]) -> None:
    """Sets the process's logging up, once.

    Args:
        level: debug, info, warning or error; for the bot's own logs.
        form: console or json.
        scrub: takes secrets out of each line, whoever wrote it.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
                lambda _logger, _method, line: scrub(str(line)),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))

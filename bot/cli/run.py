"""`sift-retry run` and `sift-retry demo`: the commands that go on until they are stopped."""

import asyncio
import contextlib
import gc
import importlib.util
import signal
import sys
from collections.abc import Callable, Coroutine

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import VERSION
from bot.base import logs, tracing
from bot.base.errors import BotError
from bot.settings import Settings, load, traces_are_taken

log = structlog.get_logger(__name__)

_DEMO = ("cel", "jinja2", "websockets")
"""The modules that the extra `demo` brings."""


@click.command()
def run() -> None:
    """Runs the bot: Socket Mode if SLACK_APP_TOKEN is set, HTTP otherwise."""
    gc.disable()  # until everything is imported and `_until_stopped` freezes it
    from bot.app.bot import run_bot  # here, since `sift-retry --help` imports each command and needs none of this

    settings = load(Settings)
    logs.configure(settings.log_level, settings.log_format, settings.redactor().scrub)
    with tracing.exporting(VERSION) if traces_are_taken() else contextlib.nullcontext():
        _until_stopped(lambda stop: run_bot(settings, stop))


@click.command()
@click.option(
    "--without-bot", is_flag=True, help="Only Slack and Sift, for a bot run by itself; its settings go to stdout."
)
def demo(without_bot: bool) -> None:
    """Runs the same bot against an embedded Slack and Sift, and serves a page to try it on."""
    if not all(map(importlib.util.find_spec, _DEMO)):
        raise click.ClickException(
            "the demo needs the extra `demo`: pip install 'sift-retry-bot[demo]' (in a clone: make demo)"
        )
    from bot.cli.demo import run_demo, run_sandbox

    _until_stopped(run_sandbox if without_bot else run_demo)


def _until_stopped(work: Callable[[asyncio.Event], Coroutine[object, None, None]]) -> None:
    """Runs `work` in an event loop until SIGTERM or Ctrl-C sets its stop event."""
    import uvloop

    gc.freeze()  # nor is it looked through later, which would hold everything up for a tenth of a second each time
    gc.enable()
    sys.setswitchinterval(0.001)  # the event loop and the database's thread hand over to each other often

    async def stoppable() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await work(stop)
        except (BotError, OSError, SQLAlchemyError):
            raise
        except Exception:
            log.exception("process.failed")
            raise

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(stoppable())

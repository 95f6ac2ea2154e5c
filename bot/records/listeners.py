"""The audit's pages and files, and the statistics."""

import re
from datetime import timedelta
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.app.desk import Desk, read_or_say_so
from bot.audit.log import Filters
from bot.base.clock import parse_duration
from bot.home.messages import OPEN_AUDIT, OPEN_STATS
from bot.records.messages import AUDIT_EXPORT, AUDIT_PAGE, search_of
from bot.slack import payloads
from bot.slack.payloads import Asker, Malformed


def register(app: AsyncApp, desk: Desk) -> None:
    """Registers the buttons."""

    async def on_page(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        filters, path = _search(body)
        asker = payloads.asker_of_click(body)
        desk.answer_when_known(asker, desk.history.page(asker, filters, path), replace=True)

    async def on_export(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        filters, _ = _search(body)
        asker = payloads.asker_of_click(body)
        desk.tasks.start(_send_export(desk, asker, filters), user_id=asker.user_id)

    async def on_open_audit(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = payloads.asker_of_click(body)
        desk.answer_when_known(asker, desk.history.page(asker, Filters()))

    async def on_open_stats(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = payloads.asker_of_click(body)
        desk.tasks.start(send_stats(desk, asker, parse_duration(payloads.value_of(body))), user_id=asker.user_id)

    app.action(re.compile(f"^{AUDIT_PAGE}:"))(on_page)
    app.action(re.compile(f"^{AUDIT_EXPORT}:"))(on_export)
    app.action(OPEN_AUDIT)(on_open_audit)
    app.action(OPEN_STATS)(on_open_stats)


async def send_stats(desk: Desk, asker: Asker, back: timedelta | None) -> None:
    """Sends the statistics, and says where to, or why not."""
    said = await read_or_say_so(desk.history.send_stats(asker, back))
    if said is not None:
        desk.answer(asker, said)


async def _send_export(desk: Desk, asker: Asker, filters: Filters) -> None:
    said = await read_or_say_so(desk.history.send_export(asker, filters))
    if said is not None:
        desk.answer(asker, said)


def _search(body: dict[str, Any]) -> tuple[Filters, list[int]]:
    try:
        return search_of(payloads.value_of(body))
    except ValueError:
        raise Malformed from None

"""The audit's pages and files, and the statistics; all of it private.

**Search the audit**, **Older**, **Newer**: a page. **Export as CSV**, **Statistics**: a file, sent directly.
"""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.audit.entry import Filters
from bot.base.clock import parse_duration
from bot.base.requester import Source
from bot.records.history import History
from bot.records.messages import AUDIT_EXPORT, AUDIT_PAGE, OPEN_AUDIT, OPEN_STATS, search_of
from bot.slack import payloads
from bot.slack.payloads import Malformed
from bot.slack.replies import Replies


def register(app: AsyncApp, *, history: History, replies: Replies) -> None:
    """Registers the buttons."""

    async def on_page(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        filters, path = _search(body)
        requester = payloads.requester_of_click(body, Source.HOME)
        replies.answer_when_known(requester, history.page(requester, filters, path), replace=True)

    async def on_export(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        filters, _ = _search(body)
        requester = payloads.requester_of_click(body, Source.HOME)
        replies.answer_when_known(requester, history.send_export(requester, filters))

    async def on_open_audit(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        requester = payloads.requester_of_click(body, Source.HOME)
        replies.answer_when_known(requester, history.page(requester, Filters()))

    async def on_open_stats(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        requester = payloads.requester_of_click(body, Source.HOME)
        replies.answer_when_known(requester, history.send_stats(requester, parse_duration(payloads.value_of(body))))

    app.action(re.compile(f"^{AUDIT_PAGE}:"))(on_page)
    app.action(re.compile(f"^{AUDIT_EXPORT}:"))(on_export)
    app.action(OPEN_AUDIT)(on_open_audit)
    app.action(OPEN_STATS)(on_open_stats)


def _search(body: dict[str, Any]) -> tuple[Filters, list[int]]:
    try:
        return search_of(payloads.value_of(body))
    except ValueError:
        raise Malformed from None

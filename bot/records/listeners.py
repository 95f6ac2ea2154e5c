"""The audit's pages and files, and the statistics; all of it private.

**Audit** in the Home tab: a modal with the newest page. **Older**, **Newer**: another page takes its place.
**Show** at a request: a modal with its steps. **Search…**: a form; what it finds takes its place.
**Statistics**: a modal with the numbers, and a picture, sent directly. **Export as CSV**: a file, sent directly.
"""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.base.clock import parse_duration
from bot.base.requester import Requester, Source
from bot.base.text import REQUEST_ID
from bot.records import messages as shown
from bot.records.history import History
from bot.records.search import AUDIT_TITLE, SEARCH_VIEW, Search, from_search_view, search_of, search_view
from bot.slack import payloads
from bot.slack.blocks import message_view
from bot.slack.client import Slack
from bot.slack.message import Message
from bot.slack.payloads import Malformed
from bot.slack.replies import Replies, read_or_say_so

Reading = Coroutine[Any, Any, Message | None]

SEARCH_SECONDS = 2.2
"""How long a search may take: Slack waits three seconds for what takes the form's place."""


def register(app: AsyncApp, *, history: History, slack: Slack, replies: Replies) -> None:
    """Registers the buttons of the pages, and what follows them."""

    modals = _Modals(slack)

    async def on_page(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        search, path = _search(body)
        requester = payloads.requester_of_click(body, Source.HOME)
        reading, view_id = history.page(requester, search, path), _modal_of(body)
        if view_id is None:
            replies.answer_when_known(requester, reading, replace=True)
        else:
            replies.start(requester, modals.show(view_id, reading, AUDIT_TITLE))

    async def on_open_audit(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        requester = payloads.requester_of_click(body, Source.HOME)
        search = Search().of(requester.user_id) if payloads.value_of(body) == shown.OWN else Search()
        replies.start(requester, modals.open(body, history.page(requester, search), AUDIT_TITLE))

    async def on_show(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        requester, request_id = payloads.requester_of_click(body, Source.HOME), payloads.value_of(body)
        if not REQUEST_ID.fullmatch(request_id):
            raise Malformed
        replies.start(requester, modals.open(body, history.story(requester, request_id), shown.STORY_TITLE))

    app.action(re.compile(f"^{shown.AUDIT_PAGE}:"))(on_page)
    app.action(shown.OPEN_AUDIT)(on_open_audit)
    app.action(shown.SHOW_REQUEST)(on_show)
    _register_files(app, history, modals, replies)
    _register_search(app, history, slack, replies)


@dataclass(frozen=True)
class _Modals:
    """Shows in a modal what is read meanwhile."""

    slack: Slack

    async def open(self, body: dict[str, Any], reading: Reading, title: str) -> None:
        """Opens a modal at once, since its trigger does not live long, on top of the one that was clicked in."""
        opening = self.slack.open_view if _modal_of(body) is None else self.slack.push_view
        try:
            view_id = await opening(payloads.trigger_of(body), message_view(shown.reading(), title))
        except BaseException:
            reading.close()
            raise
        await self.show(view_id, reading, title)

    async def show(self, view_id: str, reading: Reading, title: str) -> None:
        """Has what was read take the place of what a modal shows."""
        said = await read_or_say_so(reading)
        await self.slack.update_view(view_id, message_view(said or shown.sent(), title))


def _modal_of(body: dict[str, Any]) -> str | None:
    """The modal that was clicked in; None for a message or the Home tab."""
    view = body.get("view")
    in_modal = payloads.text_or_none(view, "type") == "modal"
    return payloads.text_or_none(view, "id") if in_modal else None


def _register_files(app: AsyncApp, history: History, modals: _Modals, replies: Replies) -> None:
    """Registers what sends a file."""

    async def on_export(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        search, _ = _search(body)
        requester = payloads.requester_of_click(body, Source.HOME)
        sending = history.send_export(requester, search)
        if _modal_of(body) is None:
            replies.answer_when_known(requester, sending)
        else:
            replies.start(requester, modals.open(body, sending, shown.EXPORT_TITLE))

    async def on_open_stats(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        requester = payloads.requester_of_click(body, Source.HOME)
        counting = history.send_stats(requester, parse_duration(payloads.value_of(body)))
        replies.start(requester, modals.open(body, counting, shown.STATS_TITLE))

    app.action(re.compile(f"^{shown.AUDIT_EXPORT}:"))(on_export)
    app.action(shown.OPEN_STATS)(on_open_stats)


def _register_search(app: AsyncApp, history: History, slack: Slack, replies: Replies) -> None:
    """Registers the form, and what opens it."""

    async def on_search(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        search, _ = _search(body)
        requester, view_id = payloads.requester_of_click(body, Source.HOME), _modal_of(body)
        form = search_view(search, history.zone)
        if view_id is None:
            replies.start(requester, slack.open_view(payloads.trigger_of(body), form))
        else:
            replies.start(requester, slack.update_view(view_id, form))

    async def on_search_view(ack: AsyncAck, body: dict[str, Any]) -> None:
        search = from_search_view(body, history.zone, history.authorizer.clock())
        if isinstance(search, dict):
            await ack(response_action="errors", errors=search)
            return
        found = await in_time(payloads.requester_of_click(body, Source.HOME), search)
        if found is None:
            await ack(response_action="errors", errors=shown.too_slow())
        else:
            await ack(response_action="update", view=message_view(found, AUDIT_TITLE))

    async def in_time(requester: Requester, search: Search) -> Message | None:
        """What was found; None if that took too long."""
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                return await read_or_say_so(history.page(requester, search))
        except TimeoutError:
            return None

    app.action(re.compile(f"^{shown.AUDIT_SEARCH}:"))(on_search)
    app.view(SEARCH_VIEW)(on_search_view)


def _search(body: dict[str, Any]) -> tuple[Search, list[int]]:
    try:
        return search_of(payloads.value_of(body))
    except ValueError:
        raise Malformed from None

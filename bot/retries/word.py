"""What somebody says of requests that wait for a second person, as Slack sends it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.audit.entry import Event
from bot.base.requester import Requester, Source
from bot.base.text import reason_of
from bot.slack.payloads import (
    Malformed,
    input_of,
    inputs_of,
    mapping_of,
    requester_of_click,
    text_of,
    text_or_none,
    value_of,
)


@dataclass(frozen=True)
class Word:
    """What somebody says of what waits.

    Args:
        requester: who, and from where.
        of: the request that waits, or the batch.
        event: whether they approve, decline or override.
        only: these requests of the batch alone; None: all of it.
        until: only what waits no longer than that: what came to wait later was not seen; None: all of it.
    """

    requester: Requester
    of: str
    event: Event
    reason: str | None = None
    only: Collection[str] | None = None
    until: datetime | None = None


def of_click(body: Mapping[str, Any], event: Event, source: Source = Source.ALERT) -> Word:
    """What a button stands for.

    Raises:
        Malformed: it is not one of the bot's.
    """
    of, _, until = value_of(body).partition(" ")
    try:
        counted = datetime.fromisoformat(until) if until else None
    except ValueError:
        raise Malformed from None
    if counted is not None and counted.tzinfo is None:
        raise Malformed
    return Word(requester_of_click(body, source), of, event, until=counted)


def of_view(body: Mapping[str, Any], event: Event) -> Word:
    """What a submitted modal says: why, and which of a batch.

    Raises:
        Malformed: it is not one that the bot opened.
    """
    inputs, only = inputs_of(body), None
    if "jobs" in inputs:
        picked = input_of(inputs, "jobs").get("selected_options")
        if not isinstance(picked, list):
            raise Malformed
        only = [text_of(one, "value") for one in picked]
    of, reason = (
        text_of(mapping_of(body, "view"), "private_metadata"),
        reason_of(text_or_none(input_of(inputs, "reason"), "value")),
    )
    if event is Event.BREAK_GLASS and reason is None:
        raise Malformed
    return Word(requester_of_click(body, Source.MODAL), of, event, reason, only)

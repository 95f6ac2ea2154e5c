"""Modals and the Home tab. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.policy import Decision, Why
from bot.presenter.answers import help_text
from bot.presenter.jobs import kind_of
from bot.presenter.kit import Block, date, mention, section
from bot.presenter.retries import outcome_of
from bot.record import Retry

RETRY_VIEW = "retry_view"
"""The callback ID of the modal that retries the jobs of a message."""

MOST_OPTIONS = 100
"""As many options as a select may have."""


def retry_view(job_ids: Sequence[str], thread: Mapping[str, str]) -> dict[str, Any]:
    """Asks which of the jobs found in a message to retry, and why.

    Args:
        job_ids: the jobs found, in the order they stand there.
        thread: the message's channel and thread, in which the summary goes; kept in the view.
    """
    options = [{"text": _plain(job_id), "value": job_id} for job_id in job_ids[:MOST_OPTIONS]]
    return {
        "type": "modal",
        "callback_id": RETRY_VIEW,
        "private_metadata": json.dumps(thread),
        "title": _plain("Retry Sift job"),
        "submit": _plain("Retry"),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": "jobs",
                "label": _plain("Jobs"),
                "element": {
                    "type": "multi_static_select",
                    "action_id": "jobs",
                    "options": options,
                    "initial_options": options[:1] if len(options) > 1 else options,
                },
            },
            {
                "type": "input",
                "block_id": "reason",
                "label": _plain("Reason"),
                "optional": True,
                "element": {"type": "plain_text_input", "action_id": "reason", "max_length": 1_000},
            },
        ],
    }


def nothing_found_view() -> dict[str, Any]:
    """Says that a message names no job."""
    return {
        "type": "modal",
        "title": _plain("Retry Sift job"),
        "close": _plain("Close"),
        "blocks": [section("There is no Sift job ID in that message, so there is nothing to retry.")],
    }


def home_view(decision: Decision, recent: Sequence[Retry], admins: Sequence[str]) -> dict[str, Any]:
    """What somebody may do here, and their last retries."""
    blocks: list[Block] = [section(_standing(decision, admins)), {"type": "divider"}]
    if recent:
        blocks.append(section("*Your last requests*"))
        blocks += [section(_line(retry)) for retry in recent]
        blocks.append({"type": "divider"})
    return {"type": "home", "blocks": [*blocks, *help_text().blocks]}


def _standing(decision: Decision, admins: Sequence[str]) -> str:
    if decision.why is Why.ADMINS_SETTING:
        return ":large_green_circle: You are an admin: you may retry jobs and read the audit."
    if decision.allowed and decision.grant is not None:
        until = decision.grant.expires_at
        return f":large_green_circle: You may retry jobs as {decision.grant.role.value}{_until(until)}."
    ask = f" Ask {', '.join(mention(admin) for admin in admins[:10])} for access." if admins else ""
    return f":red_circle: You may not retry jobs.{ask}"


def _until(moment: datetime | None) -> str:
    return f" until {date(moment)}" if moment else ""


def _line(retry: Retry) -> str:
    emoji, words = outcome_of(retry)
    return f"{emoji} {date(retry.created_at)} · {kind_of(retry.job)} `{retry.job_id}` · {words}"


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}

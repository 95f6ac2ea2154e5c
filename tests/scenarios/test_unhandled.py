"""What nobody listens to: acknowledged in both modes, shown to nobody but who waits, and nothing is done."""

from typing import Any

import pytest

from bot.sandbox import LAUNCH_OPS, OPERATOR
from bot.sandbox.slack.directory import BOT, BOT_USER, TEAM
from tests.scenarios.conftest import World

EVENTS: dict[str, dict[str, Any]] = {
    "message": {"channel": LAUNCH_OPS, "text": "hello", "ts": "1.1", "channel_type": "channel"},
    "message with a subtype": {"type": "message", "subtype": "channel_join", "channel": LAUNCH_OPS, "ts": "1.1"},
    "message of a bot": {"type": "message", "subtype": "bot_message", "bot_id": "B0OTHER", "channel": LAUNCH_OPS},
    "message of ours": {"type": "message", "bot_id": BOT, "channel": LAUNCH_OPS, "text": "x", "ts": "1.1"},
    "app_uninstalled": {},
    "tokens_revoked": {"tokens": {"oauth": [], "bot": [BOT_USER]}},
    "app_home_opened": {"tab": "messages", "channel": "D0X"},
    "member_joined_channel": {"channel": LAUNCH_OPS, "channel_type": "C", "team": TEAM},
    "channel_archive": {"channel": LAUNCH_OPS},
    "app_mention": {"channel": None},
    "emoji_changed": {"subtype": "add", "name": "x"},
    "function_executed": {"function": {"callback_id": "x"}, "inputs": {}, "function_execution_id": "Fx1"},
    "some_day_something_new": {"anything": [1, {"at": "all"}]},
}

VIEW = {"id": "V0", "type": "modal", "callback_id": "of_old", "state": {"values": {}}, "blocks": [], "hash": "1.h"}
WHO = {"id": OPERATOR, "username": "operator", "name": "operator", "team_id": TEAM}
INTERACTIONS: dict[str, dict[str, Any]] = {
    "view_closed": {"view": VIEW, "is_cleared": False},
    "block_suggestion": {"action_id": "of_old", "block_id": "b", "value": "x", "container": {"type": "view"}},
    "shortcut": {"callback_id": "of_old", "trigger_id": "1.2.3", "action_ts": "1.1"},
    "interactive_message": {"callback_id": "of_old", "actions": [{"name": "x", "value": "y", "type": "button"}]},
    "dialog_submission": {"callback_id": "of_old", "submission": {}, "state": ""},
    "dialog_cancellation": {"callback_id": "of_old", "state": ""},
    "some_day_something_new": {"anything": [1]},
}


@pytest.mark.parametrize("name", EVENTS)
async def test_every_event_is_acknowledged_and_nothing_comes_of_it(both: World, name: str) -> None:
    fields = {**EVENTS[name]}
    kind = fields.pop("type", name.partition(" ")[0])
    delivered = await both.slack.event(kind, OPERATOR, **fields)
    assert delivered.acked
    assert not delivered.body
    assert (await both.slack.redeliver(delivered)).acked
    assert both.outcomes() == []
    assert both.messages() == []


@pytest.mark.parametrize("kind", INTERACTIONS)
async def test_every_interaction_is_acknowledged(both: World, kind: str) -> None:
    common = {"user": WHO, "team": {"id": TEAM}, "api_app_id": "A1", "token": "t", "is_enterprise_install": False}
    assert (await both.slack.interaction({"type": kind, **common, **INTERACTIONS[kind]})).acked
    assert both.outcomes() == []
    assert both.messages() == []


async def test_a_form_of_old_says_so(both: World) -> None:
    delivered = await both.slack.interaction(
        {"type": "view_submission", "user": WHO, "team": {"id": TEAM}, "view": VIEW}
    )
    assert delivered.acked
    assert delivered.body["response_action"] == "update"
    assert "That form is no longer in use; nothing was done." in str(delivered.body["view"]["blocks"])


async def test_a_shortcut_of_old_says_so(both: World) -> None:
    message = both.slack.say(OPERATOR, LAUNCH_OPS, "look")
    assert (await both.slack.shortcut(OPERATOR, LAUNCH_OPS, message.ts, "of_old")).acked
    (said,) = await both.until(both.whispers)
    assert "That shortcut is no longer in use" in said


async def test_a_command_of_another_name_is_answered_privately(both: World) -> None:
    assert (await both.slack.command(OPERATOR, LAUNCH_OPS, "help", "/other")).acked
    (said,) = await both.until(both.whispers)
    assert "I do not know /other; nothing was done." in said
    assert both.outcomes() == []

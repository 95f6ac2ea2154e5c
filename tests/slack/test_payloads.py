"""Payloads as Slack sends them, field by field, and what is read from them."""

import copy
import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest

from bot.access.request import GrantWanted, from_grant_view, grant_of_click
from bot.audit.entry import Event
from bot.base.requester import Requester, Source
from bot.retries.payloads import from_retry_view, job_of_click
from bot.retries.request import JobRef
from bot.retries.word import Word, of_click, of_view
from bot.slack import payloads
from bot.slack.payloads import Malformed
from tests.conftest import NOW

JOB = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"
OTHER_JOB = "7c1e2d3f-4a5b-4c6d-8e9f-0a1b2c3d4e5f"

COMMAND = dict(
    parse_qsl(
        "token=Gu6nYsRnQnX1&team_id=T0OURS&team_domain=rockets&enterprise_id=E0GRID&enterprise_name=Rockets+Inc"
        "&channel_id=C0LAUNCH&channel_name=launch-ops&user_id=U0ADA&user_name=ada&command=%2Fsift-retry"
        f"&text={JOB}+sensor+was+offline&api_app_id=A0BOT&is_enterprise_install=false"
        "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT0OURS%2F1%2Fabc&trigger_id=13.17.a1"
    )
)

IN_CHANNEL: dict[str, Any] = json.loads("""{
  "type": "block_actions",
  "user": {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": "T0OURS"},
  "api_app_id": "A0BOT",
  "token": "Gu6nYsRnQnX1",
  "container": {"type": "message", "message_ts": "1764000000.000100", "channel_id": "C0LAUNCH", "is_ephemeral": false},
  "trigger_id": "13.17.b2",
  "team": {"id": "T0OURS", "domain": "rockets"},
  "enterprise": null,
  "is_enterprise_install": false,
  "channel": {"id": "C0LAUNCH", "name": "launch-ops"},
  "message": {
    "user": "U0BOT", "type": "message", "ts": "1764000000.000100", "bot_id": "B0BOT", "app_id": "A0BOT",
    "text": "Data import failed", "team": "T0OURS", "blocks": []
  },
  "state": {"values": {}},
  "response_url": "https://hooks.slack.com/actions/T0OURS/2/def",
  "actions": [{
    "action_id": "retry", "block_id": "r1:summary:9f:1", "type": "button", "style": "primary",
    "text": {"type": "plain_text", "text": "Retry", "emoji": false},
    "value": "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10 2026-11-24T10:00:00+00:00", "action_ts": "1764000060.123456"
  }]
}""")

IN_THREAD: dict[str, Any] = {
    **IN_CHANNEL,
    "container": {
        "type": "message",
        "message_ts": "1764000005.000200",
        "channel_id": "C0LAUNCH",
        "is_ephemeral": False,
        "thread_ts": "1764000000.000100",
    },
    "message": {**IN_CHANNEL["message"], "ts": "1764000005.000200", "thread_ts": "1764000000.000100"},
}

EPHEMERAL: dict[str, Any] = {
    **{name: value for name, value in IN_CHANNEL.items() if name != "message"},
    "container": {
        "type": "message",
        "message_ts": "1764000007.000300",
        "channel_id": "C0LAUNCH",
        "is_ephemeral": True,
    },
}

IN_HOME: dict[str, Any] = json.loads("""{
  "type": "block_actions",
  "user": {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": "T0OURS"},
  "api_app_id": "A0BOT",
  "token": "Gu6nYsRnQnX1",
  "container": {"type": "view", "view_id": "V0HOME"},
  "trigger_id": "13.17.c3",
  "team": {"id": "T0OURS", "domain": "rockets"},
  "enterprise": null,
  "is_enterprise_install": false,
  "view": {
    "id": "V0HOME", "team_id": "T0OURS", "type": "home", "blocks": [], "private_metadata": "", "callback_id": "",
    "state": {"values": {}}, "hash": "1764000000.abc", "root_view_id": "V0HOME", "app_id": "A0BOT", "bot_id": "B0BOT"
  },
  "actions": [{
    "action_id": "revoke_grant", "block_id": "x1", "type": "button",
    "text": {"type": "plain_text", "text": "Revoke", "emoji": false},
    "value": "12 S0CREW", "action_ts": "1764000070.000001"
  }]
}""")

SUBMISSION: dict[str, Any] = json.loads("""{
  "type": "view_submission",
  "team": {"id": "T0OURS", "domain": "rockets"},
  "user": {"id": "U0ADA", "username": "ada", "name": "ada", "team_id": "T0OURS"},
  "api_app_id": "A0BOT",
  "token": "Gu6nYsRnQnX1",
  "trigger_id": "13.17.d4",
  "view": {
    "id": "V0MODAL", "team_id": "T0OURS", "type": "modal", "callback_id": "retry_view", "hash": "1764000000.def",
    "state": {"values": {
      "jobs": {"jobs": {"type": "checkboxes", "selected_options": [
        {"text": {"type": "plain_text", "text": "data import"}, "value": "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"}
      ]}},
      "ids": {"ids": {
        "type": "plain_text_input",
        "value": "7C1E2D3F-4A5B-4C6D-8E9F-0A1B2C3D4E5F, again 0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"
      }},
      "reason": {"reason": {"type": "plain_text_input", "value": "sensor was offline"}}
    }},
    "app_id": "A0BOT", "bot_id": "B0BOT"
  },
  "response_urls": [],
  "is_enterprise_install": false,
  "enterprise": null
}""")

SUBMISSION["view"]["private_metadata"] = json.dumps(
    {"source": "shortcut", "channel_id": "C0LAUNCH", "thread_ts": "1764000000.000100", "asked_in": None}
)

CLOSED: dict[str, Any] = {
    **{name: value for name, value in SUBMISSION.items() if name not in ("trigger_id", "response_urls")},
    "type": "view_closed",
    "is_cleared": False,
}

SHORTCUT: dict[str, Any] = json.loads("""{
  "type": "message_action",
  "token": "Gu6nYsRnQnX1",
  "action_ts": "1764000080.555555",
  "team": {"id": "T0OURS", "domain": "rockets"},
  "user": {"id": "U0ADA", "username": "ada", "team_id": "T0OURS", "name": "ada"},
  "channel": {"id": "C0LAUNCH", "name": "launch-ops"},
  "is_enterprise_install": false,
  "enterprise": null,
  "callback_id": "retry_sift_job",
  "trigger_id": "13.17.e5",
  "response_url": "https://hooks.slack.com/app/T0OURS/3/ghi",
  "message_ts": "1764000000.000100",
  "message": {"type": "message", "user": "U0BOB", "ts": "1764000000.000100", "text": "it failed", "team": "T0OURS"}
}""")

MENTION: dict[str, Any] = json.loads("""{
  "type": "app_mention",
  "user": "U0ADA",
  "ts": "1764000090.000400",
  "client_msg_id": "4f0c5a0e-7d8e-4f7c-9a39-3d1f2c6b7a80",
  "text": "<@U0BOT> list",
  "team": "T0OURS",
  "thread_ts": "1764000000.000100",
  "parent_user_id": "U0BOT",
  "channel": "C0LAUNCH",
  "event_ts": "1764000090.000400"
}""")


def without(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {other: value for other, value in body.items() if other != name}


def with_inputs(values: Mapping[str, Any]) -> dict[str, Any]:
    """The modal, filled in otherwise."""
    return {**SUBMISSION, "view": {**SUBMISSION["view"], "state": {"values": values}}}


def clicked(body: Mapping[str, Any]) -> Requester:
    return payloads.requester_of_click(body, Source.ALERT)


def test_a_command() -> None:
    assert payloads.requester_of_command(COMMAND) == Requester(
        delivery_key="command:13.17.a1",
        source=Source.COMMAND,
        user_id="U0ADA",
        team_id="T0OURS",
        user_name="ada",
        channel_id="C0LAUNCH",
        response_url="https://hooks.slack.com/commands/T0OURS/1/abc",
    )
    assert payloads.trigger_of(COMMAND) == "13.17.a1"


def test_a_click_in_a_channel_is_answered_in_the_thread_of_its_message() -> None:
    assert clicked(IN_CHANNEL) == Requester(
        delivery_key="click:C0LAUNCH:1764000000.000100:1764000060.123456:U0ADA",
        source=Source.ALERT,
        user_id="U0ADA",
        team_id="T0OURS",
        user_name="ada",
        channel_id="C0LAUNCH",
        thread_ts="1764000000.000100",
        response_url="https://hooks.slack.com/actions/T0OURS/2/def",
    )
    assert job_of_click(IN_CHANNEL) == JobRef(JOB, "2026-11-24T10:00:00+00:00")
    assert payloads.trigger_of(IN_CHANNEL) == "13.17.b2"


def test_a_click_in_a_thread_is_answered_in_that_thread_privately_too() -> None:
    requester = clicked(IN_THREAD)
    assert requester.delivery_key == "click:C0LAUNCH:1764000005.000200:1764000060.123456:U0ADA"
    assert (requester.thread_ts, requester.asked_in) == ("1764000000.000100", "1764000000.000100")


def test_a_click_in_a_message_that_has_replies_is_answered_in_the_channel_privately() -> None:
    ts = IN_CHANNEL["message"]["ts"]
    container = {**IN_CHANNEL["container"], "thread_ts": ts}
    requester = clicked({**IN_CHANNEL, "container": container, "message": {**IN_CHANNEL["message"], "thread_ts": ts}})
    assert (requester.thread_ts, requester.asked_in) == (ts, None)


def test_a_click_in_what_only_one_person_sees_has_no_thread() -> None:
    requester = clicked(EPHEMERAL)
    assert requester.delivery_key == "click:C0LAUNCH:1764000007.000300:1764000060.123456:U0ADA"
    assert (requester.channel_id, requester.thread_ts, requester.asked_in) == ("C0LAUNCH", None, None)
    container = {**EPHEMERAL["container"], "thread_ts": "1764000000.000100"}
    in_thread = clicked({**EPHEMERAL, "container": container})
    assert (in_thread.thread_ts, in_thread.asked_in) == ("1764000000.000100", "1764000000.000100")


def test_a_click_in_the_home_tab_has_no_channel() -> None:
    assert payloads.requester_of_click(IN_HOME, Source.HOME) == Requester(
        delivery_key="click:None:V0HOME:1764000070.000001:U0ADA",
        source=Source.HOME,
        user_id="U0ADA",
        team_id="T0OURS",
        user_name="ada",
    )
    assert grant_of_click(IN_HOME) == (12, "S0CREW")


def test_a_submitted_modal_is_answered_where_it_was_opened() -> None:
    submitted = from_retry_view(SUBMISSION)
    assert submitted.requester == Requester(
        delivery_key="view:V0MODAL",
        source=Source.SHORTCUT,
        user_id="U0ADA",
        team_id="T0OURS",
        user_name="ada",
        channel_id="C0LAUNCH",
        thread_ts="1764000000.000100",
    )
    assert submitted.jobs == (JobRef(JOB), JobRef(OTHER_JOB))
    assert submitted.reason == "sensor was offline"


def test_a_modal_left_empty_names_nothing() -> None:
    body = with_inputs({"jobs": {"jobs": {"type": "checkboxes", "selected_options": []}}, "ids": {}, "reason": None})
    submitted = from_retry_view(body)
    assert (submitted.jobs, submitted.reason) == ((), None)


def test_a_modal_closed_is_somebodys_and_asks_for_nothing() -> None:
    found = payloads.requester_somehow(CLOSED)
    assert found is not None
    assert (found.user_id, found.channel_id, found.response_url) == ("U0ADA", None, None)


def test_a_modal_that_grants() -> None:
    option = {"text": {"type": "plain_text", "text": "…"}}
    body = with_inputs(
        {
            "user": {"user": {"type": "users_select", "selected_user": "U0BOB"}},
            "group": {"group": {"type": "external_select", "selected_option": None}},
            "role": {"role": {"type": "static_select", "selected_option": {**option, "value": "auditor"}}},
            "for": {"for": {"type": "static_select", "selected_option": None}},
            "job_types": {"job_types": {"selected_options": [{**option, "value": "data_import"}]}},
            "channels": {"channels": {"selected_conversations": ["C0LAUNCH"]}},
            "reason": {"reason": {"type": "plain_text_input", "value": None}},
        }
    )
    assert from_grant_view(body) == GrantWanted(
        subject="U0BOB",
        role="auditor",
        job_types=frozenset({"data_import"}),
        channels=frozenset({"C0LAUNCH"}),
    )
    assert from_grant_view(with_inputs({})) == {"user": "Choose a person or a user group."}


def test_a_modal_that_overrides() -> None:
    body = copy.deepcopy(SUBMISSION)
    body["view"]["private_metadata"] = "7h3k9m2p4q"
    said = of_view(body, Event.BREAK_GLASS)
    assert (said.of, said.reason, said.requester.source) == ("7h3k9m2p4q", "sensor was offline", Source.MODAL)
    del body["view"]["state"]["values"]["reason"]
    with pytest.raises(Malformed):
        of_view(body, Event.BREAK_GLASS)


def test_a_modal_that_approves_some() -> None:
    picked = {"jobs": {"jobs": {"selected_options": [{"value": "r1"}, {"value": "r2"}]}}}
    body = with_inputs(picked)
    body["view"]["private_metadata"] = "7h3k9m2p4q"
    said = of_view(body, Event.APPROVAL)
    assert said == Word(said.requester, "7h3k9m2p4q", Event.APPROVAL, None, ["r1", "r2"])


def test_a_button_that_approves() -> None:
    """What was counted until a moment; all that waits, where an older version showed the button."""
    action = IN_HOME["actions"][0]
    said = of_click({**IN_HOME, "actions": [{**action, "value": "b4tch"}]}, Event.APPROVAL, Source.HOME)
    assert (said.of, said.only, said.until, said.requester.source) == ("b4tch", None, None, Source.HOME)
    counted = {**IN_HOME, "actions": [{**action, "value": f"b4tch {NOW.isoformat()}"}]}
    assert of_click(counted, Event.APPROVAL, Source.HOME).until == NOW
    with pytest.raises(Malformed):
        of_click(IN_HOME, Event.APPROVAL, Source.HOME)


def test_a_message_shortcut_is_answered_in_the_thread_of_its_message() -> None:
    assert payloads.requester_of_click(SHORTCUT, Source.SHORTCUT) == Requester(
        delivery_key="click:C0LAUNCH:1764000000.000100:1764000080.555555:U0ADA",
        source=Source.SHORTCUT,
        user_id="U0ADA",
        team_id="T0OURS",
        user_name="ada",
        channel_id="C0LAUNCH",
        thread_ts="1764000000.000100",
        response_url="https://hooks.slack.com/app/T0OURS/3/ghi",
    )


def test_a_message_shortcut_in_a_thread() -> None:
    message = {**SHORTCUT["message"], "ts": "1764000005.000200", "thread_ts": "1764000000.000100"}
    requester = clicked({**SHORTCUT, "message": message, "message_ts": "1764000005.000200"})
    assert (requester.thread_ts, requester.asked_in) == ("1764000000.000100", "1764000000.000100")


def test_a_mention_in_a_thread() -> None:
    assert payloads.requester_of_mention(MENTION, "T0OURS") == Requester(
        delivery_key="mention:C0LAUNCH:1764000090.000400",
        source=Source.MENTION,
        user_id="U0ADA",
        team_id="T0OURS",
        channel_id="C0LAUNCH",
        thread_ts="1764000000.000100",
        asked_in="1764000000.000100",
    )


def test_a_mention_in_the_channel_itself_begins_a_thread() -> None:
    requester = payloads.requester_of_mention(without(MENTION, "thread_ts"), "T0OURS")
    assert (requester.thread_ts, requester.asked_in) == ("1764000090.000400", None)


def test_people_of_another_workspace_are_known_by_theirs() -> None:
    """In a channel shared with another company `team` is ours, whoever clicks."""
    user = {"id": "U0EVE", "username": "eve", "name": "eve", "team_id": "T0THEIRS"}
    assert clicked({**IN_CHANNEL, "user": user}).team_id == "T0THEIRS"
    shared = {**MENTION, "user": "U0EVE", "user_team": "T0THEIRS", "source_team": "T0THEIRS"}
    assert payloads.requester_of_mention(shared, "T0OURS").team_id == "T0THEIRS"
    without_user_team = {**MENTION, "user": "U0EVE", "source_team": "T0THEIRS"}
    assert payloads.requester_of_mention(without_user_team, "T0OURS").team_id == "T0THEIRS"


def test_the_workspace_is_found_in_the_other_place_where_slack_leaves_one_out() -> None:
    assert clicked({**IN_CHANNEL, "user": {"id": "U0ADA", "name": "ada"}}).team_id == "T0OURS"
    assert clicked({**IN_CHANNEL, "team": None}).team_id == "T0OURS"  # an app installed for a whole organisation
    assert payloads.requester_of_mention(without(MENTION, "team"), "T0OURS").team_id == "T0OURS"


def test_each_click_has_a_key_of_its_own_and_each_delivery_of_it_the_same() -> None:
    later = {**IN_CHANNEL, "actions": [{**IN_CHANNEL["actions"][0], "action_ts": "1764000061.000000"}]}
    somebody_else = {**IN_CHANNEL, "user": {**IN_CHANNEL["user"], "id": "U0BOB"}}
    keys = [clicked(body).delivery_key for body in (IN_CHANNEL, later, somebody_else, IN_THREAD, EPHEMERAL, SHORTCUT)]
    assert len(set(keys)) == len(keys)
    again = {**copy.deepcopy(IN_CHANNEL), "trigger_id": "99.1.z", "response_url": "https://hooks.slack.com/other"}
    assert clicked(again).delivery_key == keys[0]


def test_what_slack_may_leave_out_is_left_out() -> None:
    bare = {"type": "block_actions", "user": {"id": "U0ADA"}, "team": {"id": "T0OURS"}}
    assert clicked(bare) == Requester(
        delivery_key="click:None:None:None:U0ADA", source=Source.ALERT, user_id="U0ADA", team_id="T0OURS"
    )
    least = {"user_id": "U0ADA", "team_id": "T0OURS", "trigger_id": "1.2.3"}
    assert payloads.requester_of_command(least).channel_id is None


@pytest.mark.parametrize(
    "odd",
    [
        {"container": None, "channel": None, "message": None, "response_url": 7, "actions": None},
        {"container": [], "channel": "C0LAUNCH", "message": "hello", "response_url": "", "actions": {}},
        {"container": "x", "channel": {}, "message": [], "response_url": None, "actions": ["x"]},
    ],
)
def test_odd_parts_are_as_good_as_none(odd: dict[str, Any]) -> None:
    requester = clicked({**IN_CHANNEL, **odd})
    assert (requester.user_id, requester.channel_id, requester.thread_ts) == ("U0ADA", None, None)
    assert requester.response_url is None


def test_text_that_no_database_takes_is_mended() -> None:
    assert payloads.requester_of_command({**COMMAND, "user_name": "ada\ud800"}).user_name == "ada?"


@pytest.mark.parametrize("name", ["user_id", "team_id", "trigger_id"])
def test_a_command_without_what_it_must_have_is_malformed(name: str) -> None:
    for wrong in (None, "", 7, ["U0ADA"]):
        with pytest.raises(Malformed):
            payloads.requester_of_command({**COMMAND, name: wrong})
    assert payloads.requester_somehow(without(COMMAND, name)) is None


@pytest.mark.parametrize("name", ["user", "channel", "ts"])
def test_a_mention_without_what_it_must_have_is_malformed(name: str) -> None:
    for wrong in (None, "", 7, ["U0ADA"]):
        with pytest.raises(Malformed):
            payloads.requester_of_mention({**MENTION, name: wrong}, "T0OURS")
    assert payloads.requester_somehow({"type": "event_callback", "event": without(MENTION, name)}) is None


@pytest.mark.parametrize("user", [None, "U0ADA", [], {}, {"id": None}, {"id": 7}, {"id": ""}])
def test_a_click_of_nobody_is_malformed(user: object) -> None:
    body = {**IN_CHANNEL, "user": user}
    with pytest.raises(Malformed):
        clicked(body)
    assert payloads.requester_somehow(body) is None


def test_a_click_of_no_workspace_is_malformed() -> None:
    with pytest.raises(Malformed):
        clicked({**IN_CHANNEL, "user": {"id": "U0ADA"}, "team": None})


@pytest.mark.parametrize("actions", [None, {}, [], [None], ["retry"], [{}], [{"value": ""}], [{"value": 7}]])
def test_a_click_on_nothing_has_no_value(actions: object) -> None:
    with pytest.raises(Malformed):
        payloads.value_of({**IN_CHANNEL, "actions": actions})


def test_a_value_that_is_none_of_ours_is_malformed() -> None:
    for value in ("no job", f"{JOB}x", "12"):
        with pytest.raises(Malformed):
            job_of_click({"actions": [{"value": value}]})
    for value in (JOB, "12", "x S0CREW", "-1 S0CREW"):
        with pytest.raises(Malformed):
            grant_of_click({"actions": [{"value": value}]})


@pytest.mark.parametrize("metadata", ["", "{", "7", "[]", "{}", '{"source": "nowhere"}', '{"source": 7}', None])
def test_a_modal_that_says_not_where_it_was_opened_is_malformed(metadata: object) -> None:
    with pytest.raises(Malformed):
        from_retry_view({**SUBMISSION, "view": {**SUBMISSION["view"], "private_metadata": metadata}})


@pytest.mark.parametrize("view", [None, "V0MODAL", {}, {"state": None}, {"state": {}}, {"state": {"values": []}}])
def test_a_modal_without_its_inputs_is_malformed(view: object) -> None:
    body = {**SUBMISSION, "view": view}
    for read in (from_retry_view, from_grant_view, partial(of_view, event=Event.DECLINE)):
        with pytest.raises(Malformed):
            read(body)


def test_a_modal_that_picks_what_is_no_job_is_malformed() -> None:
    for option in ({"value": "x"}, {"value": None}, {}, "x", None):
        with pytest.raises(Malformed):
            from_retry_view(with_inputs({"jobs": {"jobs": {"selected_options": [option]}}}))


def test_whoever_can_be_told_is_told() -> None:
    bodies = (COMMAND, IN_CHANNEL, IN_HOME, SUBMISSION, SHORTCUT, {"team_id": "T0OURS", "event": MENTION})
    found = [payloads.requester_somehow(body) for body in bodies]
    assert [requester and requester.user_id for requester in found] == ["U0ADA"] * len(bodies)
    assert payloads.requester_somehow({}) is None

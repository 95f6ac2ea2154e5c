"""The embedded workspace: it does what Slack does to a real Bolt app and a real slack-sdk client, refusals included."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
import yaml
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.app.server import serving
from bot.sandbox import (
    ADMIN,
    DATA_IMPORTS,
    DEACTIVATED,
    LAUNCH_OPS,
    OPERATOR,
    OPERATORS_GROUP,
    OTHER_BOT,
    PRIVATE,
    SECOND_OPERATOR,
    SHARED,
    SINGLE_CHANNEL_GUEST,
    STRANGER,
    UNLISTED,
    SlackWorkspace,
)
from bot.sandbox.slack.block_kit import problems_of_blocks
from bot.sandbox.slack.delivery import signature
from bot.sandbox.slack.directory import BOT_USER, ELSEWHERE, TEAM
from bot.sandbox.slack.state import SCOPES
from bot.sandbox.slack.views import NotOnScreen
from bot.sandbox.slack.workspace import SHORTCUT, SHORTCUT_NAME, SLASH_COMMAND
from tests.conftest import HandClock

Block = dict[str, Any]
JOB = "0199a5b2-7c1e-7d3a-9f00-000000000001"


def section(text: str = "hello", **more: Any) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(action_id: str = "retry", text: str = "Retry", **more: Any) -> Block:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}, **more}


def actions(*elements: Block, **more: Any) -> Block:
    return {"type": "actions", "elements": list(elements), **more}


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def option(text: str = "x") -> Block:
    return {"text": plain(text), "value": text[:9]}


def confirmation(text: Block) -> Block:
    return {"title": plain("Sure?"), "text": text, "confirm": plain("Yes"), "deny": plain("No")}


def select(**more: Any) -> Block:
    return {"type": "multi_static_select", "action_id": "pick", **more}


def container(*blocks: Block, **more: Any) -> Block:
    return {"type": "container", "title": plain("More"), "child_blocks": list(blocks), **more}


def modal(*blocks: Block, **more: Any) -> Block:
    title = {"type": "plain_text", "text": "Retry"}
    return {"type": "modal", "title": title, "submit": title, "blocks": list(blocks) or [section()], **more}


def reason_input(**more: Any) -> Block:
    element = {"type": "plain_text_input", "action_id": "reason", **more}
    return {"type": "input", "block_id": "why", "label": {"type": "plain_text", "text": "Reason"}, "element": element}


@pytest.fixture
def slack(clock: HandClock) -> SlackWorkspace:
    return SlackWorkspace(clock)


@pytest.fixture
async def client(slack: SlackWorkspace) -> AsyncIterator[AsyncWebClient]:
    """slack-sdk's own client, without its habit of trying again."""
    async with serving(slack.app) as url, aiohttp.ClientSession() as session:
        yield AsyncWebClient(slack.bot_token, f"{url}/api/", session=session, retry_handlers=[])


@asynccontextmanager
async def connected(slack: SlackWorkspace, register: Callable[[AsyncApp], None]) -> AsyncIterator[AsyncApp]:
    """A real Bolt app, connected over Socket Mode."""
    async with serving(slack.app) as url:
        client = AsyncWebClient(slack.bot_token, f"{url}/api/")
        app = AsyncApp(client=client)
        register(app)
        handler = AsyncSocketModeHandler(app, slack.app_token, web_client=client)
        handler.client.ping_interval = 0.1
        await handler.connect_async()  # type: ignore[no-untyped-call]  # slack-bolt's
        await slack.until(lambda: len(slack.sockets) == 1)
        try:
            yield app
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]  # slack-bolt's


def has_reconnected(slack: SlackWorkspace, times: int) -> bool:
    return (slack.sockets.opened, len(slack.sockets)) == (times, 1)


async def refusal(call: Awaitable[Any]) -> str:
    """The name by which Slack refuses a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


class TestWebApi:
    async def test_says_whose_token_it_is_and_what_it_may_do(self, client: AsyncWebClient) -> None:
        answer = await client.auth_test()
        assert (answer["team_id"], answer["user_id"]) == (TEAM, BOT_USER)
        assert set(answer.headers["x-oauth-scopes"].split(",")) == SCOPES

    async def test_posts_updates_and_deletes(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        ts = (await client.chat_postMessage(channel=LAUNCH_OPS, text="one", blocks=[section("shown")]))["ts"]
        reply = await client.chat_postMessage(channel=LAUNCH_OPS, text="reply", thread_ts=ts)
        assert [message.text_shown() for message in slack.thread(LAUNCH_OPS, ts)] == ["shown", "reply"]
        await client.chat_update(channel=LAUNCH_OPS, ts=ts, text="two")
        assert slack.thread(LAUNCH_OPS, ts)[0].text_shown() == "two"
        await client.chat_delete(channel=LAUNCH_OPS, ts=reply["ts"])
        assert len(slack.thread(LAUNCH_OPS, ts)) == 1
        assert [call.method for call in slack.calls] == [
            "chat.postMessage",
            "chat.postMessage",
            "chat.update",
            "chat.delete",
        ]

    async def test_form_and_json_are_the_same(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        data = {"channel": LAUNCH_OPS, "blocks": json.dumps([section("by form")])}
        await client.api_call("chat.postMessage", data=data)
        await client.api_call("chat.postMessage", json={"channel": LAUNCH_OPS, "blocks": [section("by JSON")]})
        assert [message.text_shown() for message in slack.channel(LAUNCH_OPS).messages] == ["by form", "by JSON"]

    async def test_times_are_unique_and_increase(self, client: AsyncWebClient) -> None:
        posted = [(await client.chat_postMessage(channel=LAUNCH_OPS, text="x"))["ts"] for _ in range(3)]
        assert posted == sorted(set(posted))
        assert posted[1] == "1795176000.000100"

    async def test_a_user_id_is_their_direct_messages(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        answer = await client.chat_postMessage(channel=OPERATOR, text="psst")
        assert answer["channel"] == slack.dm(OPERATOR).id
        assert [message.text for message in slack.dm(OPERATOR).messages] == ["psst"]

    async def test_reads_back_history_and_threads(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        first, second = (slack.say(OPERATOR, LAUNCH_OPS, text) for text in ("first", "second"))
        slack.say(ADMIN, LAUNCH_OPS, "reply", thread_ts=first.ts)
        slack.whisper(OPERATOR, LAUNCH_OPS, "private")
        history = await client.conversations_history(channel=LAUNCH_OPS, limit=1)
        assert [message["text"] for message in history["messages"]] == ["second"]
        older = await client.conversations_history(
            channel=LAUNCH_OPS, cursor=history["response_metadata"]["next_cursor"]
        )
        assert [(message["text"], message["reply_count"]) for message in older["messages"]] == [("first", 1)]
        replies = await client.conversations_replies(channel=LAUNCH_OPS, ts=first.ts)
        assert [message["text"] for message in replies["messages"]] == ["first", "reply"]
        assert not (await client.conversations_history(channel=LAUNCH_OPS, oldest=second.ts))["messages"]

    async def test_tells_every_kind_of_person(self, client: AsyncWebClient) -> None:
        async def flags(user_id: str) -> set[str]:
            user = (await client.users_info(user=user_id))["user"]
            return {name for name, value in user.items() if value is True}

        assert await flags(OPERATOR) == set()
        assert await flags(ADMIN) == {"is_admin"}
        assert await flags(SINGLE_CHANNEL_GUEST) == {"is_restricted", "is_ultra_restricted"}
        assert await flags(DEACTIVATED) == {"deleted"}
        assert await flags(OTHER_BOT) == {"is_bot"}
        assert await flags(STRANGER) == {"is_stranger"}
        assert (await client.users_info(user=STRANGER))["user"]["team_id"] == ELSEWHERE
        assert await refusal(client.users_info(user="U0NOBODY")) == "user_not_found"

    async def test_finds_people_by_their_address_with_the_scope_for_it(
        self, slack: SlackWorkspace, client: AsyncWebClient
    ) -> None:
        found = await client.users_lookupByEmail(email="Operator@sandbox.example")
        assert (found["user"]["id"], found["user"]["profile"]["email"]) == (OPERATOR, "operator@sandbox.example")
        for email in ("former-operator@sandbox.example", "partner@sandbox.example", "nobody@sandbox.example", ""):
            assert await refusal(client.users_lookupByEmail(email=email)) == "users_not_found"
        slack.scopes.discard("users:read.email")
        assert await refusal(client.users_lookupByEmail(email="operator@sandbox.example")) == "missing_scope"

    async def test_group_members_change(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        assert (await client.usergroups_users_list(usergroup=OPERATORS_GROUP))["users"] == [OPERATOR, SECOND_OPERATOR]
        slack.groups[OPERATORS_GROUP].members.remove(OPERATOR)
        assert (await client.usergroups_users_list(usergroup=OPERATORS_GROUP))["users"] == [SECOND_OPERATOR]
        assert await refusal(client.usergroups_users_list(usergroup="S0NONE")) == "no_such_subteam"

    async def test_a_file_is_uploaded_and_shared(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.scopes.add("files:write")
        await client.files_upload_v2(channel=LAUNCH_OPS, filename="audit.csv", content="id,at\n", title="Audit")
        (message,) = slack.channel(LAUNCH_OPS).messages
        assert message.files[0]["title"] == "Audit"
        assert slack.files[message.files[0]["id"]].content == b"id,at\n"

    def test_the_manifest_is_what_is_granted(self, slack: SlackWorkspace) -> None:
        manifest = yaml.safe_load(Path("app_manifest.yml").read_text())
        scopes = manifest["oauth_config"]["scopes"]
        slack.install(scopes["bot"], scopes["bot_optional"])
        assert slack.scopes == SCOPES
        assert [command["command"] for command in manifest["features"]["slash_commands"]] == [SLASH_COMMAND]
        (shortcut,) = manifest["features"]["shortcuts"]
        assert (shortcut["callback_id"], shortcut["name"]) == (SHORTCUT, SHORTCUT_NAME)


class TestLimits:
    @pytest.mark.parametrize(
        ("blocks", "complaint"),
        [
            ([section()] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
            ([section("x" * 3001)], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
            ([section("")], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
            ([{"type": "section"}], "must define either `text` or `fields` [json-pointer:/blocks/0]"),
            (
                [section(fields=[{"type": "mrkdwn", "text": "x" * 2001}])],
                "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
            ),
            (
                [section(fields=[{"type": "mrkdwn", "text": "x"}] * 11)],
                "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
            ),
            ([section(colour="red")], "invalid additional property: colour [json-pointer:/blocks/0]"),
            ([{"type": "sektion"}], "unsupported type: sektion [json-pointer:/blocks/0]"),
            (["text"], "unsupported type: None [json-pointer:/blocks/0]"),
            (
                [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
                "unsupported type: mrkdwn [json-pointer:/blocks/0/text]",
            ),
            (
                [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
                "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
            ),
            ([actions()], "must have at least 1 item [json-pointer:/blocks/0/elements]"),
            (
                [actions(button(text="x" * 76))],
                "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
            ),
            (
                [actions(button(value="x" * 2001))],
                "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
            ),
            (
                [actions(button(style="loud"))],
                "must be one of primary, danger [json-pointer:/blocks/0/elements/0/style]",
            ),
            (
                [actions(button(confirm={"title": {"type": "plain_text", "text": "x"}}))],
                "missing required field: text [json-pointer:/blocks/0/elements/0/confirm]",
            ),
            ([actions(button(), button())], "`action_id` already exists [json-pointer:/blocks/0/elements]"),
            (
                [section(block_id="a"), section(block_id="a")],
                "`block_id` already exists [json-pointer:/blocks/1/block_id]",
            ),
            (
                [
                    actions(
                        {
                            "type": "static_select",
                            "action_id": "a",
                            "options": [{"text": {"type": "plain_text", "text": "x"}, "value": "v" * 151}],
                        }
                    )
                ],
                "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
            ),
            (
                [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}],
                "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
            ),
            ([{"type": "markdown", "text": "x" * 12_001}], "text attribute cannot exceed 12000 characters"),
            (
                [actions(button(placeholder={"type": "plain_text", "text": "x"}))],
                "invalid additional property: placeholder [json-pointer:/blocks/0/elements/0]",
            ),
            (
                [actions(select(option_groups=[{"label": plain("x" * 76), "options": [option()]}]))],
                "must be less than 76 characters [json-pointer:/blocks/0/elements/0/option_groups/0/label/text]",
            ),
            (
                [actions(select(option_groups=[{"label": plain("x"), "options": []}]))],
                "must have at least 1 item [json-pointer:/blocks/0/elements/0/option_groups/0/options]",
            ),
            (
                [actions(select(option_groups=[{"label": plain("x"), "options": [option("x" * 76)]}]))],
                "must be less than 76 characters [json-pointer:/blocks/0/elements/0/option_groups/0/options/0/text/",
            ),
            (
                [actions(select(options=[option()], option_groups=[{"label": plain("x"), "options": [option()]}]))],
                "must define either options or option_groups [json-pointer:/blocks/0/elements/0]",
            ),
            (
                [actions(select(options=[option()], initial_options=[option("another")]))],
                "initial option must be one of the options [json-pointer:/blocks/0/elements/0]",
            ),
            (
                [actions({"type": "overflow", "options": [option(str(number)) for number in range(6)]})],
                "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]",
            ),
            (
                [actions(button(confirm=confirmation(plain("x" * 301))))],
                "must be less than 301 characters [json-pointer:/blocks/0/elements/0/confirm/text/text]",
            ),
            ([container(*[section()] * 11)], "no more than 10 items allowed [json-pointer:/blocks/0/child_blocks]"),
            ([container(container(section()))], "unsupported type: container [json-pointer:/blocks/0/child_blocks/0]"),
            ([container(section(), title=plain("x" * 151))], "must be less than 151 characters"),
            ([container(section(), title=None)], "must define either `title` or `rich_text_title`"),
            ([container(section(), default_collapsed=True)], "`default_collapsed` needs `is_collapsible`"),
            (
                [section(block_id="a"), container(section(block_id="a"))],
                "`block_id` already exists [json-pointer:/blocks/1/child_blocks/0/block_id]",
            ),
        ],
    )
    def test_every_limit_of_a_block(self, blocks: list[Any], complaint: str) -> None:
        problem, *_ = problems_of_blocks(blocks)
        assert complaint in problem

    async def test_says_what_is_wrong_where_slack_says_it(self, client: AsyncWebClient) -> None:
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel=LAUNCH_OPS, text="x", blocks=[section("")])
        response = caught.value.response
        problem = "must be more than 0 characters [json-pointer:/blocks/0/text/text]"
        assert (response["error"], response["errors"]) == ("invalid_blocks", [problem])
        assert response["response_metadata"]["messages"] == [f"[ERROR] {problem}"]

    async def test_takes_what_is_just_within_the_limits(self, client: AsyncWebClient) -> None:
        fields = [{"type": "mrkdwn", "text": "x" * 2000}] * 10
        buttons = [button(f"b{number}", "x" * 75, value="x" * 2000) for number in range(25)]
        blocks = [section("x" * 3000), section(fields=fields), actions(*buttons), *[{"type": "divider"}] * 47]
        await client.chat_postMessage(channel=LAUNCH_OPS, text="x" * 40_000, blocks=blocks)

    async def test_refuses_by_name(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        post, ephemeral = client.chat_postMessage, client.chat_postEphemeral
        assert await refusal(post(channel="C0NONE", text="x")) == "channel_not_found"
        assert await refusal(post(channel=PRIVATE, text="x")) == "channel_not_found"
        assert await refusal(client.api_call("chat.postMessage", json={"channel": LAUNCH_OPS})) == "no_text"
        assert await refusal(post(channel=LAUNCH_OPS, text="x" * 40_001)) == "msg_too_long"
        assert await refusal(post(channel=LAUNCH_OPS, text="x", thread_ts="1.000000")) == "thread_not_found"
        assert await refusal(ephemeral(channel=DATA_IMPORTS, user=OPERATOR, text="x")) == "not_in_channel"
        assert await refusal(ephemeral(channel=SHARED, user=SINGLE_CHANNEL_GUEST, text="x")) == "user_not_in_channel"
        slack.channel(LAUNCH_OPS).is_archived = True
        assert await refusal(post(channel=LAUNCH_OPS, text="x")) == "is_archived"

    async def test_updates_only_what_is_there_own_and_young(
        self, slack: SlackWorkspace, client: AsyncWebClient, clock: HandClock
    ) -> None:
        ts = (await client.chat_postMessage(channel=LAUNCH_OPS, text="x"))["ts"]
        foreign = slack.say(OPERATOR, LAUNCH_OPS, "mine")
        update = client.chat_update
        assert await refusal(update(channel=LAUNCH_OPS, ts=ts, text="x" * 4001)) == "msg_too_long"
        assert await refusal(update(channel=LAUNCH_OPS, ts="1.000000", text="x")) == "message_not_found"
        assert await refusal(update(channel=LAUNCH_OPS, ts=foreign.ts, text="x")) == "cant_update_message"
        slack.edit_window = timedelta(hours=1)
        clock.advance(3601)
        assert await refusal(update(channel=LAUNCH_OPS, ts=ts, text="x")) == "edit_window_closed"

    async def test_public_channels_are_open_by_scope(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        await client.chat_postMessage(channel=DATA_IMPORTS, text="x")
        slack.scopes.remove("chat:write.public")
        assert await refusal(client.chat_postMessage(channel=DATA_IMPORTS, text="x")) == "not_in_channel"

    async def test_a_missing_scope_is_named(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.scopes.remove("users:read")
        with pytest.raises(SlackApiError) as caught:
            await client.users_info(user=OPERATOR)
        assert (caught.value.response["error"], caught.value.response["needed"]) == ("missing_scope", "users:read")
        assert await refusal(client.conversations_open(users=OPERATOR)) == "missing_scope"

    async def test_tokens_are_looked_at(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        assert await refusal(client.auth_test(token="xoxb-wrong")) == "invalid_auth"
        assert await refusal(client.auth_test(token=slack.app_token)) == "not_allowed_token_type"
        assert await refusal(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
        assert await refusal(client.api_call("chat.shout")) == "unknown_method"

    async def test_rate_limits_are_slacks_when_asked_for(
        self, slack: SlackWorkspace, client: AsyncWebClient, clock: HandClock
    ) -> None:
        slack.rate_limits = True
        for _ in range(4):
            await client.chat_postMessage(channel=LAUNCH_OPS, text="x")
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel=LAUNCH_OPS, text="x")
        response = caught.value.response
        assert (response.status_code, response["error"], response.headers["Retry-After"]) == (429, "ratelimited", "1")
        await client.chat_postMessage(channel=DATA_IMPORTS, text="another channel")
        clock.advance(1)
        await client.chat_postMessage(channel=LAUNCH_OPS, text="x")

    async def test_a_workspace_may_not_have_a_kind_of_block_yet(
        self, slack: SlackWorkspace, client: AsyncWebClient
    ) -> None:
        await client.chat_postMessage(channel=LAUNCH_OPS, text="x", blocks=[container(section())])
        slack.unsupported_blocks = {"container"}
        refused = client.chat_postMessage(channel=LAUNCH_OPS, text="x", blocks=[container(section())])
        assert await refusal(refused) == "invalid_blocks"


class TestViews:
    async def test_a_trigger_opens_one_modal_within_three_seconds(
        self, slack: SlackWorkspace, client: AsyncWebClient, clock: HandClock
    ) -> None:
        trigger = slack.new_trigger(OPERATOR)
        await client.views_open(trigger_id=trigger, view=modal())
        assert [view.user for view in slack.modals[OPERATOR]] == [OPERATOR]
        assert await refusal(client.views_open(trigger_id=trigger, view=modal())) == "exchanged_trigger_id"
        late = slack.new_trigger(OPERATOR)
        clock.advance(3.1)
        assert await refusal(client.views_open(trigger_id=late, view=modal())) == "expired_trigger_id"
        assert await refusal(client.views_open(trigger_id="none", view=modal())) == "invalid_trigger_id"

    async def test_modals_have_limits(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        async def opened(**view: Any) -> str:
            return await refusal(client.views_open(trigger_id=slack.new_trigger(OPERATOR), view=view))

        assert await opened(**modal(title={"type": "plain_text", "text": "x" * 25})) == "invalid_arguments"
        assert await opened(**modal(private_metadata="x" * 3001)) == "invalid_arguments"
        assert await opened(**modal(*[section()] * 101)) == "invalid_arguments"
        without_submit = modal(reason_input())
        del without_submit["submit"]
        assert await opened(**without_submit) == "invalid_arguments"
        assert await opened(**modal(*[section("x" * 3000)] * 90)) == "view_too_large"
        for _ in range(3):
            await client.views_push(trigger_id=slack.new_trigger(OPERATOR), view=modal())
        assert await opened(**modal()) == "push_limit_reached"

    async def test_updates_and_publishes(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        answer = await client.views_open(trigger_id=slack.new_trigger(OPERATOR), view=modal())
        update = client.views_update
        assert await refusal(update(view_id=answer["view"]["id"], hash="old", view=modal())) == "hash_conflict"
        await update(view_id=answer["view"]["id"], hash=answer["view"]["hash"], view=modal(section("new")))
        assert slack.modals[OPERATOR][0].blocks[0]["text"]["text"] == "new"
        await client.views_publish(user_id=OPERATOR, view={"type": "home", "blocks": [section("home")]})
        assert slack.homes[OPERATOR].blocks[0]["text"]["text"] == "home"


class TestFaults:
    async def test_fails_so_often(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.fail("chat.postMessage", "fatal_error", times=2)
        for _ in range(2):
            assert await refusal(client.chat_postMessage(channel=LAUNCH_OPS, text="x")) == "fatal_error"
        await client.chat_postMessage(channel=LAUNCH_OPS, text="x")
        assert len(slack.channel(LAUNCH_OPS).messages) == 1

    async def test_fails_with_a_status(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.fail("users.info", "ratelimited", status=429, retry_after=7)
        with pytest.raises(SlackApiError) as caught:
            await client.users_info(user=OPERATOR)
        assert (caught.value.response.status_code, caught.value.response.headers["Retry-After"]) == (429, "7")

    async def test_loses_the_answer_of_what_was_done(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.lose_answer("chat.postMessage")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.chat_postMessage(channel=LAUNCH_OPS, text="x")
        assert len(slack.channel(LAUNCH_OPS).messages) == 1

    async def test_is_away(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.offline = True
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.auth_test()
        slack.offline = False
        await client.auth_test()

    async def test_takes_its_time(self, slack: SlackWorkspace, client: AsyncWebClient) -> None:
        slack.delay("auth.test", 0.2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.auth_test(), 0.05)


class TestSocketMode:
    async def test_a_command_is_delivered_escaped_and_its_ack_shown_privately(self, slack: SlackWorkspace) -> None:
        def register(app: AsyncApp) -> None:
            @app.command(SLASH_COMMAND)
            async def echo(ack: Any, command: dict[str, Any]) -> None:
                await ack(f"got {command['text']}")

        async with connected(slack, register):
            typed = f"{JOB} ask @operator2 and @sift-operators in #launch-ops <!channel> & https://a.example/?b&c"
            delivered = await slack.command(OPERATOR, LAUNCH_OPS, typed)
        assert delivered.acked
        assert delivered.payload["text"] == (
            f"{JOB} ask <@U0OPERATOR2|operator2> and <!subteam^S0OPERATORS|@sift-operators> in"
            " <#C0LAUNCHOPS|launch-ops> &lt;!channel&gt; &amp; <https://a.example/?b&amp;c>"
        )
        (answer,) = slack.ephemerals(OPERATOR, LAUNCH_OPS)
        assert answer.text_shown() == f"got {delivered.payload['text']}"
        assert not slack.ephemerals(UNLISTED)
        assert not slack.channel(LAUNCH_OPS).messages

    async def test_a_click_carries_what_slack_tells(self, slack: SlackWorkspace) -> None:
        got: list[dict[str, Any]] = []

        def register(app: AsyncApp) -> None:
            @app.action("retry")
            async def take(ack: Any, body: dict[str, Any]) -> None:
                got.append(body)
                await ack()

        blocks = [actions(button(value="one"), block_id="a"), actions(button(value="two"), block_id="b")]
        message = slack.post(SHARED, BOT_USER, blocks=blocks)
        private = slack.post(SHARED, BOT_USER, blocks=blocks, visible_to=OPERATOR)
        async with connected(slack, register):
            assert (await slack.click(STRANGER, SHARED, message.ts, "retry", value="two")).acked
            assert (await slack.click(OPERATOR, SHARED, private.ts, "retry", block_id="a")).acked
            with pytest.raises(NotOnScreen):
                await slack.click(STRANGER, SHARED, private.ts, "retry")
            with pytest.raises(NotOnScreen):
                await slack.click(OPERATOR, SHARED, message.ts, "mute")
        public, ephemeral = got
        assert (public["actions"][0]["value"], public["actions"][0]["block_id"]) == ("two", "b")
        assert (public["user"]["team_id"], public["team"]["id"]) == (ELSEWHERE, TEAM)
        assert public["message"]["ts"] == public["container"]["message_ts"] == message.ts
        assert "message" not in ephemeral
        assert ephemeral["container"]["is_ephemeral"] is True

    async def test_a_modal_is_filled_in_corrected_and_closed(self, slack: SlackWorkspace) -> None:
        states: list[dict[str, Any]] = []

        def register(app: AsyncApp) -> None:
            @app.shortcut(SHORTCUT)
            async def open_modal(ack: Any, client: AsyncWebClient, body: dict[str, Any]) -> None:
                await ack()
                view = modal(reason_input(initial_value="as before"), callback_id="form")
                await client.views_open(trigger_id=body["trigger_id"], view=view)

            @app.view("form")
            async def take(ack: Any, view: dict[str, Any]) -> None:
                states.append(view["state"]["values"])
                reason = view["state"]["values"]["why"]["reason"]["value"]
                await (ack(response_action="errors", errors={"why": "Say more"}) if reason == "x" else ack())

        message = slack.say(OTHER_BOT, LAUNCH_OPS, f"{JOB} failed")
        async with connected(slack, register):
            await slack.shortcut(OPERATOR, LAUNCH_OPS, message.ts)
            view = await slack.until(lambda: slack.modals[OPERATOR][0])
            await slack.submit(OPERATOR, view.id, {"reason": "x"})
            assert view.errors == {"why": "Say more"}
            await slack.submit(OPERATOR, view.id)
        assert states[1]["why"]["reason"] == {"type": "plain_text_input", "value": "as before"}
        assert not slack.modals[OPERATOR]

    async def test_a_mention_is_a_message_and_an_event(self, slack: SlackWorkspace) -> None:
        got: list[dict[str, Any]] = []

        def register(app: AsyncApp) -> None:
            @app.event("app_mention")
            async def take(event: dict[str, Any]) -> None:
                got.append(event)

            @app.event("app_home_opened")
            async def home(event: dict[str, Any]) -> None:
                got.append(event)

        root = slack.say(OPERATOR, LAUNCH_OPS, "it failed")
        async with connected(slack, register):
            delivered = await slack.mention(OPERATOR, LAUNCH_OPS, f"@Sift Retry retry {JOB}", thread_ts=root.ts)
            await slack.redeliver(delivered)
            await slack.home_opened(OPERATOR)
            assert not (await slack.mention(OPERATOR, PRIVATE, "retry")).reached
        assert [event["type"] for event in got] == ["app_mention", "app_mention", "app_home_opened"]
        assert got[0] == got[1]
        assert (got[0]["text"], got[0]["thread_ts"]) == (f"<@{BOT_USER}> retry {JOB}", root.ts)
        assert [message.text for message in slack.thread(LAUNCH_OPS, root.ts)][1] == got[0]["text"]

    async def test_no_ack_is_a_timeout_that_the_person_sees(self, slack: SlackWorkspace) -> None:
        slack.ack_seconds = 0.05

        def register(app: AsyncApp) -> None:
            @app.command(SLASH_COMMAND)
            async def never(ack: Any) -> None:
                await asyncio.sleep(0.2)

        async with connected(slack, register):
            delivered = await slack.command(OPERATOR, LAUNCH_OPS, "x")
            assert not delivered.acked
            assert "operation_timeout" in slack.ephemerals(OPERATOR)[-1].text

    async def test_strangers_have_no_commands(self, slack: SlackWorkspace) -> None:
        delivered = await slack.command(STRANGER, SHARED, JOB)
        assert not delivered.reached
        assert "not a valid command" in slack.ephemerals(STRANGER)[0].text

    async def test_the_client_comes_back_after_a_goodbye_and_after_a_cut(self, slack: SlackWorkspace) -> None:
        def register(app: AsyncApp) -> None:
            @app.command(SLASH_COMMAND)
            async def take(ack: Any) -> None:
                await ack()

        async with connected(slack, register):
            for number, interrupt in enumerate((slack.disconnect, slack.cut), start=2):
                await interrupt()
                await slack.until(partial(has_reconnected, slack, number))
                assert (await slack.command(OPERATOR, LAUNCH_OPS, JOB)).acked


class TestSignedHttp:
    async def test_every_request_is_signed(self, slack: SlackWorkspace) -> None:
        requests: list[tuple[dict[str, str], bytes]] = []

        async def receive(request: Request) -> Response:
            requests.append((dict(request.headers), await request.body()))
            return PlainTextResponse("")

        message = slack.post(LAUNCH_OPS, BOT_USER, blocks=[actions(button())])
        async with serving(Starlette(routes=[Route("/slack/events", receive, methods=["POST"])])) as url:
            slack.request_url = f"{url}/slack/events"
            await slack.command(OPERATOR, LAUNCH_OPS, JOB)
            await slack.click(OPERATOR, LAUNCH_OPS, message.ts, "retry")
            await slack.redeliver(await slack.mention(OPERATOR, LAUNCH_OPS, "help"))
        verifier = SignatureVerifier(slack.signing_secret)
        assert all(verifier.is_valid_request(body, headers) for headers, body in requests)
        command, click, event, again = (body.decode() for _, body in requests)
        assert parse_qs(command)["text"] == [JOB]
        assert json.loads(parse_qs(click)["payload"][0])["type"] == "block_actions"
        assert json.loads(event) == json.loads(again)
        assert [headers.get("x-slack-retry-num") for headers, _ in requests] == [None, None, None, "1"]

    async def test_bolt_takes_the_signature_and_refuses_another(self, slack: SlackWorkspace) -> None:
        async with serving(slack.app) as api:
            app = AsyncApp(client=AsyncWebClient(slack.bot_token, f"{api}/api/"), signing_secret=slack.signing_secret)

            @app.command(SLASH_COMMAND)
            async def take(ack: Any) -> None:
                await ack("signed")

            async def receive(request: Request) -> Response:
                return await AsyncSlackRequestHandler(app).handle(request)

            async with serving(Starlette(routes=[Route("/", receive, methods=["POST"])])) as url:
                slack.request_url = url
                assert (await slack.command(OPERATOR, LAUNCH_OPS, JOB)).body == "signed"
                slack.signing_secret = "another"
                assert (await slack.command(OPERATOR, LAUNCH_OPS, JOB)).status == 401
        assert [message.text for message in slack.ephemerals(OPERATOR)] == [
            "signed",
            f"{SLASH_COMMAND} failed with the error “dispatch_failed”",
        ]

    def test_a_signature_is_of_its_time(self, slack: SlackWorkspace) -> None:
        headers = signature(slack.signing_secret, b"body", timestamp=1_700_000_000)
        assert headers["X-Slack-Request-Timestamp"] == "1700000000"
        assert not SignatureVerifier(slack.signing_secret).is_valid_request(b"body", headers)


class TestResponseUrl:
    @pytest.fixture
    async def post(self, slack: SlackWorkspace) -> AsyncIterator[Callable[..., Awaitable[tuple[int, str]]]]:
        async with serving(slack.app) as url, aiohttp.ClientSession() as session:
            slack.base_url = url

            async def post(address: str, **body: Any) -> tuple[int, str]:
                async with session.post(address, json=body) as response:
                    return response.status, await response.text()

            yield post

    async def test_five_uses(self, slack: SlackWorkspace, post: Callable[..., Awaitable[tuple[int, str]]]) -> None:
        address = slack.new_response_url(OPERATOR, PRIVATE)
        for number in range(5):
            assert await post(address, text=f"answer {number}") == (200, "ok")
        status, text = await post(address, text="too often")
        assert (status, json.loads(text)["error"]) == (404, "expired_url")
        assert len(slack.ephemerals(OPERATOR, PRIVATE)) == 5

    async def test_thirty_minutes(
        self, slack: SlackWorkspace, clock: HandClock, post: Callable[..., Awaitable[tuple[int, str]]]
    ) -> None:
        address = slack.new_response_url(OPERATOR, PRIVATE)
        clock.advance(1801)
        assert (await post(address, text="too late"))[0] == 404

    async def test_in_channel_replace_and_delete(
        self, slack: SlackWorkspace, post: Callable[..., Awaitable[tuple[int, str]]]
    ) -> None:
        message = slack.post(LAUNCH_OPS, BOT_USER, "original", visible_to=OPERATOR)
        address = slack.new_response_url(OPERATOR, LAUNCH_OPS, message.ts)
        await post(address, text="for all", response_type="in_channel")
        await post(address, text="replaced", replace_original=True)
        assert [message.text for message in slack.channel(LAUNCH_OPS).messages] == ["for all"]
        assert [message.text for message in slack.ephemerals(OPERATOR)] == ["replaced"]
        assert (await post(address, blocks=[section("x" * 3001)]))[0] == 400
        await post(address, delete_original=True)
        assert not slack.ephemerals(OPERATOR)


class TestWaiting:
    async def test_until_answers_what_it_waited_for(self, slack: SlackWorkspace) -> None:
        waiting = asyncio.create_task(slack.until(lambda: slack.channel(LAUNCH_OPS).messages[0]))
        await asyncio.sleep(0)
        message = slack.say(OPERATOR, LAUNCH_OPS, "there")
        assert await waiting is message

    async def test_until_says_what_is_shown_instead(self, slack: SlackWorkspace) -> None:
        slack.post(LAUNCH_OPS, BOT_USER, "x", blocks=[section("Imports"), actions(button())])
        slack.whisper(OPERATOR, LAUNCH_OPS, "only you")
        with pytest.raises(
            AssertionError, match=r"(?s)#launch-ops.*\[Retry\]\n +Imports.*only for U0OPERATOR.*only you"
        ):
            await slack.until(lambda: False, timeout=0.01)

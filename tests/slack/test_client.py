"""Slack's Web API as the bot calls it, against the embedded workspace: limits, odd answers, looking back."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from bot.app.server import serving
from bot.base.metrics import MOST_RESULTS, Metrics
from bot.base.redactor import Redactor
from bot.sandbox import DATA_IMPORTS, LAUNCH_OPS, OPERATOR, OPERATORS_GROUP, PRIVATE, SlackWorkspace
from bot.sandbox.slack.directory import BOT_USER
from bot.slack.client import Slack
from bot.slack.errors import CannotPost, RateLimited, SlackError, SlackUnavailable
from bot.slack.message import Message
from bot.slack.people import People
from bot.slack.web import MAX_BYTES, http_session, web_client

HELLO = Message("hello")
ODD = [b"<html>", b"\xff\xfe{", b"[]", b'"text"', b"null", b"", b'{"ok": true}', b"[" * 100_000]


@pytest.fixture
async def workspace() -> SlackWorkspace:
    return SlackWorkspace()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def slack(workspace: SlackWorkspace, metrics: Metrics) -> AsyncIterator[Slack]:
    """The bot's side; a call may take a second and a half."""
    async with serving(workspace.app) as url, http_session() as session:
        client = web_client(workspace.bot_token, f"{url}/api/", session)
        yield Slack(client, time.monotonic, Redactor([]), call_seconds=1.5, observe=metrics.called_slack)


@pytest.fixture
def people(slack: Slack) -> People:
    return People(slack.web, time.monotonic, seconds=0.2)


def calls(workspace: SlackWorkspace, method: str) -> int:
    return [call.method for call in workspace.calls].count(method)


async def test_a_call_that_is_not_answered_ends(slack: Slack, workspace: SlackWorkspace) -> None:
    workspace.delay("chat.update", 1.7, times=9)
    with pytest.raises(SlackUnavailable):
        await slack.update(LAUNCH_OPS, "1.0", HELLO)


async def test_the_session_itself_has_limits() -> None:
    async with http_session() as session:
        limits = session.timeout
        assert None not in (limits.total, limits.connect, limits.sock_read), "the SDK's own limit counts for nothing"


async def test_a_short_wait_is_part_of_the_call_and_counted_apart_from_it(
    slack: Slack, workspace: SlackWorkspace, metrics: Metrics
) -> None:
    workspace.fail("chat.postMessage", "ratelimited", status=429, retry_after=1)
    await slack.post(LAUNCH_OPS, HELLO)
    assert calls(workspace, "chat.postMessage") == 2
    waited = metrics.registry.get_sample_value(
        "sift_retry_waited_seconds_total", {"peer": "slack", "call": "chat.postMessage"}
    )
    assert waited == pytest.approx(1, abs=0.2)
    assert b'result="waited"' not in metrics.text()


async def test_whatever_slack_names_its_errors_their_series_have_an_end(
    slack: Slack, workspace: SlackWorkspace, metrics: Metrics
) -> None:
    for number in range(MOST_RESULTS + 20):
        workspace.fail("chat.update", f"odd_{number}")
        with pytest.raises(SlackError):
            await slack.update(LAUNCH_OPS, "1.0", HELLO)
    count = "sift_retry_slack_call_seconds_count"
    assert metrics.registry.get_sample_value(count, {"method": "chat.update", "result": "odd_1"}) == 1
    assert metrics.registry.get_sample_value(count, {"method": "chat.update", "result": "other"}) == 20


@pytest.mark.parametrize("status", [429, 200])
async def test_a_long_wait_goes_back_and_is_remembered_for_the_channel(
    slack: Slack, workspace: SlackWorkspace, status: int
) -> None:
    workspace.fail("chat.postMessage", "ratelimited", status=status, retry_after=30, channel=LAUNCH_OPS)
    for _ in range(3):
        with pytest.raises(RateLimited) as caught:
            await slack.post(LAUNCH_OPS, HELLO)
        assert 25 < caught.value.retry_after <= 30
    assert calls(workspace, "chat.postMessage") == 1, "the others do not run into it"
    await slack.post(DATA_IMPORTS, HELLO)


@pytest.mark.parametrize("retry_after", [None, -7, 10**12])
async def test_no_wait_is_believed_that_makes_no_sense(
    slack: Slack, workspace: SlackWorkspace, retry_after: int | None
) -> None:
    workspace.fail("chat.postMessage", "ratelimited", status=429, retry_after=retry_after)
    if retry_after == 10**12:
        with pytest.raises(RateLimited) as caught:
            await slack.post(LAUNCH_OPS, HELLO)
        assert caught.value.retry_after <= 300
    else:
        assert await slack.post(LAUNCH_OPS, HELLO)


@pytest.mark.parametrize("answer", [*ODD, b'{"ok": true, "ts": 7}', b'{"ok": true, "ts": ""}'])
async def test_an_odd_answer_to_a_post_is_not_known_to_have_arrived(
    slack: Slack, workspace: SlackWorkspace, answer: bytes
) -> None:
    workspace.garble("chat.postMessage", answer)
    with pytest.raises(SlackUnavailable):
        await slack.post(LAUNCH_OPS, HELLO)
    assert calls(workspace, "chat.postMessage") == 1, "it may be there"


async def test_an_answer_without_end_is_not_read_to_its_end(slack: Slack, workspace: SlackWorkspace) -> None:
    workspace.garble("chat.postMessage", b'{"ok": true, "ts": "1.0", "more": "' + b"x" * MAX_BYTES + b'"}')
    with pytest.raises(SlackUnavailable):
        await slack.post(LAUNCH_OPS, HELLO)
    assert await slack.post(LAUNCH_OPS, HELLO)


@pytest.mark.parametrize("answer", [*ODD, b'{"ok": true, "user": 7, "users": 7, "usergroups": 7, "view": 7}'])
async def test_an_odd_answer_to_a_question_says_nothing(
    slack: Slack, people: People, workspace: SlackWorkspace, answer: bytes
) -> None:
    for method in ("users.info", "usergroups.users.list", "usergroups.list", "views.open", "auth.test"):
        workspace.garble(method, answer, times=2)
    assert await people.person(OPERATOR, "T0SANDBOX") is None
    assert await people.members(OPERATORS_GROUP) is None
    assert await people.groups() == []
    with pytest.raises(SlackUnavailable):
        await slack.open_view("trigger", {})
    with pytest.raises(SlackUnavailable):
        await slack.identify()
    workspace.faults.clear()
    assert await people.person(OPERATOR, "T0SANDBOX") is not None, "and it is not remembered"
    assert await people.members(OPERATORS_GROUP)


async def test_a_person_who_cannot_be_looked_up_in_time_is_asked_for_again(
    people: People, workspace: SlackWorkspace
) -> None:
    workspace.delay("users.info", 0.4)
    asked = [people.person(OPERATOR, "T0SANDBOX") for _ in range(20)]
    assert await asyncio.gather(*asked) == [None] * 20
    assert calls(workspace, "users.info") == 1
    assert not people.remembers(OPERATOR)
    person = await people.person(OPERATOR, "T0SANDBOX")
    assert person is not None
    assert people.remembers(OPERATOR)


def noise(workspace: SlackWorkspace, count: int, channel_id: str = LAUNCH_OPS, thread_ts: str | None = None) -> None:
    for number in range(count):
        workspace.post(channel_id, OPERATOR, f"message {number}", thread_ts=thread_ts)


MARKED = [{"type": "section", "block_id": "r1:summary:x:0", "text": {"type": "plain_text", "text": "x"}}]


async def test_every_page_is_looked_through_for_a_message(slack: Slack, workspace: SlackWorkspace) -> None:
    began = datetime.now(UTC)
    marked = workspace.post(LAUNCH_OPS, BOT_USER, "x", blocks=MARKED)
    noise(workspace, 450)
    assert await slack.find(LAUNCH_OPS, None, "r1:summary", began) == marked.ts
    assert calls(workspace, "conversations.history") == 3
    noise(workspace, 450, thread_ts=marked.ts)
    reply = workspace.post(LAUNCH_OPS, BOT_USER, "x", blocks=MARKED, thread_ts=marked.ts)
    marked.blocks = []
    assert await slack.find(LAUNCH_OPS, marked.ts, "r1:summary", began) == reply.ts
    assert await slack.find(LAUNCH_OPS, None, "r2:summary", began) is None


async def test_what_cannot_be_looked_for_now_is_not_taken_for_missing(slack: Slack, workspace: SlackWorkspace) -> None:
    workspace.post(LAUNCH_OPS, BOT_USER, "x", blocks=MARKED)
    workspace.fail("conversations.history", "internal_error", times=2)
    with pytest.raises(SlackUnavailable):
        await slack.find(LAUNCH_OPS, None, "r1:summary", datetime.now(UTC))
    workspace.fail("conversations.history", "ratelimited", status=429, retry_after=60)
    with pytest.raises(RateLimited):
        await slack.find(LAUNCH_OPS, None, "r1:summary", datetime.now(UTC))


async def test_a_scope_that_is_missing_for_one_channel_ends_looking_there_alone(
    slack: Slack, workspace: SlackWorkspace
) -> None:
    began = datetime.now(UTC)
    workspace.channel(PRIVATE).members.add(BOT_USER)
    workspace.scopes.discard("groups:history")
    await slack.identify()
    marked = workspace.post(LAUNCH_OPS, BOT_USER, "x", blocks=MARKED)
    for _ in range(3):
        assert await slack.find(PRIVATE, None, "r1:summary", began) is None
    assert calls(workspace, "conversations.history") == 1
    assert await slack.find(LAUNCH_OPS, None, "r1:summary", began) == marked.ts


async def test_without_the_scopes_nothing_is_looked_for(slack: Slack, workspace: SlackWorkspace) -> None:
    workspace.scopes -= {"channels:history", "groups:history"}
    await slack.identify()
    assert await slack.find(LAUNCH_OPS, None, "r1:summary", datetime.now(UTC)) is None
    assert calls(workspace, "conversations.history") == 0


async def test_a_refusal_is_still_a_refusal(slack: Slack, workspace: SlackWorkspace) -> None:
    with pytest.raises(CannotPost):
        await slack.post("C0NOWHERE", HELLO)


async def test_a_message_is_found_that_was_asked_for_by_a_clock_far_ahead(
    slack: Slack, workspace: SlackWorkspace
) -> None:
    marked = workspace.post(LAUNCH_OPS, BOT_USER, "x", blocks=MARKED)
    ahead = datetime.now(UTC) + timedelta(hours=14)
    assert await slack.find(LAUNCH_OPS, None, "r1:summary", ahead) == marked.ts

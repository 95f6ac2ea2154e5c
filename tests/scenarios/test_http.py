"""The HTTP side: signatures, bad input, health."""

import asyncio
import dataclasses
import hashlib
import hmac
import json
import re
import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import structlog
from sqlalchemy import text

from bot.app import readiness, schedule
from bot.base import loops
from bot.sandbox import LAUNCH_OPS, OPERATOR, SlackWorkspace
from bot.slack import channels
from tests.scenarios.conftest import World

SECRET = SlackWorkspace.signing_secret
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
JOB = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"


def command(**changes: str) -> bytes:
    fields = {
        "command": "/sift-retry",
        "text": JOB,
        "user_id": OPERATOR,
        "user_name": "operator",
        "team_id": "T0SANDBOX",
        "channel_id": LAUNCH_OPS,
        "trigger_id": "1.2.3",
        "response_url": "http://127.0.0.1:9/x",
        **changes,
    }
    return urlencode({name: value for name, value in fields.items() if value}).encode()


def interaction(payload: Any) -> bytes:
    return urlencode({"payload": json.dumps(payload)}).encode()


async def post(
    world: World,
    body: bytes,
    *,
    content_type: str = FORM,
    timestamp: str | None = None,
    shift: int = 0,
    secret: str = SECRET,
    signature: str | None = None,
) -> httpx.Response:
    at = timestamp if timestamp is not None else str(int(time.time()) + shift)
    signed = hmac.new(secret.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": content_type,
        "x-slack-request-timestamp": at,
        "x-slack-signature": signature if signature is not None else f"v0={signed}",
    }
    async with httpx.AsyncClient() as client:
        raw = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
        return await client.post(f"{world.url}/slack/events", content=body, headers=raw)


@pytest.mark.parametrize(
    "forged",
    [
        {"secret": "another secret"},
        {"signature": ""},
        {"signature": "v0=é"},
        {"signature": "v1=00"},
        {"shift": -301},
        {"shift": 301 + 60},
        {"timestamp": ""},
        {"timestamp": "soon"},
        {"timestamp": "٣٣٣"},
        {"timestamp": "-1"},
        {"timestamp": "1e9"},
        {"timestamp": "9" * 5_000},
    ],
    ids=str,
)
async def test_what_slack_did_not_sign_just_now_is_refused_and_not_recorded(
    live: World, forged: dict[str, Any]
) -> None:
    assert (await post(live, command(), **forged)).status_code == 401
    assert live.outcomes() == []


async def test_a_mistyped_secret_is_in_the_log_once_a_minute(live: World) -> None:
    with structlog.testing.capture_logs() as logged:
        await post(live, command(), signature="")
        for _ in range(3):
            await post(live, command(), secret="another secret")
    assert [line for line in logged if line["event"] == "slack.not_signed"] == [
        {
            "event": "slack.not_signed",
            "log_level": "warning",
            "why": "another signature; is SLACK_SIGNING_SECRET the app's?",
            "requests": 1,
        }
    ]


async def test_a_clock_that_is_off_is_in_the_log(live: World) -> None:
    with structlog.testing.capture_logs() as logged:
        await post(live, command(), shift=-400)
    (line,) = [line for line in logged if line["event"] == "slack.not_signed"]
    assert re.fullmatch(r"signed 40\d s ago; is this machine's clock right\?", line["why"])


async def test_an_unsigned_url_verification_is_refused_and_a_signed_one_answered(live: World) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "t"}).encode()
    assert (await post(live, body, content_type=JSON, secret="x")).status_code == 401
    answer = await post(live, body, content_type=JSON)
    assert (answer.status_code, answer.json()["challenge"]) == (200, "abc")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"\xff\xfe", FORM),
        (b"{", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'"text"', JSON),
        (b"7", JSON),
        (b"{}", JSON),
        (b"payload=", FORM),
        (b"payload={", FORM),
        (b"payload=[]", FORM),
        (b"payload=null", FORM),
        (b"a=b", FORM),
        (b"payload" * 1_000, FORM),
        (b"{" * 50_000, JSON),
        (command(trigger_id=""), FORM),
        (command(user_id=""), FORM),
        (command(team_id=""), FORM),
        (interaction({"type": "block_actions"}), FORM),
        (interaction({"type": "block_actions", "actions": []}), FORM),
        (interaction({"type": "block_actions", "actions": [7], "user": 7, "team": 7}), FORM),
        (interaction({"type": "block_actions", "actions": [{"action_id": "retry", "block_id": "b"}]}), FORM),
        (
            interaction(
                {
                    "type": "block_actions",
                    "user": {"id": OPERATOR},
                    "container": {},
                    "actions": [{"action_id": "retry", "block_id": "b", "value": "' || true", "action_ts": "1"}],
                }
            ),
            FORM,
        ),
        (interaction({"type": "view_submission", "view": {"callback_id": "retry_view"}, "user": {"id": "U1"}}), FORM),
        (interaction({"type": "message_action", "callback_id": "retry_sift_job"}), FORM),
        (json.dumps({"type": "event_callback", "event": {"type": "app_mention"}}).encode(), JSON),
        (json.dumps({"type": "event_callback", "event": {"type": "app_home_opened", "tab": "home"}}).encode(), JSON),
        (json.dumps({"type": "event_callback", "event": []}).encode(), JSON),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_body_that_is_not_slack_s_is_never_an_error_of_ours(
    live: World, body: bytes, content_type: str
) -> None:
    answer = await post(live, body, content_type=content_type)
    assert 400 <= answer.status_code < 500 or (answer.status_code, answer.text) == (200, "")
    assert live.outcomes() == []


async def test_a_body_beyond_all_measure_is_refused(live: World) -> None:
    assert (await post(live, b"x" * 1_100_000)).status_code == 413


@pytest.mark.parametrize(
    "text",
    [
        "../jobs",
        "a'] || true || job_id in ['",
        "💥",
        "x\ny",
        "<!channel>",
        "z" * 5_000,
        f"{JOB}/..",
        "\x00",
        "%00",
        "&amp;",
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_an_odd_job_id_is_answered_privately_and_reaches_nothing(live: World, text: str) -> None:
    answer = (await post(live, command(text=text))).json()
    assert answer["response_type"] == "ephemeral"
    assert "not a Sift job ID" in answer["text"]
    assert JOB in answer["text"]
    assert "<!channel>" not in json.dumps(answer)
    assert live.outcomes() == []
    assert live.sift.calls == []


async def test_when_the_database_fails_nothing_is_retried_and_the_person_is_told(live: World) -> None:
    assert live.bot is not None
    with live.bot.database.transaction() as connection:
        connection.execute(text("ALTER TABLE retries RENAME TO elsewhere"))
    answer = await post(live, command())
    assert answer.status_code == 200
    assert "could not be recorded, so nothing was retried" in answer.json()["text"]
    assert live.sift.calls == []
    assert live.outcomes() == []


async def test_health_and_metrics(live: World) -> None:
    async with httpx.AsyncClient(base_url=live.url) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"ready": True, "not_ready": [], "degraded": []}
        await live.slack.command(OPERATOR, LAUNCH_OPS, JOB)
        await live.until_outcome("finished")
        metrics = (await client.get("/metrics")).text
    assert 'sift_retry_requests_total{source="command"} 1.0' in metrics
    assert 'sift_retry_outcomes_total{state="finished"} 1.0' in metrics
    assert "sift_retry_ack_seconds_count" in metrics
    assert "sift_retry_message_seconds_count 1.0" in metrics  # the thread's messages are not the first
    assert "sift_retry_socket" not in metrics
    assert 'sift_retry_open_requests{state="accepted"} 0.0' in metrics
    assert "sift_retry_queue_overdue_seconds 0.0" in metrics
    assert "sift_retry_ready 1.0" in metrics
    assert "sift_retry_database_read 1.0" in metrics
    assert re.search(r"sift_retry_audit_entries [4-9]\.0", metrics)


async def test_not_ready_is_told_by_name(live: World) -> None:
    assert live.bot is not None
    with live.bot.database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'old'"))
    async with httpx.AsyncClient(base_url=live.url) as client:
        answer = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "not_ready": ["database"], "degraded": []}
    assert "migrate" in (await live.bot.readiness.not_ready())["database"]


async def test_in_socket_mode_there_is_no_slack_path_and_ready_means_connected(world: World) -> None:
    async with world.running() as bot, httpx.AsyncClient(base_url=world.url) as client:
        assert (await client.post("/slack/events")).status_code == 404
        assert (await client.get("/readyz")).status_code == 200
        world.slack.fail("apps.connections.open", "internal_error", times=99)
        await world.slack.cut()
        while "socket" not in await bot.readiness.not_ready():
            await asyncio.sleep(0.01)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["not_ready"]) == (503, ["socket"])


async def test_sift_that_cannot_be_read_is_degraded_where_nobody_watches_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "ASK_SIFT_SECONDS", 0.3)
    async with world.running(socket_mode=False) as bot, asyncio.timeout(20):
        world.sift.fail("list", 14, times=1_000_000)
        while "sift" not in bot.readiness.degraded():
            await asyncio.sleep(0.05)
        assert not await bot.readiness.not_ready()
        monkeypatch.setattr(loops, "LONGEST_PAUSE", 0.3)
        world.sift._faults.clear()
        while bot.readiness.degraded():
            await asyncio.sleep(0.05)


async def test_a_call_that_fails_has_sift_looked_at_at_once(world: World) -> None:
    async with world.running(socket_mode=False) as bot, asyncio.timeout(20):
        world.allow()
        assert bot.readiness.degraded() == {}
        world.sift.fail("list", 14, times=1_000_000)
        await world.slack.command(OPERATOR, LAUNCH_OPS, JOB)
        while "sift" not in bot.readiness.degraded():
            await asyncio.sleep(0.05)


async def test_a_channel_that_cannot_be_posted_to_is_degraded_until_it_can(world: World) -> None:
    async with (
        world.running(ALERT_CHANNEL=LAUNCH_OPS, ALERT_POLL_SECONDS="0.05"),
        httpx.AsyncClient(base_url=world.url) as client,
    ):
        world.slack.fail("chat.postMessage", "is_archived", times=1)
        world.sift.fail_one()
        async with asyncio.timeout(5):
            while not (answer := (await client.get("/readyz")).json())["degraded"]:
                await asyncio.sleep(0.01)
        assert answer == {"ready": True, "not_ready": [], "degraded": [f"channel:{LAUNCH_OPS}"]}
        await world.until(world.messages)
        assert (await client.get("/readyz")).json()["degraded"] == []


async def test_a_token_that_slack_no_longer_knows_is_not_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "ASK_SLACK_SECONDS", 0.05)
    async with world.running(socket_mode=False), httpx.AsyncClient(base_url=world.url) as client:
        world.slack.fail("auth.test", "token_revoked", times=3)
        async with asyncio.timeout(5):
            while (answer := await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            assert answer.json()["not_ready"] == ["slack"]
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.01)


async def test_a_mistyped_channel_is_degraded_before_anything_is_to_be_posted_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "CHANNELS_SECONDS", 0.05)
    async with world.running(ALERT_CHANNELS="data_export=C0MISTYPED", ANCHOR_CHANNEL=LAUNCH_OPS) as bot:
        async with asyncio.timeout(5):
            while bot.readiness.degraded() != {"channel:C0MISTYPED": channels.what_to_do("channel_not_found")}:
                await asyncio.sleep(0.02)
        world.slack.channels["C0MISTYPED"] = dataclasses.replace(world.slack.channels[LAUNCH_OPS], id="C0MISTYPED")
        async with asyncio.timeout(5):
            while bot.readiness.degraded():
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("declined", [{"channels:read"}, {"channels:read", "groups:read"}])
async def test_without_the_scope_a_mistyped_channel_is_found_all_the_same(world: World, declined: set[str]) -> None:
    world.slack.scopes -= declined
    async with world.running(ALERT_CHANNEL="C0MISTYPED", ANCHOR_CHANNEL=LAUNCH_OPS) as bot:
        async with asyncio.timeout(5):
            while list(bot.readiness.degraded()) != ["channel:C0MISTYPED"]:
                await asyncio.sleep(0.02)


async def test_an_anchor_that_cannot_be_posted_is_degraded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "ANCHOR_SECONDS", 0.05)
    world.slack.fail("chat.postMessage", "is_archived", times=1_000)
    async with world.running(ANCHOR_CHANNEL=LAUNCH_OPS) as bot:
        world.allow()
        async with asyncio.timeout(5):
            while f"channel:{LAUNCH_OPS}" not in bot.readiness.degraded():
                await asyncio.sleep(0.01)
        assert not await bot.readiness.not_ready()

"""Signed payloads through the real app, as Slack sends them and changed: no error of ours, and no stray effect."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import httpx
from hypothesis import given

from bot.sandbox import ADMIN, OPERATOR
from bot.sift.ids import job_ids_in
from tests.fuzz.conftest import MANY, fuzzing
from tests.fuzz.mutations import mutated
from tests.scenarios.conftest import World
from tests.scenarios.test_http import FORM, JSON, post
from tests.slack import test_payloads as real


def ours(body: Any) -> Any:
    """A literal payload, sent by somebody who may retry in the workspace of the sandbox."""
    text = json.dumps(body)
    for theirs, known in (("U0ADA", OPERATOR), ("T0OURS", "T0SANDBOX"), ("C0LAUNCH", "C0LAUNCHOPS")):
        text = text.replace(f'"{theirs}"', f'"{known}"')
    return json.loads(text)


COMMANDS = [ours({**real.COMMAND, "text": text}) for text in ("", "help", "list", "status x", "audit 7d", real.JOB)]
CLICKS = [
    ours(body)
    for body in (
        *(real.IN_CHANNEL, real.IN_THREAD, real.EPHEMERAL, real.IN_HOME),
        *(real.SUBMISSION, real.CLOSED, real.SHORTCUT),
    )
]
EVENTS = [
    {"type": "event_callback", "team_id": "T0SANDBOX", "event_id": "Ev1", "event": ours(event)}
    for event in (
        real.MENTION,
        {**real.MENTION, "text": f"<@U0BOT> retry {real.JOB}"},
        {"type": "app_home_opened", "user": "U0ADA", "tab": "home", "channel": "D1"},
    )
]

Sent = tuple[str, Any]


def bytes_of(body: Any) -> tuple[bytes, str]:
    """A body as Slack encodes it: a command as a form, a click as JSON in a form, an event as JSON."""
    if not isinstance(body, dict) or "event" in body:
        return json.dumps(body).encode(), JSON
    if "command" in body:
        fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
        return urlencode(fields, errors="replace").encode(), FORM
    return urlencode({"payload": json.dumps(body)}).encode(), FORM


async def answers(world: World, bodies: list[Any]) -> list[httpx.Response]:
    encoded = [bytes_of(body) for body in bodies]
    return await asyncio.gather(*(post(world, body, content_type=kind) for body, kind in encoded))


async def test_no_payload_is_an_error_of_ours_or_does_what_it_does_not_ask(world: World) -> None:
    bodies: list[Any] = []

    @fuzzing(300)
    @given(mutated(COMMANDS + CLICKS + EVENTS))
    def collect(body: Any) -> None:
        bodies.append(body)

    collect()
    world.sift.jobs.clear()
    for job_id in (real.JOB, real.OTHER_JOB):
        job = world.sift.add()
        del world.sift.jobs[job.job_id]
        job.job_id = job_id
        world.sift.jobs[job_id] = job
    stranger = world.sift.add()
    async with world.running(socket_mode=False, RETRY_COOLDOWN_SECONDS="1000"):
        world.allow()
        world.allow(ADMIN, reason="so that a grant is there to be revoked")
        grants = len([row for row in world.entries() if row.event in ("grant", "revoke")])
        for at in range(0, len(bodies), 20):
            some = bodies[at : at + 20]
            for body, answer in zip(some, await answers(world, some), strict=True):
                assert answer.status_code < 500, (body, answer.status_code, answer.text)
        asked = {job_id for body in bodies for job_id in (*job_ids_in(body), *job_ids_in(json.dumps(body)))}
        await asyncio.sleep(0.5)
        sent = [call.target for call in world.sift.calls if call.operation in ("retry", "rerun", "cancel")]
        told = [row for row in world.entries() if row.event in ("grant", "revoke") and row.outcome != "denied"]
        for operation in ("rerun", "cancel"):
            assert world.sift.count(operation) == 0
        assert world.sift.count("retry", stranger.job_id) == 0
        assert set(sent) <= asked
        assert len(sent) == len(set(sent)), "a job that was retried cools down"
        assert len(told) == grants, "nobody who may grant asked for it"
        requested = {row.request_id for row in world.entries() if row.outcome == "sending"}
        assert len(sent) <= len(requested)
        answer = await post(world, *(lambda body: (body[0],))(bytes_of(COMMANDS[1])))
        assert answer.status_code == 200, "and the bot goes on"
    assert len(bodies) >= (MANY or 300)

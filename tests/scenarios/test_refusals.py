"""When there is nothing to retry, or somebody may not: said privately, audited, and nothing is sent to Sift."""

import asyncio
from datetime import timedelta

import pytest

from bot.access.policy import Role
from bot.base.clock import utc_now
from bot.sandbox import (
    ADMIN,
    AUDITOR,
    DEACTIVATED,
    LAUNCH_OPS,
    MULTI_CHANNEL_GUEST,
    ON_CALL_GROUP,
    OPERATOR,
    OPERATORS_GROUP,
    OTHER_BOT,
    SECOND_OPERATOR,
    SHARED,
    SINGLE_CHANNEL_GUEST,
    STRANGER,
    UNLISTED,
)
from bot.sandbox.sift.jobs import CANCELLED, CANCELLING, CREATED, EXPORT, FINISHED, IMPORT, RUNNING
from tests.scenarios.conftest import World

UNKNOWN_JOB = "11111111-2222-4333-8444-555555555555"


async def refused(world: World, job_id: str, user_id: str = OPERATOR, channel_id: str = LAUNCH_OPS) -> str:
    """Types the command; returns what is said privately, once."""
    await world.slack.command(user_id, channel_id, job_id)
    (said,) = await world.until(lambda: world.whispers(user_id))
    assert world.sift.count("retry") == 0
    assert world.messages(channel_id) == []
    return str(said)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (FINISHED, "finished"),
        (RUNNING, "running"),
        (CREATED, "queued"),
        (CANCELLING, "being cancelled"),
        ("JOB_STATUS_PAUSED", "paused"),
    ],
)
async def test_a_job_that_has_not_failed_is_not_retried(live: World, status: str, words: str) -> None:
    said = await refused(live, live.sift.add(status=status).job_id)
    assert f"is *{words}*" in said
    assert "Nothing was sent to Sift" in said
    assert live.outcomes() == ["requested", "refused"]
    assert live.entries()[-1].status_before == status


async def test_an_unknown_job_is_not_retried(live: World) -> None:
    assert f"no job `{UNKNOWN_JOB}`" in await refused(live, UNKNOWN_JOB)
    assert live.outcomes() == ["requested", "refused"]


async def test_a_cancelled_job_may_be_retried(live: World) -> None:
    job = live.sift.add(status=CANCELLED)
    await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await live.until_outcome("finished")


@pytest.mark.parametrize(
    ("user_id", "words"),
    [
        (UNLISTED, "not on the allow-list"),
        (SINGLE_CHANNEL_GUEST, "guests may not"),
        (MULTI_CHANNEL_GUEST, "guests may not"),
        (DEACTIVATED, "account is deactivated"),
        (OTHER_BOT, "Bots may not"),
        (AUDITOR, "as auditor"),
    ],
)
async def test_who_may_not_is_told_why(live: World, user_id: str, words: str) -> None:
    if user_id != UNLISTED:
        live.allow(user_id, Role.AUDITOR if user_id == AUDITOR else Role.ADMIN)
    said = await refused(live, live.sift.add().job_id, user_id)
    assert words in said
    assert live.outcomes() == ["requested", "denied"]
    asked = {call.operation for call in live.sift.calls}
    assert asked <= (set() if user_id in (UNLISTED, AUDITOR) else {"list"}), "the job may be read meanwhile, no more"


async def test_somebody_of_another_workspace_is_refused_though_granted(live: World) -> None:
    job = live.sift.add(EXPORT, then=["fail"])
    live.allow(STRANGER, Role.ADMIN)
    await live.retried(job, channel_id=SHARED)
    await live.until_outcome("failed_again")
    button = (await live.until(lambda: live.offering("retry", SHARED)))[0]
    await live.slack.click(STRANGER, SHARED, button.ts, "retry")
    (said,) = await live.until(lambda: live.whispers(STRANGER))
    assert "only people of this workspace" in said
    denied = live.entries()[-1]
    assert (denied.outcome, denied.team_id, denied.user_id) == ("denied", "T0ELSEWHERE", STRANGER)
    assert live.sift.count("retry") == 1


async def test_whom_slack_cannot_name_is_refused_with_that_reason(live: World) -> None:
    live.slack.fail("users.info", "internal_error", times=9)
    assert "Slack could not say" in await refused(live, live.sift.add().job_id)
    assert live.outcomes() == ["requested", "denied"]


async def test_a_grant_for_a_group_counts_for_its_members(live: World) -> None:
    live.allow(ON_CALL_GROUP)
    await live.slack.command(SECOND_OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until_outcome("finished")
    assert "not on the allow-list" in await refused_after(live, UNLISTED)


async def refused_after(world: World, user_id: str) -> str:
    await world.slack.command(user_id, LAUNCH_OPS, world.sift.add().job_id)
    (said,) = await world.until(lambda: world.whispers(user_id))
    return str(said)


async def test_when_slack_cannot_say_who_is_in_a_group_the_answer_is_no(live: World) -> None:
    live.allow(OPERATORS_GROUP)
    live.slack.fail("usergroups.users.list", "plan_upgrade_required", times=9)
    assert "which user groups" in await refused(live, live.sift.add().job_id, SECOND_OPERATOR)


async def test_a_grant_for_one_type_of_job_is_for_that_type(live: World) -> None:
    live.allow(SECOND_OPERATOR, job_types=frozenset({"data_export"}))
    said = await refused(live, live.sift.add(IMPORT).job_id, SECOND_OPERATOR)
    assert "only for data exports" in said
    await live.slack.command(SECOND_OPERATOR, LAUNCH_OPS, live.sift.add(EXPORT).job_id)
    await live.until_outcome("finished")


async def test_an_expired_grant_says_since_when(live: World) -> None:
    live.allow(SECOND_OPERATOR, expires_at=utc_now() - timedelta(hours=3))
    assert "expired 3 h ago" in await refused(live, live.sift.add().job_id, SECOND_OPERATOR)


async def test_admins_by_setting_may_retry(live: World) -> None:
    await live.slack.command(ADMIN, LAUNCH_OPS, live.sift.add().job_id)
    await live.until_outcome("finished")
    sending = next(row for row in live.entries() if row.outcome == "sending")
    assert sending.grant_id is None
    assert '"granted_by":"ADMINS"' in sending.detail


async def test_a_job_under_way_is_not_retried_again_and_the_thread_is_linked(live: World) -> None:
    job = live.sift.add()
    live.sift.run_seconds = 30
    live.allow(SECOND_OPERATOR)
    await live.retried(job)
    await live.slack.command(SECOND_OPERATOR, LAUNCH_OPS, job.job_id)
    (said,) = await live.until(lambda: live.whispers(SECOND_OPERATOR))
    assert f"already being retried by <@{OPERATOR}>" in said
    assert f"archives/{LAUNCH_OPS}/p{live.messages()[0].ts.replace('.', '')}" in said
    assert live.sift.count("retry") == 1


async def test_many_at_once_make_one_retry(live: World) -> None:
    job = live.sift.add()
    await asyncio.gather(*(live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id) for _ in range(20)))
    await live.until(lambda: len(live.whispers()) == 19)
    assert live.sift.count("retry") == 1
    assert live.outcomes().count("refused") == 19


async def test_the_cooldown_counts_from_the_last_accepted_retry(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_COOLDOWN_SECONDS="30"):
        world.allow()
        job = world.sift.add(then=["fail at once"])
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        await world.until_outcome("failed_again")
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        (said,) = await world.until(world.whispers)
        assert "was retried a moment ago" in said
        assert "Try again in" in said
        assert world.sift.count("retry") == 1


async def test_an_outdated_button_rereads_the_job_and_answers_privately(live: World) -> None:
    job = live.sift.add(EXPORT, then=["fail", "fail"])
    await live.retried(job)
    await live.until_outcome("failed_again")
    old = (await live.until(lambda: live.offering("retry")))[0]
    seen = type(old)(**old.__dict__)
    await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await live.until(lambda: live.outcomes().count("failed_again") == 2)
    await live.slack.click(OPERATOR, LAUNCH_OPS, old.ts, "retry", seen=seen)
    (said,) = await live.until(live.whispers)
    assert "button is outdated" in said
    (whisper,) = live.slack.ephemerals(OPERATOR)
    assert [button["text"]["text"] for button in whisper.buttons()] == ["Retry"]
    assert live.sift.count("retry") == 2
    await live.slack.click(OPERATOR, LAUNCH_OPS, whisper.ts, "retry")
    await live.until_outcome("finished")


async def test_a_button_nobody_knows_any_more_is_answered(live: World) -> None:
    button = {"type": "button", "action_id": "of_old", "text": {"type": "plain_text", "text": "Old"}, "value": "x"}
    message = live.slack.post(LAUNCH_OPS, "U0RETRYBOT", "old", blocks=[{"type": "actions", "elements": [button]}])
    delivered = await live.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "of_old")
    assert delivered.acked
    (said,) = await live.until(live.whispers)
    assert "no longer in use" in said

"""What is asked for side by side, and what leaves beside the call to Sift."""

import pytest

from bot.sandbox import AUDITOR, LAUNCH_OPS, OPERATOR, UNLISTED
from tests.scenarios.conftest import World


async def test_who_they_are_and_the_job_are_asked_for_side_by_side(live: World) -> None:
    live.slack.delay("users.info", 1)
    job = live.sift.add()
    await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await live.until_outcome("finished", timeout=10)
    (asked,) = [call.at for call in live.slack.calls if call.method == "users.info"]
    read = next(call.at for call in live.sift.calls if call.operation == "list")
    assert (read - asked).total_seconds() < 0.8, "it was not waited for who they are"


@pytest.mark.parametrize("user_id", [UNLISTED, AUDITOR])
async def test_who_may_not_does_not_wait_for_sift(live: World, user_id: str) -> None:
    held = live.sift.hold("list")
    await live.slack.command(user_id, LAUNCH_OPS, live.sift.add().job_id)
    (said,) = await live.until(lambda: live.whispers(user_id))
    assert "tank" not in said
    assert "telemetry" not in said, "nothing of the job is told"
    assert live.outcomes() == ["requested", "denied"]
    assert live.entries()[-1].status_before is None
    assert live.sift.count("retry") == 0
    held.release()


async def test_the_channel_is_told_while_sift_is_asked(live: World) -> None:
    held = live.sift.hold("retry")
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await held.entered.wait()
    (announced,) = await live.until(live.messages)
    assert announced.text.startswith(f"<@{OPERATOR}> is retrying data import ")
    assert live.outcomes() == ["requested", "sending"]
    assert live.replies() == []
    held.release()
    await live.until(live.replies)
    assert len(live.messages()) == 1
    await live.until_outcome("finished", timeout=10)


async def test_a_sift_that_takes_long_is_announced_once(live: World) -> None:
    live.sift.delay("retry", 0.95)
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until_outcome("finished", timeout=10)
    await live.until(lambda: len(live.replies()) == 2)
    assert len(live.messages()) == 1
    posts = [call for call in live.slack.calls if call.method == "chat.postMessage"]
    assert len(posts) == 3, "the announcement, the summary, the ending"

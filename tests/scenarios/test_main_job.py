"""The main job, by command and by button, in both modes."""

from bot.sandbox import LAUNCH_OPS, OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT
from tests.scenarios.conftest import World


async def test_a_command_retries_and_the_thread_follows_the_job_to_its_end(both: World) -> None:
    job = both.sift.add()
    delivered = await both.slack.command(OPERATOR, LAUNCH_OPS, f"{job.job_id} sensor was offline")
    assert delivered.acked
    await both.until_outcome("finished")
    (announcement,) = await both.until(lambda: [m for m in both.messages() if "finished" in m.text_shown()])
    assert f"<@{OPERATOR}> retried data import *hotfire-118* · stand-2 · telemetry_" in announcement.text_shown()
    assert "Reason: sensor was offline" in announcement.text_shown()
    summary, ending = await both.until(lambda: len(both.replies()) == 2 and both.replies())
    assert {summary.thread_ts, ending.thread_ts} == {announcement.ts}
    for fact in ("Finished", "retry 1 by", "100 %", "is not a number", "sensor was offline", "ran ", job.job_id):
        assert fact in summary.text_shown()
    assert f"<@{OPERATOR}>" in ending.text_shown()
    assert both.outcomes() == ["requested", "sending", "accepted", "finished"]
    assert both.sift.count("retry") == 1


async def test_a_button_retries_what_failed_again_in_the_same_thread(both: World) -> None:
    job = both.sift.add(EXPORT, then=["fail"])
    await both.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await both.until_outcome("failed_again")
    _, ending = await both.until(lambda: len(both.replies()) == 2 and both.replies())
    assert "failed again" in ending.text_shown()
    await both.slack.click(OPERATOR, LAUNCH_OPS, ending.ts, "retry")
    await both.until_outcome("finished")
    await both.until(lambda: len(both.replies()) == 4)
    assert len(both.messages()) == 1
    assert both.sift.count("retry") == 2
    await both.until(lambda: not any(m.buttons() for m in both.replies()))
    assert "retry 2 by" in both.replies()[2].text_shown()


async def test_somebody_not_listed_is_refused_privately_and_audited(both: World) -> None:
    job = both.sift.add()
    await both.slack.command(UNLISTED, LAUNCH_OPS, job.job_id)
    (said,) = await both.until(lambda: both.whispers(UNLISTED))
    assert "not on the allow-list" in said
    assert "<@U0ADMIN>" in said
    assert both.messages() == []
    assert both.outcomes() == ["requested", "denied"]
    assert both.sift.calls == []

"""Several jobs at once: one tally, one retry and one audit trail per job, by command, modal and button."""

import asyncio
import copy

import pytest

from bot.access.policy import Role
from bot.retries import limiter
from bot.sandbox import AUDITOR, LAUNCH_OPS, OPERATOR, PRIVATE, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, FINISHED, SandboxJob
from tests.scenarios.conftest import World

MANY = 25


async def retry_all(world: World, jobs: list[SandboxJob], user_id: str = OPERATOR, reason: str = "") -> None:
    text = " ".join([*(job.job_id for job in jobs), reason])
    delivered = await world.slack.command(user_id, LAUNCH_OPS, text)
    assert delivered.acked


async def test_a_batch_has_one_tally_and_a_trail_for_each_job(both: World) -> None:
    jobs = both.sift.outage(MANY)
    jobs[3].then = ["fail"]
    await retry_all(both, jobs, reason="power cut")
    (tally,) = await both.until(
        lambda: [m for m in both.messages() if " retried 25 jobs" in m.text_shown()], timeout=15
    )
    assert f"<@{OPERATOR}> retried 25 jobs" in tally.text_shown()
    assert "24 finished" in tally.text_shown()
    assert "1 failed again" in tally.text_shown()
    assert "Reason: power cut" in tally.text_shown()
    assert len(both.messages()) == 1
    for job in jobs:
        outcomes = both.outcomes(job_id=job.job_id)
        assert outcomes[:3] == ["requested", "sending", "accepted"]
        assert both.sift.count("retry", job.job_id) == 1
    listed, ending = await both.until(lambda: len(both.replies()) == 2 and both.replies())
    assert all(job.job_id[:8] in listed.text_shown() for job in jobs)
    assert {m.thread_ts for m in both.replies()} == {tally.ts}
    assert f"<@{OPERATOR}>, your 25 jobs" in ending.text_shown()


async def test_jobs_of_a_batch_are_read_together(live: World) -> None:
    jobs = live.sift.outage(MANY)
    await retry_all(live, jobs)
    await live.until(lambda: live.sift.count("retry") == MANY)
    before = [call for call in live.sift.calls if call.operation == "list"]
    assert len(before) < MANY / 2


async def test_no_more_calls_at_a_time_than_allowed(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="3"):
        world.allow()
        jobs = world.sift.outage(9)
        held = [world.sift.hold("retry") for _ in jobs]
        await retry_all(world, jobs)
        await asyncio.wait_for(held[2].entered.wait(), 5)
        await asyncio.sleep(0.2)
        assert world.sift.count("retry") == 3
        for one in held:
            one.release()
        await world.until(lambda: world.sift.count("retry") == 9)


async def test_a_lone_request_does_not_wait_for_a_batch(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1"):
        world.allow()
        held = world.sift.hold("retry")
        await retry_all(world, world.sift.outage(6))
        await asyncio.wait_for(held.entered.wait(), 5)
        lone = world.sift.add()
        await world.slack.command(OPERATOR, LAUNCH_OPS, lone.job_id)
        await world.until(lambda: world.outcomes(job_id=lone.job_id))
        await asyncio.sleep(0.3)
        held.release()
        await world.until(lambda: world.sift.count("retry") >= 3)
        posts = [call.job_id for call in world.sift.calls if call.operation == "retry"]
        assert lone.job_id in posts[1:3]


async def test_what_was_made_ready_ahead_and_waits_for_long_is_queued_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "HOLD_SECONDS", 0.05)
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1"):
        world.allow()
        await retry_all(world, [world.sift.add()])  # a quick call, after which some are made ready
        await world.until_outcome("finished")
        held, jobs = world.sift.hold("retry"), world.sift.outage(5)
        await retry_all(world, jobs)
        put_off = await world.until(lambda: [row for row in world.entries() if '"not_yet"' in row.detail])
        assert {row.outcome for row in put_off} == {"requested"}
        assert world.sift.count("retry") == 2
        held.release()
        await world.until(lambda: [m for m in world.messages() if "5 finished" in m.text_shown()], timeout=15)
        assert [world.sift.count("retry", job.job_id) for job in jobs] == [1] * 5
        assert world.outcomes(job_id=put_off[0].job_id)[:3] == ["requested", "sending", "requested"]


async def test_after_a_stop_nothing_is_sent_of_what_was_made_ready_ahead(world: World) -> None:
    async with world.running(socket_mode=False, RETRY_CONCURRENCY="1"):
        world.allow()
        await retry_all(world, [world.sift.add()])
        await world.until_outcome("finished")
        held = world.sift.hold("retry")
        await retry_all(world, world.sift.outage(5))
        await world.until(lambda: world.outcomes().count("sending") == 4)
        before = world.sift.count("retry")
        asyncio.get_running_loop().call_later(0.3, held.release)
    assert world.sift.count("retry") == before
    assert [row.outcome for row in world.entries() if '"not_yet"' in row.detail] == ["requested"] * 2


async def test_a_limit_of_sift_is_waited_out_and_loses_nothing(live: World) -> None:
    jobs = live.sift.outage(8)
    live.sift.fail("retry", 8, "rate limit exceeded, retry after 100ms", times=3)
    await retry_all(live, jobs)
    await live.until(lambda: [m for m in live.messages() if "8 finished" in m.text_shown()], timeout=15)
    assert live.sift.count("retry") == 8 + 3


async def test_what_was_refused_is_counted_for_all_and_explained_to_one(live: World) -> None:
    good, finished = live.sift.add(), live.sift.add(status=FINISHED)
    await retry_all(live, [good, finished])
    (tally,) = await live.until(lambda: [m for m in live.messages() if "1 finished" in m.text_shown()], timeout=10)
    assert "1 refused" in tally.text_shown()
    (said,) = await live.until(live.whispers)
    assert "1 of 2 jobs was not retried" in said
    assert finished.job_id[:8] in said
    assert "nothing to retry" in said


async def test_somebody_not_listed_is_refused_once_and_privately(live: World) -> None:
    jobs = live.sift.outage(3)
    await retry_all(live, jobs, UNLISTED)
    (said,) = await live.until(lambda: live.whispers(UNLISTED), timeout=10)
    assert "not on the allow-list" in said
    assert "3 of 3 jobs were not retried" in said
    assert live.messages() == []
    assert live.sift.calls == []
    assert live.outcomes() == ["denied"], "one entry for all of it"


async def test_what_failed_again_is_retried_from_the_ending(live: World) -> None:
    jobs = [live.sift.add(EXPORT, then=["fail"]) for _ in range(3)]
    await retry_all(live, jobs)
    ending = await ending_of(live)
    before = copy.deepcopy(ending)
    (button,) = ending.buttons()
    assert button["text"]["text"] == "Retry again (3)"
    await live.slack.click(OPERATOR, LAUNCH_OPS, ending.ts, "retry_batch")
    await live.until(lambda: live.outcomes().count("finished") == 3, timeout=15)
    assert live.sift.count("retry") == 6
    assert len(live.messages()) == 1, "the second batch goes into the same thread"
    await live.slack.click(OPERATOR, LAUNCH_OPS, ending.ts, "retry_batch", seen=before)
    assert "retried since" in (await live.until(live.whispers))[0]


async def ending_of(world: World):  # type: ignore[no-untyped-def]  # a message of the sandbox
    (ending,) = await world.until(lambda: [m for m in world.replies() if "your 3 jobs" in m.text_shown()], timeout=10)
    return ending


async def test_a_line_of_the_list_retries_one_job(live: World) -> None:
    jobs = [live.sift.add(EXPORT, then=["fail"]) for _ in range(3)]
    await retry_all(live, jobs)
    await ending_of(live)
    listed = next(m for m in live.replies() if m.text.startswith("All 3 jobs"))
    await live.until(lambda: len(listed.buttons()) == 3)
    button = next(b for b in listed.buttons() if jobs[1].job_id in b["value"])
    await live.slack.click(OPERATOR, LAUNCH_OPS, listed.ts, "retry", value=button["value"])
    await live.until(lambda: live.sift.count("retry", jobs[1].job_id) == 2)
    await live.until(lambda: len(listed.buttons()) == 2, timeout=10)


async def test_a_redelivered_batch_does_nothing(both: World) -> None:
    jobs = both.sift.outage(4)
    delivered = await both.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
    await both.slack.redeliver(delivered)
    await both.until(lambda: both.outcomes().count("finished") == 4, timeout=10)
    assert both.sift.count("retry") == 4


async def test_where_the_bot_may_not_post_one_person_sees_the_tally(live: World) -> None:
    jobs = live.sift.outage(2)
    await live.slack.command(OPERATOR, PRIVATE, " ".join(job.job_id for job in jobs))
    await live.until(lambda: [said for said in live.whispers() if "2 finished" in said], timeout=10)
    assert live.messages(PRIVATE) == []


@pytest.mark.parametrize("text", ["", "   "])
async def test_nothing_opens_a_modal_to_pick_from(both: World, text: str) -> None:
    jobs = both.sift.outage(3)
    await both.slack.command(OPERATOR, LAUNCH_OPS, text)
    view = (await both.until(lambda: [v for v in both.slack.modals[OPERATOR] if v.body.get("submit")]))[0]
    picked = [job.job_id for job in jobs[:2]]
    delivered = await both.slack.submit(OPERATOR, view.id, {"jobs": picked, "reason": "picked"})
    assert delivered.acked
    await both.until(lambda: both.outcomes().count("finished") == 2, timeout=10)
    assert {(row.source, row.reason) for row in both.entries() if row.event == "request"} == {("modal", "picked")}
    await both.until(both.messages)
    assert len(both.messages()) == 1


async def test_a_modal_without_a_job_says_what_is_missing(live: World) -> None:
    await live.slack.command(OPERATOR, LAUNCH_OPS, "")
    view = (await live.until(lambda: [v for v in live.slack.modals[OPERATOR] if v.body.get("submit")]))[0]
    delivered = await live.slack.submit(OPERATOR, view.id, {})
    assert delivered.body["response_action"] == "errors"
    job = live.sift.add()
    await live.slack.submit(OPERATOR, view.id, {"ids": f"https://app.siftstack.com/jobs/{job.job_id}"})
    await live.until_outcome("finished")


async def test_an_auditor_is_shown_nothing_to_pick_from(live: World) -> None:
    live.allow(AUDITOR, Role.AUDITOR)
    await live.slack.command(AUDITOR, LAUNCH_OPS, "")
    (view,) = await live.until(lambda: [v for v in live.slack.modals[AUDITOR] if "as auditor" in str(v.body)])
    assert "You may not retry jobs as auditor." in str(view.body)
    assert "submit" not in view.body
    (denied,) = [row for row in live.entries() if row.outcome == "denied"]
    assert denied.user_id == AUDITOR


async def test_a_modal_of_somebody_not_listed_explains(live: World) -> None:
    await live.slack.command(UNLISTED, LAUNCH_OPS, "")
    await live.until(lambda: [v for v in live.slack.modals[UNLISTED] if "allow-list" in str(v.body)])
    assert live.sift.calls == []

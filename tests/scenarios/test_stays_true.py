"""No message is left untrue: what shows a request follows what becomes of it, also elsewhere and without the bot."""

import asyncio
from typing import Any

from starlette.responses import Response

from bot.sandbox import LAUNCH_OPS, OPERATOR, SECOND_OPERATOR
from bot.sandbox.sift.cases import THIRD
from bot.sandbox.sift.jobs import CANCELLED, EXPORT, IMPORT, OWNER, RUNNING
from bot.sandbox.slack.messages import Message
from tests.scenarios.conftest import World
from tests.scenarios.test_alerts import WATCHING, actions, alerted, says
from tests.scenarios.test_bulk import retry_all

RERUNS = {"RERUN": "on"}


def offers(world: World) -> list[Message]:
    """The messages that offer to evaluate reports again."""
    return [message for message in world.replies() if "before this data" in message.text_shown()]


async def test_a_batch_of_which_sift_took_nothing_says_so(live: World) -> None:
    """The tally is posted while the first ones are sent."""
    jobs = live.sift.outage(25)
    live.sift.fail("retry", 7, "permission denied", times=len(jobs), seconds=0.15)
    await retry_all(live, jobs)
    (tally,) = await live.until(lambda: [m for m in live.messages() if "is retrying 25 jobs" in m.text_shown()])
    await says(live, tally, "wanted to retry 25 jobs")
    await says(live, tally, "25 not accepted by Sift")
    (listed,) = live.replies()
    await live.until(lambda: "waiting" not in listed.text_shown())


async def test_reports_of_which_sift_took_none_say_so(world: World) -> None:
    async with world.running(socket_mode=False, **RERUNS):
        world.allow()
        job = world.sift.add(IMPORT, run=world.sift.run_named(THIRD))
        await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
        (offer,) = await world.until(lambda: offers(world))
        world.sift.fail("rerun", 7, "permission denied", times=4, seconds=0.7)
        await world.slack.click(OPERATOR, LAUNCH_OPS, offer.ts, "rerun_reports")
        await world.until(lambda: [one for one in world.whispers() if "4 of 4 reports not rerun" in one], timeout=10)
        await world.until(lambda: not [m for m in world.replies() if "is rerunning" in m.text_shown()])


async def test_a_report_that_was_evaluated_again_is_offered_nowhere_else(world: World) -> None:
    """Two files of one run, retried apart from each other."""
    async with world.running(socket_mode=False, **RERUNS):
        world.allow()
        run = world.sift.run_named(THIRD)
        for _ in range(2):
            await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add(IMPORT, run=run).job_id)
        first, second = await world.until(lambda: len(offers(world)) == 2 and offers(world))
        await world.slack.click(OPERATOR, LAUNCH_OPS, first.ts, "rerun_reports")
        await world.until(lambda: [m for m in world.replies() if "4 reports: 4 finished" in m.text_shown()])
        await world.until(lambda: (actions(first), actions(second)) == ([], []))


async def test_an_alert_follows_a_job_that_somebody_moves_in_sift(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        job = world.sift.fail_one()
        alert = await alerted(world, job)
        world.sift.run_seconds = 60
        world.sift.retry_outside(job.job_id, OWNER)
        await says(world, alert, "it is queued now")
        job.ask_to_cancel(world.sift.clock(), 0, OWNER)
        assert job.status(world.sift.clock()) == CANCELLED
        await says(world, alert, "it is cancelled now")


async def test_what_the_watcher_read_before_a_retry_ended_moves_its_alert_no_more(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        # One more waits, so all that moves is asked for.
        other, job = world.sift.fail_one(), world.sift.add(then=["fail"])
        await alerted(world, other)
        alert = await alerted(world, job)
        answered, held, release = world.sift.carry_out, asyncio.Event(), asyncio.Event()

        async def slowly(operation: str, act: Any) -> Response:
            watches = operation == "list" and "job_id" not in world.sift.calls[-1].filter
            answer = await answered(operation, act)
            of_the_job = job.job_id.encode() in answer.body and job.status(world.sift.clock()) == RUNNING
            if watches and of_the_job and not held.is_set():
                held.set()
                await release.wait()
            return answer

        world.sift.carry_out = slowly  # type: ignore[method-assign]  # one answer is to come late
        world.sift.run_seconds = 0.4
        await world.slack.click(OPERATOR, LAUNCH_OPS, alert.ts, "retry")
        await asyncio.wait_for(held.wait(), 5)
        await says(world, alert, "retried it: failed again")
        polls = world.sift.count("list")
        release.set()
        await world.until(lambda: world.sift.count("list") > polls + 4)
        assert "failed again" in alert.text_shown()
        assert "retry" in actions(alert)


async def test_a_storm_names_what_its_buttons_would_do_while_sift_asks_to_wait(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING, ALERT_STORM="3"):
        world.allow()
        jobs = world.sift.outage(6, [world.sift.run_named(THIRD)])
        (storm,) = await world.until(lambda: [m for m in world.messages() if "6 jobs failed" in m.text_shown()])
        world.sift.fail("retry", 8, "rate limit exceeded, retry after 60s")
        other = world.sift.add(EXPORT, status=CANCELLED)
        await world.slack.command(OPERATOR, LAUNCH_OPS, other.job_id)
        await world.until(lambda: len(world.whispers()) == 1)
        await world.slack.command(OPERATOR, LAUNCH_OPS, jobs[0].job_id)
        await world.until(lambda: len(world.whispers()) == 2)
        assert all("waits until then" in whisper for whisper in world.whispers())
        await says(world, storm, "1 queued")


async def test_an_alert_leads_to_the_batch_that_retries_its_job(world: World) -> None:
    async with world.running(socket_mode=False, **WATCHING):
        world.allow()
        world.allow(SECOND_OPERATOR)
        jobs = [world.sift.fail_one() for _ in range(2)]
        alert = await alerted(world, jobs[0])
        world.sift.run_seconds = 3
        await retry_all(world, jobs)
        await says(world, alert, "is retrying it")
        await world.until(lambda: [m for m in world.messages() if "is retrying 2 jobs" in m.text_shown()])
        await world.slack.command(SECOND_OPERATOR, LAUNCH_OPS, jobs[0].job_id)
        (said,) = await world.until(lambda: world.whispers(SECOND_OPERATOR))
        assert "|in its thread>" in said
        await says(world, alert, "retried it: finished")
        assert "|thread>" in alert.text_shown()

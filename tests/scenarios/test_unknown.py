"""When Sift does not answer clearly: the retry is never sent again; the job itself settles what became of it."""

from collections.abc import Callable

import pytest
from starlette.responses import HTMLResponse, Response

from bot.sandbox import LAUNCH_OPS, OPERATOR
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import FINISHED, SandboxJob
from tests.scenarios.conftest import World

Trouble = Callable[[EmbeddedSift], object]

UNCLEAR: dict[str, Trouble] = {
    "dropped": lambda sift: sift.drop("retry", when="before"),
    "timeout": lambda sift: sift.hold("retry"),
    "unavailable": lambda sift: sift.fail("retry", 14),
    "internal": lambda sift: sift.fail("retry", 13),
    "html": lambda sift: sift.answer("retry", HTMLResponse("<h1>502</h1>", 502)),
    "empty": lambda sift: sift.answer("retry", Response(status_code=200)),
}
CARRIED_OUT: dict[str, Trouble] = {
    "dropped": lambda sift: sift.drop("retry", when="after"),
    "late": lambda sift: sift.delay("retry", 1.2),
    "html": lambda sift: sift.answer("retry", HTMLResponse("<h1>504</h1>", 504), carried_out=True),
    "unreadable": lambda sift: sift.answer("retry", Response("[1", 200), carried_out=True),
}


async def ask(world: World, job: SandboxJob) -> None:
    await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)


@pytest.mark.parametrize("trouble", UNCLEAR.values(), ids=UNCLEAR)
async def test_what_sift_never_took_is_reported_and_offered_again(live: World, trouble: Trouble) -> None:
    job = live.sift.add()
    trouble(live.sift)
    await ask(live, job)
    await live.until_outcome("not_applied")
    assert live.outcomes() == ["requested", "sending", "unknown", "not_applied"]
    assert live.sift.count("retry") == 1
    summary, ending = await live.until(lambda: len(live.replies()) == 2 and live.replies())
    assert "has not moved" in summary.text_shown()
    assert "Sift never took it" in ending.text_shown()
    await live.slack.click(OPERATOR, LAUNCH_OPS, summary.ts, "retry")
    await live.until_outcome("finished")
    assert live.sift.count("retry") == 2


@pytest.mark.parametrize("trouble", CARRIED_OUT.values(), ids=CARRIED_OUT)
async def test_what_sift_did_take_is_followed_to_its_end(live: World, trouble: Trouble) -> None:
    job = live.sift.add()
    live.sift.run_seconds = 2
    trouble(live.sift)
    await ask(live, job)
    await live.until_outcome("finished")
    assert live.outcomes() == ["requested", "sending", "unknown", "accepted", "finished"]
    assert live.sift.count("retry") == 1


async def test_meanwhile_the_thread_says_that_it_is_not_known(live: World) -> None:
    live.sift.drop("retry", when="before")
    await ask(live, live.sift.add())
    summary = (await live.until(live.replies))[0]
    assert "may or may not have reached Sift, so it is not sent again" in summary.text_shown()


async def test_a_job_of_unknown_outcome_is_not_retried_again(live: World) -> None:
    job = live.sift.add()
    live.sift.drop("retry", when="before")
    await ask(live, job)
    await live.until(live.replies)
    await ask(live, job)
    (said,) = await live.until(live.whispers)
    assert "already being retried" in said
    assert live.sift.count("retry") == 1


async def test_while_sift_cannot_be_read_the_outcome_stays_unknown(live: World) -> None:
    job = live.sift.add()
    live.sift.drop("retry", when="after")

    def go_silent() -> None:
        live.sift.on_change.remove(go_silent)
        live.sift.fail("list", 14, times=6)

    live.sift.on_change.append(go_silent)  # with the retry itself: the follower looks at the job right after it
    await ask(live, job)
    await live.until_outcome("unknown")
    await live.until(lambda: "still cannot be read" in live.replies()[0].text_shown(), timeout=9)
    assert live.outcomes()[-1] == "unknown"
    await live.until_outcome("finished", timeout=9)


async def test_a_job_moved_by_somebody_else_meanwhile_is_not_taken_for_ours(live: World) -> None:
    job = live.sift.add()
    held = live.sift.hold("retry")
    live.sift.run_seconds = 3
    await ask(live, job)
    await held.entered.wait()
    live.sift.retry_outside(job.job_id, "somebody-else")
    await live.until_outcome("not_applied")
    assert '"why":"outside"' in live.entries()[-1].detail
    summary = (await live.until(live.replies))[0]
    await live.until(lambda: "Somebody else moved the job" in live.replies()[0].text_shown())
    assert summary.buttons() == []
    held.release()


async def test_an_answer_that_shows_no_change_is_settled_by_reading(live: World) -> None:
    job = live.sift.add()
    unchanged = {"job": job.as_sift(live.slack.clock())}
    from starlette.responses import JSONResponse

    live.sift.answer("retry", JSONResponse(unchanged))
    await ask(live, job)
    await live.until_outcome("not_applied")


@pytest.mark.parametrize("unchanged_answers", [True, False])
async def test_a_job_that_finished_a_moment_before_is_refused(live: World, unchanged_answers: bool) -> None:
    live.sift.unchanged_answers = unchanged_answers
    job = live.sift.add()
    held = live.sift.hold("retry")
    await ask(live, job)
    await held.entered.wait()
    job.rest = FINISHED
    held.release()
    await live.until_outcome("refused" if unchanged_answers else "failed")
    (said,) = await live.until(live.whispers)
    assert "changed nothing" in said if unchanged_answers else "cannot be retried" in said
    await nobody_else_sees_it(live)


async def nobody_else_sees_it(live: World) -> None:
    """The announcement left beside the call; it is taken back, since a refusal concerns nobody else."""
    await live.until(lambda: not live.messages())
    assert live.replies() == []
    deleted = [call for call in live.slack.calls if call.method == "chat.delete"]
    assert len(deleted) == 1


async def test_an_announcement_whose_answer_was_lost_is_taken_back_too(live: World) -> None:
    job = live.sift.add()
    held = live.sift.hold("retry")
    live.slack.lose_answer("chat.postMessage")
    await ask(live, job)
    await held.entered.wait()
    await live.until(live.messages)
    job.rest = FINISHED
    held.release()
    await live.until_outcome("failed")
    await live.until(live.whispers)
    await nobody_else_sees_it(live)


@pytest.mark.parametrize(
    ("code", "why", "words"),
    [
        (16, "unauthenticated", "mend its Sift key"),
        (7, "permission_denied", "permission"),
        (5, "not_found", "Check the ID"),
        (9, "cannot_be_retried", "Look at the job in Sift"),
        (3, "invalid_argument", "Look at the job in Sift"),
        (6, "conflict", "Try again"),
        (10, "conflict", "Try again"),
    ],
)
async def test_a_clear_no_is_final_and_told_privately(live: World, code: int, why: str, words: str) -> None:
    live.sift.fail("retry", code, "the <reason> & so")
    await ask(live, live.sift.add())
    await live.until_outcome("failed")
    (said,) = await live.until(live.whispers)
    assert words in said
    assert "the &lt;reason&gt; &amp; so" in said
    assert f'"why":"{why}"' in live.entries()[-1].detail
    assert live.sift.count("retry") == 1
    await nobody_else_sees_it(live)


async def test_a_limited_request_is_sent_again_after_the_wait(live: World) -> None:
    live.sift.fail("retry", 8, "rate limit exceeded, retry after 50ms", times=2)
    await ask(live, live.sift.add())
    await live.until_outcome("finished")
    assert live.sift.count("retry") == 3
    assert live.outcomes() == ["requested", "sending", "accepted", "finished"]


async def test_a_limit_that_does_not_end_is_reported(live: World) -> None:
    live.sift.fail("retry", 8, "rate limit exceeded, retry after 10ms", times=9)
    await ask(live, live.sift.add())
    await live.until_outcome("failed")
    (said,) = await live.until(live.whispers)
    assert "did not take the request" in said


@pytest.mark.parametrize(("code", "words"), [(16, "Sift key"), (14, "Try again"), (7, "permission")])
async def test_a_job_that_cannot_be_read_is_not_retried(live: World, code: int, words: str) -> None:
    live.sift.fail("list", code)
    await ask(live, live.sift.add())
    (said,) = await live.until(live.whispers)
    assert "could not be read from Sift, so no retry was sent" in said
    assert words in said
    assert live.outcomes() == ["requested", "failed"]
    assert live.sift.count("retry") == 0

"""More requests of one person in a minute than may be: told to wait, one entry, and nobody else waits."""

from typing import Any

import pytest

from bot.access.policy import Role
from bot.sandbox import ADMIN, AUDITOR, LAUNCH_OPS, OPERATOR, OTHER_BOT, SECOND_OPERATOR, UNLISTED
from bot.sandbox.slack.directory import BOT_USER
from tests.scenarios.conftest import World


@pytest.fixture(params=["socket", "http"])
async def limited(request: pytest.FixtureRequest, world: World) -> Any:
    async with world.running(socket_mode=request.param == "socket", REQUESTS_PER_MINUTE="2"):
        world.allow()
        yield world


async def retry(world: World, user_id: str = OPERATOR) -> str:
    """Somebody retries a new job; returns what the ack says."""
    job = world.sift.add()
    delivered = await world.slack.command(user_id, LAUNCH_OPS, job.job_id)
    assert delivered.acked
    return str((delivered.body or {}).get("text", ""))


async def test_beyond_the_limit_a_command_is_told_to_wait_in_the_ack(limited: World) -> None:
    assert [await retry(limited) for _ in range(2)] == ["", ""]
    for _ in range(3):
        assert "more than 2 requests within a minute" in await retry(limited)
    limited.allow(SECOND_OPERATOR)
    assert await retry(limited, SECOND_OPERATOR) == ""
    await limited.until(lambda: limited.outcomes().count("finished") == 3)
    refused = [row for row in limited.entries(outcome="refused") if "too_many" in row.detail]
    assert [(row.user_id, row.source, row.request_id) for row in refused] == [(OPERATOR, "command", None)]
    assert limited.sift.count("retry") == 3


async def test_a_redelivery_at_the_limit_is_none_beyond_it(limited: World) -> None:
    first = await limited.slack.command(OPERATOR, LAUNCH_OPS, limited.sift.add().job_id)
    await limited.slack.redeliver(first)
    assert await retry(limited) == "", "the redelivery was given back"
    again = await limited.slack.redeliver(first)
    assert not (again.body or {}).get("text")
    assert "too_many" not in str([row.detail for row in limited.entries()])


async def test_a_batch_counts_as_one(limited: World) -> None:
    jobs = limited.sift.outage(20)
    delivered = await limited.slack.command(OPERATOR, LAUNCH_OPS, " ".join(job.job_id for job in jobs))
    assert delivered.acked
    assert await retry(limited) == ""
    assert "within a minute" in await retry(limited)


async def test_clicks_modals_and_mentions_are_told_privately(limited: World) -> None:
    job = limited.sift.add(then=["fail"])
    await limited.retried(job)
    button = (await limited.until(lambda: limited.offering("retry")))[0]
    await limited.slack.command(OPERATOR, LAUNCH_OPS, "")
    (view,) = await limited.until(lambda: [v for v in limited.slack.modals[OPERATOR] if v.body.get("submit")])
    await retry(limited)
    await limited.slack.click(OPERATOR, LAUNCH_OPS, button.ts, "retry")
    assert "within a minute" in (await limited.until(limited.whispers))[-1]
    await limited.slack.mention(OPERATOR, LAUNCH_OPS, f"retry {job.job_id}")
    await limited.until(lambda: len(limited.whispers()) == 2)
    answer = await limited.slack.submit(OPERATOR, view.id, {"ids": job.job_id})
    assert "within a minute" in str(answer.body)
    assert limited.sift.count("retry", job.job_id) == 1


async def test_whoever_may_do_nothing_leaves_few_entries_whatever_they_try(limited: World) -> None:
    job = limited.sift.add()
    handle = limited.slack.users[UNLISTED].handle
    for words in (job.job_id, "list", "access", f"allow @{handle}", f"revoke @{handle}", "audit", "stats"):
        await limited.slack.command(UNLISTED, LAUNCH_OPS, words)
        await limited.slack.mention(UNLISTED, LAUNCH_OPS, words)
    await limited.until(lambda: [one for one in limited.whispers(UNLISTED) if "within a minute" in one])
    assert len(limited.entries(user_id=UNLISTED)) <= 2 * 2 + 1


async def test_a_refused_look_is_on_record(limited: World) -> None:
    await limited.slack.command(UNLISTED, LAUNCH_OPS, "list")
    await limited.until(lambda: limited.whispers(UNLISTED))
    (entry,) = limited.entries(user_id=UNLISTED)
    assert (entry.event, entry.outcome, entry.source) == ("look", "denied", "command")
    assert "not_listed" in entry.detail


async def test_the_home_tab_shows_no_audit_whose_reading_is_not_recorded(limited: World) -> None:
    limited.allow(AUDITOR, Role.AUDITOR)
    for _ in range(2):
        await limited.slack.home_opened(AUDITOR)
    await limited.until(lambda: "open_audit" in str(getattr(limited.slack.homes.get(AUDITOR), "body", "")))
    await limited.until(lambda: len(limited.entries(user_id=AUDITOR)) == 2)
    await limited.slack.home_opened(AUDITOR)
    await limited.until(lambda: "open_audit" not in str(limited.slack.homes[AUDITOR].body))
    assert [row.outcome for row in limited.entries(user_id=AUDITOR)] == [None, None, "refused"]


async def test_bots_that_mention_this_one_are_on_record_and_not_answered(limited: World) -> None:
    job = limited.sift.add()
    for words in (f"retry {job.job_id}", "help", f"retry {job.job_id}", "list"):
        await limited.slack.mention(OTHER_BOT, LAUNCH_OPS, words)
    found = [(row.event, row.outcome, row.job_id, row.source) for row in limited.entries(user_id=OTHER_BOT)]
    denied = ("request", "denied")
    assert found == [
        (*denied, job.job_id, "mention"),
        (*denied, None, "mention"),
        ("request", "refused", None, "mention"),
    ]
    assert '"why":"is_bot"' in limited.entries(user_id=OTHER_BOT)[0].detail
    assert limited.whispers(OTHER_BOT) == []
    assert limited.sift.calls == []


async def test_this_bot_s_own_words_are_no_requests(limited: World) -> None:
    await limited.slack.mention(BOT_USER, LAUNCH_OPS, f"retry {limited.sift.add().job_id}")
    assert [row.event for row in limited.entries()] == ["grant"]


async def test_an_admin_s_changes_count_too(limited: World) -> None:
    said = [
        (await limited.slack.command(ADMIN, LAUNCH_OPS, f"allow @{limited.slack.users[user].handle}")).body
        for user in (SECOND_OPERATOR, AUDITOR, UNLISTED)
    ]
    assert ["within a minute" in str(one) for one in said] == [False, False, True]
    assert len([row for row in limited.entries() if row.event == "grant" and row.outcome is None]) == 2 + 1

"""What Slack does to the bot: channels it may not post in, lost answers, redeliveries, messages that are gone."""

import asyncio
import json

import pytest

from bot.sandbox import ADMIN, DATA_IMPORTS, LAUNCH_OPS, OPERATOR, PRIVATE, SECOND_OPERATOR
from bot.sandbox.sift.jobs import EXPORT
from tests.scenarios.conftest import World


async def test_where_the_bot_may_not_post_the_person_gets_the_summary_and_how_to_invite_it(live: World) -> None:
    job = live.sift.add()
    await live.slack.command(OPERATOR, PRIVATE, job.job_id)
    await live.until_outcome("finished")
    first, last = await live.until(lambda: len(live.whispers()) == 2 and live.whispers())
    assert "/invite" in first
    assert "Under way" in first
    assert "Finished" in last
    assert live.slack.channel(PRIVATE).messages == []


@pytest.mark.parametrize("error", ["is_archived", "restricted_action_thread_only_channel", "ekm_access_denied"])
async def test_where_slack_takes_no_post_the_person_is_told_at_once_and_why(live: World, error: str) -> None:
    live.slack.fail("chat.postMessage", error, times=99, channel=LAUNCH_OPS)
    live.slack.fail("chat.postEphemeral", error, times=99)
    delivered = await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    live.slack.response_urls[delivered.payload["response_url"].rsplit("/", 1)[1]].uses_left = 0
    told = live.slack.dm(OPERATOR)
    await live.until(lambda: any(f"`{error}`" in message.text_shown() for message in told.messages))


async def test_a_refusal_of_a_name_that_nobody_knows_yet_leaves_nobody_without_an_answer(live: World) -> None:
    live.slack.fail("chat.postMessage", "restricted_action_of_a_new_kind", times=99, channel=LAUNCH_OPS)
    live.slack.fail("chat.postEphemeral", "restricted_action_of_a_new_kind", times=99)
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    said = await live.until(lambda: [one for one in live.whispers() if "Finished" in one], timeout=20)
    assert "`restricted_action_of_a_new_kind`" in said[0]


async def test_a_public_channel_needs_no_invitation(live: World) -> None:
    await live.slack.command(OPERATOR, DATA_IMPORTS, live.sift.add().job_id)
    await live.until(lambda: len(live.replies(DATA_IMPORTS)) == 2)


async def test_when_the_thread_was_deleted_the_person_is_told_privately(live: World) -> None:
    live.sift.run_seconds = 0.6
    await live.retried(live.sift.add())
    await live.until(lambda: len(live.replies()) == 1)
    live.slack.channel(LAUNCH_OPS).messages.clear()
    await live.until_outcome("finished")
    said = await live.until(lambda: [said for said in live.whispers() if "Finished" in said])
    assert "thread of this retry was deleted" in said[0]


async def test_when_the_way_back_is_used_up_the_answer_comes_directly(live: World) -> None:
    job = live.sift.add(EXPORT, then=["fail"])
    delivered = await live.slack.command(OPERATOR, PRIVATE, job.job_id)
    live.slack.response_urls[delivered.payload["response_url"].rsplit("/", 1)[1]].uses_left = 0
    await live.until_outcome("failed_again")
    direct = await live.until(lambda: len(live.slack.dm(OPERATOR).messages) == 2 and live.slack.dm(OPERATOR).messages)
    assert "Failed again" in direct[1].text_shown()
    assert direct[1].buttons()


async def test_a_redelivery_is_acknowledged_and_does_nothing(both: World) -> None:
    job = both.sift.add(EXPORT, then=["fail"])
    delivered = await both.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    assert (await both.slack.redeliver(delivered)).acked
    await both.until_outcome("failed_again")
    button = (await both.until(lambda: both.offering("retry")))[0]
    clicked = await both.slack.click(OPERATOR, LAUNCH_OPS, button.ts, "retry")
    assert (await both.slack.redeliver(clicked)).acked
    await both.until_outcome("finished")
    assert (await both.slack.redeliver(delivered)).acked
    assert both.sift.count("retry") == 2
    assert both.outcomes().count("requested") == 2


@pytest.mark.parametrize("scopes", ["with history", "without"])
async def test_a_post_whose_answer_was_lost_is_looked_for(live: World, scopes: str) -> None:
    if scopes == "without":
        live.slack.scopes -= {"channels:history", "groups:history"}
    live.sift.run_seconds = 2
    live.slack.lose_answer("chat.postMessage")
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until_outcome("finished")
    await live.until(lambda: len(live.replies()) == 2, timeout=8)
    assert len(live.messages()) == (1 if scopes == "with history" else 2)
    assert live.sift.count("retry") == 1


async def test_slack_may_be_away_for_a_while(live: World) -> None:
    job = live.sift.add()
    live.slack.fail("chat.postMessage", "service_unavailable", times=2)
    await live.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
    await live.until(lambda: len(live.replies()) == 2, timeout=9)
    assert len(live.messages()) == 1


async def test_slack_s_rate_limit_is_waited_for(live: World) -> None:
    live.slack.fail("chat.postMessage", "ratelimited", status=429, retry_after=1)
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until(lambda: len(live.replies()) == 2)


@pytest.mark.parametrize("error", ["message_not_found", "edit_window_closed", "cant_update_message"])
async def test_a_summary_that_cannot_be_updated_goes_on_below(live: World, error: str) -> None:
    await live.retried(live.sift.add())
    live.slack.fail("chat.update", error, times=99)
    await live.until_outcome("finished")
    last = await live.until(lambda: [m for m in live.replies() if m.text.startswith("<@")])
    assert "finished" in last[0].text_shown()
    assert any(":white_check_mark: *Finished*" in m.text_shown() for m in live.replies())


async def test_a_summary_is_updated_only_when_something_changed(live: World) -> None:
    live.sift.run_seconds = 0.6
    await live.retried(live.sift.add())
    await live.until(lambda: len(live.replies()) == 2)
    updates = [call for call in live.slack.calls if call.method == "chat.update"]
    shown = [
        json.dumps(
            [
                call.arguments.get("ts"),
                call.arguments.get("text"),
                [{**block, "block_id": ""} for block in call.arguments["blocks"]],
            ]
        )
        for call in updates
    ]
    assert len(shown) == len(set(shown))
    assert len(updates) <= 23


async def test_a_reason_is_shown_as_text_and_stored_as_it_was(live: World) -> None:
    job = live.sift.add()
    await live.slack.command(OPERATOR, LAUNCH_OPS, f"{job.job_id} <!channel> & https://x.example *now* `rm` \x07")
    await live.until_outcome("finished")
    reason = "<!channel> & <https://x.example> *now* `rm` \x07"  # Slack itself puts links into brackets
    assert {row.reason for row in live.entries(job_id=job.job_id)} == {reason}
    posted = [call.arguments for call in live.slack.calls if call.method == "chat.postMessage"]
    everything = json.dumps(posted, ensure_ascii=False)
    assert "<!channel>" not in everything
    assert "<https://x.example" not in everything
    assert "&lt;!channel&gt; &amp; &lt;https://x.example&gt; *now* `rm` ␇" in everything


async def test_hostile_text_of_sift_is_shown_as_text(live: World) -> None:
    await live.retried(live.sift.add(EXPORT, then=["fail"], reason="<!here> & <@U1>\x00 _x_"))
    await live.until_outcome("failed_again")
    await live.until(lambda: len(live.replies()) == 2)
    assert all("<!here>" not in m.text_shown() for m in live.replies())
    assert "&lt;!here&gt; &amp; &lt;@U1&gt;␀ _x_" in live.replies()[0].text_shown()


async def test_a_mention_in_a_thread_retries_and_answers_there(both: World) -> None:
    root = both.slack.say(OPERATOR, LAUNCH_OPS, "it broke again")
    job = both.sift.add()
    delivered = await both.slack.mention(OPERATOR, LAUNCH_OPS, f"retry {job.job_id} please", thread_ts=root.ts)
    await both.slack.redeliver(delivered)
    await both.until_outcome("finished")
    await both.until(lambda: len([m for m in both.replies() if m.user != OPERATOR]) == 2)
    assert {m.thread_ts for m in both.replies()} == {root.ts}
    assert both.sift.count("retry") == 1
    assert {row.source for row in both.entries(job_id=job.job_id)} == {"mention"}


async def test_a_mention_that_is_no_command_is_explained_privately(live: World) -> None:
    await live.slack.mention(OPERATOR, LAUNCH_OPS, "retry the thing")
    (said,) = await live.until(live.whispers)
    assert "not a Sift job ID" in said
    await live.slack.mention(SECOND_OPERATOR, LAUNCH_OPS, "help")
    assert "Retry failed Sift jobs" in (await live.until(lambda: live.whispers(SECOND_OPERATOR)))[0]


async def test_the_shortcut_retries_a_job_that_a_message_names(both: World) -> None:
    job = both.sift.add()
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": f"Job `{job.job_id.upper()}` failed"}}]
    message = both.slack.post(LAUNCH_OPS, "U0OTHERBOT", "alert", blocks=blocks)
    await both.slack.shortcut(OPERATOR, LAUNCH_OPS, message.ts)
    (view,) = await both.until(lambda: both.slack.modals[OPERATOR])
    delivered = await both.slack.submit(OPERATOR, view.id, {"reason": "saw the alert"})
    await both.slack.redeliver(delivered)
    await both.until_outcome("finished")
    await both.until(lambda: len(both.replies()) == 2)
    assert {m.thread_ts for m in both.replies()} == {message.ts}
    assert {(row.source, row.reason) for row in both.entries(job_id=job.job_id)} == {("shortcut", "saw the alert")}
    assert both.sift.count("retry") == 1


async def test_the_shortcut_says_so_when_a_message_names_no_job(live: World) -> None:
    message = live.slack.say(OPERATOR, LAUNCH_OPS, "good morning")
    await live.slack.shortcut(OPERATOR, LAUNCH_OPS, message.ts)
    (view,) = await live.until(lambda: live.slack.modals[OPERATOR])
    assert "no Sift job ID" in json.dumps(view.body)


async def shown_at_home(world: World, user_id: str) -> str:
    return json.dumps((await world.until(lambda: world.slack.homes[user_id])).body)


async def test_the_home_tab_says_what_one_may_do(live: World) -> None:
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until_outcome("finished")
    for user_id, words in ((OPERATOR, "as operator"), (ADMIN, "You are an admin"), ("U0GUEST", "You may not retry")):
        await live.slack.home_opened(user_id)
        assert words in await shown_at_home(live, user_id)
    assert "finished" in json.dumps(live.slack.homes[OPERATOR].body)


async def test_a_home_tab_that_slack_did_not_take_once_is_kept_up_to_date_all_the_same(live: World) -> None:
    await live.slack.home_opened(OPERATOR)
    assert "finished" not in await shown_at_home(live, OPERATOR)
    live.slack.fail("views.publish", "internal_error", times=2)
    await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add().job_id)
    await live.until_outcome("finished")
    await live.until(lambda: "finished" in json.dumps(live.slack.homes[OPERATOR].body), timeout=15)


async def test_sockets_that_are_cut_come_back(world: World) -> None:
    async with world.running():
        world.allow()
        await world.slack.cut()
        job = world.sift.add()
        async with asyncio.timeout(15):
            while not (await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked:
                await asyncio.sleep(0.1)
        await world.until_outcome("finished")
        await world.slack.disconnect()
        async with asyncio.timeout(15):
            while not (await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)).acked:
                await asyncio.sleep(0.1)

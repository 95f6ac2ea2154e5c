"""People on call take, release, snooze and mute failures: one at a time, on record, and nothing is retried by it."""

import asyncio
import copy
import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from bot.base.clock import utc_now
from bot.db.tables import alerts, storms
from bot.sandbox import ADMIN, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, FINISHED, IMPORT, OWNER, SandboxJob
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.views import View
from tests.scenarios.conftest import World
from tests.scenarios.test_alerts import OFFERED, WATCHING, actions, alerted, mute, replies_with, says
from tests.scenarios.test_storms import storm_of

REMINDING = {**WATCHING, "REMIND_AFTER": "30m"}
PACIFIC = ZoneInfo("America/Los_Angeles")


@pytest.fixture
async def oncall(world: World) -> Any:
    """A world in which two operators are allowed, and Sift is watched."""
    async with world.running(socket_mode=False, **REMINDING):
        world.allow()
        world.allow(SECOND_OPERATOR)
        yield world


def events(world: World, *names: str) -> list[tuple[str, str | None, str | None]]:
    """The entries of some events: what, how it ended, whose it is."""
    return [(row.event, row.outcome, row.user_id) for row in world.entries() if row.event in names]


def row_of(world: World, table: Any = alerts) -> Any:
    """The one row of a table that is no later failure."""
    assert world.bot is not None
    with world.bot.database.reading() as connection:
        return connection.execute(select(table).order_by(table.c.created_at).limit(1)).one()


def end_the_wait(world: World, table: Any = alerts) -> None:
    """Lets the time pass until snoozes are over."""
    assert world.bot is not None
    with world.bot.database.transaction() as connection:
        connection.execute(update(table).where(table.c.snoozed_until.is_not(None)).values(snoozed_until=utc_now()))


async def press(world: World, message: Message, action: str, user_id: str = OPERATOR, **more: Any) -> None:
    await world.slack.click(user_id, LAUNCH_OPS, message.ts, action, **more)


async def modal_of(world: World, user_id: str = OPERATOR) -> View:
    (view,) = await world.until(lambda: world.slack.modals[user_id])
    assert isinstance(view, View)
    return view


async def snooze(world: World, message: Message, user_id: str = OPERATOR, **filled: str) -> None:
    """Somebody snoozes a failure."""
    await press(world, message, "snooze_failure", user_id)
    await world.slack.submit(user_id, (await modal_of(world, user_id)).id, filled)


async def whispered(world: World, user_id: str, words: str) -> None:
    await world.until(lambda: any(words in said for said in world.whispers(user_id)))


async def a_failure(world: World) -> tuple[SandboxJob, Message]:
    job = world.sift.fail_one(IMPORT)
    return job, await alerted(world, job)


async def test_somebody_takes_a_failure_and_gives_it_back(oncall: World) -> None:
    job, alert = await a_failure(oncall)
    assert actions(alert) == OFFERED
    await press(oncall, alert, "take_failure")
    await says(oncall, alert, f"<@{OPERATOR}> is on it, since ")
    assert actions(alert) == ["retry", "release_failure", "snooze_failure", "mute_alert"]
    await press(oncall, alert, "release_failure")
    await says(oncall, alert, f"Nobody is on it: <@{OPERATOR}> released it.")
    assert actions(alert) == OFFERED
    assert events(oncall, "take", "release") == [("take", None, OPERATOR), ("release", None, OPERATOR)]
    assert {row.job_id for row in oncall.entries() if row.event in ("take", "release")} == {job.job_id}
    assert oncall.sift.count("retry") == 0
    assert oncall.outcomes() == [], "taking is no retry"
    assert oncall.told() == [], "nobody is told of what they did themselves"


async def test_two_people_take_one_failure_and_the_slower_is_told_who_has_it(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    seen = copy.deepcopy(alert)
    both = (OPERATOR, SECOND_OPERATOR)
    await asyncio.gather(*(press(oncall, alert, "take_failure", who, seen=seen) for who in both))
    await says(oncall, alert, "is on it")
    winner = row_of(oncall).taken_by
    loser = next(who for who in both if who != winner)
    await whispered(oncall, loser, f"<@{winner}> is on it already")
    assert set(events(oncall, "take")) == {("take", None, winner), ("take", "refused", loser)}
    assert oncall.whispers(winner) == []


async def test_somebody_else_releases_a_failure_and_whoever_had_it_is_told(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "take_failure")
    await says(oncall, alert, "is on it")
    seen = copy.deepcopy(alert)
    await press(oncall, alert, "release_failure", SECOND_OPERATOR)
    await says(oncall, alert, f"<@{SECOND_OPERATOR}> released it.")
    (said,) = await oncall.until(oncall.told)
    assert f"<@{SECOND_OPERATOR}> released" in said
    assert "hotfire-118" in said
    await press(oncall, alert, "take_failure", SECOND_OPERATOR)
    await says(oncall, alert, f"<@{SECOND_OPERATOR}> is on it")
    await press(oncall, alert, "release_failure", OPERATOR, seen=seen)  # the button of before
    await whispered(oncall, OPERATOR, f"It is <@{SECOND_OPERATOR}> who is on it now")
    assert row_of(oncall).taken_by == SECOND_OPERATOR


@pytest.mark.parametrize("action", ["take_failure", "snooze_failure"])
async def test_who_may_not_retry_may_not_take_or_snooze(oncall: World, action: str) -> None:
    job, alert = await a_failure(oncall)
    await press(oncall, alert, action, UNLISTED)
    await whispered(oncall, UNLISTED, "not on the allow-list")
    (entry,) = oncall.entries(user_id=UNLISTED)
    assert (entry.event, entry.outcome, entry.job_id) == (action.split("_")[0], "denied", job.job_id)
    assert actions(alert) == OFFERED
    assert oncall.slack.modals[UNLISTED] == []


async def test_who_may_retry_other_jobs_alone_may_not_take_this_one(oncall: World) -> None:
    oncall.allow(UNLISTED, job_types=frozenset({"data_export"}))
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "take_failure", UNLISTED)
    await whispered(oncall, UNLISTED, "You may not take failures")
    exported = oncall.sift.fail_one(EXPORT)
    other = await alerted(oncall, exported)
    await press(oncall, other, "take_failure", UNLISTED)
    await says(oncall, other, f"<@{UNLISTED}> is on it")


async def test_whoever_took_a_failure_stays_on_it_when_it_fails_again_and_no_longer(oncall: World) -> None:
    job = oncall.sift.add(IMPORT, then=["fail", "finish"])
    alert = await alerted(oncall, job)
    await press(oncall, alert, "take_failure")
    await says(oncall, alert, "is on it")
    await press(oncall, alert, "retry", SECOND_OPERATOR)
    await says(oncall, alert, "retried it: failed again")
    assert f"<@{OPERATOR}> is on it" in alert.text_shown()
    await oncall.until(lambda: "release_failure" in actions(alert))
    await press(oncall, alert, "retry", SECOND_OPERATOR)
    await says(oncall, alert, f"<@{OPERATOR}> was on it.")
    assert actions(alert) == ["mute_alert"]
    job.execution, job.rest, job.completed, job.modified = None, "JOB_STATUS_FAILED", utc_now(), utc_now()
    await oncall.until(lambda: "take_failure" in actions(alert), timeout=8)
    assert f"<@{OPERATOR}>" not in alert.text_shown(), "another failure is another day's work"
    for fact in (":rotating_light:", "retried it: finished. It failed again since."):
        assert fact in alert.text_shown()


async def test_what_is_over_cannot_be_taken(oncall: World) -> None:
    job, alert = await a_failure(oncall)
    seen = copy.deepcopy(alert)
    job.rest, job.modified = FINISHED, utc_now()
    await says(oncall, alert, "No longer failed")
    await press(oncall, alert, "take_failure", seen=seen)
    await whispered(oncall, OPERATOR, "It is not failed just now")
    assert events(oncall, "take") == [("take", "refused", OPERATOR)]


async def test_a_snoozed_failure_comes_back_in_its_thread_once_across_restarts(world: World) -> None:
    async with world.running(socket_mode=False, **REMINDING):
        world.allow()
        _, alert = await a_failure(world)
        await snooze(world, alert, **{"for": "4h"})
        await says(world, alert, f"by <@{OPERATOR}>.")
        assert actions(alert) == ["retry", "take_failure", "end_snooze", "mute_alert"]
        row = row_of(world)
        assert timedelta(hours=3, minutes=59) < row.snoozed_until - utc_now() <= timedelta(hours=4)
        assert row.remind_at is None
        end_the_wait(world)
    async with world.running(socket_mode=False, **REMINDING):
        (reply,) = await world.until(lambda: replies_with(world, "still failed"))
        assert reply.thread_ts == alert.ts
        assert f"<@{OPERATOR}> snoozed it until now" in reply.text_shown()
        await world.until(lambda: actions(alert) == OFFERED)
        assert row_of(world).remind_at is not None
        await asyncio.sleep(0.5)
    async with world.running(socket_mode=False, **REMINDING):
        await asyncio.sleep(0.5)
        assert len(replies_with(world, "still failed")) == 1
        assert events(world, "snooze") == [("snooze", None, OPERATOR), ("snooze", None, None)]


async def test_replicas_bring_a_failure_back_once(world: World, postgres_url: str) -> None:
    settings = {**REMINDING, "DATABASE_URL": postgres_url}
    async with world.running(socket_mode=True, **settings), world.running(socket_mode=True, **settings):
        world.allow()
        world.allow(SECOND_OPERATOR)
        _, alert = await a_failure(world)
        seen = copy.deepcopy(alert)
        both = (OPERATOR, SECOND_OPERATOR)
        await asyncio.gather(*(press(world, alert, "take_failure", who, seen=seen) for who in both))
        await says(world, alert, "is on it")
        await snooze(world, alert, **{"for": "1h"})
        await says(world, alert, "Snoozed until")
        end_the_wait(world)
        await world.until(lambda: replies_with(world, "still failed"), timeout=10)
        await asyncio.sleep(0.8)
        assert len(replies_with(world, "still failed")) == 1
        assert [outcome for _, outcome, _ in events(world, "take")] == [None, "refused"]


async def test_a_snoozed_failure_that_is_over_does_not_come_back(oncall: World) -> None:
    job, alert = await a_failure(oncall)
    await snooze(oncall, alert)
    await says(oncall, alert, "Snoozed until")
    oncall.sift.retry_outside(job.job_id, OWNER)
    await says(oncall, alert, "No longer failed")
    assert "Snoozed" not in alert.text_shown()
    end_the_wait(oncall)
    async with asyncio.timeout(5):
        while row_of(oncall).snoozed_until is not None:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert replies_with(oncall, "still failed") == []


async def test_tomorrow_is_nine_in_the_morning_where_the_person_is(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "snooze_failure")
    view = await modal_of(oncall)
    assert "Times are yours, in America/Los_Angeles." in json.dumps(view.body)
    await oncall.slack.submit(OPERATOR, view.id, {"for": "tomorrow"})
    await says(oncall, alert, "Snoozed until")
    back: datetime = row_of(oncall).snoozed_until.astimezone(PACIFIC)
    assert (back.hour, back.minute) == (9, 0)
    assert back.date() == utc_now().astimezone(PACIFIC).date() + timedelta(days=1)


async def test_without_a_time_zone_of_their_own_that_of_the_bot_counts(world: World) -> None:
    world.slack.users[OPERATOR].tz = "Mars/Olympus_Mons"
    async with world.running(socket_mode=False, **WATCHING, TIMEZONE="Europe/Berlin"):
        world.allow()
        _, alert = await a_failure(world)
        await snooze(world, alert, **{"for": "tomorrow"})
        await says(world, alert, "Snoozed until")
        assert row_of(world).snoozed_until.astimezone(ZoneInfo("Europe/Berlin")).hour == 9


async def test_a_date_is_checked_at_its_field(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "snooze_failure")
    view = await modal_of(oncall)
    today = utc_now().astimezone(PACIFIC).date()
    for days, problem in ((-1, "choose a later day"), (365, "too far away")):
        day = (today + timedelta(days=days)).isoformat()
        await oncall.slack.submit(OPERATOR, view.id, {"day": day})
        (shown,) = oncall.slack.modals[OPERATOR]
        assert list(shown.errors) == ["day"]
        assert problem in shown.errors["day"]
    assert row_of(oncall).snoozed_until is None
    assert events(oncall, "snooze") == []
    later = today + timedelta(days=7)
    await oncall.slack.submit(OPERATOR, view.id, {"day": later.isoformat()})
    await says(oncall, alert, "Snoozed until")
    back: datetime = row_of(oncall).snoozed_until.astimezone(PACIFIC)
    assert (back.date(), back.hour) == (later, 9)


async def test_two_people_snooze_and_one_wins(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    views = {}
    for who in (OPERATOR, SECOND_OPERATOR):
        await press(oncall, alert, "snooze_failure", who)
        views[who] = await modal_of(oncall, who)
    filled = {OPERATOR: {"for": "1h"}, SECOND_OPERATOR: {"for": "4h"}}
    await asyncio.gather(*(oncall.slack.submit(who, view.id, filled[who]) for who, view in views.items()))
    await says(oncall, alert, "Snoozed until")
    winner = row_of(oncall).snoozed_by
    loser = next(who for who in views if who != winner)
    (shown,) = oncall.slack.modals[loser]
    assert f"<@{winner}> snoozed it already" in json.dumps(shown.body)
    assert oncall.slack.modals[winner] == []
    assert set(events(oncall, "snooze")) == {("snooze", None, winner), ("snooze", "refused", loser)}
    await press(oncall, alert, "end_snooze", loser)
    await oncall.until(lambda: actions(alert) == OFFERED)
    assert events(oncall, "snooze")[-1] == ("snooze", None, loser)


async def test_who_lost_their_access_while_the_modal_was_open_snoozes_and_mutes_nothing(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    for action, filled in (("snooze_failure", {"for": "1h"}), ("mute_alert", {"reason": "why not"})):
        await press(oncall, alert, action)
        view = await modal_of(oncall)
        oncall.slack.users[OPERATOR].is_restricted = True
        oncall.forget()
        await oncall.slack.submit(OPERATOR, view.id, filled)
        (shown,) = oncall.slack.modals[OPERATOR]
        assert "Guests" in json.dumps(shown.body) or "guest" in json.dumps(shown.body)
        await oncall.slack.close(OPERATOR, view.id)
        oncall.slack.users[OPERATOR].is_restricted = False
        oncall.forget()
    assert events(oncall, "snooze", "mute") == [("snooze", "denied", OPERATOR), ("mute", "denied", OPERATOR)]
    assert actions(alert) == OFFERED


async def test_muting_takes_a_reason_and_ends_snooze_and_reminders(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await snooze(oncall, alert)
    await says(oncall, alert, "Snoozed until")
    await press(oncall, alert, "mute_alert")
    view = await modal_of(oncall)
    await oncall.slack.submit(OPERATOR, view.id, {"reason": "   "})
    (shown,) = oncall.slack.modals[OPERATOR]
    assert list(shown.errors) == ["reason"]
    await oncall.slack.submit(OPERATOR, view.id, {"reason": "because a *known* fault"})
    await says(oncall, alert, f"Muted by <@{OPERATOR}>: no more alerts for this job.")
    assert "Because: a *known* fault" in alert.text_shown()
    assert actions(alert) == ["retry", "take_failure", "unmute_alert"]
    row = row_of(oncall)
    assert (row.snoozed_until, row.remind_at) == (None, None)
    await press(oncall, alert, "unmute_alert", SECOND_OPERATOR)
    await oncall.until(lambda: actions(alert) == OFFERED)
    row = row_of(oncall)
    assert (row.muted_by, row.mute_reason) == (None, None)
    assert row.remind_at is not None


async def test_two_people_mute_and_the_slower_is_told(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "mute_alert", SECOND_OPERATOR)
    view = await modal_of(oncall, SECOND_OPERATOR)
    await mute(oncall, alert, "rebuilt")
    await oncall.slack.submit(SECOND_OPERATOR, view.id, {"reason": "noise"})
    (shown,) = oncall.slack.modals[SECOND_OPERATOR]
    assert f"<@{OPERATOR}> muted it already" in json.dumps(shown.body)
    assert row_of(oncall).mute_reason == "rebuilt"


async def test_reminders_wait_while_somebody_takes_care(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "take_failure")
    await says(oncall, alert, "is on it")
    assert row_of(oncall).remind_at is None
    await snooze(oncall, alert)
    await says(oncall, alert, "Snoozed until")
    await press(oncall, alert, "release_failure")
    await says(oncall, alert, "released it")
    assert row_of(oncall).remind_at is None, "it is snoozed"
    await press(oncall, alert, "end_snooze")
    await oncall.until(lambda: actions(alert) == OFFERED)
    row = row_of(oncall)
    assert timedelta(minutes=29) < row.remind_at - utc_now() <= timedelta(minutes=30)
    assert row.reminded == 0


async def test_a_storm_is_taken_snoozed_and_comes_back(oncall: World) -> None:
    oncall.sift.outage(12)
    storm = await storm_of(oncall, 12)
    assert actions(storm)[-4:] == ["retry_storm", "select_storm", "take_failure", "snooze_failure"]
    seen = copy.deepcopy(storm)
    await press(oncall, storm, "take_failure")
    await says(oncall, storm, f"<@{OPERATOR}> is on it, since ")
    (taken,) = (row for row in oncall.entries() if row.event == "take")
    assert json.loads(taken.detail)["total"] == 12, "people read how many there are"
    await press(oncall, storm, "take_failure", SECOND_OPERATOR, seen=seen)
    await whispered(oncall, SECOND_OPERATOR, f"<@{OPERATOR}> is on it already")
    await snooze(oncall, storm, SECOND_OPERATOR, **{"for": "1h"})
    await says(oncall, storm, f"by <@{SECOND_OPERATOR}>.")
    assert actions(storm)[-2:] == ["release_failure", "end_snooze"]
    end_the_wait(oncall, storms)
    (reply,) = await oncall.until(lambda: replies_with(oncall, "still failed"), timeout=10)
    assert (reply.thread_ts, "Some of these 12 jobs are still failed" in reply.text_shown()) == (storm.ts, True)
    await press(oncall, storm, "retry_storm")
    await oncall.until(lambda: "All 12 are through" in storm.text_shown(), timeout=20)
    assert f"<@{OPERATOR}> was on it." in storm.text_shown()
    assert storm.buttons() == []
    assert oncall.sift.count("retry") == 12


async def test_a_storm_is_taken_by_who_may_retry_some_of_it(oncall: World) -> None:
    oncall.sift.outage(12)
    storm = await storm_of(oncall, 12)
    await press(oncall, storm, "take_failure", UNLISTED)
    await whispered(oncall, UNLISTED, "not on the allow-list")
    oncall.allow(UNLISTED, job_types=frozenset({"rule_evaluation"}))
    await press(oncall, storm, "take_failure", UNLISTED)
    await says(oncall, storm, f"<@{UNLISTED}> is on it")


async def test_list_status_and_home_tell_who_takes_care(oncall: World) -> None:
    job, alert = await a_failure(oncall)
    await oncall.slack.command(OPERATOR, LAUNCH_OPS, "list")
    await oncall.until(lambda: "nobody is on it" in oncall.whispers()[-1])
    await press(oncall, alert, "take_failure")
    await says(oncall, alert, "is on it")
    await oncall.slack.command(SECOND_OPERATOR, LAUNCH_OPS, "list")
    await whispered(oncall, SECOND_OPERATOR, f"<@{OPERATOR}> is on it")
    await snooze(oncall, alert, SECOND_OPERATOR)
    await says(oncall, alert, "Snoozed until")
    await oncall.slack.command(SECOND_OPERATOR, LAUNCH_OPS, f"status {job.job_id}")
    await whispered(oncall, SECOND_OPERATOR, f"<@{OPERATOR}> is on it, since")
    oncall.allow(ADMIN)
    await oncall.slack.home_opened(ADMIN)
    home = await oncall.until(lambda: oncall.slack.homes.get(ADMIN))
    await oncall.until(lambda: f"<@{OPERATOR}> is on it, snoozed until" in json.dumps(oncall.slack.homes[ADMIN].body))
    assert home is not None


async def test_the_storm_of_a_job_tells_who_takes_care_of_it(oncall: World) -> None:
    oncall.sift.outage(12)
    storm = await storm_of(oncall, 12)
    await press(oncall, storm, "take_failure")
    await says(oncall, storm, "is on it")
    await oncall.slack.command(SECOND_OPERATOR, LAUNCH_OPS, "list")
    await oncall.until(lambda: oncall.whispers(SECOND_OPERATOR))
    assert oncall.whispers(SECOND_OPERATOR)[-1].count(f"<@{OPERATOR}> is on it") == 12


async def test_the_audit_still_proves_itself(oncall: World) -> None:
    _, alert = await a_failure(oncall)
    await press(oncall, alert, "take_failure")
    await says(oncall, alert, "is on it")
    assert oncall.bot is not None
    with oncall.bot.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(alerts)) == 1
    (entry,) = [row for row in oncall.entries() if row.event == "take"]
    assert json.loads(entry.detail)["alert"] == row_of(oncall).id

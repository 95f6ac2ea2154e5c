"""The allow-list from Slack: granted within what one holds, revoked, listed, audited; never locked out."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from bot.access import grants
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
    OTHER_BOT,
    SECOND_OPERATOR,
    STRANGER,
    UNLISTED,
)
from tests.scenarios.conftest import World


def typed(world: World, text: str) -> str:
    """A text as somebody types it: with handles where it names people and groups by their IDs."""
    handles: dict[str, Any] = {**world.slack.users, **world.slack.groups}
    return re.sub(r"<(?:@|!subteam\^)([A-Z0-9]+)>", lambda found: f"@{handles[found[1]].handle}", text)


async def said(world: World, text: str, user_id: str = ADMIN) -> str:
    """Types a command; answers what its author is told, in the ack or after it."""
    before = len(world.whispers(user_id))
    await world.slack.command(user_id, LAUNCH_OPS, typed(world, text))
    whispers = await world.until(lambda: len(world.whispers(user_id)) > before and world.whispers(user_id))
    return str(whispers[-1])


def changes(world: World) -> list[tuple[str, str | None, str | None]]:
    return [(row.event, row.outcome, row.user_id) for row in world.entries() if row.event in ("grant", "revoke")]


async def test_an_admin_grants_and_revokes_from_slack(both: World) -> None:
    job = both.sift.add()
    told = await said(both, f"allow <@{UNLISTED}> operator for 8h because night shift")
    assert f"<@{UNLISTED}> may retry jobs until" in told
    assert "night shift" in told
    await both.retried(job, UNLISTED)
    await both.until_outcome("finished")
    listed = await said(both, "access")
    assert f"<@{UNLISTED}> may retry jobs until" in listed
    assert f"by <@{ADMIN}>" in listed
    assert "no longer operator" in await said(both, f"revoke <@{UNLISTED}>")
    assert "not on the allow-list" in await said(both, both.sift.add().job_id, UNLISTED)
    assert changes(both)[1:] == [("grant", None, ADMIN), ("revoke", None, ADMIN)]
    granted = next(row for row in both.entries() if row.event == "grant" and row.user_id == ADMIN)
    assert (granted.source, granted.reason, granted.team_id) == ("command", "night shift", "T0SANDBOX")


async def test_a_group_is_granted(live: World) -> None:
    assert "may retry jobs" in await said(live, f"allow <!subteam^{ON_CALL_GROUP}>")
    await live.retried(live.sift.add(), SECOND_OPERATOR)
    await live.until_outcome("finished")


async def test_a_redelivery_grants_once(live: World) -> None:
    delivered = await live.slack.command(ADMIN, LAUNCH_OPS, typed(live, f"allow <@{UNLISTED}>"))
    again = await live.slack.redeliver(delivered)
    assert again.acked
    assert len(changes(live)) == 2, "the fixture's own, and this one"


@pytest.mark.parametrize("user_id", [OPERATOR, AUDITOR, UNLISTED])
async def test_who_is_no_admin_changes_nothing(live: World, user_id: str) -> None:
    live.allow(AUDITOR, Role.AUDITOR)
    before = len(changes(live))
    for text in (f"allow <@{user_id}> admin", f"revoke <@{OPERATOR}>"):
        told = await said(live, text, user_id)
        assert "You may not change the allow-list" in told
        assert f"<@{ADMIN}>" in told
    assert changes(live)[before:] == [("grant", "denied", user_id), ("revoke", "denied", user_id)]


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (MULTI_CHANNEL_GUEST, "guests may not"),
        (OTHER_BOT, "bots may not"),
        (DEACTIVATED, "deactivated"),
        (STRANGER, "only people of this workspace"),
    ],
)
async def test_who_can_never_do_anything_is_granted_nothing(live: World, subject: str, words: str) -> None:
    told = await said(live, f"allow <@{subject}>")
    assert words in told
    assert "Nothing was changed" in told
    assert changes(live)[-1] == ("grant", "denied", ADMIN)


async def test_nobody_grants_more_than_they_hold(live: World) -> None:
    ends = utc_now() + timedelta(hours=2)
    live.allow(SECOND_OPERATOR, Role.ADMIN, job_types=frozenset({"data_import"}), expires_at=ends)
    assert "your own grant ends before that" in await said(live, f"allow <@{UNLISTED}>", SECOND_OPERATOR)
    told = await said(live, f"allow <@{UNLISTED}> admin for 1h", SECOND_OPERATOR)
    assert "of type data import" in told, "what they may not give away comes along"
    assert "more than you hold yourself" in await said(live, f"revoke <@{OPERATOR}>", SECOND_OPERATOR)


async def test_the_last_admin_cannot_be_removed(world: World) -> None:
    async with world.running(socket_mode=False, ADMINS=""):
        world.allow(ADMIN, Role.ADMIN)
        told = await said(world, f"revoke <@{ADMIN}>")
        assert "nobody who can grant access" in told
        world.allow("S0EMPTY", Role.ADMIN)
        assert "nobody who can grant access" in await said(world, f"revoke <@{ADMIN}>"), "an empty group is nobody"
        world.allow(SECOND_OPERATOR, Role.ADMIN)
        assert "no longer admin" in await said(world, f"revoke <@{ADMIN}>")


async def test_a_slack_that_does_not_answer_changes_nothing(live: World) -> None:
    live.slack.delay("users.info", 5)
    delivered = await live.slack.command(ADMIN, LAUNCH_OPS, typed(live, f"allow <@{UNLISTED}>"))
    assert delivered.acked
    assert "Nothing was changed" in live.whispers(ADMIN)[-1]
    assert len(changes(live)) == 1


async def test_the_list_is_for_admins_and_auditors(live: World) -> None:
    assert "You may not see the allow-list" in await said(live, "access", OPERATOR)
    live.allow(AUDITOR, Role.AUDITOR)
    assert f"<@{ADMIN}> may do everything, by the `ADMINS` setting" in await said(live, "access", AUDITOR)


async def test_a_grant_within_its_job_types(live: World) -> None:
    live.allow(UNLISTED, job_types=frozenset({"data_export"}))
    assert "only for data exports" in await said(live, live.sift.add().job_id, UNLISTED)


async def test_a_member_who_leaves_the_group_loses_the_access(live: World) -> None:
    live.allow(ON_CALL_GROUP)
    await live.retried(live.sift.add(), SECOND_OPERATOR)
    assert live.bot is not None
    live.slack.groups[ON_CALL_GROUP].members.remove(SECOND_OPERATOR)
    live.forget()
    assert "not on the allow-list" in await said(live, live.sift.add().job_id, SECOND_OPERATOR)


async def home_of(world: World, user_id: str) -> Any:
    await world.slack.home_opened(user_id)
    return await world.until(lambda: world.slack.homes.get(user_id))


async def test_the_home_tab_of_an_admin_grants_and_revokes(both: World) -> None:
    home = await home_of(both, ADMIN)
    assert f"<@{OPERATOR}>" in json.dumps(home.body)
    await both.slack.click_home(ADMIN, "add_grant")
    (view,) = await both.until(lambda: both.slack.modals[ADMIN])
    await both.slack.submit(ADMIN, view.id, {})
    values = {"user": UNLISTED, "role": "auditor", "for": "8h", "reason": "audit season"}
    await both.slack.submit(ADMIN, view.id, values)
    await both.until(lambda: f"<@{UNLISTED}> may read the audit" in json.dumps(both.slack.homes[ADMIN].body), timeout=9)
    value = next(
        block["accessory"]["value"]
        for block in both.slack.homes[ADMIN].body["blocks"]
        if UNLISTED in block.get("accessory", {}).get("value", "")
    )
    await both.slack.click_home(ADMIN, "revoke_grant", value=value)
    await both.until(lambda: UNLISTED not in json.dumps(both.slack.homes[ADMIN].body), timeout=9)
    assert [row.source for row in both.entries() if row.event in ("grant", "revoke")][1:] == ["home", "home"]


async def test_an_old_home_tab_gives_nobody_a_right(live: World) -> None:
    live.allow(SECOND_OPERATOR, Role.ADMIN)
    await home_of(live, SECOND_OPERATOR)
    await said(live, f"revoke <@{SECOND_OPERATOR}>")
    value = f"1 {OPERATOR}"
    await live.slack.click_home(SECOND_OPERATOR, "revoke_grant", value=value)
    await live.until(
        lambda: any("may not change" in one for one in live.whispers(SECOND_OPERATOR) + live.told(SECOND_OPERATOR))
    )


async def test_a_refused_grant_is_titled_for_what_was_asked(live: World) -> None:
    live.allow(SECOND_OPERATOR, Role.ADMIN)
    await home_of(live, SECOND_OPERATOR)
    with live.bot.database.transaction() as connection:  # type: ignore[union-attr]  # it runs
        grants.revoke(connection, SECOND_OPERATOR, "cli:test", utc_now())
    await live.slack.click_home(SECOND_OPERATOR, "add_grant")
    (view,) = await live.until(lambda: live.slack.modals[SECOND_OPERATOR])
    assert "You may not grant access" in str(view.body)
    assert view.body["title"]["text"] == "Grant access"
    entry = live.entries(user_id=SECOND_OPERATOR)[-1]
    assert (entry.event, entry.outcome, entry.source) == ("grant", "denied", "home")


async def test_the_home_tab_shows_what_waits_and_retries_it_where_it_was_alerted(world: World) -> None:
    async with world.running(socket_mode=False, ALERT_CHANNEL=LAUNCH_OPS, ALERT_POLL_SECONDS="0.1"):
        world.allow()
        job = world.sift.fail_one()
        (alert,) = await world.until(world.messages)
        home = await home_of(world, OPERATOR)
        assert "Failures waiting" in json.dumps(home.body)
        await world.slack.click_home(OPERATOR, "retry_waiting")
        await world.until_outcome("finished", job_id=job.job_id)
        await world.until(lambda: len(world.replies()) == 2)
        assert {m.thread_ts for m in world.replies()} == {alert.ts}
        assert {row.source for row in world.entries(job_id=job.job_id) if row.event == "request"} == {"home"}
        await world.until(lambda: "Failures waiting" not in json.dumps(world.slack.homes[OPERATOR].body), timeout=9)
        assert "finished" in json.dumps(world.slack.homes[OPERATOR].body)


async def test_the_home_tab_tells_the_others_what_they_may(live: World) -> None:
    assert "You may not retry jobs" in json.dumps((await home_of(live, UNLISTED)).body)
    live.allow(AUDITOR, Role.AUDITOR)
    home = json.dumps((await home_of(live, AUDITOR)).body)
    assert "You may read the audit as auditor" in home
    assert "Search the audit" in home
    assert "Revoke" not in home
    assert [(row.user_id, row.source) for row in live.entries() if row.event == "audit_read"] == [(AUDITOR, "home")]

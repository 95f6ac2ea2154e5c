"""The allow-list from Slack: granted within what one holds, revoked, listed, audited; never locked out."""

import asyncio
import json
import re
import sqlite3
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
from bot.sandbox.slack.directory import BOT_USER
from bot.sift.ids import EXAMPLE
from tests.scenarios.conftest import World


def typed(world: World, text: str) -> str:
    """A text as somebody types it: with handles where it names people and groups by their IDs."""
    handles: dict[str, Any] = {**world.slack.users, **world.slack.groups}
    return re.sub(r"<(?:@|!subteam\^)([A-Z0-9]+)>", lambda found: f"@{handles[found[1]].handle}", text)


async def said(world: World, text: str, user_id: str = ADMIN) -> str:
    """Types a command; returns what its author is told, in the ack or after it."""
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
    told = await said(both, f"revoke <@{UNLISTED}>")
    assert f"<@{UNLISTED}> has no access any more: 1 grant ended (operator)" in told
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
        assert "1 grant ended (admin)" in await said(world, f"revoke <@{ADMIN}>")


async def test_a_slack_that_does_not_answer_changes_nothing(live: World) -> None:
    live.slack.delay("users.info", 5)
    delivered = await live.slack.command(ADMIN, LAUNCH_OPS, typed(live, f"allow <@{UNLISTED}>"))
    assert delivered.acked
    assert "Nothing was changed" in live.whispers(ADMIN)[-1]
    assert [change for change in changes(live) if change[1] is None] == [("grant", None, "cli:test")]
    assert changes(live)[1:] == [("grant", "denied", ADMIN)], "a refusal is on record, whatever its reason"


async def test_the_list_is_for_admins_and_auditors(live: World) -> None:
    assert "You may not see the allow-list" in await said(live, "access", OPERATOR)
    live.allow(AUDITOR, Role.AUDITOR)
    assert f"<@{ADMIN}> may do everything, by the `ADMINS` setting" in await said(live, "access", AUDITOR)


async def test_a_grant_within_its_job_types(live: World) -> None:
    live.allow(UNLISTED, job_types=frozenset({"data_export"}))
    assert "only for data exports" in await said(live, live.sift.add().job_id, UNLISTED)


async def test_a_group_gives_what_ones_own_grant_does_not(live: World) -> None:
    live.allow(SECOND_OPERATOR, job_types=frozenset({"data_export"}))
    live.allow(ON_CALL_GROUP)
    await live.retried(live.sift.add(), SECOND_OPERATOR)
    await live.until_outcome("finished")


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
    line = f"<@{UNLISTED}> may read the audit"
    await both.until(lambda: line in json.dumps(both.slack.homes[ADMIN].body), timeout=9)
    value = next(
        block["accessory"]["value"]
        for block in both.slack.homes[ADMIN].body["blocks"]
        if UNLISTED in block.get("accessory", {}).get("value", "")
    )
    await both.slack.click_home(ADMIN, "revoke_grant", value=value)
    await both.until(lambda: line not in json.dumps(both.slack.homes[ADMIN].body), timeout=9)
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
        await world.until(lambda: [m for m in world.replies() if "finished after" in m.text_shown()])
        assert {m.thread_ts for m in world.replies()} == {alert.ts}
        assert {row.source for row in world.entries(job_id=job.job_id) if row.event == "request"} == {"home"}
        await world.until(lambda: "Failures waiting" not in json.dumps(world.slack.homes[OPERATOR].body), timeout=9)
        assert "finished" in json.dumps(world.slack.homes[OPERATOR].body)


async def test_the_home_tab_tells_the_others_what_they_may(live: World) -> None:
    assert "You may not retry jobs" in json.dumps((await home_of(live, UNLISTED)).body)
    live.allow(AUDITOR, Role.AUDITOR)
    home = json.dumps((await home_of(live, AUDITOR)).body)
    assert "You may read the audit as auditor" in home
    assert "open_audit" in home
    assert "Revoke" not in home
    assert [(row.user_id, row.source) for row in live.entries() if row.event == "audit_read"] == [(AUDITOR, "home")]


async def granted_beside(world: World, older: Role = Role.OPERATOR, text: str = "for 8h because night shift") -> Any:
    """Grants somebody less than they hold; returns the question that the admin is asked."""
    world.allow(UNLISTED, older)
    await said(world, f"allow <@{UNLISTED}> {text}")
    return await world.until(lambda: next((one for one in world.slack.ephemerals(ADMIN) if one.buttons()), None))


def held(world: World, user_id: str = UNLISTED) -> list[tuple[str, bool]]:
    """The grants of somebody that are not revoked: each one's role, and whether it is for ever."""
    with world.bot.database.reading() as connection:  # type: ignore[union-attr]  # it runs
        return [(one.role.value, one.expires_at is None) for one in grants.listed(connection) if one.subject == user_id]


async def press(world: World, question: Any, action_id: str, user_id: str = ADMIN) -> Any:
    return await world.slack.click(user_id, LAUNCH_OPS, question.ts, action_id)


async def shown_instead(world: World, words: str) -> None:
    await world.until(lambda: any(words in one for one in world.whispers(ADMIN)))


async def test_less_beside_more_is_said_and_replaced(both: World) -> None:
    question = await granted_beside(both)
    asked = question.text_shown()
    assert "That adds nothing, since they hold as much already: altogether they may retry jobs." in asked
    assert "*Replace* ends what they were granted before: “may retry jobs” by the command line." in asked
    assert held(both) == [("operator", True), ("operator", False)]
    assert both.told(UNLISTED) == [], "they hold what they held"
    await press(both, question, "replace_grants")
    await shown_instead(both, "Replaced: 1 older grant of")
    assert held(both) == [("operator", False)]
    assert [(event, outcome) for event, outcome, _ in changes(both)[2:]] == [
        ("grant", None),
        ("revoke", None),
        ("grant", "replaced"),
    ]
    (told,) = await both.until(lambda: both.told(UNLISTED))
    assert f"<@{ADMIN}> changed your access. Altogether you now may retry jobs until" in told
    home = json.dumps((await home_of(both, UNLISTED)).body)
    assert "You may retry jobs as operator until" in home


async def test_less_beside_more_is_kept(live: World) -> None:
    question = await granted_beside(live)
    await press(live, question, "keep_grants")
    await shown_instead(live, f"Both grants stay: altogether <@{UNLISTED}> may retry jobs.")
    assert held(live) == [("operator", True), ("operator", False)]
    assert changes(live)[-1] == ("grant", "kept", ADMIN)
    listed = await said(live, "access")
    assert f"<@{UNLISTED}> may retry jobs · by" in listed
    assert ", which adds nothing to another grant" in listed
    home = json.dumps((await home_of(live, UNLISTED)).body)
    assert "You may retry jobs as operator." in home
    assert "until" not in home.split("You may retry jobs as operator.")[0]
    assert live.told(UNLISTED) == []


async def test_it_is_chosen_once(live: World) -> None:
    question = await granted_beside(live)
    value = next(element["value"] for block in question.blocks for element in block.get("elements", ()))
    delivered = await press(live, question, "keep_grants")
    await live.slack.redeliver(delivered)
    await shown_instead(live, "already chose *Keep both*")
    live.allow(SECOND_OPERATOR, Role.ADMIN)
    copy = await the_same_question(live, value)
    await live.slack.click(SECOND_OPERATOR, LAUNCH_OPS, copy.ts, "replace_grants")
    await live.until(lambda: any("already chose *Keep both*" in one for one in live.whispers(SECOND_OPERATOR)))
    assert held(live) == [("operator", True), ("operator", False)]
    assert [outcome for _, outcome, _ in changes(live) if outcome] == ["kept"]


async def the_same_question(world: World, value: str) -> Any:
    """The same question as another admin has it on their screen."""
    block = {"type": "button", "text": {"type": "plain_text", "text": "Replace"}, "action_id": "replace_grants"}
    blocks = [{"type": "actions", "block_id": "row", "elements": [{**block, "value": value}]}]
    return world.slack.post(LAUNCH_OPS, BOT_USER, "the same", blocks=blocks, visible_to=SECOND_OPERATOR)


async def test_two_presses_at_once_end_grants_once(both: World) -> None:
    question = await granted_beside(both)
    await asyncio.gather(*(press(both, question, "replace_grants") for _ in range(3)))
    await shown_instead(both, "already chose *Replace*")
    assert [event for event, outcome, _ in changes(both)[2:] if outcome is None] == ["grant", "revoke"]
    await both.until(lambda: both.told(UNLISTED))
    assert len(both.told(UNLISTED)) == 1


async def test_an_expired_grant_replaces_nothing(live: World) -> None:
    question = await granted_beside(live, text="for 1s")
    await asyncio.sleep(1.1)
    await press(live, question, "replace_grants")
    await shown_instead(live, "What was to be replaced is no longer so. Nothing was changed.")
    assert held(live)[0] == ("operator", True)


async def test_the_last_admin_is_not_replaced(world: World) -> None:
    async with world.running(socket_mode=False, ADMINS=""):
        world.allow(ADMIN, Role.ADMIN)
        await said(world, f"allow <@{ADMIN}> operator for 8h")
        question = world.slack.ephemerals(ADMIN)[-1]
        await press(world, question, "replace_grants")
        await shown_instead(world, "nobody who can grant access")
        assert held(world, ADMIN) == [("admin", True), ("operator", False)]
        assert changes(world)[-1] == ("grant", "denied", ADMIN)


async def test_what_a_group_gives_counts_and_stays(live: World) -> None:
    live.allow(ON_CALL_GROUP)
    told = await said(live, f"allow <@{SECOND_OPERATOR}> for 8h")
    assert f"altogether they may retry jobs through <!subteam^{ON_CALL_GROUP}>" in told
    assert "Replace" not in told
    assert live.told(SECOND_OPERATOR) == []
    revoked = await said(live, f"revoke <@{SECOND_OPERATOR}>")
    assert f"<@{SECOND_OPERATOR}>: 1 grant ended (operator). Altogether they still may retry jobs through" in revoked
    home = json.dumps((await home_of(live, SECOND_OPERATOR)).body)
    assert f"You may retry jobs as operator through <!subteam^{ON_CALL_GROUP}>." in home


async def test_who_gets_and_loses_access_is_told_once(both: World) -> None:
    delivered = await both.slack.command(ADMIN, LAUNCH_OPS, typed(both, f"allow <@{UNLISTED}> for 8h because nights"))
    await both.slack.redeliver(delivered)
    (told,) = await both.until(lambda: both.told(UNLISTED))
    assert f"<@{ADMIN}> gave you access: you may retry jobs until" in told
    assert "Because: nights" in told
    await said(both, f"allow <@{UNLISTED}> auditor")
    await both.until(lambda: len(both.told(UNLISTED)) == 2)
    assert "Altogether you may retry jobs until" in both.told(UNLISTED)[-1]
    revoking = await both.slack.command(ADMIN, LAUNCH_OPS, typed(both, f"revoke <@{UNLISTED}>"))
    assert "has no access any more: 2 grants ended (auditor and operator)." in both.whispers(ADMIN)[-1]
    await both.slack.redeliver(revoking)
    await both.until(lambda: len(both.told(UNLISTED)) == 3)
    assert f"<@{ADMIN}> ended your access: you no longer may retry jobs until" in both.told(UNLISTED)[-1]
    again = await said(both, f"revoke <@{UNLISTED}>")
    assert f"There is nothing to revoke: that access of <@{UNLISTED}> was ended" in again
    assert len(both.told(UNLISTED)) == 3


async def test_a_person_who_cannot_be_written_to_gets_access_all_the_same(live: World) -> None:
    live.slack.fail("chat.postMessage", "channel_not_found")
    assert "may retry jobs" in await said(live, f"allow <@{UNLISTED}>")
    assert held(live) == [("operator", True)]


async def test_a_group_is_not_written_to(live: World) -> None:
    posted = len(live.slack.calls)
    await said(live, f"allow <!subteam^{ON_CALL_GROUP}>")
    await said(live, f"revoke <!subteam^{ON_CALL_GROUP}>")
    assert not [call for call in live.slack.calls[posted:] if call.method == "chat.postMessage"]


async def test_two_admins_revoke_at_once(both: World) -> None:
    both.allow(SECOND_OPERATOR, Role.ADMIN)
    both.allow(UNLISTED)
    text = typed(both, f"revoke <@{UNLISTED}>")
    await asyncio.gather(*(both.slack.command(user_id, LAUNCH_OPS, text) for user_id in (ADMIN, SECOND_OPERATOR)))
    said_to = [both.whispers(ADMIN)[-1], both.whispers(SECOND_OPERATOR)[-1]]
    assert sorted("1 grant ended" in one for one in said_to) == [False, True]
    assert sorted("There is nothing to revoke" in one for one in said_to) == [False, True]
    await both.until(lambda: both.told(UNLISTED))
    assert len(both.told(UNLISTED)) == 1


async def test_two_admins_grant_the_same_at_once(both: World) -> None:
    both.allow(SECOND_OPERATOR, Role.ADMIN)
    text = typed(both, f"allow <@{UNLISTED}>")
    await asyncio.gather(*(both.slack.command(user_id, LAUNCH_OPS, text) for user_id in (ADMIN, SECOND_OPERATOR)))
    said_to = [both.whispers(ADMIN)[-1], both.whispers(SECOND_OPERATOR)[-1]]
    assert sorted("That adds nothing" in one for one in said_to) == [False, True]
    await both.until(lambda: both.told(UNLISTED))
    assert len(both.told(UNLISTED)) == 1


@pytest.mark.parametrize(
    ("text", "user_id", "what"),
    [
        ("access", OPERATOR, "see the allow-list"),
        ("access", UNLISTED, "see the allow-list"),
        ("list", UNLISTED, "look at jobs"),
        (f"status {EXAMPLE}", UNLISTED, "look at jobs"),
    ],
)
async def test_a_refused_look_is_on_record(live: World, text: str, user_id: str, what: str) -> None:
    told = await said(live, text, user_id)
    assert f"You may not {what}" in told
    assert ("Nothing was changed." in told) is (text == "access")
    entry = live.entries(user_id=user_id)[-1]
    assert (entry.event, entry.outcome, json.loads(entry.detail)["what"]) == ("look", "denied", what)


@pytest.mark.sqlite
@pytest.mark.parametrize("text", ["allow", "revoke"])
async def test_a_database_that_fails_changes_nothing_and_says_so(live: World, text: str) -> None:
    other = sqlite3.connect(f"{live.directory}/bot.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told = await said(live, f"{text} <@{OPERATOR}>")
    other.execute("ROLLBACK")
    other.close()
    assert "could not be recorded. Nothing was changed." in told
    assert "retried" not in told
    assert held(live, OPERATOR) == [("operator", True)]


async def the_modal(world: World, user_id: str = ADMIN) -> Any:
    await home_of(world, user_id)
    await world.slack.click_home(user_id, "add_grant")
    (view,) = await world.until(lambda: world.slack.modals[user_id])
    return view


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({}, {"user": "Choose a person or a user group."}),
        ({"user": UNLISTED, "group": ON_CALL_GROUP}, {"group": "Choose a person or a user group, not both."}),
        ({"user": DEACTIVATED}, {"user": "The account is deactivated. Nothing was changed."}),
        (
            {"user": UNLISTED},
            {"for": "Your own grant ends before that. Choose less time. Nothing was changed."},
        ),
        (
            {"user": UNLISTED, "for": "4h", "job_types": ["data_export"]},
            {"job_types": "Your own grant is for some job types only. Nothing was changed."},
        ),
    ],
)
async def test_an_error_stands_at_its_field(live: World, values: dict[str, Any], errors: dict[str, str]) -> None:
    ends = utc_now() + timedelta(hours=6)
    live.allow(SECOND_OPERATOR, Role.ADMIN, job_types=frozenset({"data_import"}), expires_at=ends)
    view = await the_modal(live, SECOND_OPERATOR)
    await live.slack.submit(SECOND_OPERATOR, view.id, values)
    assert view.errors == errors
    await live.slack.submit(SECOND_OPERATOR, view.id, {"user": UNLISTED, "for": "4h"})
    assert held(live) == [("operator", False)]


async def test_the_modal_asks_and_is_answered_in_the_modal(live: World) -> None:
    live.allow(UNLISTED)
    view = await the_modal(live)
    await live.slack.submit(ADMIN, view.id, {"user": UNLISTED, "for": "8h"})
    (asked,) = live.slack.modals[ADMIN]
    assert "That adds nothing" in json.dumps(asked.body)
    await live.slack.click_view(ADMIN, asked.id, "replace_grants")
    await live.until(lambda: "Replaced: 1 older grant" in json.dumps(live.slack.modals[ADMIN][0].body))
    assert held(live) == [("operator", False)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("for 99y", "“99y” is no time I understand: try 8h or 7d. Nothing was changed."),
        ("king", "“king” is no role: try operator, auditor or admin. Nothing was changed."),
    ],
)
async def test_what_is_wrong_is_said(live: World, text: str, problem: str) -> None:
    assert problem in await said(live, f"allow <@{UNLISTED}> {text}")


async def test_in_a_thread_examples_mention_the_bot(live: World) -> None:
    root = live.slack.post(LAUNCH_OPS, OPERATOR, "what now?")
    for text in ("help", "allow nobody"):
        await live.slack.mention(OPERATOR, LAUNCH_OPS, text, root.ts)
    helped, wrong = await live.until(lambda: len(live.whispers(OPERATOR)) == 2 and live.whispers(OPERATOR))
    assert (
        f"• <@{BOT_USER}> `list [run &lt;run&gt;]` lists what failed lately, or of a Sift run, and who is on which"
        in helped + wrong
    )
    assert f"For example: <@{BOT_USER}> `allow @user operator for 8h because on call`" in helped + wrong
    assert "/sift-retry" not in helped + wrong


async def test_a_guest_is_told_how_to_get_access(live: World) -> None:
    home = json.dumps((await home_of(live, MULTI_CHANNEL_GUEST)).body)
    assert f"ask an owner of this workspace to make you a full member; then <@{ADMIN}> can grant you access" in home
    assert "/sift-retry" not in home

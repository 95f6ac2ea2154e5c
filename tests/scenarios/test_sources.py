"""Where somebody asked, as the audit says it: by command, mention, button, modal, in the Home tab."""

from typing import Any

from bot.access.policy import Role
from bot.sandbox import ADMIN, AUDITOR, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from tests.scenarios.conftest import World
from tests.scenarios.test_alerts import alerted


def said(world: World, user_id: str) -> list[tuple[str, str | None, str | None]]:
    """What the audit says that somebody did, or may not do: the event, the outcome, and from where."""
    return [(row.event, row.outcome, row.source) for row in world.entries(user_id=user_id)]


async def until_said(world: World, user_id: str, count: int) -> None:
    await world.until(lambda: len(said(world, user_id)) >= count)


async def test_who_may_not_is_on_record_with_where_they_asked(world: World) -> None:
    async with world.running(socket_mode=False, ALERT_CHANNEL=LAUNCH_OPS, ALERT_POLL_SECONDS="0.1"):
        job = world.sift.fail_one()
        alert = await alerted(world, job)
        handle = world.slack.users[OPERATOR].handle
        asking: list[Any] = [
            world.slack.command(UNLISTED, LAUNCH_OPS, "list"),
            world.slack.mention(UNLISTED, LAUNCH_OPS, f"status {job.job_id}"),
            world.slack.command(UNLISTED, LAUNCH_OPS, "audit"),
            world.slack.mention(UNLISTED, LAUNCH_OPS, "stats"),
            world.slack.command(UNLISTED, LAUNCH_OPS, "access"),
            world.slack.command(UNLISTED, LAUNCH_OPS, f"allow @{handle}"),
            world.slack.mention(UNLISTED, LAUNCH_OPS, f"revoke @{handle}"),
            world.slack.click(UNLISTED, LAUNCH_OPS, alert.ts, "mute_alert"),
        ]
        for number, ask in enumerate(asking):
            await ask
            await until_said(world, UNLISTED, number + 1)
        await world.slack.click(UNLISTED, LAUNCH_OPS, alert.ts, "retry")
        await world.until_outcome("denied", user_id=UNLISTED)
        assert said(world, UNLISTED) == [
            ("look", "denied", "command"),
            ("look", "denied", "mention"),
            ("audit_read", "denied", "command"),
            ("audit_read", "denied", "mention"),
            ("look", "denied", "command"),
            ("grant", "denied", "command"),
            ("revoke", "denied", "mention"),
            ("mute", "denied", "alert"),
            ("request", "requested", "alert"),
            ("request", "denied", "alert"),
        ]


async def test_a_second_person_is_on_record_with_where_they_spoke(world: World) -> None:
    async with world.running(socket_mode=False, APPROVAL_AFTER="1"):
        for user_id in (OPERATOR, SECOND_OPERATOR):
            world.allow(user_id)
        for user_id, action in ((SECOND_OPERATOR, "approve_retry"), (ADMIN, "override_retry")):
            job = world.sift.add()
            await world.slack.command(OPERATOR, LAUNCH_OPS, job.job_id)
            (waiting,) = await world.until(lambda: world.offering("override_retry"))
            await world.slack.click(UNLISTED, LAUNCH_OPS, waiting.ts, action)
            await until_said(world, UNLISTED, 1 if action == "approve_retry" else 2)
            await world.slack.click(user_id, LAUNCH_OPS, waiting.ts, action)
            if user_id == ADMIN:
                (view,) = await world.until(lambda: world.slack.modals[ADMIN])
                await world.slack.submit(ADMIN, view.id, {"reason": "launch in 10 minutes"})
            await world.until_outcome("finished", job_id=job.job_id)
            await world.until(lambda: not world.offering("override_retry"))
        assert said(world, UNLISTED) == [("approval", "denied", "alert"), ("break_glass", "denied", "alert")]
        assert said(world, SECOND_OPERATOR) == [("approval", None, "alert")]
        assert said(world, ADMIN) == [("break_glass", None, "modal")]


async def test_the_home_tab_and_the_pages_of_the_audit(live: World) -> None:
    live.allow(AUDITOR, Role.AUDITOR)
    for _ in range(12):
        live.allow("U0SOMEBODY")
    await live.slack.home_opened(AUDITOR)
    await until_said(live, AUDITOR, 1)
    await live.slack.command(AUDITOR, LAUNCH_OPS, "audit")
    (page,) = await live.until(lambda: live.slack.ephemerals(AUDITOR))
    await live.slack.click(AUDITOR, LAUNCH_OPS, page.ts, "audit_page:older")
    await until_said(live, AUDITOR, 3)
    assert said(live, AUDITOR) == [
        ("audit_read", None, "home"),
        ("audit_read", None, "command"),
        ("audit_read", None, "home"),
    ]
    await live.slack.home_opened(ADMIN)
    await live.until(lambda: "revoke_grant" in str(live.slack.homes.get(ADMIN)))
    await live.slack.click_home(ADMIN, "add_grant")
    (view,) = await live.until(lambda: live.slack.modals[ADMIN])
    await live.slack.submit(ADMIN, view.id, {"user": UNLISTED, "role": "operator"})
    await live.slack.click_home(ADMIN, "revoke_grant", value="13 U0SOMEBODY")
    await live.until(lambda: ("revoke", None, "home") in said(live, ADMIN))
    assert said(live, ADMIN) == [("audit_read", None, "home"), ("grant", None, "home"), ("revoke", None, "home")]
    assert {row.source for row in live.entries() if row.user_id == "cli:test"} == {"cli"}

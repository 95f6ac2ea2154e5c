"""The audit, its files and the statistics in Slack: private, for those who may, and every reading on record."""

import asyncio
import csv
import io
import json
from typing import Any

import pytest

from bot import audit
from bot.policy import Role
from bot.sandbox import ADMIN, AUDITOR, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.messages import Message
from bot.sandbox.sift_jobs import EXPORT, IMPORT
from tests.scenarios.conftest import World


@pytest.fixture
async def audited(live: World) -> World:
    """A world in which two people retried a job each, and an auditor may look."""
    live.allow(SECOND_OPERATOR)
    live.allow(AUDITOR, Role.AUDITOR)
    for who, kind in ((OPERATOR, IMPORT), (SECOND_OPERATOR, EXPORT)):
        job = live.sift.add(kind)
        await live.slack.command(who, LAUNCH_OPS, f"{job.job_id} because of {who}")
        await live.until_outcome("finished", job_id=job.job_id)
    return live


async def read(world: World, text: str, user_id: str = AUDITOR) -> Message:
    before = len(world.slack.ephemerals(user_id))
    await world.slack.command(user_id, LAUNCH_OPS, text)
    shown = await world.until(lambda: len(world.slack.ephemerals(user_id)) > before and world.slack.ephemerals(user_id))
    found = shown[-1]
    assert isinstance(found, Message)
    return found


def readings(world: World) -> list[tuple[str | None, str | None]]:
    return [(row.user_id, row.outcome) for row in world.entries() if row.event == "audit_read"]


async def test_an_auditor_reads_page_by_page(audited: World) -> None:
    message = await read(audited, "audit 7d")
    newest = message.text_shown()
    assert "newest first" in newest
    assert f"<@{SECOND_OPERATOR}>" in newest
    assert f"archives/{LAUNCH_OPS}/p{audited.messages()[-1].ts.replace('.', '')}|thread" in newest
    labels = [button["text"]["text"] for button in message.buttons()]
    assert labels == ["Older", "Export as CSV"]
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_page:older")
    await audited.until(lambda: "Newer" in str(audited.slack.ephemerals(AUDITOR)[-1].buttons()))
    older = audited.slack.ephemerals(AUDITOR)[-1]
    assert older.text_shown() != newest
    assert len(audited.slack.ephemerals(AUDITOR)) == 1, "the page takes the place of the one before"
    await audited.slack.click(AUDITOR, LAUNCH_OPS, older.ts, "audit_page:newer")
    await audited.until(lambda: "Newer" not in str(audited.slack.ephemerals(AUDITOR)[-1].buttons()))
    assert readings(audited) == [(AUDITOR, None)] * 3


async def test_the_audit_of_one_job_and_of_one_person(audited: World) -> None:
    job_id = next(row.job_id for row in audited.entries(user_id=OPERATOR) if row.job_id)
    text = (await read(audited, f"audit {job_id}")).text_shown()
    assert f"because of {OPERATOR}" in text
    assert f"because of {SECOND_OPERATOR}" not in text
    handle = audited.slack.users[SECOND_OPERATOR].handle
    text = (await read(audited, f"audit @{handle} 1d")).text_shown()
    assert f"because of {SECOND_OPERATOR}" in text
    assert f"because of {OPERATOR}\n" not in text


async def test_an_operator_reads_only_their_own_entries(audited: World) -> None:
    text = (await read(audited, "audit", OPERATOR)).text_shown()
    assert f"because of {OPERATOR}" in text
    assert f"because of {SECOND_OPERATOR}" not in text
    handle = audited.slack.users[SECOND_OPERATOR].handle
    assert "You may not read the audit" in (await read(audited, f"audit @{handle}", OPERATOR)).text_shown()
    assert "You may not read the audit" in (await read(audited, "audit", UNLISTED)).text_shown()
    assert readings(audited) == [(OPERATOR, None), (OPERATOR, "denied"), (UNLISTED, "denied")]


async def test_a_page_is_for_those_who_may_now(audited: World) -> None:
    message = await read(audited, "audit")
    await audited.slack.command(ADMIN, LAUNCH_OPS, f"revoke @{audited.slack.users[AUDITOR].handle}")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_page:older")
    await audited.until(lambda: "You may not read the audit" in audited.slack.ephemerals(AUDITOR)[-1].text_shown())


async def test_an_export_arrives_as_a_file(audited: World) -> None:
    message = await read(audited, "audit")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_export:export")
    file = (await audited.until(lambda: list(audited.slack.files.values())))[0]
    rows = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert [row["outcome"] for row in rows if row["event"] == "request"][-1] == "finished"
    assert any("Head of the chain" in said for said in audited.told(AUDITOR))
    await audited.until(lambda: [m for m in audited.slack.dm(AUDITOR).messages if m.files])


async def test_statistics_arrive_as_a_picture_with_the_numbers_as_text(audited: World) -> None:
    await audited.slack.command(AUDITOR, LAUNCH_OPS, "stats 30d")
    file = (await audited.until(lambda: list(audited.slack.files.values()), timeout=30))[0]
    assert file.content.startswith(b"\x89PNG")
    (said,) = await audited.until(lambda: audited.told(AUDITOR)[:1])
    assert "A retry helped in 2 of 2 cases (100 %)" in said
    assert "1 data export and 1 data import" in said
    assert f"<@{OPERATOR}> 1" in said
    (told,) = await audited.until(lambda: audited.whispers(AUDITOR))
    assert "in your messages with me" in told
    assert f"{audited.slack.users[OPERATOR].name} 1" in file.alt_txt
    await audited.until(lambda: [m for m in audited.slack.dm(AUDITOR).messages if m.files])


async def test_statistics_of_an_operator_are_their_own(audited: World) -> None:
    await audited.slack.command(OPERATOR, LAUNCH_OPS, "stats")
    (said,) = await audited.until(lambda: audited.told(OPERATOR)[:1], timeout=30)
    assert "A retry helped in 1 of 1 cases" in said
    assert SECOND_OPERATOR not in said


async def test_a_file_that_slack_does_not_take_is_said(audited: World) -> None:
    audited.slack.fail("files.getUploadURLExternal", "internal_error", times=9)
    message = await read(audited, "audit")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_export:export")
    await audited.until(lambda: "Slack did not take the file" in audited.whispers(AUDITOR)[-1])


async def test_the_home_tab_opens_the_search(audited: World) -> None:
    await audited.slack.home_opened(AUDITOR)
    await audited.until(lambda: audited.slack.homes.get(AUDITOR))
    await audited.slack.click_home(AUDITOR, "open_audit")
    await audited.until(lambda: [said for said in audited.told(AUDITOR) if "newest first" in said])


def story(world: World, job_id: str) -> list[Any]:
    return [json.loads(row.detail) for row in world.entries(job_id=job_id)]


async def test_a_story_names_what_an_auditor_asks_for(audited: World) -> None:
    requests = {row.user_id: row.job_id for row in audited.entries() if row.event == "request"}
    imported, exported = story(audited, requests[OPERATOR]), story(audited, requests[SECOND_OPERATOR])
    assert all(detail["version"] for detail in imported)
    assert imported[1]["granted_by"] == "cli:test"
    assert imported[1]["name"] == audited.slack.users[OPERATOR].name
    assert imported[-1]["attempt"] == 1
    assert imported[-1]["organization_id"]
    assert imported[-1]["data_import_id"]
    assert imported[-1]["run_ids"] == ["8d5f0c1a-1111-4222-8333-944455566677"], "learnt from the data import"
    assert imported[-1]["thread_ts"]
    assert exported[-1]["attempt"] == 1


async def test_the_head_is_anchored_once_a_day(world: World) -> None:
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        world.allow()
        await world.slack.command(OPERATOR, LAUNCH_OPS, world.sift.add().job_id)
        await world.until_outcome("finished")
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        (anchor,) = await world.until(lambda: [m for m in world.messages() if "Its head is" in m.text_shown()])
        head = anchor.text_shown().split("`")[1]
        count, _, digest = head.partition(":")
        assert world.bot is not None
        with world.bot.database.reading() as connection:
            assert isinstance(audit.verify(connection, audit.Head(int(count), digest)), audit.Head)
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        await asyncio.sleep(0.2)
        assert len([m for m in world.messages() if "Its head is" in m.text_shown()]) == 1

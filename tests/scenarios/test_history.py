"""The audit, its files and the statistics in Slack: private, for those who may, and every reading on record."""

import asyncio
import copy
import csv
import io
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bot.access.policy import Role
from bot.app import schedule
from bot.audit import entry as audit_entry
from bot.audit import log as audit
from bot.audit.inspection import Inspection
from bot.audit.signing import SignedHead, check, make_key
from bot.records import anchor, history
from bot.sandbox import ADMIN, AUDITOR, DATA_IMPORTS, LAUNCH_OPS, OPERATOR, SECOND_OPERATOR, UNLISTED
from bot.sandbox.sift.jobs import EXPORT, IMPORT
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.views import View
from tests.reading import read as read_view
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


async def test_an_auditor_reads_page_by_page(audited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    message = await read(audited, "audit 7d")
    newest = message.text_shown()
    assert "newest first" in newest
    assert f"<@{SECOND_OPERATOR}>" in newest
    assert f"archives/{LAUNCH_OPS}/p{audited.messages()[-1].ts.replace('.', '')}|thread" in newest
    labels = [button["text"]["text"] for button in message.buttons()]
    assert labels == ["Show", "Show", "Older", "Search…", "Export as CSV"]
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


async def test_a_page_is_for_those_who_may_now(audited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    message = await read(audited, "audit")
    await audited.slack.command(ADMIN, LAUNCH_OPS, f"revoke @{audited.slack.users[AUDITOR].handle}")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_page:older")
    await audited.until(lambda: "You may not read the audit" in audited.slack.ephemerals(AUDITOR)[-1].text_shown())


async def test_an_export_arrives_as_a_file(audited: World) -> None:
    message = await read(audited, "audit")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_export:export")
    file = (await audited.until(lambda: [one for one in audited.slack.files.values() if one.content]))[0]
    rows = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert [row["outcome"] for row in rows if row["event"] == "request"][-1] == "finished"
    assert any("Head of the chain" in said for said in audited.told(AUDITOR))
    await audited.until(lambda: [m for m in audited.slack.dm(AUDITOR).messages if m.files])


async def test_statistics_arrive_as_a_picture_with_the_numbers_as_text(audited: World) -> None:
    await audited.slack.command(AUDITOR, LAUNCH_OPS, "stats 30d")
    file = (await audited.until(lambda: [one for one in audited.slack.files.values() if one.content], timeout=30))[0]
    assert file.content.startswith(b"\x89PNG")
    (said,) = await audited.until(lambda: audited.told(AUDITOR)[:1])
    assert "2 requests in the last 30 days: 2 of 2 retries helped." in said
    assert "1 data export and 1 data import" in said
    assert f"<@{OPERATOR}> 1" in said
    (told,) = await audited.until(lambda: audited.whispers(AUDITOR))
    assert "in your messages with me" in told
    assert f"{audited.slack.users[OPERATOR].name} 1" in file.alt_txt
    await audited.until(lambda: [m for m in audited.slack.dm(AUDITOR).messages if m.files])


async def test_statistics_without_the_charts_are_numbers(audited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []

    async def start(*command: object, **_: object) -> None:
        started.append(command)

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    with structlog.testing.capture_logs() as logged:
        await audited.slack.command(AUDITOR, LAUNCH_OPS, "stats 30d")
        said = (await audited.until(lambda: audited.whispers(AUDITOR)))[-1]
    assert "2 requests in the last 30 days: 2 of 2 retries helped." in said
    assert (started, audited.slack.files) == ([], {})
    assert not [entry for entry in logged if entry["log_level"] == "error"]


async def test_statistics_of_an_operator_are_their_own(audited: World) -> None:
    await audited.slack.command(OPERATOR, LAUNCH_OPS, "stats")
    (said,) = await audited.until(lambda: audited.told(OPERATOR)[:1], timeout=30)
    assert "Your 1 request in the last 30 days: 1 of 1 retry helped." in said
    assert SECOND_OPERATOR not in said


async def test_a_file_that_slack_does_not_take_is_said(audited: World) -> None:
    audited.slack.fail("files.getUploadURLExternal", "internal_error", times=9)
    message = await read(audited, "audit")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_export:export")
    await audited.until(lambda: "Slack did not take the file" in audited.whispers(AUDITOR)[-1])


async def home(world: World, user_id: str) -> str:
    """Somebody opens their Home tab."""
    await world.slack.home_opened(user_id)
    return str((await world.until(lambda: world.slack.homes.get(user_id))).body)


async def modal(world: World, user_id: str, words: str, depth: int = 1, timeout: float = 9) -> View:
    """The modal on top, once it shows certain words."""
    await world.until(lambda: len(world.slack.modals[user_id]) == depth and words in top(world, user_id), timeout)
    return world.slack.modals[user_id][-1]


def top(world: World, user_id: str) -> str:
    return read_view(world.slack.modals[user_id][-1].body) if world.slack.modals[user_id] else ""


def named(world: World, user_id: str) -> str:
    """The value of the Show button of somebody's one request."""
    (found,) = {row.request_id for row in world.entries(user_id=user_id) if row.event == "request"}
    return str(found)


async def test_on_home_the_audit_opens_in_a_modal_and_a_request_on_top_of_it(
    audited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    assert f"<@{SECOND_OPERATOR}> retried data export" in await home(audited, AUDITOR)
    await audited.slack.click_home(AUDITOR, "open_audit")
    page = await modal(audited, AUDITOR, "newest first")
    newest = read_view(page.body)
    assert "because of U0OPERATOR2" in newest
    await audited.slack.click_view(AUDITOR, page.id, "audit_page:older")
    page = await modal(audited, AUDITOR, "Newer")
    assert read_view(page.body) != newest
    await audited.slack.click_view(AUDITOR, page.id, "audit_page:newer")
    page = await modal(audited, AUDITOR, "because of U0OPERATOR2")
    await audited.slack.click_view(AUDITOR, page.id, "audit_show", value=named(audited, SECOND_OPERATOR))
    steps = read_view((await modal(audited, AUDITOR, "Sift took it", depth=2)).body)
    assert "The job finished" in steps
    assert f"<@{SECOND_OPERATOR}> asked for it, by command" in steps
    assert (audited.told(AUDITOR), audited.whispers(AUDITOR)) == ([], []), "nothing is said where nobody looks"
    assert readings(audited) == [(AUDITOR, None)] * 5


async def test_a_request_is_one_line_and_show_tells_its_steps(audited: World) -> None:
    message = await read(audited, "audit")
    text = message.text_shown()
    assert text.count(f"<@{OPERATOR}> retried data import") == 1
    assert f"`cli:test` allowed <@{AUDITOR}> to read the audit" in text
    assert "audit_read" not in text
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_show", value=named(audited, OPERATOR))
    view = await modal(audited, AUDITOR, "Sift took it")
    assert "Allowed by a grant of `cli:test`; being sent to Sift" in read_view(view.body)


async def test_readings_are_shown_if_asked_for_and_the_form_finds_what_it_is_asked_for(audited: World) -> None:
    message = await read(audited, "audit")
    await audited.slack.click(AUDITOR, LAUNCH_OPS, message.ts, "audit_search:search")
    form = await modal(audited, AUDITOR, "Who did it")
    wrong = {"job": "hotfire-118", "from": "2000-01-02", "until": "2000-01-01"}
    await audited.slack.submit(AUDITOR, form.id, wrong)
    assert audited.slack.modals[AUDITOR][-1].errors == {
        "job": "That is neither a Sift job ID nor a link that holds one.",
        "until": "That is before the first day.",
    }
    await audited.slack.submit(AUDITOR, form.id, {"person": AUDITOR, "reads": ["reads"]})
    found = await modal(audited, AUDITOR, "read the audit")
    assert f"The audit of <@{AUDITOR}> with who read it, newest first" in read_view(found.body)
    assert "retried" not in read_view(found.body)
    await audited.slack.click_view(AUDITOR, found.id, "audit_search:search")
    form = await modal(audited, AUDITOR, "Who did it")
    job_id = next(row.job_id for row in audited.entries(user_id=OPERATOR) if row.job_id)
    wanted = {"person": None, "reads": [], "job": job_id, "outcome": "finished"}
    await audited.slack.submit(AUDITOR, form.id, wanted)
    found = await modal(audited, AUDITOR, "that came out as “finished”")
    assert f"<@{OPERATOR}> retried data import" in read_view(found.body)
    assert f"<@{SECOND_OPERATOR}>" not in read_view(found.body)
    details = [json.loads(row.detail) for row in audited.entries() if row.event == "audit_read"]
    assert details[1:] == [
        {"what": "list", "filters": {"user": AUDITOR}},
        {"what": "list", "filters": {"job": job_id, "outcome": "finished"}},
    ]


async def test_an_operator_searches_and_shows_only_their_own(audited: World) -> None:
    message = await read(audited, "audit", OPERATOR)
    theirs, anothers = named(audited, OPERATOR), named(audited, SECOND_OPERATOR)
    await audited.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "audit_show", value=theirs)
    view = await modal(audited, OPERATOR, "Sift took it")
    await audited.slack.close(OPERATOR, view.id)
    before = len(readings(audited))
    forged = copy.deepcopy(message)
    (button, *_) = [one for one in forged.buttons() if one["action_id"] == "audit_show"]
    button["value"] = anothers
    await audited.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "audit_show", value=anothers, seen=forged)
    view = await modal(audited, OPERATOR, "You may not read the audit")
    assert SECOND_OPERATOR not in read_view(view.body)
    await audited.slack.close(OPERATOR, view.id)
    await audited.slack.click(OPERATOR, LAUNCH_OPS, message.ts, "audit_search:search")
    form = await modal(audited, OPERATOR, "Who did it")
    await audited.slack.submit(OPERATOR, form.id, {"person": SECOND_OPERATOR})
    view = await modal(audited, OPERATOR, "You may not read the audit")
    assert SECOND_OPERATOR not in read_view(view.body)
    assert readings(audited)[before:] == [(OPERATOR, "denied")] * 2


async def test_what_is_searched_for_in_a_modal_is_for_those_who_may_now(audited: World) -> None:
    await home(audited, AUDITOR)
    await audited.slack.click_home(AUDITOR, "audit_search:search")
    form = await modal(audited, AUDITOR, "Who did it")
    await audited.slack.command(ADMIN, LAUNCH_OPS, f"revoke @{audited.slack.users[AUDITOR].handle}")
    await audited.slack.submit(AUDITOR, form.id, {})
    view = await modal(audited, AUDITOR, "You may not read the audit")
    assert "retried" not in read_view(view.body)
    assert readings(audited)[-1] == (AUDITOR, "denied")


async def test_home_tells_an_operator_how_their_requests_went_and_how_many_more_there_are(live: World) -> None:
    for kind in (IMPORT, EXPORT) * 3:
        await live.slack.command(OPERATOR, LAUNCH_OPS, live.sift.add(kind).job_id)
    async with asyncio.timeout(9):
        while live.outcomes(user_id=OPERATOR).count("finished") < 6:
            await asyncio.sleep(0.02)
    shown = await home(live, OPERATOR)
    assert "Your 6 requests in the last 30 days: 6 of 6 retries helped." in shown
    assert "… and 1 more" in shown
    await live.slack.click_home(OPERATOR, "open_audit")
    view = await modal(live, OPERATOR, f"The audit of <@{OPERATOR}>")
    assert read_view(view.body).count("— finished") == 6


async def test_statistics_and_exports_are_shown_where_they_were_asked_for(audited: World) -> None:
    await home(audited, AUDITOR)
    await audited.slack.click_home(AUDITOR, "open_stats")
    view = await modal(audited, AUDITOR, "2 of 2 retries helped", timeout=30)
    await audited.slack.close(AUDITOR, view.id)
    await audited.slack.click_home(AUDITOR, "open_audit")
    page = await modal(audited, AUDITOR, "newest first")
    await audited.slack.click_view(AUDITOR, page.id, "audit_export:export")
    await modal(audited, AUDITOR, "The file is in your messages with me", depth=2)


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
        (posted,) = await world.until(lambda: [m for m in world.messages() if "Its head is" in m.text_shown()])
        head = posted.text_shown().split("`")[1]
        count, _, digest = head.partition(":")
        assert world.bot is not None
        with world.bot.database.reading() as connection:
            assert isinstance(audit.verify(connection, audit_entry.Head(int(count), digest)), audit_entry.Head)
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        await asyncio.sleep(0.2)
        assert len([m for m in world.messages() if "Its head is" in m.text_shown()]) == 1


def anchors(world: World, channel_id: str = LAUNCH_OPS) -> list[str]:
    return [message.text_shown() for message in world.messages(channel_id) if "Its head is" in message.text_shown()]


def anchored(world: World) -> list[Any]:
    return [row for row in world.entries() if row.event == "anchor"]


async def test_only_what_was_posted_is_on_record_as_anchored_and_a_refused_channel_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "ANCHOR_SECONDS", 0.02)
    async with world.running(socket_mode=False):
        world.allow()
    world.slack.fail("chat.postMessage", "channel_not_found")
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        await world.until(lambda: not world.slack.faults)
        await asyncio.sleep(0.5)  # in which the loop comes round more than once
        assert (anchored(world), anchors(world)) == ([], [])
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        await asyncio.sleep(0.2)
        assert (anchored(world), anchors(world)) == ([], []), "another process leaves it alone too"
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=DATA_IMPORTS):
        await world.until(lambda: anchors(world, DATA_IMPORTS))
        async with asyncio.timeout(5):
            while not (entries := anchored(world)):
                await asyncio.sleep(0.01)
        assert [entry.channel_id for entry in entries] == [DATA_IMPORTS]
        (posted,) = anchors(world, DATA_IMPORTS)
        assert f"`1:{json.loads(entries[0].detail)['head']}`" in posted


async def test_an_anchor_whose_answer_was_lost_is_not_on_record(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "ANCHOR_SECONDS", 0.02)
    async with world.running(socket_mode=False):
        world.allow()
    world.slack.lose_answer("chat.postMessage")
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS):
        await world.until(lambda: anchors(world))
        await asyncio.sleep(0.3)
        assert (len(anchors(world)), anchored(world)) == (1, [])


async def test_an_anchor_whose_answer_was_lost_is_found_and_not_posted_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "ANCHOR_SECONDS", 0.02)
    monkeypatch.setattr(anchor, "LEASE", timedelta(seconds=0.3))
    async with world.running(socket_mode=False):
        world.allow()
    world.slack.lose_answer("chat.postMessage")
    async with world.running(socket_mode=False, ANCHOR_CHANNEL=LAUNCH_OPS), asyncio.timeout(10):
        await world.until(lambda: anchors(world))
        world.allow(SECOND_OPERATOR)  # so that the audit's head is another one by now
        while not (entries := anchored(world)):
            await asyncio.sleep(0.01)
        (posted,) = anchors(world)
        assert json.loads(entries[0].detail)["head"] in posted


async def test_replicas_anchor_once_and_sign_what_they_post(world: World, postgres_url: str, tmp_path: Path) -> None:
    public = load_pem_public_key(make_key(tmp_path / "key.pem").encode())
    assert isinstance(public, Ed25519PublicKey)
    settings: dict[str, Any] = {
        "DATABASE_URL": postgres_url,
        "ANCHOR_CHANNEL": LAUNCH_OPS,
        "AUDIT_SIGNING_KEY_FILE": str(tmp_path / "key.pem"),
    }
    async with world.running(DATABASE_URL=postgres_url):
        world.allow()
    async with world.running(**settings), world.running(**settings):
        await world.until(lambda: anchors(world))
        async with asyncio.timeout(5):
            while not anchored(world):
                await asyncio.sleep(0.01)
        assert (len(anchors(world)), len(anchored(world))) == (1, 1)
        signed = SignedHead.read(anchors(world)[0].split("`")[1])
        check(public, signed, "the anchor")
        assert json.loads(anchored(world)[0].detail)["signature"] == signed.signature


@pytest.mark.parametrize("kind", [pytest.param("sqlite", marks=pytest.mark.sqlite), "postgresql"])
async def test_the_bot_says_at_its_start_what_the_audit_does_not_know_of_and_goes_on(
    world: World, request: pytest.FixtureRequest, kind: str
) -> None:
    settings: dict[str, Any] = {"DATABASE_URL": request.getfixturevalue("postgres_url")} if kind == "postgresql" else {}
    job = world.sift.add()
    async with world.running(socket_mode=False, **settings) as bot:
        world.allow()
        with structlog.testing.capture_logs() as logged:
            await Inspection(bot.database).step()
        assert logged == []
        with bot.database.transaction() as connection:
            forged = "SELECT 'U9', 'admin', granted_by, granted_at FROM grants"
            connection.exec_driver_sql(f"INSERT INTO grants (subject, role, granted_by, granted_at) {forged}")
            connection.exec_driver_sql(f"DROP TRIGGER audit_no_{'delete' if kind == 'sqlite' else 'change ON audit'}")
    with structlog.testing.capture_logs() as logged:
        async with world.running(socket_mode=False, **settings):
            await world.retried(job)
            async with asyncio.timeout(5):
                while len([line for line in logged if line["event"] == "audit.says_otherwise"]) < 2:
                    await asyncio.sleep(0.01)
    said = " ".join(line["said"] for line in logged if line["event"] == "audit.says_otherwise")
    assert "grant 2 (U9, admin) stands in the table, and no entry says that it was given" in said
    assert "trigger audit_no_" in said

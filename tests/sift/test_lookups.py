"""Look-ups over real sockets: what they find, how little they ask, and what is asked of Sift at most once."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from bot.app.server import serving
from bot.sandbox.sift import cases
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.sift.jobs import EVALUATION, IMPORT
from bot.sift import calls, lists
from bot.sift.client import Rerun, Sift
from bot.sift.errors import MustWait, NotFound, OutcomeUnknown, RateLimited, SiftError, Unreachable
from bot.sift.lists import Allowance
from bot.sift.resources import Run
from tests.conftest import HandClock
from tests.sift.test_client import JOB, KEY, Raw, Waits, answering, client, close, error, half, hang, rst

RUN = "8d5f0c1a-1111-4222-8333-944455566677"


@pytest.fixture
async def rig(clock: HandClock) -> AsyncIterator[tuple[EmbeddedSift, Sift]]:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    async with serving(embedded.app) as url, client(url, timeout=10) as sift:
        yield embedded, sift


async def runs_of(sift: Sift, *identifiers: str, allowance: Allowance | None = None) -> dict[str, Run]:
    """Every run that is found."""
    return {key: run async for page in sift.lookups.runs(identifiers, allowance) for key, run in page.items()}


async def test_runs_are_found_by_name_whatever_the_case_an_exact_name_first(rig: tuple[EmbeddedSift, Sift]) -> None:
    embedded, sift = rig
    for name in ("Hotfire-11", "hotfire-11 (b)", "HOTFIRE-11", "hotfire.11", "a hotfire-11", "x'y\\z %"):
        embedded.add_run(name, minutes_ago=60 - len(embedded.runs))
    found = [run.name for run in await sift.lookups.runs_named("hotfire-11")]
    assert found[:2] == ["HOTFIRE-11", "Hotfire-11"]
    assert set(found[2:]) == {"hotfire-11 (b)", cases.FIRST, cases.SECOND, cases.THIRD, cases.FOURTH}
    assert [run.name for run in await sift.lookups.runs_named("X'Y\\z %")] == ["x'y\\z %"]
    assert [run.name for run in await sift.lookups.runs_named("hotfire.11")] == ["hotfire.11"]
    assert [await sift.lookups.runs_named(name) for name in ("", "(", "nothing", "x" * 5_000)] == [[]] * 4


async def test_a_sift_that_knows_no_such_pattern_is_asked_for_the_exact_name() -> None:
    refused, found = error(400, 3, "no such flag: (?i)"), JSONResponse({"runs": [{"runId": "r", "name": "a'b"}]})
    async with answering(refused, refused, found) as (url, requests), client(url) as sift:
        assert [run.run_id for run in await sift.lookups.runs_named("a'b")] == ["r"]
    assert {request.query_params["filter"] for request in requests[2:]} == {"name == 'a\\'b'"}


async def test_reports_of_a_run_are_listed_the_newest_first(rig: tuple[EmbeddedSift, Sift], clock: HandClock) -> None:
    embedded, sift = rig
    run = embedded.run_named(cases.THIRD)
    before = await sift.lookups.reports_of_run(run.run_id)
    assert len(before) > 1
    clock.advance(60)
    rerun = await sift.rerun_report(before[-1].report_id)
    newest = (await sift.lookups.reports_of_run(run.run_id))[0]
    assert (newest.report_id, newest.rerun_from_report_id) == (rerun.report_id, before[-1].report_id)
    assert newest.job_id == rerun.job_id
    assert rerun.job_id in await sift.jobs([rerun.job_id])
    assert await sift.lookups.reports_of_run("x' || true || '") == []


async def test_a_job_is_cancelled(rig: tuple[EmbeddedSift, Sift]) -> None:
    embedded, sift = rig
    job = embedded.add(IMPORT, "JOB_STATUS_CREATED")
    await sift.cancel(job.job_id)
    found = await sift.job(job.job_id)
    assert found is not None
    assert found.job_status == "JOB_STATUS_CANCELLED"
    with pytest.raises(NotFound):
        await sift.cancel("../jobs/x:retry?")
    assert embedded.count("retry") == 0


async def test_one_report_brings_its_rules(rig: tuple[EmbeddedSift, Sift]) -> None:
    embedded, sift = rig
    job = embedded.add(EVALUATION, run=embedded.run_named(cases.THIRD))
    assert job.details is not None
    report = await sift.lookups.report(job.details["ruleEvaluation"]["reportId"])
    assert report.rules_total
    assert 0 < len(report.rules_failed) < report.rules_total
    rules = await sift.lookups.rules([summary.rule_id for summary in report.rules_failed] * 2)
    assert len(rules) == len(report.rules_failed)


ACTIONS: list[tuple[str, Callable[[Sift], Any], str, Any]] = [
    ("rerun", lambda sift: sift.rerun_report("r1"), "/api/v1/reports/r1:rerun", {"jobId": "j", "reportId": "r2"}),
    ("cancel", lambda sift: sift.cancel(JOB), f"/api/v1/jobs/{JOB}:cancel", {}),
]


@pytest.mark.parametrize(("operation", "act", "path", "done"), ACTIONS)
async def test_an_action_is_sent_again_only_where_sift_did_nothing(
    operation: str, act: Callable[[Sift], Any], path: str, done: Any
) -> None:
    waits = Waits()
    answers = error(429, 8, "retry after 2s"), JSONResponse(done)
    async with answering(*answers) as (url, requests), client(url, waits) as sift:
        assert await act(sift) == (Rerun("j", "r2") if done else None)
    assert [(request.method, request.url.path) for request in requests] == [("POST", path)] * 2
    assert waits.seconds == pytest.approx([2.5], abs=0.01)
    async with answering(error(429, 8, "retry after 10 min")) as (url, requests), client(url) as sift:
        for _ in range(2):
            with pytest.raises(MustWait):
                await act(sift)
        assert sift.must_wait(operation) > 500
        assert len(requests) == 1
    async with client("http://127.0.0.1:9", waits) as sift:
        with pytest.raises(Unreachable):
            await act(sift)


@pytest.mark.parametrize(("operation", "act", "path", "done"), ACTIONS)
@pytest.mark.parametrize("ending", [hang, close, rst, half])
async def test_once_it_was_sent_an_action_is_never_sent_again(
    ending: Any, operation: str, act: Callable[[Sift], Any], path: str, done: Any
) -> None:
    async def behave(reader: Any, writer: Any) -> None:
        await raw.read(reader)
        await ending(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        with pytest.raises(OutcomeUnknown):
            await act(sift)
    assert [request.split(b" ")[0] for request in raw.requests] == [b"POST"]


@pytest.mark.parametrize(
    "answer",
    [error(503, 14), Response("<h1>"), JSONResponse({}), JSONResponse({"jobId": "a/b"}), Response(b"x" * 3_000_000)],
)
async def test_after_a_rerun_no_odd_answer_is_believed(answer: Response) -> None:
    async with answering(answer) as (url, requests), client(url, timeout=5) as sift:
        with pytest.raises(OutcomeUnknown):
            await sift.rerun_report("r1")
    assert len(requests) == 1


@pytest.mark.parametrize("identifier", ["{:08}-2222-4333-8444-555555555555", "'{:04}%/é'"])
async def test_every_url_of_a_look_up_is_one_that_proxies_take(identifier: str) -> None:
    asked = [identifier.format(number) for number in range(290)]
    async with answering(JSONResponse({})) as (url, requests), client(url) as sift:
        assert await runs_of(sift, *asked) == {}
    assert 1 < len(requests) < 5
    assert max(len(str(request.url)) for request in requests) < 8_000


async def test_few_are_asked_for_by_id_and_many_are_read_through(rig: tuple[EmbeddedSift, Sift]) -> None:
    embedded, sift = rig
    runs = [embedded.add_run(f"run {number}") for number in range(lists.MANY + 1)]
    few = [run.run_id for run in runs[1:]]
    assert len(await runs_of(sift, *few)) == lists.MANY
    assert [bool(call.filter) for call in embedded.calls] == [True] * 2
    embedded.calls.clear()
    assert len(await runs_of(sift, *few, runs[0].run_id)) == lists.MANY + 1
    assert [bool(call.filter) for call in embedded.calls] == [False]


async def test_a_list_without_anything_wanted_is_given_up(rig: tuple[EmbeddedSift, Sift]) -> None:
    embedded, sift = rig
    wanted = [f"00000000-0000-4000-8000-{number:012}" for number in range(400)]
    assert await runs_of(sift, *wanted) == {}
    assert embedded.count("runs") == 4  # the list, and three batches of IDs


async def test_no_more_requests_than_allowed() -> None:
    pages = [JSONResponse({"runs": [{"runId": str(number)}], "nextPageToken": str(number)}) for number in range(40)]
    async with answering(*pages) as (url, requests), client(url) as sift:
        found = await runs_of(sift, *map(str, range(400)), allowance=Allowance(7))
        assert (len(found), len(requests)) == (7, 7)
        requests.clear()
        assert await runs_of(sift, "a", allowance=Allowance(0)) == {}
        assert len(requests) == 0


@pytest.mark.parametrize("status", [413, 414, 431])
async def test_a_look_up_too_long_for_a_proxy_is_halved(status: int) -> None:
    answers = [Response("", status), JSONResponse({"runs": [{"runId": "a"}]}), JSONResponse({"runs": [{"runId": "c"}]})]
    async with answering(*answers) as (url, requests), client(url) as sift:
        assert list(await runs_of(sift, "a", "b", "c")) == ["a", "c"]
    assert len(requests) == 3


async def test_items_with_thousands_of_parts_are_asked_for_in_smaller_pages() -> None:
    columns = {str(number): {"name": "c"} for number in range(300_000)}
    large = {"dataImports": [{"dataImportId": "a", "csvConfig": {"dataColumns": columns}}]}
    small = {"dataImports": [{"dataImportId": "a", "csvConfig": {"runName": "hotfire-118"}}]}
    async with answering(JSONResponse(large), JSONResponse(small)) as (url, requests), client(url, timeout=10) as sift:
        found = [page async for page in sift.lookups.data_imports(["a"])]
    assert [one.uploader_run for page in found for one in page.values()] == ["hotfire-118"]
    assert [request.query_params["pageSize"] for request in requests] == ["250", "31"]


async def test_one_unreadable_item_costs_none_of_the_others() -> None:
    odd = [7, None, {"runId": 7}, {"runId": "a/b"}, {"name": "x"}, {"runId": "b", "startTime": 7, "assetIds": {"a": 1}}]
    counted: list[str] = []
    async with answering(JSONResponse({"runs": [{"runId": "a", "name": ["x"]}, *odd]})) as (url, _):
        sift = Sift(url, KEY, left_out=counted.append)
        assert await runs_of(sift, "a", "b", "a/b") == {"a": Run(run_id="a"), "b": Run(run_id="b")}
        await sift.aclose()
    assert counted == ["unreadable", "unreadable", "no_plain_id", "no_plain_id", "no_plain_id"]


async def test_a_limit_of_one_kind_is_no_limit_of_another() -> None:
    limited = [error(429, 8, "retry after 5s")] * calls.TRIES
    async with answering(*limited, JSONResponse({"user": {"userId": "u"}})) as (url, _), client(url) as sift:
        with pytest.raises(RateLimited):
            await runs_of(sift, "a")
        assert sift.must_wait("runs") > 0
        assert (await sift.lookups.user("u")).user_id == "u"


@pytest.mark.parametrize("answer", [{}, {"user": 7}, {"user": None}, {"report": []}])
async def test_an_answer_of_another_shape_is_a_typed_error(answer: Any) -> None:
    async with answering(JSONResponse(answer)) as (url, _), client(url) as sift:
        for look_up in (sift.lookups.user, sift.lookups.report):
            with pytest.raises(SiftError):
                await look_up("x")


async def test_reports_that_are_listed_with_their_rules_come_in_smaller_pages(
    rig: tuple[EmbeddedSift, Sift], clock: HandClock
) -> None:
    embedded, sift = rig
    run = embedded.run_named(cases.THIRD)
    jobs = [embedded.add(EVALUATION, run=run) for _ in range(lists.MANY + 1)]
    asked = [job.details["ruleEvaluation"]["reportId"] for job in jobs if job.details]
    for listed, pages in ((True, 3), (False, 2)):
        embedded.lists_summaries = listed
        embedded.calls.clear()
        since = clock() - timedelta(hours=1)
        found = [key async for page in sift.lookups.reports(asked, since=since) for key in page]
        assert sorted(found) == sorted(asked)
        assert embedded.count("reports") == pages

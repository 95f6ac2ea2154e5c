"""A Sift that does not behave: each job is read by itself, every answer has a bound, no wait is endless."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from structlog.testing import CapturingLogger

from bot.sift import calls, lists
from bot.sift.client import Sift
from bot.sift.errors import AnswerTooLarge, MustWait, OutcomeUnknown, SiftError, TooLong
from bot.sift.job import Job
from bot.sift.value import MAX_TEXT
from tests.sift.test_client import JOB, KEY, Waits, answering, client, error

MEGABYTE = 1_000_000


def compressed(encoding: str = "gzip", megabytes: int = 200) -> Response:
    """So much white space, which is JSON up to there, packed a thousand times smaller."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    body = b"".join(packer.compress(b" " * MEGABYTE) for _ in range(megabytes)) + packer.flush()
    return Response(body, headers={"content-encoding": encoding})


def overlong(start: bytes, **headers: str) -> Response:
    """An answer that says no length and goes on for 26 MB."""

    async def chunks() -> AsyncIterator[bytes]:
        yield start
        for _ in range(400):
            yield b" " * 65_536
            await asyncio.sleep(0)

    return StreamingResponse(chunks(), headers={name.replace("_", "-"): value for name, value in headers.items()})


def page(*jobs: Any, token: str = "") -> Response:
    return Response(json.dumps({"jobs": jobs, "nextPageToken": token}), media_type="application/json")


async def listed(sift: Sift) -> list[str]:
    return [job.job_id for job in await sift.failed_lately(100)]


async def test_a_compressed_answer_takes_no_more_room_than_its_bound() -> None:
    async with answering(compressed()) as (url, _), client(url, timeout=20) as sift:
        tracemalloc.start()
        try:
            with pytest.raises(AnswerTooLarge):
                await sift.failed_lately(100)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 4 * calls.LIST_BYTES


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate"])
async def test_an_encoding_that_was_not_asked_for_is_not_unpacked(encoding: str) -> None:
    async with answering(compressed(encoding, 1)) as (url, requests), client(url) as sift:
        with pytest.raises(OutcomeUnknown):
            await sift.failed_lately(100)
    assert requests[0].headers["accept-encoding"] == "gzip, identity"


async def test_a_compressed_list_is_read() -> None:
    packed = Response(gzip.compress(page({"jobId": "a"}).body), headers={"content-encoding": "gzip"})
    async with answering(packed) as (url, _), client(url) as sift:
        assert await listed(sift) == ["a"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda: overlong(b"{"), AnswerTooLarge),
        (lambda: overlong(gzip.compress(b"{}"), content_encoding="gzip"), AnswerTooLarge),
        (lambda: Response(b"\x1f\x8b nonsense", headers={"content-encoding": "gzip"}), OutcomeUnknown),
        (lambda: Response(gzip.compress(b"{}" * 999)[:20], headers={"content-encoding": "gzip"}), OutcomeUnknown),
        (lambda: Response(b"[" * 100_000), OutcomeUnknown),
        (lambda: Response(b"[[]" + b",[]" * 600_000 + b"]"), AnswerTooLarge),
    ],
)
async def test_an_answer_without_end_or_sense_is_a_typed_error(body: Any, expected: type[SiftError]) -> None:
    async with answering(body()) as (url, _), client(url, timeout=10) as sift:
        with pytest.raises(SiftError) as caught:
            await sift.ping()
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "answer",
    [
        lambda: compressed(megabytes=3),
        lambda: overlong(b"{"),
        lambda: Response(b"[" * 100_000),
        lambda: page({"jobId": JOB}),
        lambda: JSONResponse({"job": {"jobId": "another"}}),
        lambda: JSONResponse({"job": {"jobId": 7}}),
    ],
)
async def test_after_a_retry_no_such_answer_is_believed(answer: Any) -> None:
    async with answering(answer()) as (url, requests), client(url, timeout=10) as sift:
        with pytest.raises(OutcomeUnknown) as caught:
            await sift.retry(JOB)
    assert type(caught.value) is OutcomeUnknown
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"jobId": 7}, "unreadable"),
        ({"jobStatus": "JOB_STATUS_FAILED"}, "unreadable"),
        ("a job", "unreadable"),
        (None, "unreadable"),
        ([["jobId", "x"]], "unreadable"),
        ({"jobId": ""}, "no_plain_id"),
        ({"jobId": "a/../b"}, "no_plain_id"),
        ({"jobId": "x:cancel?"}, "no_plain_id"),
        ({"jobId": "a\x00b"}, "no_plain_id"),
        ({"jobId": "\ud800"}, "no_plain_id"),
        ({"jobId": "j" * 101}, "no_plain_id"),
    ],
)
async def test_what_is_no_job_is_left_out_counted_and_said_once(
    bad: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = CapturingLogger()
    monkeypatch.setattr(lists, "log", said)
    counted: list[str] = []
    async with answering(page({"jobId": "a"}, bad, {"jobId": "b"})) as (url, _):
        sift = Sift(url, KEY, left_out=counted.append)
        assert [await listed(sift) for _ in range(3)] == [["a", "b"]] * 3
        await sift.aclose()
    assert counted == [why] * 3
    assert [(call.args, call.kwargs["why"]) for call in said.calls] == [(("sift.left_out",), why)]


@pytest.mark.parametrize(
    "odd",
    [
        b'"later": ' + b'{"a":[' * 50_000 + b"0" + b"]}" * 50_000,
        b'"later": ' + b"[" * 100_000 + b"]" * 100_000,
        b'"later": ' + b"9" * 5_000,
        b'"later": 1e999',
        b'"later": "\xff\xfe"',
        b'"later": "\\ud800 [[[ \\" {"',
    ],
)
async def test_one_odd_value_costs_no_job_of_its_page(odd: bytes) -> None:
    body = b'{"jobs": [{"jobId": "a"}, {"jobId": "b", %s, "jobStatus": "JOB_STATUS_FAILED"}, {"jobId": "c"}]}' % odd
    async with answering(Response(body)) as (url, _), client(url, timeout=5) as sift:
        jobs = await sift.failed_lately(100)
    assert [(job.job_id, job.job_status) for job in jobs] == [("a", ""), ("b", "JOB_STATUS_FAILED"), ("c", "")]


async def test_a_page_of_which_nothing_can_be_read_is_not_the_last() -> None:
    async with answering(page(7, token="2"), page({"jobId": "a"})) as (url, _), client(url) as sift:
        assert list(await sift.jobs(["a"])) == ["a"]


async def test_pages_without_end_are_not_all_read() -> None:
    pages = [page({"jobId": "a"}, token=str(number)) for number in range(40)]
    async with answering(*pages) as (url, requests), client(url, timeout=5) as sift:
        changed = sift.changed_since(datetime(2026, 11, 20, tzinfo=UTC), only_failed=True, most=5)
        assert len([jobs async for jobs in changed]) == 5
        requests.clear()
        assert list(await sift.jobs(["a", "b"])) == ["a"]
        assert len(requests) == lists.MAX_PAGES_BY_ID


@pytest.mark.parametrize("token", ["same", "t" * 100_000, 7, None, {"a": 1}])
async def test_a_token_that_leads_nowhere_ends_the_list(token: Any) -> None:
    async with answering(page({"jobId": "a"}, token=token)) as (url, requests), client(url) as sift:
        try:
            assert list(await sift.jobs(["a"])) == ["a"]
        except OutcomeUnknown:
            assert len(str(token)) > 4_000
    assert len(requests) == (2 if token == "same" else 1)


async def test_a_page_too_large_to_be_read_is_asked_for_in_smaller_ones() -> None:
    large = page({"jobId": "a", "organizationId": "x" * calls.LIST_BYTES})
    async with answering(large, large, page({"jobId": "a"})) as (url, requests), client(url, timeout=5) as sift:
        assert list(await sift.jobs(["a"])) == ["a"]
    assert [request.query_params["pageSize"] for request in requests] == ["1000", "125", "15"]


async def test_an_id_that_was_not_asked_for_is_nobodys_job() -> None:
    async with answering(page({"jobId": "a"}, {"jobId": "b"})) as (url, _), client(url) as sift:
        assert list(await sift.jobs(["a"])) == ["a"]


async def test_texts_are_cleaned_and_cut_once_at_the_model() -> None:
    export = {"dataExport": {"errorMessage": "no\x00 data\ud800" + "!" * MEGABYTE}}
    async with answering(page({"jobId": "a", "jobStatusDetails": export})) as (url, _), client(url, timeout=5) as sift:
        (job,) = await sift.failed_lately(1)
    details = job.job_status_details
    assert details is not None
    assert details.data_export is not None
    assert details.data_export.error_message.startswith("no␀ data�!!!")
    assert len(details.data_export.error_message) == MAX_TEXT
    assert Job.model_validate_json(job.model_dump_json(by_alias=True)) == job


async def test_a_reason_that_is_looked_up_is_cleaned_too() -> None:
    one = {"dataImportId": "i", "errorMessage": "row\x00 1" + "!" * MEGABYTE, "runId": ["no text"]}
    async with answering(JSONResponse({"dataImports": [one]})) as (url, _), client(url, timeout=5) as sift:
        (found,) = [page["i"] async for page in sift.lookups.data_imports(["i"])]
    assert found.error_message.startswith("row␀ 1!!!")
    assert (len(found.error_message), found.run_id) == (MAX_TEXT, "")


async def test_an_error_s_words_are_cleaned() -> None:
    said = Response(b'{"code": 3, "message": "no\\u0000 \\ud800", "details": []}', 400)
    async with answering(said) as (url, _), client(url) as sift:
        with pytest.raises(SiftError) as caught:
            await sift.retry(JOB)
    assert caught.value.said == "no␀ �"


class Timer:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_long_wait_holds_nobody_and_nobody_asks_meanwhile() -> None:
    timer, waits = Timer(), Waits()
    limited = error(429, 8, "retry after 600 s")
    async with answering(limited, JSONResponse({"job": {"jobId": JOB}})) as (url, requests):
        sift = Sift(url, KEY, sleep=waits, jitter=lambda: 0.5, timer=timer)
        for _ in range(3):
            with pytest.raises(MustWait) as caught:
                await sift.retry(JOB)
            assert caught.value.retry_after == pytest.approx(600, abs=1)
        assert sift.must_wait("retry") == 600.5
        assert sift.must_wait("list") == 0
        assert len(requests) == 1
        timer.seconds += 601
        assert (await sift.retry(JOB)).job_id == JOB
        await sift.aclose()
    assert (len(requests), waits.seconds) == (2, [])


async def test_an_absurd_wait_is_not_believed_for_longer_than_ten_minutes() -> None:
    timer = Timer()
    async with answering(error(429, 8, "retry after 999999 min")) as (url, _):
        sift = Sift(url, KEY, timer=timer, jitter=lambda: 0.0)
        with pytest.raises(MustWait):
            await sift.retry(JOB)
        assert sift.must_wait("retry") == calls.LONGEST_WAIT
        await sift.aclose()


async def test_a_url_too_long_for_a_gateway_is_no_limit() -> None:
    too_long = error(429, 8, "received header metadata size exceeds hard limit")
    async with answering(too_long, page(), page()) as (url, requests), client(url) as sift:
        assert await sift.jobs(["a", "b"]) == {}
        assert len(requests) == 3
        assert sift.must_wait("list") == 0
    async with answering(too_long) as (url, _), client(url) as sift:
        with pytest.raises(TooLong):
            await sift.jobs(["a"])


async def test_who_shares_a_reading_waits_no_longer_than_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE_SECONDS", 0.3)
    tokens = iter(range(1_000_000))
    asked: list[str] = []

    class Slow(JSONResponse):
        """One more page each time, just in time for the limit of one request."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            asked.append(Request(scope).query_params.get("pageToken", ""))
            await asyncio.sleep(0.1)
            await page({"jobId": "a"}, token=str(next(tokens)))(scope, receive, send)

    async with answering(Slow({})) as (url, _), client(url, timeout=0.25) as sift:
        results = await asyncio.gather(*(sift.job(job_id) for job_id in ("a", "b", "a")), return_exceptions=True)
        assert [type(result) for result in results] == [OutcomeUnknown] * 3
        assert 1 < len(asked) < 6


async def test_closing_leaves_nobody_waiting() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(2)

    async with answering(StreamingResponse(chunks())) as (url, requests):
        sift = Sift(url, KEY, timeout_seconds=5)
        waiting = asyncio.create_task(sift.job("a"))
        while not requests:
            await asyncio.sleep(0.01)
        await sift.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("{skewed}", timedelta(minutes=10)),
        ("Fri, 31 Dec 2099 23:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
        ("Fri, 99 Zzz 99999 99:99:99 GMT", None),
    ],
)
async def test_sift_s_clock_is_the_date_of_its_answers_unless_that_is_odd(date: str, ahead: timedelta | None) -> None:
    ours, timer = datetime(2026, 11, 20, 12, tzinfo=UTC), Timer()
    dated = page()
    dated.headers["date"] = date.format(skewed="Fri, 20 Nov 2026 12:10:00 GMT")
    async with answering(dated) as (url, _):
        sift = Sift(url, KEY, timer=timer)
        assert sift.now(ours) == ours
        await sift.failed_lately(1)
        timer.seconds += 60
        later = ours + timedelta(seconds=60)
        assert sift.now(later) == later + (ahead or timedelta(0))
        await sift.aclose()

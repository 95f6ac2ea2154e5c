"""The Sift client over real sockets: each row of the error table, and the POST that leaves at most once."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.app.server import serving
from bot.base.metrics import Metrics
from bot.sandbox.sift.api import EmbeddedSift
from bot.sift import calls
from bot.sift.client import Sift, web_app_for
from bot.sift.errors import (
    CannotBeRetried,
    Conflict,
    InvalidArgument,
    MustWait,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    SiftError,
    Unauthenticated,
    Unreachable,
)
from bot.sift.filters import quoted
from bot.sift.job import Job
from bot.sift.subject import About
from bot.sift.subjects import Subjects
from tests.conftest import HandClock

JOB = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"
KEY = SecretStr("hush-hush")


class Waits:
    """Notes how long the client would have slept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@contextlib.asynccontextmanager
async def client(
    url: str, waits: Waits | None = None, timeout: float = 0.5, timer: Callable[[], float] = time.monotonic
) -> AsyncIterator[Sift]:
    sift = Sift(url, KEY, timeout_seconds=timeout, sleep=waits or Waits(), jitter=lambda: 0.5, timer=timer)
    try:
        yield sift
    finally:
        await sift.aclose()


@contextlib.asynccontextmanager
async def answering(*answers: Response) -> AsyncIterator[tuple[str, list[Request]]]:
    """A server that gives these answers in turn, the last one for ever."""
    requests: list[Request] = []

    async def endpoint(request: Request) -> Response:
        requests.append(request)
        return answers[min(len(requests), len(answers)) - 1]

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])
    async with serving(app) as url:
        yield url, requests


def error(status: int, code: int, message: str = "said") -> Response:
    return JSONResponse({"code": code, "message": message, "details": []}, status_code=status)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(400, 3), InvalidArgument),
        (error(400, 9, "job cannot be retried"), CannotBeRetried),
        (error(401, 16), Unauthenticated),
        (error(403, 7), PermissionDenied),
        (error(404, 5), NotFound),
        (error(409, 6), Conflict),
        (error(409, 10), Conflict),
        (error(429, 8), RateLimited),
        (error(499, 1), OutcomeUnknown),
        (error(500, 13), OutcomeUnknown),
        (error(500, 2), OutcomeUnknown),
        (error(503, 14), OutcomeUnknown),
        (error(504, 4), OutcomeUnknown),
        (Response("<h1>Bad gateway</h1>", 502, media_type="text/html"), OutcomeUnknown),
        (Response("", 401), Unauthenticated),
        (Response("<h1>no</h1>", 404), NotFound),
        (Response("", 408), OutcomeUnknown),
        (Response("I'm a teapot", 418), InvalidArgument),
        (Response("", 200), OutcomeUnknown),
        (Response("<h1>hello</h1>", 200), OutcomeUnknown),
        (JSONResponse([1]), OutcomeUnknown),
        (JSONResponse({}), OutcomeUnknown),
        (JSONResponse({"job": None}), OutcomeUnknown),
        (JSONResponse({"job": {"jobStatus": "JOB_STATUS_CREATED"}}), OutcomeUnknown),
        (JSONResponse(None, 204), OutcomeUnknown),
        (RedirectResponse("http://127.0.0.1:9/", 307), OutcomeUnknown),
    ],
)
async def test_every_answer_that_is_no_job_is_a_typed_error(answer: Response, expected: type[SiftError]) -> None:
    async with answering(answer) as (url, requests), client(url) as sift:
        with pytest.raises(expected) as caught:
            await sift.retry(JOB)
        assert type(caught.value) is expected
        assert "hush" not in f"{caught.value!r} {caught.value}"
        assert len(requests) == (calls.TRIES if expected is RateLimited else 1)


@pytest.mark.parametrize(
    ("message", "header", "seconds"),
    [
        ("rate limit exceeded, retry after 12s", None, 12.5),
        ("retry after 500ms", None, 0.75),
        ("try again in 0.2 seconds", None, 0.3),
        ("slow down", "7", 7.5),
        ("slow down", "Fri, 20 Nov 2026", 0.75),
        ("slow down", None, 0.75),
    ],
)
async def test_a_limit_is_waited_out_as_sift_says(message: str, header: str | None, seconds: float) -> None:
    limited = error(429, 8, message)
    if header:
        limited.headers["retry-after"] = header
    waits = Waits()
    async with answering(limited, JSONResponse({"job": {"jobId": JOB}})) as (url, requests), client(url, waits) as sift:
        assert (await sift.retry(JOB)).job_id == JOB
    assert waits.seconds == pytest.approx([seconds], abs=0.01)
    assert [request.method for request in requests] == ["POST", "POST"]


async def test_a_limit_longer_than_anybody_waits_is_an_error_at_once() -> None:
    waits = Waits()
    async with answering(error(429, 8, "retry after 2m")) as (url, requests), client(url, waits) as sift:
        with pytest.raises(RateLimited) as caught:
            await sift.retry(JOB)
    assert caught.value.retry_after == 120
    assert (waits.seconds, len(requests)) == ([], 1)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Raw:
    """A server of bare sockets; counts the requests whose head it has read."""

    def __init__(self, behave: Handler) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._behave = behave

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._behave(reader, writer)
        writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            server.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST rather than FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


async def close(_: asyncio.StreamWriter) -> None:
    return


async def rst(writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"job": {"jobId"')
    await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-hello\r\n\r\n")
    await writer.drain()


async def dribble(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
    for _ in range(20):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("ending", [hang, close, rst, half, garbage, dribble])
async def test_once_it_was_sent_a_retry_is_never_sent_again(
    ending: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read(reader)
        await ending(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        with pytest.raises(OutcomeUnknown):
            await sift.retry(JOB)
        await asyncio.sleep(0.05)
    assert [request.split(b" ")[0] for request in raw.requests] == [b"POST"]


@pytest.mark.parametrize("ending", [close, rst])
async def test_a_connection_lost_before_it_was_read_counts_as_unknown_too(
    ending: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ending(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        with pytest.raises(OutcomeUnknown):
            await sift.retry(JOB)
    assert raw.connections == 1


async def test_a_read_is_sent_again_over_a_new_connection_where_idle_ones_were_closed() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read(reader)
        if len(raw.requests) <= 3:  # one that was closed, and those that the transport itself tries
            reset(writer)
            return
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"jobs": []}')
        await writer.drain()

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        assert await sift.jobs([JOB]) == {}
    assert {request.split(b" ")[0] for request in raw.requests} == {b"GET"}


async def test_a_read_whose_connection_is_always_lost_is_given_up() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read(reader)
        reset(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        with pytest.raises(OutcomeUnknown, match="the connection was lost"):
            await sift.jobs([JOB])
    assert calls.TRIES <= len(raw.requests) <= 2 * calls.TRIES


async def test_a_read_whose_connection_is_lost_after_a_while_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "STALE_SECONDS", 0.01)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read(reader)
        await asyncio.sleep(0.05)
        reset(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        with pytest.raises(OutcomeUnknown):
            await sift.jobs([JOB])
    assert len(raw.requests) <= 2, "the transport itself may try once more"


async def test_a_stale_connection_never_makes_two_retries() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read(reader)
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"jobs": []}')
        await writer.drain()
        await raw.read(reader)  # the next request on the same connection is read, and the connection then lost
        reset(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url) as sift:
        await sift.jobs([JOB])
        with pytest.raises(OutcomeUnknown):
            await sift.retry(JOB)
    assert [request.split(b" ")[0] for request in raw.requests] == [b"GET", b"POST"]
    assert raw.connections == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
async def test_a_connection_never_made_is_tried_again_and_then_reported(url: str) -> None:
    waits = Waits()
    async with client(url, waits, timeout=5) as sift:
        with pytest.raises(Unreachable):
            await sift.retry(JOB)
    assert len(waits.seconds) == calls.TRIES - 1
    assert waits.seconds == sorted(waits.seconds)


async def test_a_job_id_is_quoted_in_the_filter() -> None:
    assert quoted("a'b\\c") == "'a\\'b\\\\c'"


async def test_a_thousand_jobs_are_seven_requests_over_one_connection(clock: HandClock) -> None:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    jobs = embedded.outage(1_000)
    async with serving(embedded.app) as url, client(url, timeout=5) as sift:
        found = await sift.jobs({job.job_id for job in jobs} | {"11111111-2222-4333-8444-555555555555"})
        assert found.keys() == {job.job_id for job in jobs}
    assert embedded.count("list") == 7


@pytest.mark.parametrize("job_id", ["{:08}-2222-4333-8444-555555555555", "{:060}", "'{:04}%/é'"])
async def test_every_url_is_one_that_proxies_take(job_id: str) -> None:
    asked = [job_id.format(number) for number in range(400)]
    async with answering(*[JSONResponse({"jobs": []})] * 20) as (url, requests), client(url) as sift:
        assert await sift.jobs(asked) == {}
    filters = [request.query_params["filter"] for request in requests]
    assert max(len(str(request.url)) for request in requests) < 8_000
    assert all(sum(quoted(one) in text for text in filters) == 1 for one in asked)
    assert len(filters) <= 6


@pytest.mark.parametrize("status", [413, 414, 431])
async def test_a_request_too_long_for_a_proxy_is_halved(status: int) -> None:
    answers = [Response("", status), JSONResponse({"jobs": []}), JSONResponse({"jobs": []})]
    async with answering(*answers) as (url, requests), client(url) as sift:
        assert await sift.jobs(["a", "b", "c"]) == {}
    assert [request.query_params["filter"] for request in requests] == [
        "job_id in ['a', 'b', 'c']",
        "job_id in ['a']",
        "job_id in ['b', 'c']",
    ]


async def test_every_page_is_read() -> None:
    pages = [
        JSONResponse({"jobs": [{"jobId": "a"}], "nextPageToken": "2"}),
        JSONResponse({"jobs": [{"jobId": "b"}], "nextPageToken": ""}),
    ]
    async with answering(*pages) as (url, requests), client(url) as sift:
        assert list(await sift.jobs(["a", "b"])) == ["a", "b"]
    assert [request.query_params.get("pageToken") for request in requests] == [None, "2"]


async def test_failures_since_a_moment_are_listed_oldest_first(clock: HandClock) -> None:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    since = clock()
    clock.advance(1)
    first = embedded.fail_one()
    clock.advance(1)
    second = embedded.fail_one()
    async with serving(embedded.app) as url, client(url, timeout=5) as sift:
        pages = [jobs async for jobs in sift.changed_since(since, only_failed=True)]
        assert [job.job_id for jobs in pages for job in jobs] == [first.job_id, second.job_id]


async def test_what_a_job_is_about_is_never_an_error() -> None:
    job = Job.model_validate({"jobId": "j", "jobDetails": {"dataImport": {"dataImportId": "../x"}}})
    async with answering(error(500, 13)) as (url, requests), client(url) as sift:
        assert (await Subjects(sift.lookups).about([job])).get("j", About()) == About()
        assert await sift.key_user() is None
    assert requests[0].url.path == "/api/v2/data-imports"


async def test_a_job_that_sift_lists_twice_is_one_job() -> None:
    jobs = [{"jobId": name, "jobStatus": "JOB_STATUS_FAILED"} for name in ("a", "b", "a")]
    async with answering(JSONResponse({"jobs": jobs})) as (url, _), client(url) as sift:
        assert [job.job_id for job in await sift.failed_lately(10)] == ["a", "b"]


async def test_the_key_s_user_is_asked_for_once() -> None:
    async with answering(JSONResponse({"userId": "u"})) as (url, requests), client(url) as sift:
        assert [await sift.key_user() for _ in range(3)] == ["u", "u", "u"]
    assert len(requests) == 1
    assert requests[0].headers["authorization"] == "Bearer hush-hush"


async def test_a_sift_that_does_not_say_whose_key_it_is_is_not_asked_for_each_retry() -> None:
    now = 0.0
    async with answering(error(500, 13)) as (url, requests), client(url, timer=lambda: now) as sift:
        assert await asyncio.gather(*(sift.key_user() for _ in range(3))) == [None] * 3
        assert len(requests) == 1
        now = 60
        assert await sift.key_user() is None
        assert len(requests) == 2
        sift.renew(SecretStr("another"))
        assert await sift.key_user() is None
        assert len(requests) == 3


async def test_what_sift_says_of_a_key_that_was_renewed_meanwhile_is_forgotten(clock: HandClock) -> None:
    embedded = EmbeddedSift(clock=clock, api_key=KEY.get_secret_value())
    held = embedded.hold("me")
    async with serving(embedded.app) as url, client(url, timeout=5) as sift:
        asking = asyncio.create_task(sift.key_user())
        await held.entered.wait()
        sift.renew(SecretStr("another"))
        held.release()
        assert await asking is None
        sift.renew(KEY)
        assert await sift.key_user() == (await sift.me())


async def test_a_cancelled_call_leaves_nothing_open() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read(reader)
        await hang(writer)

    raw = Raw(behave)
    async with raw.running() as url, client(url, timeout=5) as sift:
        call = asyncio.create_task(sift.retry(JOB))
        while not raw.requests:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_every_request_is_observed() -> None:
    seen: list[tuple[str, str]] = []
    async with answering(error(401, 16), JSONResponse({"response": "hi"})) as (url, _):
        sift = Sift(url, KEY, observe=lambda operation, _, result: seen.append((operation, result)))
        with pytest.raises(Unauthenticated):
            await sift.ping()
        await sift.ping()
        await sift.aclose()
    assert seen == [("ping", "unauthenticated"), ("ping", "ok")]


@pytest.mark.parametrize(("said", "least"), [("retry after 2s", 2.0), ("retry after 2m", 120.0)])
async def test_what_sift_asks_to_wait_is_counted_apart_from_calls(said: str, least: float) -> None:
    metrics = Metrics()
    async with answering(error(429, 8, said), JSONResponse({"response": "hi"})) as (url, _):
        sift = Sift(url, KEY, sleep=Waits(), jitter=lambda: 0.0, observe=metrics.called)
        with contextlib.suppress(MustWait):
            await sift.ping()
        await sift.aclose()
    told = {"peer": "sift", "call": "ping"}
    assert (metrics.registry.get_sample_value("sift_retry_waited_seconds_total", told) or 0) == pytest.approx(
        least, abs=0.5
    )
    assert b'result="waited"' not in metrics.text()


@pytest.mark.parametrize(
    ("rest", "app"),
    [
        ("https://api.siftstack.com", "https://app.siftstack.com"),
        ("https://gov.api.siftstack.com", "https://gov.siftstack.com"),
        ("https://sift.example.com", None),
        ("https://api.siftstack.com.evil.example", None),
    ],
)
def test_the_web_app_is_derived_for_public_hosts_only(rest: str, app: str | None) -> None:
    assert web_app_for(rest) == app

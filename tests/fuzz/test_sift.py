"""Whatever Sift answers, the client returns what it says it returns, or raises an error of its own."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from bot.sift.client import Sift
from bot.sift.errors import SiftError
from tests.fuzz.conftest import fuzzing
from tests.fuzz.mutations import mutated, values
from tests.fuzz.test_parsers import JOB
from tests.sift.test_client import answering, client
from tests.slack import test_payloads as real

JOB_ID = real.JOB
BODIES: list[Any] = [
    {"job": JOB},
    {"jobs": [JOB], "nextPageToken": ""},
    {"user": {"userId": "u", "userName": "ada@example.com"}},
    {"dataImport": {"dataImportId": JOB_ID, "status": "DATA_IMPORT_STATUS_FAILED", "errorMessage": "no"}},
    {"report": {"reportId": JOB_ID, "summaries": [{"ruleName": "r", "numFailed": 1}]}},
    {"code": 9, "message": "no", "details": []},
]
contents = st.tuples(
    st.sampled_from([200, 200, 200, 400, 404, 409, 429, 500]),
    (mutated(BODIES) | values).map(lambda body: json.dumps(body).encode()) | st.binary(max_size=40),
)


async def changed(sift: Sift) -> list[Any]:
    pages = sift.changed_since(datetime(2026, 11, 24, tzinfo=UTC), only_failed=False)
    async with contextlib.aclosing(pages):
        return [job async for page in pages for job in page]


CALLS: dict[str, Callable[[Sift], Awaitable[Any]]] = {
    "retry": lambda sift: sift.retry(JOB_ID),
    "cancel": lambda sift: sift.cancel(JOB_ID),
    "rerun": lambda sift: sift.rerun_report(JOB_ID),
    "job": lambda sift: sift.job(JOB_ID),
    "changed since": changed,
    "me": lambda sift: sift.me(),
    "ping": lambda sift: sift.ping(),
}


@pytest.mark.parametrize("call", CALLS)
async def test_whatever_sift_answers_is_a_result_or_a_typed_error(call: str) -> None:
    answers: list[tuple[int, bytes]] = []

    @fuzzing(60)
    @given(contents)
    def collect(answer: tuple[int, bytes]) -> None:
        answers.append(answer)

    collect()
    responses = [Response(body, status_code=status, media_type="application/json") for status, body in answers]
    async with answering(*responses) as (url, requests), client(url) as sift:
        while len(requests) < len(answers):
            before = len(requests)
            with contextlib.suppress(SiftError):
                async with asyncio.timeout(10):
                    await CALLS[call](sift)
            assert len(requests) > before
            if call in ("retry", "rerun"):
                later = answers[before : len(requests) - 1]
                assert all(status == 429 for status, _ in later), "sent again although it may have been processed"

"""Sift's answers as bytes and JSON, bounded: whatever is sent, so much memory is used and no more."""

import json
import re
import zlib
from typing import Any

import httpx

from bot.sift.errors import AnswerTooLarge, OutcomeUnknown

ENCODINGS = "gzip, identity"
"""What Sift is asked for: what is decompressed here, bounded, and nothing else."""

MAX_PARTS = 500_000
"""Values in one answer: in Python an empty list takes twenty times the room that it takes in JSON."""

DEEPEST = 64
"""What is nested deeper than this is left out; nothing that Sift sends goes deeper than ten."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


async def bytes_of(response: httpx.Response, most: int) -> bytes:
    """Reads an answer's body as it comes, decompressed.

    httpx itself decompresses each 16 KB that arrive in one go, which makes up to 16 MB of them, and a thousand times
    that for each further encoding that an answer names.

    Args:
        most: bytes, after decompression.

    Raises:
        AnswerTooLarge: there is more.
        OutcomeUnknown: it is compressed in a way that was not asked for, or damaged.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise OutcomeUnknown("an answer in an encoding that was not asked for")
    gunzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if encoding == "gzip" else None
    body, received = bytearray(), 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        try:
            body += gunzip.decompress(chunk, most + 1 - len(body)) if gunzip else chunk
        except zlib.error as error:
            raise OutcomeUnknown("a damaged answer") from error
        if len(body) > most or received > most:  # what follows a compressed text is kept by zlib, unread
            raise AnswerTooLarge
    return bytes(body)


def text_of(body: bytes) -> str:
    """The text that a body is; characters that are none are replaced."""
    return body.decode("utf-8-sig", "replace")


def json_of(text: str) -> Any:
    """The JSON that a text is; numbers that nobody sends are None.

    Raises:
        ValueError: it is no JSON.
        AnswerTooLarge: it has more parts than are read.
    """
    if text.count("[") + text.count("{") + text.count(",") > MAX_PARTS:
        raise AnswerTooLarge
    try:
        return json.loads(text, parse_int=_int)
    except RecursionError:
        return json.loads(_shallow(text), parse_int=_int)


def _int(digits: str) -> int | None:
    return int(digits) if len(digits) <= 20 else None  # a uint64 has twenty digits


def _shallow(text: str) -> str:
    """JSON without what is nested absurdly deep, so that the rest can be read."""
    kept: list[str] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == DEEPEST + 1:
                kept += (text[start : token.start()], "null")
        elif token[0] in "]}":
            if depth == DEEPEST + 1:
                start = token.end()
            depth -= 1
    if depth > DEEPEST:
        raise ValueError("unbalanced")
    return "".join([*kept, text[start:]])

"""The log as it comes out of the process: whoever writes a line, no secret is in it."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.base import logs
from bot.base.redactor import Redactor

KEY = "log-canary-8c1d"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leaves logging as it was found."""
    root = logging.getLogger()
    handlers, level, set_up = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**set_up)


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_in_a_line_whoever_writes_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", form, Redactor([KEY]).scrub)
    log = structlog.get_logger("bot.test")
    log.info("said", message=f"Bearer {KEY}", nested={"a": [KEY]})
    try:
        raise ValueError(f"the key is {KEY}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("aiohttp.client").exception("at wss://slack.example/link?ticket=%s: %s", "t1ck3t", KEY)
    lines = capsys.readouterr().err
    assert KEY not in lines
    assert "t1ck3t" not in lines
    assert lines.count("[secret]") >= 5
    assert lines.count("Traceback") == 2
    if form == "json":
        assert [json.loads(line)["level"] for line in lines.splitlines()] == ["info", "error", "error"]

"""What a row of `retries` keeps of what its job is about, and of why it failed, as JSON. Pure."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bot.sift.about import file_of
from bot.sift.job import KEPT
from bot.sift.subject import About, Named, Subject, Why


@lru_cache(KEPT)
def about_of(kept: str | None) -> tuple[About, Why]:
    """What a row keeps of what its job is about, and of why it failed before and again."""
    values = json.loads(kept or "{}")
    again = values.pop("again", {})
    if values.keys() & _EARLIER:
        return _of_earlier(values), Why(message=str(again or ""))
    if isinstance(again, str):
        return About(), Why(message=again)
    return About.from_json(values), About.from_json({"why": again}).why


def kept_about(about: About, again: Why) -> str:
    """What `about_of` reads."""
    more = About(why=again).to_json().get("why")
    return json.dumps({**about.to_json(), **({"again": more} if more else {})})


_EARLIER = frozenset({"error_message", "source_url", "report_name", "run_id", "report_id", "asset_id"})
"""What rows before version 2 keep."""


def _of_earlier(values: Mapping[str, Any]) -> About:
    """What an earlier version kept: one ID of each, and the URL of a file."""
    text = {name: str(values.get(name) or "") for name in _EARLIER}
    subject = Subject(
        runs=(Named(text["run_id"]),) if text["run_id"] else (),
        assets=(Named(text["asset_id"]),) if text["asset_id"] else (),
        file=file_of(text["source_url"]),
        report=Named(text["report_id"], text["report_name"]) if text["report_id"] or text["report_name"] else None,
    )
    return About(subject, Why(message=text["error_message"]))

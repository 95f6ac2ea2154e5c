"""What of the audit somebody asks for: as they fill it in, and as a button carries it from page to page. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Self

from bot.audit.entry import Filters
from bot.base.clock import rfc3339
from bot.base.text import shorten
from bot.records.words import OUTCOMES
from bot.sift.ids import job_id_in, run_ref
from bot.slack.blocks import input_, modal, option, plain_text, select, text_input
from bot.slack.message import Block, View
from bot.slack.payloads import Malformed, chosen_in, input_of, inputs_of, text_or_none

AUDIT_TITLE = "The audit"

SEARCH_VIEW = "audit_search_view"
"""The callback ID of the form."""

MAX_RUN = 150
"""Characters of a run's name that are searched for: the search has to fit into a button."""

MAX_PATH = 50
"""So many pages can be gone back."""

_NAMES = {"job_id": "j", "user_id": "u", "outcome": "o", "run": "r"}
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f]")
"""What turns a line around, or joins what stands beside it; in JSON it may as well be escaped."""

_MOMENTS = {"since": "s", "until": "t"}


@dataclass(frozen=True)
class Search:
    """What is asked for.

    Args:
        reads: whether the readings of the audit are shown as well.
    """

    filters: Filters = field(default_factory=Filters)
    reads: bool = False

    def of(self, user_id: str) -> Self:
        """Returns the same search of one person's entries."""
        return replace(self, filters=replace(self.filters, user_id=user_id))


def value_of_search(search: Search, path: Sequence[int]) -> str:
    """Returns a search as a button's value.

    Args:
        path: the entries below which the pages so far began, this one's last; empty for the newest page.
    """
    filters = search.filters
    kept: dict[str, Any] = {short: getattr(filters, name) for name, short in _NAMES.items()}
    kept |= {short: rfc3339(at) for name, short in _MOMENTS.items() if (at := getattr(filters, name))}
    kept |= {"a": True} if search.reads else {}
    said = {name: value for name, value in kept.items() if value is not None}
    value = json.dumps({**said, "p": list(path)[-MAX_PATH:]}, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


def search_of(value: str) -> tuple[Search, list[int]]:
    """Reads the search back from a button's value.

    Returns:
        What is searched for, and the path, as in `value_of_search`.

    Raises:
        ValueError: it is no such value.
    """
    try:
        found = json.loads(value)
        given: dict[str, Any] = {name: _text(found.get(short)) for name, short in _NAMES.items()}
        given |= {name: _moment(found.get(short)) for name, short in _MOMENTS.items()}
        return Search(Filters(**given), found.get("a") is True), [int(one) for one in found["p"]]
    except (AttributeError, KeyError, TypeError, OverflowError) as error:
        raise ValueError("no search") from error


def _text(written: object) -> str | None:
    return None if written is None else str(written)


def _moment(written: str | None) -> datetime | None:
    moment = datetime.fromisoformat(written) if written else None
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def search_view(search: Search, zone: tzinfo) -> View:
    """Returns the form, filled in with what was searched for.

    Args:
        zone: the time zone in which days begin and end.
    """
    filters = search.filters
    options = [option(words, outcome) for outcome, words in OUTCOMES.items()]
    picked = next((one for one in options if one["value"] == filters.outcome), None)
    days = f"Days begin at midnight, {zone}."
    until = filters.until - timedelta(hours=1) if filters.until else None
    person: Block = {"type": "users_select", **({"initial_user": filters.user_id} if filters.user_id else {})}
    blocks = [
        input_("person", "Who did it", person),
        _hinted(input_("job", "Job", text_input(300, filters.job_id)), "Its ID, or a link to it."),
        _hinted(input_("run", "Run", text_input(300, filters.run)), "Its name, ID, or a link to it."),
        input_("outcome", "What came of it", select(options, picked)),
        input_("from", "From", _day(filters.since, zone)),
        _hinted(input_("until", "Until, that day included", _day(until, zone)), days),
        input_("reads", "Also show", _reads(search.reads)),
    ]
    return modal(AUDIT_TITLE, blocks, submit="Search", callback_id=SEARCH_VIEW)


def _day(moment: datetime | None, zone: tzinfo) -> Block:
    chosen = {"initial_date": f"{moment.astimezone(zone):%Y-%m-%d}"} if moment else {}
    return {"type": "datepicker", **chosen}


def _reads(chosen: bool) -> Block:
    box = option("Who read the audit, and when", "reads")
    return {"type": "checkboxes", "options": [box], **({"initial_options": [box]} if chosen else {})}


def _hinted(block: Block, hint: str) -> Block:
    return {**block, "hint": plain_text(hint)}


def from_search_view(body: Mapping[str, Any], zone: tzinfo, at: datetime) -> Search | dict[str, str]:
    """Returns what the submitted form asks for, or what is wrong with it, by the name of the field.

    Args:
        at: the present moment.
    """
    inputs, errors = inputs_of(body), dict[str, str]()
    job, run = (text_or_none(input_of(inputs, name), "value") for name in ("job", "run"))
    job_id = job_id_in(job.strip()) if job else None
    if job and job_id is None:
        errors["job"] = "That is neither a Sift job ID nor a link that holds one."
    named = run_ref(run) if run else None
    if named is not None and len(named.name) > MAX_RUN:
        errors["run"] = f"A run's name has {MAX_RUN} characters at most here: use its ID or its link."
    since, until = _chosen_day(inputs, "from", zone), _chosen_day(inputs, "until", zone, 1)
    if since is not None and since > at:
        errors["from"] = "That day is still to come."
    elif since is not None and until is not None and until <= since:
        errors["until"] = "That is before the first day."
    if errors:
        return errors
    outcome = chosen_in(inputs, "outcome")
    if outcome is not None and outcome not in OUTCOMES:
        raise Malformed
    boxes = input_of(inputs, "reads").get("selected_options")
    filters = Filters(
        job_id=job_id,
        user_id=text_or_none(input_of(inputs, "person"), "selected_user"),
        outcome=outcome,
        run=(named.run_id or named.name) if named else None,
        since=since,
        until=until,
    )
    return Search(filters, isinstance(boxes, list) and len(boxes) > 0)


def _chosen_day(inputs: Mapping[str, object], name: str, zone: tzinfo, after: int = 0) -> datetime | None:
    """The midnight with which a chosen day, or one so many days after it, begins; None: none was chosen."""
    written = text_or_none(input_of(inputs, name), "selected_date")
    try:
        day = date.fromisoformat(written) + timedelta(days=after) if written else None
        return datetime.combine(day, time(), zone).astimezone(UTC) if day is not None else None
    except (ValueError, OverflowError):
        raise Malformed from None


def what_of(search: Search) -> dict[str, str]:
    """Returns what is searched for, by name, as the audit keeps it of whoever reads."""
    filters = search.filters
    wanted = {
        "job": filters.job_id,
        "user": filters.user_id,
        "request": filters.request_id,
        "outcome": filters.outcome,
        "run": shorten(filters.run, MAX_RUN) if filters.run else None,
        "since": rfc3339(filters.since) if filters.since else None,
        "until": rfc3339(filters.until) if filters.until else None,
    }
    return {name: value for name, value in wanted.items() if value}

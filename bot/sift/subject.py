"""What a job is about and why it failed, as it is kept in a row and shown to people. Pure."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar, cast

from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError

from bot.base.text import clip
from bot.sift.cause import normalised
from bot.sift.value import Count, Int32, Lenient, Name, Text, Texts, each

T = TypeVar("T")

MAX_JSON = 8_000
"""Characters of what is kept of one job, as JSON in ASCII."""

MAX_LINK = 1_500
"""Characters of a link; a longer one is left out, since half a link leads nowhere."""

MAX_ID = 100

_FITTING = ((10, 600), (10, 300), (8, 150), (4, 80), (2, 40), (0, 30))
"""How many items of each list, and how many characters of each text, may be kept: the first that fits is taken."""


@dataclass(frozen=True)
class Named:
    """Something of Sift's, by its ID, and its name where Sift knows one."""

    id: Text = ""
    name: Name = ""


@dataclass(frozen=True)
class FailedRule:
    """A rule that could not be evaluated.

    Args:
        message: why, on one line.
        exit_code: of the rule's process; None where there was none.
        explore_link: a ready-made link to the data in question; empty where there is none.
    """

    name: Name = ""
    rule_id: Text = ""
    message: Text = ""
    exit_code: Int32 = None
    stdout: Text = ""
    stderr: Text = ""
    explore_link: Text = ""


@dataclass(frozen=True)
class Subject:
    """What a job is about.

    Args:
        runs: the first of them; `more_runs` counts the others.
        assets: likewise.
        file: the last part of where an import's data came from.
        report: what a rule evaluation fills.
        uploader_run: what the uploader called a run that may not exist yet.
        uploader_asset: likewise.
        window: the stretch of time of the data.
        output_format: of an export, as Sift calls it.
    """

    runs: Annotated[tuple[Named, ...], each(Named)] = ()
    assets: Annotated[tuple[Named, ...], each(Named)] = ()
    more_runs: Count = 0
    more_assets: Count = 0
    file: Text = ""
    report: Annotated[Named | None, Lenient] = None
    uploader_run: Name = ""
    uploader_asset: Name = ""
    window: Annotated[tuple[AwareDatetime, AwareDatetime] | None, Lenient] = None
    output_format: Text = ""

    def title_parts(self) -> tuple[str, ...]:
        """What people call it: run, asset, and file or report; by name where Sift knows one, else the uploader's.

        Returns:
            Such as `("hotfire-118", "stand-2", "telemetry_0412.csv")`; empty where nothing has a name.
        """
        run = _called(self.runs, self.more_runs) or self.uploader_run
        asset = _called(self.assets, self.more_assets) or self.uploader_asset
        last = self.file or (self.report.name if self.report else "")
        return tuple(dict.fromkeys(part for part in (run, asset, last) if clip(part)))


@dataclass(frozen=True)
class Why:
    """Why a job failed.

    Args:
        message: the error, on one line; of a rule evaluation, that of its first rule.
        rules_total: how many rules the report has; 0 where that is not known.
        rules_failed: the first rules that failed or errored; `more_failed` counts the others.
    """

    message: Text = ""
    warnings: Texts = ()
    rules_total: Count = 0
    rules_failed: Annotated[tuple[FailedRule, ...], each(FailedRule)] = ()
    more_failed: Count = 0

    @property
    def headline(self) -> str:
        """The cause in one line, such as “2 of 40 rules failed: thrust_max – channel not found (exit 1)”."""
        failed = len(self.rules_failed) + self.more_failed
        if not failed:
            return self.message
        several = (self.rules_total or failed) != 1
        counted = f"{failed} of {self.rules_total}" if self.rules_total else str(failed)
        told = _told(self.rules_failed[0]) if self.rules_failed else self.message
        return f"{counted} rule{'s' if several else ''} failed" + (f": {told}" if told else "")

    @property
    def cause(self) -> str:
        """What the error has in common with others; empty where there is none."""
        return normalised(self.message)


@dataclass(frozen=True)
class About:
    """What is known of a job beside the job itself."""

    subject: Annotated[Subject, BeforeValidator(lambda value: _read(Subject, value))] = field(default_factory=Subject)
    why: Annotated[Why, BeforeValidator(lambda value: _read(Why, value))] = field(default_factory=Why)

    def fitted(self) -> "About":
        """As much of it as anybody reads."""
        return _fitted(self, *_FITTING[0])

    def to_json(self) -> dict[str, Any]:
        """What is kept in a row: as much as fits into `MAX_JSON` characters."""
        for items, characters in _FITTING:
            kept: dict[str, Any] = _adapter(About).dump_python(
                _fitted(self, items, characters), mode="json", exclude_defaults=True
            )
            if len(json.dumps(kept)) <= MAX_JSON:
                return kept
        return {}

    @classmethod
    def from_json(cls, kept: object) -> "About":
        """Reads what was kept; whatever cannot be read is left out."""
        return _read(cls, kept)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """How a dataclass is read and written; made once, since that takes far longer than reading does."""
    return TypeAdapter(kind)


def _read(kind: type[T], value: object) -> T:
    try:
        return cast(T, _adapter(cast(Any, kind)).validate_python(value))
    except ValidationError:
        return kind()


def line(text: str, most: int) -> str:
    """The start of a text on one line, cut between two words where that is not far back."""
    whole = " ".join(text.split())
    if len(whole) <= most:
        return whole
    start = whole[: most - 1]
    blank = start.rfind(" ")
    return (start[:blank] if blank > most // 2 else start).rstrip(" ,;:") + "…"


def _last_lines(text: str, most: int) -> str:
    """The end of what a program printed, from the start of a line where that is not far on: it says what went wrong."""
    whole = text.strip()
    if len(whole) <= most:
        return whole
    end = whole[1 - most :]
    start = end.find("\n") + 1
    return "…" + (end[start:] if start < most // 2 else end)


def _fitted(about: About, items: int, characters: int) -> About:
    subject, why = about.subject, about.why
    return About(
        subject=replace(
            subject,
            runs=tuple(_named(run, characters) for run in subject.runs[:items]),
            assets=tuple(_named(asset, characters) for asset in subject.assets[:items]),
            more_runs=subject.more_runs + len(subject.runs[items:]),
            more_assets=subject.more_assets + len(subject.assets[items:]),
            file=line(subject.file, characters),
            report=_named(subject.report, characters) if subject.report else None,
            uploader_run=line(subject.uploader_run, characters),
            uploader_asset=line(subject.uploader_asset, characters),
            output_format=line(subject.output_format, characters),
        ),
        why=replace(
            why,
            message=line(why.message, characters),
            warnings=tuple(line(warning, characters) for warning in why.warnings[:items]),
            rules_failed=tuple(_rule(rule, characters) for rule in why.rules_failed[:items]),
            more_failed=why.more_failed + len(why.rules_failed[items:]),
        ),
    )


def _named(named: Named, characters: int) -> Named:
    return Named(named.id if len(named.id) <= MAX_ID else "", line(named.name, characters))


def _rule(rule: FailedRule, characters: int) -> FailedRule:
    return replace(
        rule,
        name=line(rule.name, characters),
        rule_id=rule.rule_id if len(rule.rule_id) <= MAX_ID else "",
        message=line(rule.message, characters),
        stdout=_last_lines(rule.stdout, characters),
        stderr=_last_lines(rule.stderr, characters),
        explore_link=rule.explore_link if len(rule.explore_link) <= MAX_LINK else "",
    )


def _told(rule: FailedRule) -> str:
    exited = f" (exit {rule.exit_code})" if rule.exit_code is not None else ""
    return (" – ".join(filter(None, (rule.name or rule.rule_id[:8], rule.message))) + exited).strip()


def _called(listed: Sequence[Named], more: int) -> str:
    """The first name in a list, and how many others there are."""
    name = next((named.name for named in listed if named.name), "")
    others = len(listed) + more - 1
    return f"{name} and {others} more" if name and others > 0 else name

"""Messages and views as a reader would see them, in plain text: what the literal tests compare."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from bot.sift.job import Job
from bot.sift.subject import About, FailedRule, Named, Subject, Why
from bot.slack.links import Place, Workspace
from bot.slack.message import Message
from bot.slack.piece import Piece
from tests.conftest import NOW

Shown = Message | Mapping[str, Any] | Sequence[Piece]
"""A message, a modal or Home view (or the errors at a modal's inputs), or all the messages that show one row."""

Words = Callable[[str], str]
"""Puts other words in the place of somebody else's: of a reason, a name, an error of Sift's."""

PLACE = Place(Workspace("T1", "https://acme.slack.com/", "UBOT", "BBOT", frozenset()), "https://app.siftstack.com")
JOB, OTHER = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10", "1b2c3d4e-0000-4000-8000-00000000abcd"


def as_written(words: str) -> str:
    """The natural words of an example."""
    return words


def a_job(status: str = "FAILED", kind: str = "DATA_IMPORT", job_id: str = JOB, **more: Any) -> Job:
    """A job that ran for six minutes and ended an hour ago."""
    started, completed = NOW - timedelta(minutes=66), NOW - timedelta(hours=1)
    return Job.model_validate(
        {
            "jobId": job_id,
            "jobType": f"JOB_TYPE_{kind}",
            "jobStatus": f"JOB_STATUS_{status}",
            "createdDate": (started - timedelta(minutes=1)).isoformat(),
            "startedDate": started.isoformat(),
            "completedDate": completed.isoformat(),
            **more,
        }
    )


def about(t: Words = as_written) -> About:
    """What a data import of the example is about, and why it failed."""
    return About(
        Subject(
            runs=(Named("r1", t("hotfire-118")),),
            assets=(Named("a1", t("stand-2")),),
            file=t("telemetry_0412.csv"),
            window=(NOW - timedelta(hours=3), NOW - timedelta(hours=2)),
        ),
        Why(t("column 'tank_pressure_kpa' is not a number in row 4,512"), (t("2 columns without data were left out"),)),
    )


def about_rules(t: Words = as_written) -> About:
    """What a rule evaluation of the example is about, and which rules failed."""
    failed = [
        FailedRule(t(name), f"rule-{name}", t(f"channel not found: engine.{name}"), 1, "", t("KeyError: 'engine'"))
        for name in ("thrust_max", "lox_lead_time", "chamber_pressure_max", "igniter_on_time")
    ]
    subject = Subject(runs=(Named("r1", t("hotfire-118")),), report=Named("p1", t("Nightly, hot fire 7")))
    return About(subject, Why(failed[0].message, rules_total=40, rules_failed=tuple(failed)))


def read(shown: Shown) -> str:
    """What a person would read; the text for notifications stands on a message's first line."""
    if isinstance(shown, Message):
        return "\n".join([f"({shown.text})", *_folded(line for block in shown.blocks for line in _lines(block))])
    if isinstance(shown, Mapping):
        return "\n".join(_view(shown))
    return "\n\n".join(f"== {piece.kind} ==\n{read(piece.message)}" for piece in shown)


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    for text in _block(block):
        yield from text.split("\n")


def _folded(lines: Iterable[str]) -> Iterator[str]:
    """The same line many times over, once."""
    for line, same in groupby(lines):
        times = len(list(same))
        yield f"{line}  (× {times})" if times > 1 else line


def _view(view: Mapping[str, Any]) -> Iterator[str]:
    if "blocks" not in view:
        yield from (f"! {name}: {problem}" for name, problem in view.items())
        return
    heading = " | ".join(view[name]["text"] for name in ("title", "submit", "close") if name in view)
    yield f"<{view['type']}> {heading}".strip()
    for name in ("callback_id", "private_metadata"):
        if name in view:
            yield f"{name}: {view[name]}"
    yield from _folded(line for block in view["blocks"] for line in _lines(block))


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "section":
            yield from _text(block["text"]) if "text" in block else ()
            yield from (f"  {field['text'].replace(chr(10), ': ', 1)}" for field in block.get("fields", ()))
            yield from [_element(block["accessory"])] if "accessory" in block else ()
        case "context":
            yield " ".join(f"~ {one['text']} ~" for one in block["elements"])
        case "actions":
            yield from (_element(one) for one in block["elements"])
        case "input":
            optional = " (optional)" if block.get("optional") else ""
            yield f"{block['label']['text']}{optional}: {_element(block['element'])}"
            yield from [f"  ({block['hint']['text']})"] if "hint" in block else ()
        case "divider":
            yield "-" * 20
        case other:
            raise AssertionError(f"unread block {other}")


def _text(text: Mapping[str, Any]) -> list[str]:
    """Text with formatting as it stands; somebody else's words, which have none, behind a bar."""
    return [f"| {line}" if text["type"] == "plain_text" else line for line in text["text"].split("\n")]


def _element(element: Mapping[str, Any]) -> str:
    if element["type"] != "button":
        return _input(element)
    style = f" {element['style']}" if "style" in element else ""
    value = f" = {element['value']}" if "value" in element else ""
    return f"[Button: {element['text']['text']} → {element['action_id']}{value}]{style}{_confirm(element)}"


def _confirm(element: Mapping[str, Any]) -> str:
    asked = element.get("confirm")
    if asked is None:
        return ""
    title, text, yes, no = (asked[part]["text"] for part in ("title", "text", "confirm", "deny"))
    return f" (asks: {title} {text} [{yes}] [{no}])"


def _input(element: Mapping[str, Any]) -> str:
    chosen = {
        option["value"] for option in element.get("initial_options", [element.get("initial_option", {})]) if option
    }
    lines = []
    for group in element.get("option_groups", [element]):
        lines += [f"\n {group['label']['text']}"] if "label" in group else []
        lines += [
            f"\n  {'*' if option['value'] in chosen else '-'} {option['text']['text']} = {option['value']}"
            for option in group.get("options", ())
        ]
    most = f", at most {element['max_length']}" if "max_length" in element else ""
    hint = f" “{element['placeholder']['text']}”" if "placeholder" in element else ""
    initial = [element[name] for name in ("initial_value", "initial_user", "initial_date") if name in element]
    given = f" = {initial[0]}" if initial else ""
    return f"[{element['type']} {element['action_id']}{most}]{given}{hint}{''.join(lines)}"

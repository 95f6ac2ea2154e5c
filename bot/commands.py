"""Text or a button's value → a typed request, or a usage error. Pure."""

import re
from dataclasses import dataclass, field
from html import unescape

JOB_ID = re.compile(r"(?<![0-9a-fA-F-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-fA-F-])")
EXAMPLE = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"
MOST_JOBS = 100

_LINK = re.compile(r"https?://[^\s|]+")


@dataclass(frozen=True)
class Retry:
    """Retry these jobs, one or several, in the order given."""

    job_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True)
class Help:
    """Explain what can be typed."""


@dataclass(frozen=True)
class Usage:
    """The text is no command; `problem` says what is wrong with it, `given` repeats the start of it."""

    problem: str
    given: str = field(default="")


Command = Retry | Help | Usage


def parse_mention(text: str) -> Command:
    """Reads `@bot retry <jobId> reason`: the same words as after the slash command, after `retry`."""
    words = re.sub(r"<@[UW][A-Z0-9]+(\|[^>]*)?>", " ", text, count=1)
    return parse(re.sub(r"^\s*retry(?=\s|$)", "", words, flags=re.IGNORECASE))


def parse(text: str) -> Command:
    """Reads what follows `/sift-retry`, or `@bot retry` in a thread.

    Args:
        text: as Slack sends it, so with `&`, `<` and `>` escaped.
    """
    words = text.split()
    if not words or words[0].lower() == "help":
        return Help()
    job_ids: list[str] = []
    for word in words:
        job_id = job_id_in(word)
        if job_id is None:
            break
        job_ids.append(job_id)
    if not job_ids:
        return Usage("that is not a Sift job ID", given=clip(unescape(words[0])))
    if len(job_ids) > MOST_JOBS:
        return Usage(f"that is more than {MOST_JOBS} jobs at a time")
    rest = text.split(None, len(job_ids))[len(job_ids) :]
    reason = clean(unescape(rest[0])).strip() if rest else ""
    return Retry(tuple(dict.fromkeys(job_ids)), reason or None)


def job_id_in(word: str) -> str | None:
    """The job ID that a word is: bare, in backticks, in angle brackets, or inside a Sift link. Lower case."""
    bare = unescape(word).strip("`,;")
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1]
    if JOB_ID.fullmatch(bare):
        return bare.lower()
    link = _LINK.match(bare)
    found = JOB_ID.findall(link[0]) if link else []
    return found[-1].lower() if found else None


def job_ids_in(content: object) -> list[str]:
    """Every job ID in a text, or in whatever JSON a message is made of, in the order they stand there."""
    if isinstance(content, str):
        return list(dict.fromkeys(found.lower() for found in JOB_ID.findall(content)))
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return list(dict.fromkeys(job_id for part in parts for job_id in job_ids_in(part)))


def clean(text: str) -> str:
    """The text as it was, but for lone surrogates, which no database and no hash can take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def clip(text: str, most: int = 80) -> str:
    """The start of a text, on one line."""
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"

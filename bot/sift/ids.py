"""Job IDs and runs as people type and paste them, and job types as they say them. Pure."""

import re
from dataclasses import dataclass
from html import unescape

JOB_ID = re.compile(r"(?<![0-9a-fA-F-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-fA-F-])")
EXAMPLE = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"

MAX_NAME = 300
"""Characters of a run's name that are asked for."""

_LINK = re.compile(r"https?://[^\s|]+")


def job_kind(job_type: str) -> str:
    """A job type without Sift's prefix, in lower case, as settings and grants name it: `data_import`."""
    return job_type.removeprefix("JOB_TYPE_").lower()


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


@dataclass(frozen=True)
class RunRef:
    """A run by its ID or else by its name, whichever was given; the other is empty."""

    run_id: str = ""
    name: str = ""


_RUN_LINK = re.compile(rf"https?://[^\s|]+/run/({JOB_ID.pattern})")


def run_ref(words: str) -> RunRef | None:
    """Returns the run that somebody means: a link to it, its ID, or its name; None if the words are nothing."""
    bare = unescape(words).strip().strip("`").strip()
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1].partition("|")[0]
    if found := _RUN_LINK.match(bare):
        return RunRef(run_id=found[1].lower())
    if JOB_ID.fullmatch(bare):
        return RunRef(run_id=bare.lower())
    return RunRef(name=bare[:MAX_NAME]) if bare else None

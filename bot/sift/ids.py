"""Job IDs as people type and paste them, and job types as they say them. Pure."""

import re
from html import unescape

JOB_ID = re.compile(r"(?<![0-9a-fA-F-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-fA-F-])")
EXAMPLE = "0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10"

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

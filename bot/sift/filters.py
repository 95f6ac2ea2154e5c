"""Sift's filters (CEL) and paths: any text is safe in them, every URL is one that proxies take. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

FILTER_CHARACTERS = 7_500
"""The longest filter of IDs as it stands in a URL, about 150 of them: proxies refuse URLs over 8,000 characters."""

_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(text: str) -> str:
    """A text as CEL writes it, escaped the way Sift's own client does."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def moment(at: datetime) -> str:
    """A moment as CEL writes it, to the microsecond."""
    return f"timestamp({quoted(at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ'))})"


def any_of(field: str, values: Iterable[str]) -> str:
    """Whether a field has one of these values."""
    return f"{field} in [{', '.join(map(quoted, values))}]"


def starts_with(field: str, start: str, *, whole: bool = False) -> str:
    """Whether a field starts with a text, or is just that, whatever the case of its letters.

    CEL's `matches` takes RE2's syntax (https://github.com/google/cel-spec); Sift's own client sends patterns with it.
    """
    return f"{field}.matches({quoted('(?i)^' + _META.sub(_escaped, start) + ('$' if whole else ''))})"


def _escaped(meta: re.Match[str]) -> str:
    return "\\" + meta[0]


def batches(identifiers: Iterable[str]) -> Iterator[list[str]]:
    """IDs in as many lists as there are requests to make: each fits into a URL."""
    batch: list[str] = []
    length = 0
    for identifier in identifiers:
        size = len(quote(f"{quoted(identifier)}, ", safe=""))
        if batch and length + size > FILTER_CHARACTERS:
            yield batch
            batch, length = [], 0
        batch.append(identifier)
        length += size
    if batch:
        yield batch


def segment(identifier: str) -> str:
    """An ID as a path segment: whatever is no plain ID becomes one that Sift does not know."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", identifier)

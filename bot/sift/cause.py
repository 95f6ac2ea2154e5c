"""What failures share: an error message without what differs from one failure to the next. Pure."""

import re

MAX_CAUSE = 200
"""Characters of a cause."""

MAX_READ = 2_000
"""Characters of a message that are looked at."""

_QUOTES = (('"', '"'), ("`", "`"), ("“", "”"), ("‘", "’"), ("„", "“"), ("«", "»"), ("<", ">"))
_APOSTROPHES = r"(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){1,300}'(?!\w)"
"""A name in apostrophes, which may have one within a word."""

_QUOTED = "|".join(
    f"(?<!\\w){re.escape(opening)}[^{re.escape(opening + closing)}\\n]{{1,300}}{re.escape(closing)}(?!\\w)"
    for opening, closing in _QUOTES
)

_REPLACED = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s‹›]+"), "‹url›"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?z\b| ?[+-]\d\d:?\d\d\b)?)?"), "‹time›"),
    (re.compile(r"\b\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?\b"), "‹time›"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "‹id›"),
    (re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])(?:0x)?[0-9a-f]{4,64}\b"), "‹id›"),
    (re.compile(f"{_APOSTROPHES}|{_QUOTED}"), "‹name›"),
    (re.compile(r"\b[\w.]{1,100}\.(\w{1,60}(?:error|exception))\b"), r"\1"),
    (re.compile(r"(?<![\w/\\])(?:[a-z]:|\.{1,2}|~)?[/\\][^\s‹›,;:()\[\]]{1,300}"), "‹path›"),
    (re.compile(r"(?<![\w/])[\w.-]{1,100}/[^\s‹›,;:()\[\]]{1,200}\.[a-z]\w{1,7}\b"), "‹path›"),
    (re.compile(r"(?<![\w-])[a-z][\w-]{0,99}(?:[._][\w-]{1,100})+"), "‹name›"),
    (re.compile(r"‹name›(?:[._-][\w.-]{1,100})+"), "‹name›"),
    (re.compile(r"(?:(?<!\w)[+-])?\d+(?:[.,_:]\d+)*(?:e[+-]?\d+)?"), "‹n›"),
)
"""In this order: what each finds, and what stands in its place."""

_CODE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def normalised(text: str) -> str:
    """What a message has in common with others of the same cause.

    Numbers, moments, IDs, quoted names, names with dots or underscores, paths and URLs become placeholders, so that
    “row 12: column 'a' is no number” and “row 7: column 'b' is no number” are one cause. A code such as
    `INVALID_ARGUMENT`, and the last part of an exception's name, stay.

    Returns:
        Lower case, on one line, up to `MAX_CAUSE` characters; of what this returns it returns the same again.
    """
    found = _CODE.sub(lambda code: code[0].replace("_", " "), text[:MAX_READ])
    while (shorter := _round(found)) != found:
        found = shorter
    return found


def _round(text: str) -> str:
    """One round of replacing. Each leaves fewer characters outside of placeholders, or the text as it was."""
    text = text.lower()
    for pattern, placeholder in _REPLACED:
        text = pattern.sub(placeholder, text)
    return _cut(" ".join(text.split()))


def _cut(text: str) -> str:
    """The start of a text, without half of a placeholder."""
    if len(text) > MAX_CAUSE:
        text = text[:MAX_CAUSE]
        opening = text.rfind("‹")
        text = text[:opening] if opening > text.rfind("›") else text
    return text.rstrip()

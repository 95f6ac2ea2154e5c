"""Texts made fit to be kept and shown: cleaned, clipped at a sensible place; and references to read out."""

import re
import secrets
import unicodedata

NEAR = 24
"""A word that ends within so many characters before the limit is where a text is cut."""

_CLUSTER = 32
"""No character that people see as one is longer than this, but for mischief."""

_ZWNJ, _ZWJ = "\u200c", "\u200d"
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")
"""The blocks that Unicode keeps for such scripts (DerivedBidiClass.txt)."""

_LINE_ENDS = re.compile("\r\n|[\x85\u2028\u2029]")


def clean(text: str) -> str:
    """The text as it was, but for lone surrogates, which no database and no hash can take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def reason_of(text: str | None) -> str | None:
    """A reason as somebody typed it, without a leading `because`, unless it is `because of`; None for nothing."""
    return re.sub(r"^because\s+(?!of\b)", "", clean(text or "").strip(), flags=re.IGNORECASE) or None


def visible(text: str) -> str:
    """The text with nothing in it that acts without being seen.

    Control characters show as their pictures; line ends and tabs stay. Invisible characters and those that turn the
    direction of writing (https://www.unicode.org/reports/tr9/) are left out, but for the joiners that scripts and emoji
    need.
    """
    if text.isprintable():
        return text
    text = _DIRECTIONS.sub("", _LINE_ENDS.sub("\n", clean(text)))
    return "".join(map(_picture, text))


def _picture(char: str) -> str:
    """A character as it is shown; nothing for one that would not be."""
    code = ord(char)
    if code < 0x20:
        return char if char in "\n\t" else chr(0x2400 + code)
    if 0x7F <= code < 0xA0:
        return "␡" if code == 0x7F else "�"
    unseen = char not in (_ZWNJ, _ZWJ) and unicodedata.bidirectional(char) == "BN"
    return "" if unseen and unicodedata.category(char) == "Cf" else char


def clip(text: str, most: int = 80) -> str:
    """The start of a text, on one line, fit to stand within another.

    Args:
        most: how long it may be, as `width` counts.

    Returns:
        The start up to the end of a word, where one is near, and `…`. Where it holds right-to-left writing it is
        isolated, so that the order of what stands around it stays.
    """
    line = " ".join(visible(" ".join(text.split())).split())
    if not _RIGHT_TO_LEFT.search(line):
        return shorten(line, most)
    start = shorten(line, most - 2)
    return f"{_ISOLATE}{start}{_END_OF_ISOLATE}" if _RIGHT_TO_LEFT.search(start) else start


def width(text: str) -> int:
    """How long a text is in UTF-16 units, as JavaScript counts: never fewer than its characters.

    Slack does not say which of the two its limits mean.
    """
    return len(text) + (0 if text.isascii() else sum(char > "\uffff" for char in text))


def shorten(text: str, most: int) -> str:
    """The start of a text, cut after a word if one ends nearby, never within what people see as one character."""
    if width(text) <= most:
        return text
    return text[: _cut(text, _fitting(text, most - 1))].rstrip(f" \t\n,;:({_ZWJ}") + "…"


def _fitting(text: str, most: int) -> int:
    """How many characters, of a text that is too long, fit."""
    if text.isascii():
        return most
    for index, char in enumerate(text):
        most -= 1 + (char > "\uffff")
        if most < 0:
            return index
    return len(text)


def _cut(text: str, end: int) -> int:
    """The best place to cut a text, at or shortly before an index."""
    near = max(end - NEAR, end // 2) + 1
    word = max(text.rfind(space, near, end + 1) for space in " \n\t")
    if word >= 0:
        return word
    for at in range(end, max(end - _CLUSTER, 0), -1):
        if not _joined(text, at):
            return at
    return end if end > _CLUSTER else 0


def _joined(text: str, at: int) -> bool:
    """Whether the characters before and at an index are seen as one.

    The parts of https://www.unicode.org/reports/tr29/ that marks, emoji and flags need.
    """
    before, after = text[at - 1], text[at]
    if before == _ZWJ or after in (_ZWNJ, _ZWJ) or unicodedata.category(after).startswith("M") or _is_tone(after):
        return True
    flags = 0
    while flags < at and "\U0001f1e6" <= text[at - 1 - flags] <= "\U0001f1ff":
        flags += 1
    return flags % 2 == 1 and "\U0001f1e6" <= after <= "\U0001f1ff"


def _is_tone(char: str) -> bool:
    return "\U0001f3fb" <= char <= "\U0001f3ff"


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: nothing that is misread or misheard


REQUEST_ID = re.compile(rf"[{_ALPHABET}]{{10}}")
"""What `new_id` makes."""


def new_id() -> str:
    """A request's ID: ten characters that can be read out over the phone."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))

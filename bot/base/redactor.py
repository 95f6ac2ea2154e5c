"""Keeps secrets out of whatever is written down or shown: ours wherever they turn up, others by their shape."""

import base64
import html
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from urllib.parse import quote

HIDDEN = "[secret]"

SHORTEST = 6
"""A shorter secret cannot be told from other text."""

_WORD = re.compile(r"[A-Za-z_-]{1,15}")
_END = r"[^\s\"'<>\\]"
"""What an address goes on with, also inside JSON and HTML."""

# Each with what a text must hold for it: looking for that first takes a tenth of the time.
_SHAPES = (
    (("xox",), re.compile(r"xox[a-z](?:\.xox[a-z])?-[\w-]{6,}"), HIDDEN),  # Slack's tokens
    (("xapp-",), re.compile(r"xapp-[\w-]{6,}"), HIDDEN),
    (("earer", "EARER"), re.compile(r"(bearer\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        ("uthorization", "UTHORIZATION"),
        re.compile(r"(authorization\W{1,6}(?:basic|token)\s+)[\w.~+/=:-]{8,}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (("@",), re.compile(r"(://[^\s:/@\"'<>\\]*:)[^\s@/\"'<>\\]+(?=@)"), rf"\1{HIDDEN}"),  # a password in an address
    (("ws://", "wss://"), re.compile(rf"wss?://{_END}+"), "[socket address]"),  # Slack's hold a ticket
    (("hooks.slack",), re.compile(rf"https://hooks\.slack(?:-gov)?\.com/{_END}+"), "[answer address]"),
    (("files.slack",), re.compile(rf"https://files\.slack(?:-gov)?\.com/upload/{_END}+"), "[upload address]"),
)


class Redactor:
    """Replaces secrets in texts.

    Args:
        secrets: ours. Those that are shorter than `SHORTEST`, or one ordinary word of less than 16 letters, are not
            looked for: a database whose password is “operator” must still hold operators.
        slack_url: the base of Slack's Web API: what else is at that address are ways to answer or to upload.
    """

    def __init__(self, secrets: Iterable[str], slack_url: str | None = None) -> None:
        self._forms: list[str] = []
        self.hide(secrets)
        self._shapes = [*_SHAPES]
        if slack_url is not None:
            base = slack_url.rstrip("/").removesuffix("api").rstrip("/")
            self._shapes.append(((base,), re.compile(rf"{re.escape(base)}/(?!api/){_END}+"), "[answer address]"))

    def hide(self, secrets: Iterable[str]) -> None:
        """Looks for more secrets from now on; those before stay hidden, too."""
        forms = {form for secret in secrets if _can_be_told(secret) for form in _forms(secret)}
        self._forms = sorted(forms.union(self._forms), key=len)

    def clean(self, text: str) -> str:
        """The text without our secrets; costs well under a microsecond for a short text that holds none."""
        length = len(text)
        for form in self._forms:
            if len(form) > length:
                break
            if form in text:
                return self._replaced(text)
        return text

    def scrub(self, text: str) -> str:
        """Returns the text without our secrets, or anything that looks like somebody's: for errors and logs."""
        text = self.clean(text)
        for hints, shape, instead in self._shapes:
            if any(hint in text for hint in hints):
                text = shape.sub(instead, text)
        return text

    def clean_all(self, values: Mapping[str, object]) -> dict[str, object]:
        """Returns a JSON object with each of the texts in it cleaned."""
        return {name: self._cleaned(value) for name, value in values.items()}

    def _cleaned(self, value: object) -> object:
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            return self.clean_all(value)
        if isinstance(value, (list, tuple)):
            return [self._cleaned(inner) for inner in value]
        return value

    def _replaced(self, text: str) -> str:
        for form in reversed(self._forms):  # the longest first: one secret may begin with another
            text = text.replace(form, HIDDEN)
        return text


def _can_be_told(secret: str) -> bool:
    return len(secret) >= SHORTEST and not _WORD.fullmatch(secret)


def _forms(secret: str) -> Collection[str]:
    """How a secret may be written: as it is, in an address, in JSON, in HTML, as Python shows it, in base64."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        html.escape(secret, quote=False),
        repr(secret)[1:-1],
        *_in_base64(secret.encode("utf-8", "surrogatepass")),
    }


def _in_base64(secret: bytes) -> Iterator[str]:
    """What base64 of any text that holds the secret must contain: three places where it may begin in a group."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        yield whole
        yield whole.translate({ord("+"): "-", ord("/"): "_"})

"""Texts made fit: cleaned, clipped, and the references that people read out."""

import secrets


def clean(text: str) -> str:
    """The text as it was, but for lone surrogates, which no database and no hash can take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def clip(text: str, most: int = 80) -> str:
    """The start of a text, on one line."""
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: nothing that is misread or misheard


def new_id() -> str:
    """A request's ID: ten characters that can be read out over the phone."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))

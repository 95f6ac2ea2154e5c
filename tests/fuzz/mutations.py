"""JSON made up, and JSON that Slack or Sift really sends, changed in a few places."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

ODD = [
    *("", " ", "\x00", "💥", "\ud800", "<!channel>", "=1+1", "a" * 5_000, "' || true", "../..", "null", "NaN", "٣"),
    *("0f9d1b60-3a52-4e6e-8f7b-2c9a6d5e4b10", "U0ADA", "T0OTHER", "1764000000.000100", "2026-11-24T10:00:00Z"),
]
"""Texts that somebody might stumble over."""

texts = st.sampled_from(ODD) | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.sampled_from([2**63, -(2**64), 10**40]) | texts
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | floats,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
"""Any JSON."""


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield (*path, name)
        yield from _places(part, (*path, name))


@st.composite
def mutated(draw: st.DrawFn, bodies: list[Any], most: int = 3) -> Any:
    """One of the bodies with up to so many parts left out, replaced, doubled or added."""
    body = copy.deepcopy(draw(st.sampled_from(bodies)))
    for _ in range(draw(st.integers(0, most))):
        places = list(_places(body))
        if not places:
            break
        *path, name = draw(st.sampled_from(places))
        holder = body
        for step in path:
            holder = holder[step]
        match draw(st.sampled_from(["leave out", "replace", "double", "add"])):
            case "leave out":
                del holder[name]
            case "replace":
                holder[name] = draw(values)
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[name]))
            case _ if isinstance(holder, dict):
                holder[draw(texts)] = draw(values)
    return body

"""What Sift sends, read tolerantly: texts cut and cleaned, unknown fields ignored, wrong shapes left out.

Source: Sift's protobuf messages (PyPI sift-stack-py), printed as protobuf's JSON. Enums are open: text, shown as it
came.
"""

import functools
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, WrapValidator
from pydantic.alias_generators import to_camel


def _moment(value: Any) -> datetime | None:
    """An RFC 3339 timestamp of up to nanoseconds, cut to microseconds; None for what is none."""
    if not isinstance(value, str):
        return value if isinstance(value, datetime) else None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


MAX_TEXT = 10_000
"""Characters of one text; what is longer is cut."""

MAX_LISTED = 10_000
"""Values of one list; what is beyond is left out."""

_UNWRITABLE = re.compile(r"[\x00\ud800-\udfff]")
"""NUL, which PostgreSQL takes in no text, and halves of surrogate pairs, which are no characters."""


def clean_text(value: Any) -> str:
    """A text that every database and Slack can take, cut where nobody reads on; nothing for what is no text."""
    return _UNWRITABLE.sub(_picture, value[:MAX_TEXT]) if isinstance(value, str) else ""


def _picture(unwritable: re.Match[str]) -> str:
    return "␀" if unwritable[0] == "\x00" else "\ufffd"


def _uint64(value: Any) -> int | None:
    """A uint64, which protobuf's JSON writes as a string; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if 0 <= number < 2**64 else None


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(clean_text(text) for text in value[:MAX_LISTED] if isinstance(text, str))


def identifier(value: Any) -> Any:
    """An ID cleaned; what is no text is left for the model to refuse."""
    return clean_text(value) if isinstance(value, str) else value


def some(value: Any) -> Any:
    """As much of a list as anybody reads."""
    return value[:MAX_LISTED] if isinstance(value, list) else value


def _or_none(value: Any, read: Any) -> Any:
    """What a newer Sift sends in another shape is left out rather than an error."""
    try:
        return read(value)
    except ValueError:
        return None


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Uint64 = Annotated[int | None, BeforeValidator(_uint64)]
Text = Annotated[str, BeforeValidator(clean_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Lenient = WrapValidator(_or_none)


class Value(BaseModel):
    """What Sift sends, under its own names in snake case."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


MAX_NAME = 300
"""Characters of a name; Sift's own are shorter."""


def _name(value: Any) -> str:
    return clean_text(value)[:MAX_NAME]


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31 else None


def _flag(value: Any) -> bool:
    return value is True


def _count(value: Any) -> int:
    return max(0, _number(value) or 0)


Name = Annotated[str, BeforeValidator(_name)]
Int32 = Annotated[int | None, BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(_count)]
Flag = Annotated[bool, BeforeValidator(_flag)]


def each(kind: Any, most: int = MAX_LISTED) -> BeforeValidator:
    """Reads a list item by item: what cannot be read is left out, and costs none of the others.

    Args:
        kind: the type of an item.
        most: items that are read.
    """

    made = functools.cache(lambda: TypeAdapter(kind).validate_python)  # late, since making one takes its time

    def read(value: Any) -> tuple[Any, ...]:
        listed = value[:most] if isinstance(value, list | tuple) else ()
        return tuple(found for item in listed if (found := _or_none(item, made())) is not None)

    return BeforeValidator(read)

"""What one setting's text may be: read here into a value, or refused.

Whoever refuses says no more than that: the value may be a secret, and what is expected stands beside the setting.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from bot.base.clock import parse_duration

_USER = re.compile(r"[UW][A-Z0-9]+")
_GROUP = re.compile(r"S[A-Z0-9]+")
_CHANNEL = re.compile(r"[CG][A-Z0-9]+")
_SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}

MAX_OF_A_FILE = 65_536
"""Characters read of a secret's file, which is shorter; also of one that never ends."""


def parts(text: str) -> list[str]:
    """Returns the parts of a text between commas, without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def split(value: object) -> object:
    """Returns the parts of a text between commas; what is no text is returned as it is."""
    return parts(value) if isinstance(value, str) else value


def _users(value: list[str]) -> frozenset[str]:
    if not all(_USER.fullmatch(user) for user in value):
        raise ValueError
    return frozenset(value)


def channel(value: str) -> str:
    """Returns a Slack channel ID as it is.

    Raises:
        ValueError: it is none, such as a `#name`.
    """
    if not _CHANNEL.fullmatch(value):
        raise ValueError
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError
    return value.rstrip("/")


def _sift_address(value: str) -> str:
    """The key goes there with every call, so only a machine's own address may do without encryption."""
    address = _web_address(value)
    if address.startswith("http://") and not _is_loopback(urlsplit(address).hostname or ""):
        raise ValueError
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@dataclass(frozen=True)
class SecretFile:
    """A secret that is to be read from a file.

    Args:
        beside: whether the secret itself is given as well.
    """

    path: str
    beside: bool


def _or_from_file(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """A secret as it is, or read from its file; what is wrong then is the file's fault."""
    if not isinstance(value, SecretFile):
        return check(value)
    if value.beside:
        raise PydanticCustomError("beside", "given twice")
    try:
        with Path(value.path).open(encoding="utf-8") as file:
            text = file.read(MAX_OF_A_FILE)
    except (OSError, ValueError):
        raise PydanticCustomError("unreadable", "the file cannot be read") from None
    if not text.strip():
        raise PydanticCustomError("empty", "the file is empty")
    try:
        return check(text.strip() if len(text) < MAX_OF_A_FILE else "")
    except ValidationError:
        raise PydanticCustomError("content", "the file holds something else") from None


def _database_url(value: SecretStr) -> SecretStr:
    scheme, _, rest = value.get_secret_value().partition("://")
    driver = _SCHEMES.get(scheme.partition("+")[0])
    if driver is None or (driver == "sqlite" and (not rest.startswith("/") or rest.strip("/") in ("", ":memory:"))):
        raise ValueError
    try:
        make_url(f"{driver}://{rest}")
    except ArgumentError as error:
        raise ValueError from error
    return SecretStr(f"{driver}://{rest}")


def secret(prefix: str = "") -> AfterValidator:
    """Returns the check of a secret: one printable word that begins with `prefix`."""

    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not re.fullmatch(re.escape(prefix) + r"[!-~]+", text):
            raise ValueError
        return SecretStr(text)

    return AfterValidator(check)


def _switch(value: object) -> bool:
    """`on` or `off`, and nothing else."""
    if isinstance(value, bool):
        return value
    switched = {"on": True, "off": False}.get(str(value).strip().lower())
    if switched is None:
        raise ValueError
    return switched


def _duration(value: object) -> timedelta:
    """Such as `30m`."""
    return value if isinstance(value, timedelta) else parse_duration(str(value).strip())


def _times(value: object) -> object:
    """`08:00,20:00` → the times of day, earliest first, each once."""
    if not isinstance(value, str):
        return value
    return tuple(sorted({datetime.strptime(part, "%H:%M").time() for part in parts(value)}))  # noqa: DTZ007  # of day


def _zone(value: object) -> ZoneInfo:
    """An IANA time zone by its name."""
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value).strip())
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError from None


def _group(value: str) -> str:
    if not _GROUP.fullmatch(value):
        raise ValueError
    return value


def _stream(value: SecretStr) -> SecretStr:
    """Where the audit is streamed to: standard output, or an address that nobody on the way can read."""
    text = value.get_secret_value().strip()
    if text != "stdout" and not _web_address(text).startswith("https://"):
        raise ValueError
    return SecretStr(text)


Switch = Annotated[bool, BeforeValidator(_switch)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
SiftAddress = Annotated[str, AfterValidator(_sift_address)]
Channel = Annotated[str, AfterValidator(channel)]
Interval = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Times = Annotated[tuple[time, ...], BeforeValidator(_times)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
Group = Annotated[str, AfterValidator(_group)]
Stream = AfterValidator(_stream)
Users = Annotated[frozenset[str], AfterValidator(_users), BeforeValidator(split)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
OrFromFile = WrapValidator(_or_from_file)

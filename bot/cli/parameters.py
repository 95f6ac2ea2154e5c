"""What may stand on the command line, as click's parameter types."""

import contextlib
import re
from datetime import UTC, datetime, timedelta

import click
from pydantic import SecretStr, TypeAdapter, ValidationError

from bot.access import policy
from bot.audit.signing import SignedHead
from bot.base.clock import parse_duration, utc_now
from bot.base.values import DatabaseUrl


class Subject(click.ParamType[str]):
    """A Slack user ID or user-group ID."""

    name = "user"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not policy.SUBJECT.fullmatch(value):
            self.fail(f"{value!r} is no Slack user ID (U…) or user-group ID (S…)", param, ctx)
        return str(value)


class Duration(click.ParamType[timedelta]):
    """A duration such as 30s, 15m, 8h or 7d."""

    name = "duration"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            return parse_duration(value)
        except ValueError:
            self.fail(f"{value!r} is no time I understand: try 30s, 15m, 8h or 7d", param, ctx)


class ChannelID(click.ParamType[str]):
    """A Slack channel ID."""

    name = "channel"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[CG][A-Z0-9]+", value):
            self.fail(f"{value!r} is no Slack channel ID (C…)", param, ctx)
        return str(value)


class Moment(click.ParamType[datetime]):
    """A moment: RFC 3339, a date, or a duration ago."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        with contextlib.suppress(ValueError):
            return utc_now() - parse_duration(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            expected = "2026-11-24, 2026-11-24T10:00:00Z, or a time ago such as 7d"
            self.fail(f"{value!r} is no moment; expected {expected}", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class WrittenHead(click.ParamType[SignedHead]):
    """A head of the audit, as it was written down."""

    name = "head"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> SignedHead:
        try:
            return SignedHead.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class DatabaseURL(click.ParamType[str]):
    """The URL of a database, as DATABASE_URL takes it; an error does not repeat it, since it may hold a password."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return _URL.validate_python(value).get_secret_value()
        except ValidationError:
            self.fail("that is no sqlite:///path and no postgresql://user@host/name", param, ctx)


_URL = TypeAdapter[SecretStr](DatabaseUrl)

SUBJECT, DURATION, CHANNEL, MOMENT, HEAD = Subject(), Duration(), ChannelID(), Moment(), WrittenHead()
DATABASE = DatabaseURL()

"""Environment → frozen settings. The only reader of the environment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url

from bot.base.errors import SettingsError
from bot.base.redactor import Redactor
from bot.base.values import (
    Channel,
    DatabaseUrl,
    Duration,
    Group,
    Interval,
    OrFromFile,
    SecretFile,
    SiftAddress,
    Stream,
    Switch,
    Times,
    Users,
    WebAddress,
    Zone,
    channel,
    parts,
    secret,
)

JOB_TYPES = ("data_import", "rule_evaluation", "data_export")


def _routes(value: object) -> object:
    """`data_import=C1,data_export=C2` → a dictionary."""
    if not isinstance(value, str):
        return value
    routes = dict(part.split("=", 1) for part in parts(value))
    if not routes.keys() <= set(JOB_TYPES):
        raise ValueError
    return {job_type: channel(text.strip()) for job_type, text in routes.items()}


SECONDS = "a positive number of seconds"
A_FILE = "a file that holds it, instead of the variable without _FILE"


class StoreSettings(BaseSettings):
    """What every command needs: where the database is, and how to log."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: dict[str, Any]) -> dict[str, Any]:
        """An empty variable takes the default, whatever `.env` says: so a Procfile can switch a setting off.

        Each `x_file` takes the place of the secret `x`, which is read from it.
        """
        given = {name: value for name, value in values.items() if value != ""}
        for name in [*given]:
            plain = name.removesuffix("_file")
            if plain != name and plain in cls.model_fields:
                given[plain] = SecretFile(str(given[name]), beside=plain in given)
        return given

    database_url: Annotated[DatabaseUrl, OrFromFile] = Field(
        SecretStr("sqlite:///sift-retry.db"),
        validate_default=True,
        description="sqlite:///path or postgresql://user:password@host/name",
    )
    database_url_file: str | None = Field(None, description=A_FILE)
    audit_signing_key_file: Path | None = Field(None, description="a file with an Ed25519 private key (PEM)")
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = Field("info", description="debug, info, warning or error")
    log_format: Literal["console", "json"] = Field("console", description="console or json")

    def redactor(self) -> Redactor:
        """What keeps every secret among the settings out of all that is written or shown."""
        return Redactor(self._secrets())

    def _secrets(self) -> Iterator[str]:
        """Each secret as text; of a database's URL its password, and what stands in for one among its options."""
        for name, value in self:
            if isinstance(value, SecretStr) and name != "database_url":
                yield value.get_secret_value()
        url = make_url(self.database_url.get_secret_value())
        given = url.normalized_query
        yield from filter(None, [url.password, *given.get("password", ()), *given.get("sslpassword", ())])


class Settings(StoreSettings):
    """Everything that can be set; the field `x_y` is the environment variable `X_Y`."""

    slack_bot_token: Annotated[SecretStr, secret("xoxb-"), OrFromFile] = Field(description="a bot token, xoxb-…")
    slack_bot_token_file: str | None = Field(None, description=A_FILE)
    slack_signing_secret: Annotated[Annotated[SecretStr, secret()] | None, OrFromFile] = Field(
        None, description="the app's signing secret"
    )
    slack_signing_secret_file: str | None = Field(None, description=A_FILE)
    slack_app_token: Annotated[Annotated[SecretStr, secret("xapp-")] | None, OrFromFile] = Field(
        None,
        validate_default=True,
        description="an app-level token, xapp-… (Socket Mode), or SLACK_SIGNING_SECRET (HTTP)",
    )
    slack_app_token_file: str | None = Field(None, description=A_FILE)
    slack_api_url: WebAddress = Field("https://slack.com/api", description="a URL such as https://slack.com/api/")
    sift_rest_uri: SiftAddress = Field(
        "https://api.siftstack.com",
        description="an https URL such as https://api.siftstack.com (http on this machine only)",
    )
    sift_api_key: Annotated[SecretStr, secret(), OrFromFile] = Field(description="a Sift API key")
    sift_api_key_file: str | None = Field(None, description=A_FILE)
    sift_app_url: WebAddress | None = Field(None, description="a URL such as https://app.siftstack.com")
    host: str = Field("127.0.0.1", description="an address to listen on")
    port: int = Field(3000, ge=1, le=65_535, description="a port from 1 to 65535")
    admins: Annotated[Users, NoDecode] = Field(
        frozenset(), description="Slack user IDs separated by commas, such as U012AB3CD,U045EF6GH"
    )
    alert_channel: Channel | None = Field(None, description="a channel ID such as C012AB3CD, not a #name")
    alert_channels: Annotated[dict[str, str], NoDecode, BeforeValidator(_routes)] = Field(
        {}, description="data_import=C1,rule_evaluation=C2,data_export=C3 (channel IDs)"
    )
    alert_poll_seconds: Interval = Field(15, description=SECONDS)
    follow_poll_seconds: Interval = Field(5, description=SECONDS)
    retry_cooldown_seconds: float = Field(
        30, ge=0, le=31_536_000, allow_inf_nan=False, description="a number of seconds, 0 or more"
    )
    alert_storm: int = Field(10, ge=1, description="a whole number, 1 or more")
    alert_lookback_hours: float = Field(
        24, gt=0, le=8_760, allow_inf_nan=False, description="a positive number of hours"
    )
    retry_concurrency: int = Field(4, ge=1, le=100, description="a whole number from 1 to 100")
    requests_per_minute: int = Field(60, ge=0, description="a whole number, 0 or more; 0: no limit")
    rerun: Switch = Field(True, description="on or off")
    settle_seconds: Interval = Field(120, description=SECONDS)
    approval_after: int | None = Field(None, ge=1, description="a whole number, 1 or more, or nothing")
    approval_count: int = Field(1, ge=1, le=10, description="a whole number from 1 to 10")
    remind_after: Duration | None = Field(None, description="a duration such as 30m")
    oncall_group: Group | None = Field(None, description="a user group's ID such as S012AB3CD")
    digest_at: Annotated[Times, NoDecode] = Field((), description="times of day such as 08:00,20:00")
    timezone: Zone = Field(ZoneInfo("UTC"), description="an IANA time zone such as Europe/Berlin")
    notify_creator: Switch = Field(False, description="on or off")
    audit_stream: Annotated[SecretStr, Stream] | None = Field(None, description="stdout or an https URL")
    anchor_channel: Channel | None = Field(None, description="a channel ID such as C012AB3CD, not a #name")
    sift_timeout_seconds: float = Field(
        10, gt=0, le=25, allow_inf_nan=False, description="a positive number of seconds, at most 25"
    )

    @field_validator("slack_app_token", mode="after")
    @classmethod
    def _one_way_in(cls, token: SecretStr | None, known: ValidationInfo) -> SecretStr | None:
        if token is None and known.data.get("slack_signing_secret", ...) is None:
            raise PydanticCustomError("missing", "neither Socket Mode nor HTTP is configured")
        return token

    def redactor(self) -> Redactor:
        return Redactor(self._secrets(), self.slack_api_url)

    def alerts_go_to(self, kind: str) -> str | None:
        """The channel for alerts of a job type, such as `data_import`; None: none."""
        return self.alert_channels.get(kind, self.alert_channel)

    @property
    def channels_alerted(self) -> list[str]:
        """The channels that get alerts, each once."""
        return sorted({*self.alert_channels.values(), *filter(None, [self.alert_channel])})

    @property
    def watches(self) -> bool:
        """Whether there is any channel for alerts."""
        return bool(self.alert_channel or self.alert_channels)

    @property
    def channels(self) -> frozenset[str]:
        """Every channel that is named: for alerts, and for the audit's head."""
        named = (self.alert_channel, self.anchor_channel, *self.alert_channels.values())
        return frozenset(channel_id for channel_id in named if channel_id)

    @property
    def socket_mode(self) -> bool:
        """Whether requests arrive over Slack's WebSocket rather than over HTTP."""
        return self.slack_app_token is not None


S = TypeVar("S", bound=StoreSettings)


def load(kind: type[S], environment: dict[str, Any] | None = None) -> S:
    """Reads the environment and `.env`.

    Args:
        kind: which settings to read.
        environment: values that come before the environment, by variable name.

    Raises:
        SettingsError: with one line per problem, each naming the variable and what is expected.
    """
    given = {name.lower(): value for name, value in (environment or {}).items()}
    try:
        return kind(**given)
    except ValidationError as error:
        raise SettingsError(problems(kind, error)) from None
    except (OSError, UnicodeError):
        raise SettingsError([".env: cannot be read; expected UTF-8 text"]) from None


class _Traces(BaseSettings):
    """What OpenTelemetry's SDK reads by itself, as far as it tells whether anybody takes traces."""

    otel_exporter_otlp_endpoint: str = ""
    otel_exporter_otlp_traces_endpoint: str = ""


def traces_are_taken() -> bool:
    """Whether the environment names somebody who takes traces."""
    return any(_Traces().model_dump().values())


def redactor_at_hand() -> Redactor:
    """With every secret that is given, whatever is wrong or missing: for commands that need few of the settings."""
    instead: dict[str, Any] = {}
    for _ in range(2):
        try:
            return load(Settings, instead).redactor()
        except SettingsError as error:
            wrong = [problem.partition(":")[0] for problem in error.problems]
            instead = dict.fromkeys(wrong, "")
            instead |= {name: _NO_SECRET.get(name, "") for name in (name.removesuffix("_FILE") for name in wrong)}
    return Redactor([])


_NO_SECRET = {"SLACK_BOT_TOKEN": "xoxb-none", "SLACK_APP_TOKEN": "xapp-none", "SIFT_API_KEY": "none"}


_WRONG = {
    "missing": "missing",
    "beside": "given beside the variable without _FILE, one of them is enough",
    "unreadable": "cannot be read",
    "empty": "is empty",
    "content": "holds something else",
}


def problems(kind: type[StoreSettings], error: ValidationError) -> list[str]:
    """One line per wrong setting; values are never repeated, some are secrets."""
    lines: list[str] = []
    for detail in error.errors(include_input=False, include_url=False):
        name = str(detail["loc"][0])
        expected, what = kind.model_fields[name].description, _WRONG.get(detail["type"], "wrong")
        if detail["type"] in ("beside", "unreadable", "empty", "content"):
            name += "_file"
        lines.append(f"{name.upper()}: {what}; expected {expected}")
    return list(dict.fromkeys(lines))

"""Writes the settings' table in docs/operating.md and `.env.example` from the settings: `make settings`.

Names, defaults and what is expected come from `bot.settings`; what each setting is for stands here.
"""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bot.settings import Settings

ROOT = Path(__file__).parent.parent.parent
TABLE = ROOT / "docs" / "operating.md"
EXAMPLE = ROOT / ".env.example"

BEGIN, END = "<!-- settings: written by `make settings` -->\n", "<!-- end of settings -->\n"

MEANINGS = {
    "slack_bot_token": "bot token",
    "slack_app_token": "app-level token: requests come over Socket Mode",
    "slack_signing_secret": "without an app token: requests come over HTTP, at `POST /slack/events`, signed with this",
    "slack_api_url": "base URL of the Slack Web API",
    "sift_api_key": "Sift API key",
    "sift_rest_uri": "base URL of Sift's REST API",
    "sift_app_url": "Sift's web app, for links; empty: derived for the public hosts",
    "sift_timeout_seconds": "whole time allowed for one call to Sift",
    "database_url": "where everything is kept",
    "host": "where health, metrics and, over HTTP, Slack's requests are served",
    "port": "at which port",
    "admins": "who is an admin from the first start",
    "alert_channel": "channel for alerts of failed jobs; empty: no watching",
    "alert_channels": "channels per job type; others go to `ALERT_CHANNEL`",
    "alert_poll_seconds": "how often Sift is asked for new failures",
    "alert_storm": "more new failures than this for one channel in one poll become one message",
    "alert_lookback_hours": "how far back failures are looked for after the bot was down",
    "follow_poll_seconds": "how often followed jobs are asked for",
    "retry_cooldown_seconds": "least time between two retries of one job",
    "retry_concurrency": "retries that may be with Sift at a time",
    "requests_per_minute": "so many requests of one person are recorded in a minute, a batch counting as one",
    "settle_seconds": "how long an unknown outcome is read back before it counts as not applied",
    "rerun": "offering to evaluate reports again that were evaluated before late data arrived",
    "approval_after": "from this retry of one job on, a second person must approve; empty: never",
    "approval_count": "so many different people must approve",
    "remind_after": "a failure that nobody took, retried or snoozed for so long is reminded of; empty: never",
    "oncall_group": "user group that reminders mention; empty: nobody",
    "digest_at": "times of day of the digest in each alert channel; empty: none",
    "timezone": "the time zone of `DIGEST_AT`, and of whoever snoozes where Slack names none",
    "notify_creator": "telling who created a failed job, where Slack knows their e-mail address",
    "audit_stream": "where every entry of the audit is sent as JSON lines; empty: nowhere",
    "anchor_channel": "channel that gets the audit's head once a day (UTC); empty: none",
    "audit_signing_key_file": "signs the audit's heads, see [audit.md](audit.md); empty: unsigned",
    "log_level": "what is logged",
    "log_format": "for people, or as JSON lines",
}
"""What each setting is for, in the order of the documents."""

HEAD = """\
# The settings, as `make settings` writes them: copy this to .env and fill in what has no #.
# Each secret may instead be given as a file:
# {files}.
"""


def files() -> list[str]:
    """The fields that name a file with a secret; they are told of together."""
    return [
        name for name in Settings.model_fields if name.removesuffix("_file") in Settings.model_fields.keys() - {name}
    ]


def default(field: FieldInfo) -> str:
    """What a variable may be set to without changing anything; empty where nothing is set."""
    value: Any = field.get_default()
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, str | int | float | ZoneInfo) else ""


def table() -> str:
    """The table of docs/operating.md."""
    lines = ["| variable | for | expected | default |", "|---|---|---|---|"]
    for name, meaning in MEANINGS.items():
        field = Settings.model_fields[name]
        shown = "required" if field.is_required() else f"`{default(field)}`" if default(field) else "empty"
        lines.append(f"| `{name.upper()}` | {meaning} | {field.description} | {shown} |")
    return "\n".join(lines) + "\n"


def example() -> str:
    """The text of `.env.example`: what is required to be filled in, everything else at its default, switched off."""
    needed = {name for name, field in Settings.model_fields.items() if field.is_required()} | {"slack_app_token"}
    parts = [HEAD.format(files=", ".join(name.upper() for name in files()))]
    for name, meaning in MEANINGS.items():
        field = Settings.model_fields[name]
        switch = "" if name in needed else "#"
        plain = meaning.replace("[audit.md](audit.md)", "docs/audit.md").replace("`", "")
        parts.append(f"# {plain}\n# expected: {field.description}\n{switch}{name.upper()}={default(field)}\n")
    return "\n".join(parts)


def documented(text: str) -> str:
    """A document with its table written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Writes both files."""
    TABLE.write_text(documented(TABLE.read_text(encoding="utf-8")), encoding="utf-8")
    EXAMPLE.write_text(example(), encoding="utf-8")


if __name__ == "__main__":
    main()

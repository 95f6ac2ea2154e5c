from datetime import time, timedelta
from pathlib import Path

import pytest

from bot.base.errors import SettingsError
from bot.settings import Settings, StoreSettings, load

GOOD = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SIFT_API_KEY": "key"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's and no `.env` is seen."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def problems(**settings: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {**GOOD, **settings})
    return caught.value.problems


def test_government_hosts_are_two_settings() -> None:
    hosts = {"SLACK_API_URL": "https://slack-gov.com/api/", "SIFT_REST_URI": "https://gov.api.siftstack.com"}
    settings = load(Settings, {**GOOD, **hosts})
    assert settings.slack_api_url.rstrip("/") == "https://slack-gov.com/api"
    assert settings.sift_rest_uri == "https://gov.api.siftstack.com"
    assert settings.redactor().scrub("at https://slack-gov.com/response/1") == "at [answer address]"


def test_the_defaults_are_the_contract_s() -> None:
    settings = load(Settings, GOOD)
    assert settings.database_url.get_secret_value() == "sqlite:///sift-retry.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 3000)
    assert settings.sift_rest_uri == "https://api.siftstack.com"
    assert (settings.follow_poll_seconds, settings.alert_poll_seconds, settings.retry_cooldown_seconds) == (5, 15, 30)
    assert (settings.settle_seconds, settings.sift_timeout_seconds, settings.retry_concurrency) == (120, 10, 4)
    assert settings.socket_mode
    assert settings.rerun
    assert settings.admins == frozenset()


@pytest.mark.parametrize(("value", "expected"), [("on", True), ("off", False), ("OFF", False), ("", True)])
def test_a_switch_is_on_or_off(value: str, expected: bool) -> None:
    assert load(Settings, {**GOOD, "RERUN": value}).rerun == expected


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080", "http://localhost:1/sift", "http://[::1]:9"])
def test_sift_s_key_goes_unencrypted_to_this_machine_alone(address: str) -> None:
    assert load(Settings, {**GOOD, "SIFT_REST_URI": address}).sift_rest_uri == address


def test_times_of_day_durations_and_zones_are_read() -> None:
    given = {"DIGEST_AT": "20:00, 08:00,20:00", "TIMEZONE": "Europe/Berlin", "REMIND_AFTER": "30m"}
    settings = load(Settings, {**GOOD, **given, "AUDIT_STREAM": "https://siem.example/in"})
    assert settings.digest_at == (time(8), time(20))
    assert settings.timezone.key == "Europe/Berlin"
    assert settings.remind_after == timedelta(minutes=30)


def test_every_missing_setting_is_one_line_that_names_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SIFT_API_KEY",
    ]
    assert all("missing; expected" in line for line in caught.value.problems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLACK_BOT_TOKEN", "xoxp-user"),
        ("SLACK_APP_TOKEN", "xoxb-1"),
        ("SLACK_API_URL", "slack.example"),
        ("SIFT_REST_URI", "api.siftstack.com"),
        ("SIFT_REST_URI", "ftp://api.siftstack.com"),
        ("SIFT_REST_URI", "http://api.siftstack.com"),
        ("SIFT_REST_URI", "http://10.0.0.7:8080"),
        ("SIFT_REST_URI", "http://127.0.0.1.example.com"),
        ("APPROVAL_COUNT", "0"),
        ("REMIND_AFTER", "soon"),
        ("REMIND_AFTER", "0s"),
        ("ONCALL_GROUP", "@on-call"),
        ("DIGEST_AT", "8"),
        ("DIGEST_AT", "08:00,24:00"),
        ("TIMEZONE", "Mars/Olympus"),
        ("TIMEZONE", "../etc/passwd"),
        ("NOTIFY_CREATOR", "yes"),
        ("AUDIT_STREAM", "http://siem.example"),
        ("AUDIT_STREAM", "stderr"),
        ("SIFT_API_KEY", "two words"),
        ("DATABASE_URL", "mysql://u:hush@h/db"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "postgresql://u:p@hush:word@h/db"),
        ("REQUESTS_PER_MINUTE", "-1"),
        ("RERUN", "yes"),
        ("RERUN", "1"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("ADMINS", "U1,someone"),
        ("ALERT_CHANNEL", "#launch-ops"),
        ("ALERT_CHANNELS", "canvas=C1"),
        ("ALERT_CHANNELS", "data_import=#x"),
        ("ALERT_CHANNELS", "data_import"),
        ("FOLLOW_POLL_SECONDS", "0"),
        ("FOLLOW_POLL_SECONDS", "-1"),
        ("FOLLOW_POLL_SECONDS", "nan"),
        ("FOLLOW_POLL_SECONDS", "inf"),
        ("FOLLOW_POLL_SECONDS", "5s"),
        ("RETRY_COOLDOWN_SECONDS", "-1"),
        ("ALERT_STORM", "1.5"),
        ("RETRY_CONCURRENCY", "0"),
        ("APPROVAL_AFTER", "0"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_what_is_expected(name: str, value: str) -> None:
    (line,) = problems(**{name: value})
    assert line.startswith(f"{name}: wrong; expected ")
    assert "hush" not in line


def test_several_problems_are_told_at_once() -> None:
    assert len(problems(PORT="x", ADMINS="x", SIFT_REST_URI="x")) == 3


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("sqlite:////var/lib/bot.db", "sqlite:////var/lib/bot.db"),
    ],
)
def test_the_bot_chooses_the_driver(given: str, used: str) -> None:
    assert load(StoreSettings, {"DATABASE_URL": given}).database_url.get_secret_value() == used


def test_lists_and_fractions_are_read() -> None:
    settings = load(
        Settings,
        {
            **GOOD,
            "ADMINS": "U1, W2,",
            "ALERT_CHANNELS": "data_import=C1, data_export=C3",
            "FOLLOW_POLL_SECONDS": "0.5",
            "RETRY_COOLDOWN_SECONDS": "0",
        },
    )
    assert settings.admins == {"U1", "W2"}
    assert settings.alert_channels == {"data_import": "C1", "data_export": "C3"}
    assert (settings.follow_poll_seconds, settings.retry_cooldown_seconds) == (0.5, 0)


def test_http_mode_needs_the_signing_secret_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "s")
    settings = load(Settings, {"SLACK_BOT_TOKEN": "xoxb-1", "SIFT_API_KEY": "key", "SLACK_APP_TOKEN": ""})
    assert not settings.socket_mode


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("SLACK_BOT_TOKEN", "xoxb-2"),
        ("SLACK_APP_TOKEN", "xapp-2"),
        ("SLACK_SIGNING_SECRET", "s2"),
        ("SIFT_API_KEY", "key2"),
        ("DATABASE_URL", "sqlite:////var/lib/two.db"),
    ],
)
def test_a_secret_may_be_given_as_a_file(name: str, secret: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    others = {other: value for other, value in GOOD.items() if other != name}
    settings = load(Settings, {**others, f"{name}_FILE": str(file)})
    assert getattr(settings, name.lower()).get_secret_value() == secret
    (line,) = problems(**{name: secret, f"{name}_FILE": str(file)})
    assert line.startswith(f"{name}_FILE: given beside ")
    for path, content, what in (
        ("/nowhere", "", "cannot be read"),
        (str(tmp_path), "", "cannot be read"),
        (str(file), "\n", "is empty"),
        (str(file), "two words", "holds something else"),
    ):
        file.write_text(content)
        (line,) = problems(**{name: "", f"{name}_FILE": path})
        assert line.startswith(f"{name}_FILE: {what}; expected ")
        assert "two words" not in line


def test_a_file_beside_an_emptied_variable_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file")
    (tmp_path / ".env").write_text("SIFT_API_KEY=from-dotenv\nSIFT_API_KEY_FILE=key\n")
    good = {name: value for name, value in GOOD.items() if name != "SIFT_API_KEY"}
    with pytest.raises(SettingsError, match="SIFT_API_KEY_FILE: given beside"):
        load(Settings, good)
    monkeypatch.setenv("SIFT_API_KEY", "")
    assert load(Settings, good).sift_api_key.get_secret_value() == "from-a-file"


@pytest.mark.parametrize("content", [b"\x00", b"\xff\xfe", b"", b"x" * 100_000 + b" y"])
def test_a_file_that_holds_no_secret_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    (line,) = problems(SIFT_API_KEY="", SIFT_API_KEY_FILE=str(tmp_path / "key"))
    assert line.startswith("SIFT_API_KEY_FILE: ")


def test_a_dotenv_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SIFT_API_KEY=\xff\xfe")
    assert problems() == [".env: cannot be read; expected UTF-8 text"]


def test_the_redactor_knows_every_secret() -> None:
    settings = load(
        Settings,
        {
            "SLACK_BOT_TOKEN": "xoxb-canary1",
            "SLACK_APP_TOKEN": "xapp-canary2",
            "SLACK_SIGNING_SECRET": "canary3",
            "SIFT_API_KEY": "canary4",
            "DATABASE_URL": "postgresql://u:canary%405@h/db?sslpassword=canary6",
        },
    )
    text = "xoxb-canary1 xapp-canary2 canary3 canary4 canary%405 canary@5 canary6"
    assert settings.redactor().clean(text) == " ".join(["[secret]"] * 7)


def test_secrets_are_never_printed() -> None:
    settings = load(Settings, {**GOOD, "DATABASE_URL": "postgresql://u:hush@h/db", "SLACK_SIGNING_SECRET": "hush"})
    shown = f"{settings!r} {settings}"
    for secret in ("xoxb-1", "xapp-1", "hush", "key'"):
        assert secret not in shown


def test_a_dotenv_file_counts_and_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SLACK_BOT_TOKEN=xoxb-1\nSLACK_APP_TOKEN=xapp-1\nSIFT_API_KEY=key\nPORT=4000\n")
    assert load(Settings).port == 4000
    monkeypatch.setenv("PORT", "5000")
    assert load(Settings).port == 5000

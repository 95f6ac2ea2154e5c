"""The settings' table and `.env.example` say what the settings are."""

import re
from pathlib import Path

import pytest

from bot.base.errors import SettingsError
from bot.settings import Settings, load
from tests.deploy import settings_table

SECRETS = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SIFT_API_KEY": "key"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's is seen; `.env` is the test's own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_its_meaning() -> None:
    assert set(settings_table.MEANINGS) | set(settings_table.files()) == set(Settings.model_fields)


def test_make_settings_would_change_nothing() -> None:
    text = settings_table.TABLE.read_text(encoding="utf-8")
    assert settings_table.documented(text) == text
    assert settings_table.example() == settings_table.EXAMPLE.read_text(encoding="utf-8")


def test_the_example_wants_just_what_is_required(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(settings_table.EXAMPLE.read_text(encoding="utf-8"))
    with pytest.raises(SettingsError) as caught:
        load(Settings)
    assert sorted(line.split(":")[0] for line in caught.value.problems) == sorted(SECRETS)


def test_the_example_s_switched_off_lines_are_the_defaults(tmp_path: Path) -> None:
    example = settings_table.EXAMPLE.read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE))
    switched_on = load(Settings, SECRETS)
    (tmp_path / ".env").unlink()
    assert switched_on == load(Settings, SECRETS)


def test_every_secret_that_may_be_a_file_is_told_in_the_documents() -> None:
    (said,) = re.findall(
        r"^Each of (.*?) may be given as a file", settings_table.TABLE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {f"{name}_FILE" for name in re.findall(r"`(\w+)`", said)} == set(map(str.upper, settings_table.files()))
    assert ", ".join(map(str.upper, settings_table.files())) in settings_table.EXAMPLE.read_text(encoding="utf-8")

"""`app_manifest.yml` asks for exactly what the code uses."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from slack_bolt.async_app import AsyncApp

from bot.access.modal import GRANT_VIEW
from bot.alerts.oncall_messages import MUTE_VIEW, SNOOZE_VIEW
from bot.app import listeners
from bot.records.search import SEARCH_VIEW
from bot.retries.messages import modals
from bot.retries.messages.approval import DECLINE_VIEW, OVERRIDE_VIEW, SOME_VIEW
from bot.retries.messages.cancel import CANCEL_VIEW
from bot.sandbox.slack.state import SCOPES as SANDBOX_SCOPES
from bot.sandbox.slack.workspace import SlackWorkspace
from bot.slack import scopes as scopes_of_slack

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT.parent / "shared" / "slack" / "manifest.schema.json"
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "app_manifest.yml").read_text())

SCOPES = {
    "chat.postMessage": {"chat:write", "chat:write.public"},
    "chat.postEphemeral": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.delete": {"chat:write"},
    "chat.getPermalink": set(),
    "users.info": {"users:read"},
    "usergroups.list": {"usergroups:read"},
    "usergroups.users.list": {"usergroups:read"},
    "files.getUploadURLExternal": {"files:write"},
    "files.completeUploadExternal": {"files:write"},
    "auth.test": set(),
    "apps.connections.open": set(),  # the app-level token's
    "views.open": set(),
    "views.push": set(),
    "views.publish": set(),
    "views.update": set(),
}
OPTIONAL = {
    "conversations.info": {"channels:read", "groups:read"},
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "users.lookupByEmail": {"users:read.email"},
}
EVENT_SCOPES = {"app_mention": {"app_mentions:read"}, "app_home_opened": set[str]()}


class Registered:
    """Stands where the Bolt app would, and notes what is registered."""

    def __init__(self) -> None:
        self.found: dict[str, set[Any]] = {}

    def __getattr__(self, kind: str) -> Callable[[Any], Callable[[Any], None]]:
        def register(constraint: Any) -> Callable[[Any], None]:
            if not isinstance(constraint, re.Pattern):  # what no feature is for: see `app.unhandled`
                self.found.setdefault(kind, set()).add(constraint)
            return lambda _: None

        return register


class Anything:
    """Stands where a use case would; nothing is asked of it while listeners are registered."""

    def __getattr__(self, _: str) -> "Anything":
        return self


@pytest.fixture(scope="module")
def registered() -> dict[str, set[Any]]:
    app = Registered()
    listeners.register(cast("AsyncApp", app), cast("listeners.UseCases", Anything()))
    return app.found


def called_methods() -> set[str]:
    source = "".join(path.read_text() for path in sorted((ROOT / "bot" / "slack").glob("*.py")))
    return set(re.findall(r'"((?:auth|apps|chat|users|usergroups|conversations|views|files)\.[a-zA-Z.]+)"', source))


def test_it_is_valid() -> None:
    if not SCHEMA.is_file():
        pytest.skip(f"Slack's manifest schema is not at {SCHEMA}")
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), str(ROOT / "app_manifest.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_its_scopes_are_those_of_the_methods_and_events_used(registered: dict[str, set[Any]]) -> None:
    methods = called_methods()
    assert methods <= SCOPES.keys() | OPTIONAL.keys(), "say which scopes a newly called method needs"
    needed = {"commands"}.union(*(SCOPES.get(method, set()) for method in methods))
    needed = needed.union(*(EVENT_SCOPES[event] for event in registered["event"]))
    scopes = MANIFEST["oauth_config"]["scopes"]
    optional = set[str]().union(*(OPTIONAL.get(method, set()) for method in methods))
    assert set(scopes["bot_optional"]) == optional == scopes_of_slack.OPTIONAL.keys()
    assert set(scopes["bot"]) == needed | optional, "Slack asks for no optional scope that stands in one list alone"
    assert needed == scopes_of_slack.NEEDED.keys()


@pytest.mark.parametrize("declined", [set[str](), {"groups:history"}, {"channels:history", "groups:history"}])
def test_an_installation_grants_what_was_not_declined(declined: set[str]) -> None:
    scopes, slack = MANIFEST["oauth_config"]["scopes"], SlackWorkspace()
    slack.install(scopes["bot"], scopes["bot_optional"], declined | {"users:read"})
    assert slack.scopes == SANDBOX_SCOPES - declined, "what is not optional cannot be declined"


def test_its_events_command_shortcut_and_home_tab_are_those_registered(registered: dict[str, set[Any]]) -> None:
    features, settings = MANIFEST["features"], MANIFEST["settings"]
    assert set(settings["event_subscriptions"]["bot_events"]) == registered["event"]
    (command,) = features["slash_commands"]
    assert {command["command"]} == registered["command"]
    assert command["should_escape"] is True
    (shortcut,) = features["shortcuts"]
    assert ({shortcut["callback_id"]}, shortcut["type"]) == (registered["shortcut"], "message")
    assert shortcut["name"] == "Retry Sift job"
    assert features["app_home"]["home_tab_enabled"] is ("app_home_opened" in registered["event"])
    approving = {SOME_VIEW, DECLINE_VIEW, OVERRIDE_VIEW}
    others = {modals.RETRY_VIEW, CANCEL_VIEW, GRANT_VIEW, SNOOZE_VIEW, MUTE_VIEW, SEARCH_VIEW}
    assert registered["view"] == approving | others
    assert settings["interactivity"]["is_enabled"] is True

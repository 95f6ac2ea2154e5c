"""New secrets taken over while the bot runs (SIGHUP), so that renewing one loses no request."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from pydantic import SecretStr
from slack_sdk.signature import SignatureVerifier

from bot.app.socket_mode import SocketMode
from bot.base.errors import SettingsError
from bot.base.redactor import Redactor
from bot.settings import Settings
from bot.sift.client import Sift
from bot.slack.client import Slack
from bot.slack.errors import SlackError
from bot.slack.web import web_client

log = structlog.get_logger(__name__)

RENEWED = ("slack_bot_token", "slack_app_token", "slack_signing_secret", "sift_api_key")
"""What is taken over; everything else takes a restart."""


@dataclass
class Rotation:
    """Reads the settings again when it was asked to, and gives new secrets to whoever uses them.

    Args:
        settings: those in force.
        read: reads them again; raises `SettingsError`.
        team_id: the workspace, which a new bot token must belong to.
        verifier: checks Slack's signatures; None in Socket Mode.
        socket: the Socket Mode connection; None over HTTP.
    """

    settings: Settings
    read: Callable[[], Settings]
    team_id: str
    redactor: Redactor
    slack: Slack
    sift: Sift
    verifier: SignatureVerifier | None
    socket: SocketMode | None
    asked: bool = False

    async def step(self) -> None:
        """Takes over what is new, if somebody asked for it; what is wrong changes nothing."""
        if not self.asked:
            return
        self.asked = False
        try:
            found = self.read()
        except SettingsError as error:
            log.error("secrets.not_renewed", problems=error.problems)
            return
        changed = [name for name in Settings.model_fields if getattr(found, name) != getattr(self.settings, name)]
        self.redactor.hide(getattr(found, name).get_secret_value() for name in RENEWED if getattr(found, name))
        renewed = [
            name.upper() for name in RENEWED if name in changed and await self._renew(name, getattr(found, name))
        ]
        log.info("secrets.renewed", renewed=renewed, after_restart=[n.upper() for n in changed if n not in RENEWED])

    async def _renew(self, name: str, secret: SecretStr | None) -> bool:
        """Takes over one secret; returns whether it is used from now on."""
        if secret is None or (name == "slack_bot_token" and not await self._is_ours(secret)):
            log.error("secret.not_renewed", setting=name.upper())
            return False
        value = secret.get_secret_value()
        match name:
            case "slack_bot_token":
                self.slack.client.token = value
            case "slack_app_token":
                if self.socket is not None:
                    self.socket.renew(value)
            case "slack_signing_secret":
                if self.verifier is not None:
                    self.verifier.signing_secret = value
            case "sift_api_key":
                self.sift.renew(secret)
        self.settings = self.settings.model_copy(update={name: secret})
        return True

    async def _is_ours(self, token: SecretStr) -> bool:
        """Whether Slack knows the token, as one of the same workspace: people and channels mean nothing in another."""
        session = self.slack.client.session
        if session is None:
            return False
        other = Slack(
            web_client(token.get_secret_value(), self.slack.client.base_url, session), time.monotonic, self.redactor
        )
        try:
            return (await other.identify()).team_id == self.team_id
        except SlackError as error:
            log.error("secret.refused", setting="SLACK_BOT_TOKEN", error=str(error))
            return False

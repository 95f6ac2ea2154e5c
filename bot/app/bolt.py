"""The Bolt app of the one workspace, before any feature is registered with it."""

import logging

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import unhandled
from bot.base import tracing
from bot.base.redactor import Redactor
from bot.slack.links import Workspace


def _bolt_log() -> logging.Logger:
    """Bolt's log, for errors alone: it warns of every request that is not ours to handle, body and all."""
    logger = logging.getLogger("slack_bolt.app")
    logger.setLevel(logging.ERROR)
    return logger


class _App(AsyncApp):
    """A Bolt app whose acks hold no secret; they are the one way to Slack that `slack` does not see."""

    redactor: Redactor

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        with tracing.span("Slack request"):
            response = unhandled.acknowledged(await super().async_dispatch(req), req.body)
        response.body = self.redactor.clean(response.body)
        return response


def bolt_app(client: AsyncWebClient, workspace: Workspace, redactor: Redactor) -> AsyncApp:
    """A Bolt app for the one workspace of the token; signatures are verified before it, in `http`."""

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=workspace.enterprise_id,
            team_id=workspace.team_id,
            bot_user_id=workspace.bot_user_id,
            bot_id=workspace.bot_id,
            bot_token=client.token,  # a new one may have been taken over
        )

    app = _App(
        name="sift-retry",  # without one, Bolt looks through the source of every module for its caller's
        logger=_bolt_log(),
        client=client,
        authorize=authorize,
        process_before_response=True,
        request_verification_enabled=False,
        attaching_function_token_enabled=False,
    )
    app.redactor = redactor
    return app

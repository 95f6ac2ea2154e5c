"""What is typed, handed to whom it concerns.

`/sift-retry <jobId> [reason]`, `/sift-retry list`, …: what only the person sees comes in the ack or after it.
`@bot retry <jobId>`, `@bot list`, … in a thread: the same words, answered in that thread.
"""

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, assert_never

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.access.changes import Granting
from bot.access.request import GrantWanted
from bot.app import commands
from bot.app.command import (
    Allow,
    Command,
    Help,
    ListFailed,
    Pick,
    ReadAudit,
    Retry,
    RetryRun,
    Revoke,
    ShowAccess,
    Stats,
    Status,
    Usage,
)
from bot.app.help import COMMAND, help_text, usage
from bot.base.metrics import Metrics
from bot.base.requester import Requester
from bot.home.lookup import Lookup
from bot.home.run import Runs
from bot.records.history import History
from bot.retries.intake import Intake
from bot.retries.request import JobRef
from bot.slack import payloads
from bot.slack.message import Message
from bot.slack.replies import Replies, private

Look = Pick | RetryRun | ListFailed | Status | ShowAccess | ReadAudit | Stats
"""What only looks something up."""


@dataclass(frozen=True)
class Dispatch:
    """Hands what was typed to whom it concerns."""

    intake: Intake
    replies: Replies
    lookup: Lookup
    runs: Runs
    granting: Granting
    history: History

    async def answer(
        self, requester: Requester, command: Command, trigger_id: str = "", bot: str | None = None
    ) -> Message | None:
        """Carries a command out.

        Args:
            trigger_id: opens the modal of a command that is picked from; a mention has none, and no such command.
            bot: the bot's mention, where it was mentioned: there examples begin with it.

        Returns:
            What is said at once; None if the answer follows on the side.
        """
        match command:
            case Retry():
                return await self.intake.take(requester, _wanted(command), command.reason)
            case Allow():
                return await self.granting.allow(requester, _grant(command))
            case Revoke(subject):
                return await self.granting.revoke(requester, subject)
            case Usage():
                return usage(command, bot)
            case Help():
                return help_text(bot)
            case _:
                self.replies.answer_when_known(requester, self._looked_up(requester, command, trigger_id))
                return None

    def _looked_up(self, requester: Requester, command: Look, trigger_id: str) -> Coroutine[Any, Any, Message | None]:
        """What is looked up for somebody."""
        match command:
            case Pick():
                return self.lookup.pick(requester, trigger_id)
            case RetryRun(readings):
                return self.runs.show(requester, readings)
            case ListFailed(run):
                if run is None:
                    return self.lookup.failed(requester)
                return self.runs.show(requester, [(run, None)], readonly=True)
            case Status(job_id):
                return self.lookup.status(requester, job_id)
            case ShowAccess():
                return self.granting.show(requester)
            case ReadAudit(job_id, user_id, back):
                return self.history.page(requester, self.history.search(job_id, user_id, back))
            case Stats(back):
                return self.history.send_stats(requester, back)
            case _:
                assert_never(command)


def register(app: AsyncApp, dispatch: Dispatch, metrics: Metrics) -> None:
    """Registers the command and the mention."""

    async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
        began = time.perf_counter()
        command = commands.parse(str(body.get("text") or ""))
        message = await dispatch.answer(payloads.requester_of_command(body), command, payloads.trigger_of(body))
        await ack(**private(message) if message else {})
        metrics.acked(time.perf_counter() - began)

    async def on_mention(event: dict[str, Any], body: dict[str, Any], context: AsyncBoltContext) -> None:
        command = commands.parse_mention(str(event.get("text") or ""))
        team_id = str(body.get("team_id") or "")
        if event.get("bot_id"):
            if event["bot_id"] != context.bot_id and event.get("user") != context.bot_user_id:
                bot = payloads.requester_of_mention({**event, "user": event.get("user") or event["bot_id"]}, team_id)
                await dispatch.intake.turn_away(bot, _wanted(command) if isinstance(command, Retry) else [])
            return
        requester = payloads.requester_of_mention(event, team_id)
        mine = f"<@{context.bot_user_id}>" if context.bot_user_id else None
        message = await dispatch.answer(requester, command, bot=mine)
        if message is not None:
            dispatch.replies.answer(requester, message)

    app.command(COMMAND)(on_command)
    app.event("app_mention")(on_mention)


def _grant(command: Allow) -> GrantWanted:
    return GrantWanted(subject=command.subject, role=command.role, duration=command.duration, reason=command.reason)


def _wanted(command: Retry) -> list[JobRef]:
    return [JobRef(job_id) for job_id in command.job_ids]

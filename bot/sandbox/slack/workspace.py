"""The embedded Slack workspace: people act in it, and the app gets what Slack would send."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.base.clock import Clock, utc_now
from bot.sandbox.payload import Payload
from bot.sandbox.slack import payloads
from bot.sandbox.slack import text as slack_text
from bot.sandbox.slack.answers import answer_command, answer_submission
from bot.sandbox.slack.api import slack_app
from bot.sandbox.slack.arguments import as_slack
from bot.sandbox.slack.delivery import COMMAND, EVENT, INTERACTIVE, Answer, Request, SignedHttp, Sockets, Transport
from bot.sandbox.slack.directory import BOT_USER, Channel, User
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.state import WorkspaceState
from bot.sandbox.slack.views import Given, NotOnScreen, View, action_of, pick

SIGNING_SECRET = "signing-canary-5d8b0"  # noqa: S105  # no secret: a word that must turn up nowhere

ACK_SECONDS = 3.0
"""How long Slack waits for an ack."""

SLASH_COMMAND = "/sift-retry"
SHORTCUT = "retry_sift_job"
SHORTCUT_NAME = "Retry Sift job"


@dataclass(frozen=True)
class Delivered:
    """How a request to the app went.

    Args:
        answer: what came back in time.
        seconds: how long the app took.
        reached: whether Slack sent it at all; it does not, for example, send the commands of strangers.
    """

    request: Request
    answer: Answer = field(default_factory=Answer)
    seconds: float = 0
    reached: bool = True

    @property
    def acked(self) -> bool:
        """Whether the app acknowledged it within Slack's three seconds."""
        return self.answer.ok

    @property
    def status(self) -> int | None:
        """The HTTP status; 200 for a Socket Mode ack; None if nothing came."""
        return self.answer.status

    @property
    def body(self) -> Any:
        """What the ack carried: JSON, a text, or None."""
        return self.answer.body

    @property
    def payload(self) -> Payload:
        """What was sent."""
        return self.request.payload


class SlackWorkspace(WorkspaceState):
    """A workspace with one app, the bot, installed.

    Serve `app`, point the bot's `SLACK_API_URL` at its `/api/`, and act. Requests go over the bot's Socket Mode
    connections, or, once `request_url` is set, signed over HTTP.

    Args:
        clock: the present moment.
    """

    signing_secret = SIGNING_SECRET

    def __init__(self, clock: Clock = utc_now) -> None:
        super().__init__(clock)
        self.request_url: str | None = None
        self.ack_seconds = ACK_SECONDS
        self.sockets = Sockets(self.changed)
        self.app = slack_app(self, self.sockets)

    # What people do

    def say(self, user_id: str, channel_id: str, text: str, thread_ts: str | None = None) -> Message:
        """Somebody writes a message; the app is not told."""
        return self.post(channel_id, user_id, self._in_message(text), thread_ts=thread_ts)

    async def command(self, user_id: str, channel_id: str, text: str, command: str = SLASH_COMMAND) -> Delivered:
        """Somebody types a slash command; what the ack says is shown to them, a missing ack too."""
        user, channel = self._who_and_where(user_id, channel_id)
        escaped = slack_text.in_command(text, self.users.values(), self.groups.values(), self.channels.values())
        trigger_id, url = self.new_trigger(user_id), self.new_response_url(user_id, channel_id)
        request = Request(COMMAND, payloads.command(user, channel, command, escaped, trigger_id, url))
        if user.is_stranger:
            self.whisper(user_id, channel_id, f"{command} is not a valid command.")
            return Delivered(request, reached=False)
        delivered = await self._deliver(request)
        answer_command(self, request.payload, delivered.answer)
        return delivered

    async def click(
        self,
        user_id: str,
        channel_id: str,
        message_ts: str,
        action_id: str,
        block_id: str | None = None,
        value: Given = None,
        seen: Message | None = None,
    ) -> Delivered:
        """Somebody presses a button, or chooses something, in a message.

        Args:
            value: which of several buttons, or what is chosen.
            seen: the message as it still is on their screen; as it is now by default.

        Raises:
            NotOnScreen: they cannot see that.
        """
        user, channel = self._who_and_where(user_id, channel_id)
        message = seen or channel.find(message_ts)
        if message is None or message.visible_to not in (None, user_id):
            raise NotOnScreen(f"no message {message_ts} in {channel_id} for {user_id}")
        at = self.now_ts()
        action = action_of(*pick(message.blocks, action_id, block_id, value), value, at)
        trigger_id, url = self.new_trigger(user_id), self.new_response_url(user_id, channel_id, message_ts)
        shown = as_slack(self, message)
        payload = payloads.click_in_message(user, channel, message, shown, action, trigger_id, url)
        return await self._deliver(Request(INTERACTIVE, payload))

    async def click_view(
        self,
        user_id: str,
        view_id: str,
        action_id: str,
        block_id: str | None = None,
        value: Given = None,
        values: Mapping[str, Given] | None = None,
    ) -> Delivered:
        """Somebody presses a button, or chooses something, in their modal or Home tab.

        Args:
            values: what the view's other inputs hold by now, by action ID.
        """
        view = self._view(user_id, view_id)
        action = action_of(*pick(view.blocks, action_id, block_id, value), value, self.now_ts())
        trigger_id = self.new_trigger(user_id, view_id)
        shown = view.as_slack(values)
        return await self._deliver(
            Request(INTERACTIVE, payloads.click_in_view(self.users[user_id], shown, action, trigger_id))
        )

    async def click_home(
        self, user_id: str, action_id: str, block_id: str | None = None, value: Given = None
    ) -> Delivered:
        """Somebody presses a button in their Home tab."""
        if user_id not in self.homes:
            raise NotOnScreen(f"{user_id} has no Home tab yet")
        return await self.click_view(user_id, self.homes[user_id].id, action_id, block_id, value)

    async def submit(self, user_id: str, view_id: str, values: Mapping[str, Given] | None = None) -> Delivered:
        """Somebody submits their modal; the ack may close, change or correct it.

        Args:
            values: what they filled in, by action ID; the rest is as it was at first.
        """
        view = self._view(user_id, view_id)
        payload = payloads.submission(self.users[user_id], view.as_slack(values), self.new_trigger(user_id, view_id))
        delivered = await self._deliver(Request(INTERACTIVE, payload))
        answer_submission(self, view, delivered.answer)
        return delivered

    async def close(self, user_id: str, view_id: str) -> Delivered | None:
        """Somebody closes their modal; the app is told only if it asked for that."""
        view = self._view(user_id, view_id)
        self.modals[user_id].remove(view)
        self.changed()
        if not view.body.get("notify_on_close"):
            return None
        return await self._deliver(Request(INTERACTIVE, payloads.closing(self.users[user_id], view.as_slack())))

    async def shortcut(self, user_id: str, channel_id: str, message_ts: str, callback_id: str = SHORTCUT) -> Delivered:
        """Somebody takes a message shortcut from the menu of a message."""
        user, channel = self._who_and_where(user_id, channel_id)
        message = channel.find(message_ts)
        if message is None or message.visible_to:
            raise NotOnScreen(f"no message {message_ts} in {channel_id} that has a menu")
        shown, at = as_slack(self, message), self.now_ts()
        trigger_id, url = self.new_trigger(user_id), self.new_response_url(user_id, channel_id, message_ts)
        payload = payloads.message_shortcut(user, channel, shown, callback_id, trigger_id, url, at)
        return await self._deliver(Request(INTERACTIVE, payload))

    def mentions_app(self, text: str) -> bool:
        """Whether what somebody types is for the app."""
        return f"<@{BOT_USER}>" in self._in_message(text)

    async def mention(self, user_id: str, channel_id: str, text: str, thread_ts: str | None = None) -> Delivered:
        """Somebody writes a message to the app; it is told only in channels that it is in."""
        user, channel = self._who_and_where(user_id, channel_id)
        to_app = f"<@{BOT_USER}>"
        typed = self._in_message(text.replace(to_app, f"@{self.users[BOT_USER].handle}"))
        message = self.post(channel_id, user_id, typed if to_app in typed else f"{to_app} {typed}", thread_ts=thread_ts)
        shown = as_slack(self, message)
        more = {name: shown[name] for name in ("text", "ts", "thread_ts", "bot_id") if name in shown}
        payload = payloads.event(
            "app_mention", user, self.new_id("Ev"), message.ts, channel=channel_id, team=user.team_id, **more
        )
        request = Request(EVENT, payload)
        if BOT_USER not in channel.members:
            self.whisper(user_id, channel_id, f"You mentioned {to_app}, but they’re not in this channel.", thread_ts)
            return Delivered(request, reached=False)
        return await self._deliver(request)

    async def home_opened(self, user_id: str) -> Delivered:
        """Somebody opens the app's Home tab."""
        at = self.now_ts()
        home = self.homes.get(user_id)
        view = {"view": home.as_slack()} if home else {}
        payload = payloads.event(
            "app_home_opened",
            self.users[user_id],
            self.new_id("Ev"),
            at,
            channel=self.dm(user_id).id,
            tab="home",
            **view,
        )
        return await self._deliver(Request(EVENT, payload))

    async def event(self, kind: str, user_id: str, **fields: Any) -> Delivered:
        """Something happens that the app is told of; of whatever kind."""
        payload = payloads.event(kind, self.users[user_id], self.new_id("Ev"), self.now_ts(), **fields)
        return await self._deliver(Request(EVENT, payload))

    async def interaction(self, payload: Payload) -> Delivered:
        """Slack sends an interaction, as it is given."""
        return await self._deliver(Request(INTERACTIVE, payload))

    async def redeliver(self, delivered: Delivered) -> Delivered:
        """Slack sends the very same request again, as it does when it missed the ack."""
        request = delivered.request
        return await self._deliver(Request(request.kind, request.payload, request.retry + 1))

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Asks the app to open its Socket Mode connections anew."""
        await self.sockets.disconnect(reason)

    async def cut(self) -> None:
        """Cuts the Socket Mode connections without a word."""
        self.sockets.cut()

    # How it is done

    @property
    def _transport(self) -> Transport:
        return SignedHttp(self.request_url, self.signing_secret) if self.request_url else self.sockets

    async def _deliver(self, request: Request) -> Delivered:
        began = time.perf_counter()
        answer = await self._transport.deliver(request, self.ack_seconds)
        return Delivered(request, answer, time.perf_counter() - began)

    def _in_message(self, text: str) -> str:
        return slack_text.in_message(text, self.users.values(), self.groups.values(), self.channels.values())

    def _who_and_where(self, user_id: str, channel_id: str) -> tuple[User, Channel]:
        user, channel = self.users[user_id], self.channels[channel_id]
        if not channel.visible_to(user):
            raise NotOnScreen(f"{user_id} does not see {channel_id}")
        return user, channel

    def _view(self, user_id: str, view_id: str) -> View:
        view = self.view(view_id)
        if view is None or view.user != user_id:
            raise NotOnScreen(f"{user_id} has no view {view_id}")
        return view

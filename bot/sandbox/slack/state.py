"""What is in the embedded workspace at a moment, and the bookkeeping around it; knows nothing of HTTP."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from bot.base.clock import Clock
from bot.sandbox.payload import Payload
from bot.sandbox.slack import directory
from bot.sandbox.slack.changes import Changes
from bot.sandbox.slack.directory import BOT, BOT_USER, SLACKBOT, Channel, User
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.trouble import Fault, RateLimits
from bot.sandbox.slack.views import View, with_ids

OPTIONAL_SCOPES = frozenset({"channels:history", "channels:read", "groups:history", "groups:read", "users:read.email"})
"""Those that whoever installs the app may decline."""

SCOPES = OPTIONAL_SCOPES | {
    "app_mentions:read",
    "chat:write",
    "chat:write.public",
    "commands",
    "usergroups:read",
    "files:write",
    "users:read",
}
"""What an installation of `app_manifest.yml` is granted."""

TRIGGER_LIFE = timedelta(seconds=3)
RESPONSE_URL_LIFE = timedelta(minutes=30)
RESPONSE_URL_USES = 5


class Refused(Exception):  # named for what Slack does; it ends up as an answer, never as a traceback
    """Slack says no.

    Args:
        error: Slack's name for the reason.
        details: further fields of the answer.
    """

    def __init__(self, error: str, **details: object) -> None:
        super().__init__(error)
        self.error = error
        self.details = details


@dataclass(frozen=True)
class ApiCall:
    """One call of the app's to the Web API, carried out or not."""

    method: str
    arguments: Payload
    at: datetime


@dataclass
class Trigger:
    """What allows a modal to be opened for somebody, once and soon."""

    user: str
    until: datetime
    view_id: str | None = None
    used: bool = False


@dataclass
class ResponseUrl:
    """A way back to one person for one request."""

    user: str
    channel: str
    until: datetime
    message_ts: str | None = None
    uses_left: int = RESPONSE_URL_USES


@dataclass
class File:
    """A file that the app uploads."""

    id: str
    name: str
    content: bytes = b""
    alt_txt: str = ""


class WorkspaceState(Changes):
    """The workspace's people, channels, messages and views.

    `unsupported_blocks` are the kinds of blocks that Slack has not rolled out here yet, such as `container`.

    Args:
        clock: the present moment, for message times and for everything that expires.
    """

    # No secrets, but words that must turn up nowhere; give others, and the app has to be told of them.
    bot_token = "xoxb-sandbox-canary-3f1c9"  # noqa: S105  # see above
    app_token = "xapp-sandbox-canary-7a2e4"  # noqa: S105  # see above

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.base_url = "http://slack.invalid"
        self.users = {user.id: user for user in directory.cast()}
        self.groups = {group.id: group for group in directory.user_groups()}
        self.channels = {channel.id: channel for channel in directory.channels()}
        self.scopes = set(SCOPES)
        self.calls: list[ApiCall] = []
        self.faults: list[Fault] = []
        self.offline = False
        self.rate_limits = False
        self.limits = RateLimits()
        self.edit_window: timedelta | None = None
        self.unsupported_blocks: set[str] = set()
        self.homes: dict[str, View] = {}
        self.modals: defaultdict[str, list[View]] = defaultdict(list)
        self.files: dict[str, File] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self._ids = count(1)
        self._last_ts = 0

    def install(self, bot: Iterable[str], optional: Iterable[str], declined: Iterable[str] = ()) -> None:
        """Installs the app anew, with the scopes of a manifest.

        An optional scope that does not stand among the bot's scopes, too, is not asked for
        (docs.slack.dev/reference/app-manifest).

        Args:
            bot: `oauth_config.scopes.bot`.
            optional: `oauth_config.scopes.bot_optional`.
            declined: what whoever installs it does not want; only optional scopes can be declined.
        """
        self.scopes = set(bot) - (set(optional) & set(declined))

    def channel(self, channel_id: str) -> Channel:
        """The channel of that ID."""
        return self.channels[channel_id]

    def dm(self, user_id: str) -> Channel:
        """Somebody's direct messages with the app."""
        channel_id = "D" + user_id[1:]
        members = {user_id, BOT_USER}
        return self.channels.setdefault(channel_id, Channel(channel_id, "Sift Retry", members, person=user_id))

    def thread(self, channel_id: str, ts: str) -> list[Message]:
        """A message and its replies, oldest first."""
        return self.channel(channel_id).thread(ts)

    def ephemerals(self, user_id: str, channel_id: str | None = None) -> list[Message]:
        """What only this person sees, oldest first."""
        where = [self.channel(channel_id)] if channel_id else self.channels.values()
        found = [message for channel in where for message in channel.ephemerals if message.visible_to == user_id]
        return sorted(found, key=lambda message: message.ts)

    def view(self, view_id: str) -> View | None:
        """The modal or Home tab of that ID, if somebody has it open."""
        everything = [*self.homes.values(), *(view for stack in self.modals.values() for view in stack)]
        return next((view for view in everything if view.id == view_id), None)

    def post(
        self,
        channel_id: str,
        user_id: str,
        text: str = "",
        *,
        blocks: Iterable[Payload] = (),
        thread_ts: str | None = None,
        visible_to: str | None = None,
        **more: Any,
    ) -> Message:
        """Places a message, whoever it is from; nothing is checked and nothing delivered."""
        channel = self.channel(channel_id)
        bot_id = BOT if user_id == BOT_USER else f"B{user_id[1:]}" if self.users[user_id].is_bot else None
        message = Message(
            channel_id,
            self.now_ts(),
            user_id,
            text,
            with_ids(list(blocks)),
            thread_ts=thread_ts,
            visible_to=visible_to,
            bot_id=bot_id,
            **more,
        )
        (channel.ephemerals if visible_to else channel.messages).append(message)
        self.changed()
        return message

    def whisper(self, user_id: str, channel_id: str, text: str, thread_ts: str | None = None) -> Message:
        """Slackbot tells one person something, as Slack does when something is not possible."""
        return self.post(channel_id, SLACKBOT, text, visible_to=user_id, thread_ts=thread_ts)

    def remove(self, message: Message) -> None:
        """Deletes a message; one that has replies leaves a stone behind."""
        channel = self.channel(message.channel)
        if message.visible_to:
            channel.ephemerals.remove(message)
        elif len(channel.thread(message.ts)) > 1:
            message.subtype, message.text, message.blocks = "tombstone", "This message was deleted.", []
        else:
            channel.messages.remove(message)
        self.changed()

    def now_ts(self) -> str:
        """A time that no other message has, later than all before."""
        micros = int(self.clock().timestamp() * 1_000_000)
        self._last_ts = max(micros, self._last_ts + 100)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def new_id(self, prefix: str) -> str:
        """An ID that nothing else has."""
        return f"{prefix}0{next(self._ids):07d}"

    def new_trigger(self, user_id: str, view_id: str | None = None) -> str:
        """A trigger ID for something that somebody just did."""
        trigger_id = f"{self._last_ts}.{self.new_id('T')}.sandbox"
        self.triggers[trigger_id] = Trigger(user_id, self.clock() + TRIGGER_LIFE, view_id)
        return trigger_id

    def use_trigger(self, trigger_id: object) -> Trigger:
        """Takes a trigger ID.

        Raises:
            Refused: it is none, too old, or was used before.
        """
        trigger = self.triggers.get(str(trigger_id))
        if trigger is None:
            raise Refused("invalid_trigger_id")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        if self.clock() > trigger.until:
            raise Refused("expired_trigger_id")
        trigger.used = True
        return trigger

    def new_response_url(self, user_id: str, channel_id: str, message_ts: str | None = None) -> str:
        """A way back to the person who just did something."""
        token = self.new_id("R")
        self.response_urls[token] = ResponseUrl(user_id, channel_id, self.clock() + RESPONSE_URL_LIFE, message_ts)
        return f"{self.base_url}/response/{token}"

    def fail(
        self,
        method: str,
        error: str = "internal_error",
        times: int = 1,
        status: int = 200,
        retry_after: int | None = None,
        **where: object,
    ) -> None:
        """The next calls of a method, or those with such arguments, are refused and not carried out."""
        self.faults.append(Fault(method, error, status, retry_after, times=times, where=where))

    def delay(self, method: str, seconds: float, times: int = 1, **where: object) -> None:
        """The next calls of a method, or those with such arguments, take their time."""
        self.faults.append(Fault(method, delay=seconds, times=times, where=where))

    def garble(self, method: str, answer: bytes, times: int = 1) -> None:
        """The next calls of a method are carried out, and the answer is anything."""
        self.faults.append(Fault(method, answer=answer, times=times))

    def lose_answer(self, method: str, times: int = 1) -> None:
        """The next calls of a method are carried out, and the connection breaks before the answer."""
        self.faults.append(Fault(method, lost=True, times=times))

    def people(self) -> list[User]:
        """Those who can sit before a screen: no bots, nobody deactivated."""
        return [user for user in self.users.values() if not (user.is_bot or user.deleted or user.id == SLACKBOT)]

    def describe(self) -> str:
        """Everything that is shown in the workspace, for people."""
        lines: list[str] = []
        for channel in self.channels.values():
            lines += [f"#{channel.name} ({channel.id})"] if channel.messages or channel.ephemerals else []
            for message in sorted([*channel.messages, *channel.ephemerals], key=lambda message: message.ts):
                lines += _described(message)
        for user_id, stack in self.modals.items():
            lines += [f"modal of {user_id}: {view.body['title']['text']} {view.errors or ''}" for view in stack]
        return "\n".join(lines) or "nothing"


def _described(message: Message) -> list[str]:
    where = f" in thread {message.thread_ts}" if message.thread_ts else ""
    who = f" only for {message.visible_to}" if message.visible_to else ""
    buttons = "".join(f" [{button['text']['text']}]" for button in message.buttons())
    text = message.text_shown().replace("\n", "\n      ")
    return [f"  {message.ts} {message.user}{where}{who}:{buttons}\n      {text}"]

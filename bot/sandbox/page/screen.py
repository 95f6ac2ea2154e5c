"""What one person has on their screen: facts for the templates, no HTML."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bot.sandbox.page.mrkdwn import Reader
from bot.sandbox.sift.api import EmbeddedSift
from bot.sandbox.slack.directory import BOT_USER, LAUNCH_OPS, OPERATOR, Channel, User
from bot.sandbox.slack.messages import Message
from bot.sandbox.slack.views import View, initial
from bot.sandbox.slack.workspace import SlackWorkspace

_MAX_MESSAGES = 200
_MAX_JOBS = 60
_SAME_BREATH = 300
"""Seconds within which one person's messages share a heading."""


@dataclass(frozen=True)
class Line:
    """A message with what surrounds it.

    Args:
        day: the day, where it begins with this message.
        compact: whether it goes on under the heading of the message before.
        replies: those that everybody sees.
    """

    message: Message
    author: User
    day: str | None
    compact: bool
    replies: list[Message]


@dataclass(frozen=True)
class JobRow:
    """A job in the panel at the side."""

    job_id: str
    kind: str
    status: str
    subject: str

    @property
    def short_id(self) -> str:
        """Its beginning and end; job IDs made within one hour begin alike."""
        return f"{self.job_id[:4]}…{self.job_id[-6:]}"


@dataclass(frozen=True)
class Choice:
    """One thing that can be chosen in an element; `text` and `description` are text objects."""

    value: str
    text: Mapping[str, Any]
    chosen: bool
    description: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Group:
    """Choices under one label, a text object; None where they stand in no group."""

    label: Mapping[str, Any] | None
    choices: list[Choice]


class Screen:
    """One person's view of the workspace.

    Args:
        query: `as`, `channel`, `thread` and `tab` from the address; whatever cannot be shown is left aside.
    """

    def __init__(self, slack: SlackWorkspace, sift: EmbeddedSift, query: Mapping[str, str]) -> None:
        self._slack = slack
        self._sift = sift
        self.people = slack.people()
        self.user = next((user for user in self.people if user.id == query.get("as")), slack.users[OPERATOR])
        self.dm = slack.dm(self.user.id)
        self.channels = [
            channel for channel in slack.channels.values() if not channel.person and channel.visible_to(self.user)
        ]
        self.channel = self._channel(query.get("channel", LAUNCH_OPS))
        self.thread_ts = query.get("thread") if self.channel.thread(query.get("thread", "")) else None
        self.tab = "home" if self.channel is self.dm and query.get("tab") != "messages" else "messages"
        self.reader = Reader(slack, self.user)

    @property
    def lines(self) -> list[Line]:
        """The channel's messages at the top level, with what only this person sees."""
        top = [message for message in self._visible() if message.thread_ts is None]
        return self._lines(top[-_MAX_MESSAGES:])

    @property
    def thread(self) -> list[Line]:
        """The open thread's messages."""
        if self.thread_ts is None:
            return []
        return self._lines(
            [message for message in self._visible() if self.thread_ts in (message.ts, message.thread_ts)]
        )

    @property
    def home(self) -> View | None:
        """The app's Home tab."""
        return self._slack.homes.get(self.user.id)

    @property
    def modal(self) -> View | None:
        """The topmost modal."""
        return next(reversed(self._slack.modals[self.user.id]), None)

    @property
    def jobs(self) -> list[JobRow]:
        """The newest jobs."""
        now = self._slack.clock()
        newest = list(reversed(self._sift.jobs.values()))[:_MAX_JOBS]
        return [
            JobRow(
                job.job_id,
                job.job_type.removeprefix("JOB_TYPE_").replace("_", " ").capitalize(),
                job.status(now).removeprefix("JOB_STATUS_").replace("_", " ").lower(),
                job.subject,
            )
            for job in newest
        ]

    @property
    def app_is_here(self) -> bool:
        """Whether the app is in the channel."""
        return BOT_USER in self.channel.members

    @property
    def title(self) -> str:
        """What the channel is called."""
        return self.channel.name if self.channel.person else f"#{self.channel.name}"

    def address(self, **other: str | None) -> str:
        """The page's address, with something changed."""
        now = {
            "as": self.user.id,
            "channel": self.channel.id,
            "thread": self.thread_ts,
            "tab": self.tab if self.channel is self.dm else None,
        }
        return "/?" + urlencode({name: value for name, value in {**now, **other}.items() if value})

    def groups(self, element: Mapping[str, Any]) -> list[Group]:
        """What an element offers, in groups: its own options, or the people or channels there are."""
        chosen = initial(element)
        if "options" in element or "option_groups" in element:
            return [
                Group(
                    group.get("label"),
                    [
                        Choice(option["value"], option["text"], option["value"] in chosen, option.get("description"))
                        for option in group["options"]
                    ],
                )
                for group in element.get("option_groups") or [element]
            ]
        if "users_select" in element["type"]:
            named = {user.id: user.name for user in self._slack.users.values() if not user.deleted}
        else:
            named = {channel.id: f"#{channel.name}" for channel in self.channels}
        texts = {value: {"type": "plain_text", "text": name} for value, name in named.items()}
        return [Group(None, [Choice(value, text, value in chosen) for value, text in texts.items()])]

    def _channel(self, channel_id: str) -> Channel:
        shown = {channel.id: channel for channel in [*self.channels, self.dm]}
        return shown.get(channel_id) or next(iter(shown.values()))

    def _visible(self) -> list[Message]:
        private = self._slack.ephemerals(self.user.id, self.channel.id)
        return sorted([*self.channel.messages, *private], key=lambda message: message.ts)

    def _lines(self, messages: list[Message]) -> list[Line]:
        lines: list[Line] = []
        last: Message | None = None
        day_before = ""
        for message in messages:
            day = self.reader.when(message.ts, "{day_divider_pretty}")
            same_breath = (
                last is not None
                and day == day_before
                and last.user == message.user
                and last.visible_to == message.visible_to
                and float(message.ts) - float(last.ts) < _SAME_BREATH
            )
            replies = (
                self.channel.thread(message.ts)[1:] if message.thread_ts is None and not message.visible_to else []
            )
            author = self._slack.users[message.user]
            lines.append(Line(message, author, day if day != day_before else None, same_breath, replies))
            last, day_before = message, day
        return lines

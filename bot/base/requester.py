"""Who does something, from where, and the ways back to them. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict


class Source(StrEnum):
    """Where somebody asked; set where the request is read, and written as it is."""

    COMMAND = "command"
    """Typed after `/sift-retry`."""

    MENTION = "mention"
    """Typed after `@bot`."""

    SHORTCUT = "shortcut"
    """“Retry Sift job” in a message's menu, through the modal that it opens."""

    MODAL = "modal"
    """A modal, filled in."""

    ALERT = "alert"
    """A button of one alert or summary; also what the watcher notes without anybody asking."""

    BULK = "bulk"
    """A button for several jobs: of a storm, or of an earlier batch."""

    HOME = "home"
    """The Home tab, what it opens, and the pages of the audit."""

    CLI = "cli"
    """The command line."""


class ActorColumns(TypedDict):
    """The columns of an audit entry that say who it was."""

    user_id: str
    team_id: str | None
    source: Source
    user_name: str | None
    channel_id: str | None


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does something, and from where, as each record says it.

    Args:
        user_id: Slack's; from the command line the operator, such as `cli:root`.
        team_id: Slack's ID of their workspace; None from the command line.
        user_name: as it was at the time; anybody may change theirs.
        channel_id: None in the Home tab and on the command line.
    """

    user_id: str
    team_id: str | None
    source: Source
    user_name: str | None = None
    channel_id: str | None = None

    @property
    def columns(self) -> ActorColumns:
        """The columns of an audit entry that say who it was."""
        return {
            "user_id": self.user_id,
            "team_id": self.team_id,
            "source": self.source,
            "user_name": self.user_name,
            "channel_id": self.channel_id,
        }


@dataclass(frozen=True, kw_only=True)
class Requester(Actor):
    """Somebody who asks for something in Slack, and the ways back to them.

    Args:
        delivery_key: the same for every delivery of the same command, click or mention.
        team_id: the workspace that Slack's request gives for the person.
        thread_ts: the thread that a public answer goes into; None lets the bot start one.
        asked_in: the thread in which they look, and where a private answer goes; None: the channel itself.
        response_url: where a private answer may be sent, five times within half an hour.
    """

    delivery_key: str
    team_id: str
    thread_ts: str | None = None
    asked_in: str | None = None
    response_url: str | None = None

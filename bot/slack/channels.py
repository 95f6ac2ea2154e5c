"""Whether the channels that the settings name are there, and take the bot's posts: looked at without posting.

A mistyped channel is the worst failure there is: alerts never arrive, and nobody misses them.
"""

from collections.abc import Iterable

import structlog

from bot.slack.answers import part
from bot.slack.client import Slack
from bot.slack.errors import CannotPost, MessageGone, RateLimited, SlackError, SlackUnavailable

log = structlog.get_logger(__name__)

CHANNELS_SECONDS = 15.0
"""How often a channel with a problem is looked at; one without, each `ROUNDS`th time."""

ROUNDS = 40

NO_MESSAGE = "1.000000"
"""A message's ts that no message has."""

_WHAT_TO_DO = {
    "channel_not_found": "no such channel, or a private one without the bot: check the ID, or /invite the bot there",
    "is_archived": "the channel is archived: unarchive it, or name another one",
    "not_in_channel": "the bot is not in it: /invite it there",
}


class Channels:
    """Looks at channels again and again; `problems` says what is wrong with which.

    Args:
        channel_ids: those that the settings name.
    """

    def __init__(self, slack: Slack, channel_ids: Iterable[str]) -> None:
        self._slack = slack
        self._channel_ids = sorted(set(channel_ids))
        self._round = 0
        self.problems: dict[str, str] = {}

    async def step(self) -> None:
        """Looks at each; one of which Slack does not say is left as it was."""
        due = [*self.problems] if self._round % ROUNDS else self._channel_ids
        self._round += 1
        for channel_id in due:
            try:
                problem = await problem_with(self._slack, channel_id)
            except SlackError as error:
                log.info("channel.not_looked_at", channel_id=channel_id, error=error.error)
                continue
            if problem is None:
                self.problems.pop(channel_id, None)
            else:
                self.problems[channel_id] = what_to_do(problem)


def what_to_do(problem: str) -> str:
    """Returns what Slack's name for a problem with a channel means to whoever runs the bot."""
    return _WHAT_TO_DO.get(problem, f"Slack answered: {problem}")


async def problem_with(slack: Slack, channel_id: str, *, posts_in_public: bool = True) -> str | None:
    """Returns Slack's name for why the bot may not post in a channel, such as `is_archived`; None if it may.

    `conversations.info` says it (docs.slack.dev/reference/methods/conversations.info), if the app was given
    `channels:read` and `groups:read`. Otherwise the permalink of a message that does not exist, which takes no scope
    (docs.slack.dev/reference/methods/chat.getPermalink), at least tells whether there is such a channel.

    Args:
        posts_in_public: whether the bot may post in public channels that it is not in.

    Raises:
        SlackError: Slack did not say.
    """
    try:
        channel = part(await slack.web.call("conversations.info", channel=channel_id), "channel", dict)
    except CannotPost as error:
        return error.error
    except (RateLimited, SlackUnavailable):
        raise
    except SlackError:  # the app was not given the scope
        return await _missing(slack, channel_id)
    if channel.get("is_archived"):
        return "is_archived"
    open_to_it = posts_in_public and not channel.get("is_private")
    return None if channel.get("is_member") or open_to_it else "not_in_channel"


async def _missing(slack: Slack, channel_id: str) -> str | None:
    try:
        await slack.web.call("chat.getPermalink", channel=channel_id, message_ts=NO_MESSAGE)
    except CannotPost as error:
        return error.error
    except MessageGone:
        return None
    return None

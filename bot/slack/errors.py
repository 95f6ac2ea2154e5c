"""What Slack refuses, by the names it gives; each class owns its own."""

from typing import ClassVar

from bot.base.errors import BotError

UNREADABLE = "unreadable answer"
"""What an answer is called that is no JSON, no object, or lacks what was asked for."""


ON_THE_WAY = {
    "ClientConnectorDNSError": "its name does not resolve",
    "ClientConnectorError": "no connection was made",
    "TimeoutError": "no answer in time",
}
"""What stands for trouble on the way to Slack, by the error's class."""


class SlackError(BotError):
    """Slack refused the call."""

    names: ClassVar[frozenset[str]] = frozenset()
    """The errors, as Slack names them, that are of this kind."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Slack answered: {error}")
        self.error = error


class CannotPost(SlackError):
    """The bot may not post there."""

    names = frozenset(
        {
            "not_in_channel",
            "channel_not_found",
            "is_archived",
            "restricted_action",
            "restricted_action_thread_locked",
            "restricted_action_read_only_channel",
            "restricted_action_non_threadable_channel",
            "restricted_action_thread_only_channel",
            "ekm_access_denied",
            "cannot_reply_to_message",
            "no_permission",
            "not_allowed",
            "team_access_not_granted",
            "channel_is_limited_access",
            "messages_tab_disabled",
            "user_not_in_channel",
        }
    )


class TokenRefused(SlackError):
    """The token is of no use, wherever it is used (docs.slack.dev/reference/methods/auth.test)."""

    names = frozenset(
        {
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_expired",
            "token_revoked",
            "not_allowed_token_type",
            "missing_scope",
        }
    )


class MessageGone(SlackError):
    """The message can no longer be updated."""

    names = frozenset(
        {"message_not_found", "edit_window_closed", "cant_update_message", "msg_too_long", "thread_not_found"}
    )


class SlackUnavailable(SlackError):
    """Slack did not answer, or of trouble of its own; whether the call was carried out is not known."""

    names = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", UNREADABLE})

    def __init__(self, error: str) -> None:
        super().__init__(error)
        if error not in self.names:  # an error on the way there, by the name of its class
            self.args = (f"Slack could not be reached: {ON_THE_WAY.get(error, error)}",)


class RateLimited(SlackError):
    """Slack did not carry out the call, and asks for a longer wait than it has time for.

    Args:
        retry_after: how long, in seconds.
    """

    names = frozenset({"ratelimited", "rate_limited"})

    def __init__(self, retry_after: float) -> None:
        super().__init__("ratelimited")
        self.retry_after = retry_after


def named(name: str) -> SlackError:
    """Returns the error that a name of Slack's stands for; a limit needs its wait, and is made where that is known."""
    for kind in (CannotPost, TokenRefused, MessageGone, SlackUnavailable):
        if name in kind.names:
            return kind(name)
    return SlackError(name)

"""The bot's own errors: one shallow tree; a class's docstring is its default message."""

from typing import Any


class BotError(Exception):
    """The bot could not do that."""

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.facts = facts
        text = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(text.format(**facts) if facts and message is None else text)


class SettingsError(BotError):
    """The settings are incomplete or wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class AlreadyRunning(BotError):
    """{path} is in use by another bot. Stop that one, or set DATABASE_URL: one SQLite file serves one bot."""


class SchemaOutdated(BotError):
    """The database schema is at version {found}, the bot needs {needed}; run: sift-retry migrate"""


class WrongWorkspace(BotError):
    """The database belongs to workspace {recorded}, the bot token to {connected}; set DATABASE_URL to another."""


class DatabaseUnavailable(BotError):
    """The database did not answer."""


class NoSuchGrant(BotError):
    """{subject} is not on the allow-list."""


class CannotListen(BotError):
    """Cannot listen on {host}:{port}: {why}; set HOST and PORT."""


class WrongState(BotError):
    """The request moved on meanwhile."""

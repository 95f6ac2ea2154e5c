"""The bot's own errors: one shallow tree; a class's docstring is its default message."""


class BotError(Exception):
    """The bot could not do that."""

    def __init__(self, message: str | None = None, **facts: object) -> None:
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


class SchemaNewer(BotError):
    """The database schema is at version {found}, newer than this bot knows ({needed}); update the bot."""


class WrongWorkspace(BotError):
    """The database belongs to workspace {recorded}, the bot token to {connected}; set DATABASE_URL to another."""


class WrongToken(BotError):
    """Slack does not take SLACK_BOT_TOKEN ({error}): set it to the app's (OAuth & Permissions), of the same Slack."""


class DatabaseUnavailable(BotError):
    """The database did not answer in time; nothing was recorded."""

    def __init__(self, message: str | None = None, *, reason: str | None = None, **facts: object) -> None:
        super().__init__(f"The database did not do it: {reason}" if reason else message, **facts)


class MaybeRecorded(DatabaseUnavailable):
    """The database did not say in time whether it was recorded."""


class DatabaseBusy(DatabaseUnavailable):
    """Others are reading the database just now; try again in a minute."""


class FileReplaced(DatabaseUnavailable):
    """{path} was deleted or replaced since this bot opened it; restart the bot."""


class NoSuchGrant(BotError):
    """{subject} is not on the allow-list."""


class CannotListen(BotError):
    """Cannot listen on {host}:{port}: {why}; set HOST and PORT."""


class WrongState(BotError):
    """The request moved on meanwhile."""

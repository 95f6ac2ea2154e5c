"""What is said of the bot's own trouble. Pure."""

from bot.slack.blocks import section
from bot.slack.message import Message


def trouble(reference: str, nothing: str = ", so nothing was retried") -> Message:
    """Said when the bot itself failed before anything was recorded.

    Args:
        nothing: what did not happen, by what was asked for, to follow the sentence.
    """
    text = (
        f":warning: That did not work: the request could not be recorded{nothing}. "
        f"Try again; if it keeps failing, tell whoever runs this bot the reference `{reference}`."
    )
    return Message(text, [section(text)])


def unclear(reference: str) -> Message:
    """Said when the database was lost while it recorded a request."""
    text = (
        ":warning: I cannot say whether your request was recorded: the database was lost at that moment. If it was, it "
        "is carried out, and shown as usual. Look before you try again; if nothing comes, tell whoever runs this bot "
        f"the reference `{reference}`."
    )
    return Message(text, [section(text)])


def not_read(reference: str) -> Message:
    """Said when the bot's own records could not be read for somebody who only wanted to look."""
    text = (
        ":hourglass_flowing_sand: That could not be read just now: many are reading at once, or the database does not "
        "answer. Nothing was changed; try again in a minute. If it keeps failing, tell whoever runs this bot the "
        f"reference `{reference}`."
    )
    return Message(text, [section(text)])


def retired(what: str = "button") -> Message:
    """Said when somebody uses a button that no version of the bot knows any more.

    Args:
        what: a button, or what else it was.
    """
    text = f":information_source: That {what} is no longer in use; nothing was done. Type `/sift-retry help`."
    return Message(text, [section(text)])


def other_command(command: str) -> Message:
    """Said when Slack sends a command of another name than the bot's.

    Args:
        command: as it was typed, escaped.
    """
    text = f":information_source: I do not know {command}; nothing was done. Type `/sift-retry help`."
    return Message(text, [section(text)])

"""What can be typed, put together from what each feature says of itself; and what was wrong with what was. Pure."""

from bot.access.messages import HELP as ACCESS
from bot.app.commands import Usage
from bot.home.messages import HELP as LOOKING
from bot.records.messages import HELP as RECORDS
from bot.retries.messages.answers import HELP as RETRYING
from bot.slack.blocks import escape, plain, section
from bot.slack.message import Message


def usage(problem: Usage) -> Message:
    """Returns what was wrong with what somebody typed, what is expected, and an example."""
    what = f":information_source: I did not understand: {problem.problem}. Nothing was sent to Sift."
    how = f"For example: `/sift-retry {problem.example}`\nEverything that can be typed: `/sift-retry help`"
    given = [plain(problem.given)] if problem.given else []
    return Message(f"{what}\n{how}", [section(what), *given, section(how)])


def help_text() -> Message:
    """Returns what can be typed."""
    typed = (*RETRYING, *LOOKING, *RECORDS, *ACCESS)
    lines = "\n".join(f"• `{escape(f'/sift-retry {words}'.strip())}` {what}" for words, what in typed)
    text = (
        f"*Retry failed Sift jobs*\n{lines}\n"
        "In a thread, mention me instead: the same words work. On any message that names a job, use the shortcut "
        "“Retry Sift job”.\nOnly people on the allow-list may do so, and every request is recorded."
    )
    return Message(text, [section(text)])

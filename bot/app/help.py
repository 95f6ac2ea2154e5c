"""What can be typed, put together from what each feature says of itself; and what was wrong with what was. Pure."""

from collections.abc import Collection

from bot.access.messages import HELP as ACCESS
from bot.access.policy import Permission
from bot.app.command import Usage
from bot.home.run_messages import HELP as LOOKING
from bot.records.messages import HELP as RECORDS
from bot.records.messages import HELP_OWN as OWN_RECORDS
from bot.retries.messages.answers import HELP as RETRYING
from bot.slack.blocks import escape, foreign, plain, section
from bot.slack.message import Message

COMMAND = "/sift-retry"


def usage(problem: Usage, bot: str | None = None) -> Message:
    """Returns what was wrong with what somebody typed, what is expected, and an example.

    Args:
        bot: the bot's mention, where it was mentioned; None where the slash command was typed.
    """
    wrong = (
        f"“{foreign(problem.word)}” {problem.problem}" if problem.word else f"I did not understand: {problem.problem}"
    )
    nothing = "Nothing was changed." if problem.changes else "Nothing was sent to Sift."
    what = f":information_source: {wrong}. {nothing}"
    run = f"If that is a Sift run: {_typed(f'run {problem.run}', bot)}\n" if problem.run else ""
    how = f"{run}For example: {_typed(problem.example, bot)}\nEverything that can be typed: {_typed('help', bot)}"
    given = [plain(problem.given)] if problem.given else []
    return Message(f"{what}\n{how}", [section(what), *given, section(how)])


def _typed(words: str, bot: str | None) -> str:
    """What is typed; a mention does not stand within the code, where Slack would show it as it is written."""
    return f"`{escape(f'{COMMAND} {words}'.strip())}`" if bot is None else f"{bot} `{escape(words)}`"


def help_text(bot: str | None = None, rights: Collection[Permission] = tuple(Permission)) -> Message:
    """Returns what can be typed.

    Args:
        bot: as of `usage`.
        rights: what the reader may do, where that is known; else everything is told.
    """
    records = RECORDS if Permission.READ_AUDIT in rights else OWN_RECORDS
    typed = (*RETRYING, *LOOKING, *records, *ACCESS)
    # A mention opens no modal, so it needs a word.
    mine = (one for one in typed if one.right in rights and (one.words or bot is None))
    lines = "\n".join(f"• {_typed(one.words, bot)} {one.what}" for one in mine)
    title = "Retry failed Sift jobs" if Permission.RETRY in rights else "What you can type"
    thread = ["In a thread, mention me instead: the same words work."] if bot is None else []
    shortcut = ["On any message that names a job, use the shortcut “Retry Sift job”."]
    how = " ".join([*thread, *(shortcut if Permission.RETRY in rights else [])])
    text = f"*{title}*\n{lines}\n{how}\nOnly people on the allow-list may do so, and every request is recorded."
    return Message(text, [section(text)])

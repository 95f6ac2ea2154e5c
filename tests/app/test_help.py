"""What people read who ask for help, or need it, word for word."""

import pytest
from syrupy.assertion import SnapshotAssertion

from bot.app.command import Usage
from bot.app.commands import parse
from bot.app.help import help_text, usage
from bot.slack import notices
from tests.reading import Shown, Words, as_written, read

WRONG_ACCESS = (
    "allow <@U1> for 99y",
    "allow <@U1> for",
    "allow <@U1> king for 8h",
    "allow <@U1> 8h",
    "allow <@U1> for 8h auditor",
    "allow <@U1> auditor please",
    "allow <@U1> because",
    "allow @somebody",
    "revoke @somebody",
    "revoke <@U1> now",
)


def shown(t: Words = as_written) -> dict[str, Shown]:
    """Help, usage and the bot's own trouble, by name; other people's words as `t` puts them."""
    wrong = ("retyr it", "status", "audit x", "stats x", "allow", "allow @U1 king", "revoke", "list x", *WRONG_ACCESS)
    understood = {f"usage of {text}": parse(t(text)) for text in wrong}
    bot = "<@UBOT>"
    return {
        "help": help_text(),
        **{name: usage(problem) for name, problem in understood.items() if isinstance(problem, Usage)},
        "usage with what was given": usage(Usage("that is no job ID", t("abc"))),
        "usage, mentioned": usage(Usage("that is no job ID", t("abc")), bot),
        "usage of allow, mentioned": usage(
            Usage("is no role", word=t("king"), example="allow @user", changes=True), bot
        ),
        "help, mentioned": help_text(bot),
        "trouble with access": notices.trouble("abcdefghjk", ". Nothing was changed"),
        "trouble": notices.trouble("abcdefghjk"),
        "unclear": notices.unclear("abcdefghjk"),
        "not read": notices.not_read("4f7k2m9x0q"),
        "retired": notices.retired(),
        "retired form": notices.retired("form"),
        "another command": notices.other_command("/other"),
    }


@pytest.mark.parametrize("name", shown())
def test_it_reads(name: str, snapshot: SnapshotAssertion) -> None:
    assert read(shown()[name]) == snapshot

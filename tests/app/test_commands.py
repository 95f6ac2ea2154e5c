from datetime import timedelta

import pytest

from bot.app.command import Allow, Help, ListFailed, Pick, Retry, RetryRun, Usage
from bot.app.commands import parse, parse_mention
from bot.sift.ids import EXAMPLE, RunRef, job_ids_in

OTHER = "6b0a7c1e-95b5-4b53-9a3e-0b8f3a8d2c11"


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        EXAMPLE.upper(),
        f"  {EXAMPLE}  ",
        f"`{EXAMPLE}`",
        f"```{EXAMPLE}```",
        f"<{EXAMPLE}>",
        f"&lt;{EXAMPLE}&gt;",
        f"https://app.siftstack.com/jobs/{EXAMPLE}",
        f"<https://app.siftstack.com/jobs/{EXAMPLE}?tab=1&amp;x=2>",
        f"<https://app.siftstack.com/jobs/{EXAMPLE}|app.siftstack.com/jobs/…>",
        f"https://app.siftstack.com/org/{OTHER}/jobs/{EXAMPLE.upper()}",
    ],
)
def test_a_job_id_is_found_in_every_form_it_is_pasted(text: str) -> None:
    assert parse(text) == Retry((EXAMPLE,))


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "../../etc/passwd",
        "' || true || '",
        "job_id in ['x']",
        f"x{EXAMPLE}",
        f"{EXAMPLE}0",
        f"{EXAMPLE}/cancel",
        EXAMPLE.replace("0", "０"),
        EXAMPLE[:-1],
        "a" * 5_000,
        "https://app.siftstack.com/",
    ],
)
def test_anything_else_is_answered_with_what_is_expected(text: str) -> None:
    command = parse(text)
    assert isinstance(command, Usage)
    assert "job ID" in command.problem
    assert len(command.given) <= 80


def test_a_reason_is_kept_as_it_was_written() -> None:
    reason = "<!channel> <@U1> a &amp; b\tc\n\x07 https://x.example  end"
    assert parse(f"{EXAMPLE} {reason} ") == Retry((EXAMPLE,), "<!channel> <@U1> a & b\tc\n\x07 https://x.example  end")


def test_half_a_character_cannot_break_the_record() -> None:
    assert parse(f"{EXAMPLE} a\ud800b") == Retry((EXAMPLE,), "a?b")


def test_several_jobs_share_a_reason_and_are_named_once() -> None:
    assert parse(f"{EXAMPLE} {OTHER} {EXAMPLE} power cut") == Retry((EXAMPLE, OTHER), "power cut")


def test_more_jobs_than_slack_can_show_are_refused() -> None:
    ids = [f"{number:08x}{EXAMPLE[8:]}" for number in range(101)]
    assert isinstance(parse(" ".join(ids)), Usage)
    assert parse(" ".join(ids[:100])) == Retry(tuple(ids[:100]))


@pytest.mark.parametrize("text", ["", "   ", "help", "HELP", "help me"])
def test_nothing_and_help_explain(text: str) -> None:
    assert isinstance(parse(text), Help | Pick)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (f"<@U0BOT> retry {EXAMPLE}", Retry((EXAMPLE,))),
        (f"<@U0BOT|bot> Retry\n`{EXAMPLE}` again", Retry((EXAMPLE,), "again")),
        (f"<@U0BOT> {EXAMPLE}", Retry((EXAMPLE,))),
        (f"hey <@U0BOT> retry {EXAMPLE}", Usage("is not a Sift job ID, nor a word I know", word="hey")),
        ("<@U0BOT>", Help()),
        ("<@U0BOT> retry", Help()),
    ],
)
def test_a_mention_takes_the_same_words(text: str, command: object) -> None:
    assert parse_mention(text) == command


def test_job_ids_are_found_anywhere_in_a_message() -> None:
    message = {
        "text": f"failed: {EXAMPLE}",
        "blocks": [{"text": {"text": f"`{OTHER.upper()}`"}}, {"elements": [EXAMPLE, 7, None]}],
        "attachments": [{"fallback": "none here"}],
    }
    assert job_ids_in(message) == [EXAMPLE, OTHER]


RUN = "7b1c8f0e-1111-4222-8333-944445555566"


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("run hotfire-118", [("hotfire-118", None)]),
        ("RUN hotfire-118 sensor fixed", [("hotfire-118", "sensor fixed")]),
        ("run hotfire-118 because  the sensor was fixed", [("hotfire-118", "the sensor was fixed")]),
        ("run hotfire-118 because of rain", [("hotfire-118", "because of rain")]),
        ("run cold flow 3 because it rained", [("cold flow 3", "it rained"), ("cold", "flow 3 because it rained")]),
        ('run "cold flow 3" it rained', [("cold flow 3", "it rained")]),
        ("run “cold flow because 3” because it rained", [("cold flow because 3", "it rained")]),
        ("run `hotfire-118` x", [("hotfire-118", "x")]),
        ("run a&amp;b", [("a&b", None)]),
    ],
)
def test_a_run_is_told_from_the_reason_after_it(text: str, readings: list[tuple[str, str | None]]) -> None:
    assert parse(text) == RetryRun(tuple((RunRef(name=name), reason) for name, reason in readings))


@pytest.mark.parametrize(
    "word",
    [
        RUN,
        RUN.upper(),
        f"https://app.siftstack.com/run/{RUN}",
        f"<https://app.siftstack.com/run/{RUN}?tab=1|run>",
        f"<https://sift.example/app/run/{RUN}>",
    ],
)
def test_a_run_is_known_by_its_id_or_link(word: str) -> None:
    assert parse(f"run {word} late data") == RetryRun(((RunRef(run_id=RUN), "late data"),))
    assert parse(f"list run {word}") == ListFailed(RunRef(run_id=RUN))


@pytest.mark.parametrize("text", ["run", "run  ", "run ``", "list run", "list everything"])
def test_a_run_that_is_not_named_is_asked_for(text: str) -> None:
    command = parse(text)
    assert isinstance(command, Usage)
    assert "run" in command.example


def test_the_jobs_of_a_run_are_listed() -> None:
    assert parse("list") == ListFailed()
    assert parse("list run cold flow 3") == parse('list run "cold flow 3"') == ListFailed(RunRef(name="cold flow 3"))


def test_because_is_no_part_of_a_reason_but_because_of_is() -> None:
    assert parse(f"{EXAMPLE} because it rained") == Retry((EXAMPLE,), "it rained")
    assert parse(f"{EXAMPLE} because of rain") == Retry((EXAMPLE,), "because of rain")
    assert parse(f"{EXAMPLE} Because") == Retry((EXAMPLE,), "Because")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("allow <@U1>", Allow("U1")),
        ("allow <@U1> AUDITOR FOR 8h BECAUSE on  call", Allow("U1", "auditor", timedelta(hours=8), "on call")),
        ("allow <!subteam^S1|@ops> because nights", Allow("S1", reason="nights")),
    ],
)
def test_a_grant_is_read(text: str, command: Allow) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("allow <@U1> for 99y", "99y"),
        ("allow <@U1> for 0h", "0h"),
        ("allow <@U1> for", "for"),
        ("allow <@U1> king", "king"),
        ("allow <@U1> 8h", "8h"),
        ("allow <@U1> for 8h admin", "admin"),
        ("allow <@U1> because", "because"),
        ("allow bob", "bob"),
        ("revoke bob", "bob"),
        ("revoke <@U1> <@U2>", "<@U2>"),
        ("stats soon", "soon"),
        ("audit <@U1> soon", "soon"),
    ],
)
def test_the_word_that_is_wrong_is_named(text: str, word: str) -> None:
    command = parse(text)
    assert isinstance(command, Usage)
    assert command.word == word
    assert command.changes is text.startswith(("allow", "revoke"))

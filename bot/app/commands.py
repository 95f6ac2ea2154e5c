"""What is typed → a typed command, or what is wrong with it. Pure."""

import re
from collections.abc import Callable
from html import unescape

from bot.app.command import (
    Allow,
    Command,
    Help,
    ListFailed,
    Pick,
    ReadAudit,
    Retry,
    RetryRun,
    Revoke,
    ShowAccess,
    Stats,
    Status,
    Usage,
)
from bot.base.clock import parse_duration
from bot.base.text import clean, clip, reason_of
from bot.retries.request import MAX_JOBS
from bot.sift.ids import EXAMPLE, job_id_in, run_ref

ROLES = ("operator", "auditor", "admin")

NO_TIME = "no time I understand"


def parse_mention(text: str) -> Command:
    """Reads `@bot retry <jobId> reason`: the same words as after the slash command."""
    words = re.sub(r"<@[UW][A-Z0-9]+(\|[^>]*)?>", " ", text, count=1)
    command = parse(words)
    return Help() if isinstance(command, Pick) else command  # a mention can open no modal


def parse(text: str) -> Command:
    """Reads what follows `/sift-retry`, or `@bot` in a thread.

    Args:
        text: as Slack sends it, so with `&`, `<` and `>` escaped, and people as `<@U…>`.
    """
    words = text.split()
    if not words:
        return Pick()
    if read_text := _TEXTS.get(words[0].lower()):
        return read_text(text.split(maxsplit=1)[1] if words[1:] else "")
    read = _WORDS.get(words[0].lower())
    if read is not None:
        return read(words[1:])
    if words[0].lower() == "retry":
        text = text.split(maxsplit=1)[1] if words[1:] else ""
        words = words[1:]
    return _retry(text, words) if words else Pick()


def _retry(text: str, words: list[str]) -> Command:
    job_ids: list[str] = []
    for word in words:
        job_id = job_id_in(word)
        if job_id is None:
            break
        job_ids.append(job_id)
    if not job_ids:
        return _neither(words)
    if len(set(job_ids)) > MAX_JOBS:
        return Usage(f"that is more than {MAX_JOBS} jobs at once")
    rest = text.split(maxsplit=len(job_ids))[len(job_ids) :]
    return Retry(tuple(dict.fromkeys(job_ids)), reason_of(unescape(rest[0]) if rest else None))


_LIKE_A_RUN = re.compile(r"[\w.-]+( [\w.-]+)*", re.ASCII)


def _neither(words: list[str]) -> Usage:
    """What begins with no job ID and no word; without any job ID in it, it may be a run's name."""
    told = " ".join(words)
    run = told if _LIKE_A_RUN.fullmatch(told) and not any(map(job_id_in, words)) else ""
    return Usage("is not a Sift job ID, nor a word I know", word=clip(unescape(words[0])), run=clip(run))


_QUOTED = re.compile(r"\s*(?:\"([^\"]+)\"|“([^”]+)”|'([^']+)'|‘([^’]+)’|«([^»]+)»)(?=\s|$)")
_BECAUSE = re.compile(r"\s+because\s+", re.IGNORECASE)


def _run(text: str) -> Command:
    problem = Usage(
        "run takes the name, ID or link of a Sift run", clip(unescape(text)), "run hotfire-118 sensor fixed"
    )
    if quoted := _QUOTED.match(text):
        name = next(part for part in quoted.groups() if part)
        readings = [(name, text[quoted.end() :])]
    else:
        first, *rest = text.split(maxsplit=1) or [""]
        readings = [(first, rest[0] if rest else "")]
        if because := _BECAUSE.search(text):
            readings.insert(0, (text[: because.start()], text[because.start() :]))
    found = [(ref, reason_of(unescape(reason))) for name, reason in readings if (ref := run_ref(name))]
    return RetryRun(tuple(dict.fromkeys(found))) if found else problem


def _list(text: str) -> Command:
    word, *rest = text.split(maxsplit=1) or [""]
    if not word:
        return ListFailed()
    quoted = _QUOTED.fullmatch(rest[0].strip()) if rest else None
    run = run_ref(next(part for part in quoted.groups() if part) if quoted else "".join(rest))
    if word.lower() != "run" or run is None:
        return Usage("list takes nothing, or a run", clip(unescape(text)), "list run hotfire-118")
    return ListFailed(run)


def _status(words: list[str]) -> Command:
    job_id = job_id_in(words[0]) if len(words) == 1 else None
    if job_id is not None:
        return Status(job_id)
    if len(words) == 1:
        return Usage("is not a Sift job ID", example=f"status {EXAMPLE}", word=_given(words))
    return Usage("status takes one Sift job ID", _given(words), f"status {EXAMPLE}")


def _audit(words: list[str]) -> Command:
    job_id = user_id = back = None
    for word in words:
        if job_id is None and user_id is None and (job_id := job_id_in(word)):
            continue
        if job_id is None and user_id is None and (user_id := _subject(word)) and not user_id.startswith("S"):
            continue
        try:
            back = parse_duration(word)
        except ValueError:
            problem = f"is no job ID, no person and {NO_TIME}: try 7d or 24h"
            return Usage(problem, example="audit @user 7d", word=clip(unescape(word)))
    return ReadAudit(job_id, user_id, back)


def _stats(words: list[str]) -> Command:
    try:
        return Stats(parse_duration(words[0]) if words else None)
    except ValueError:
        return Usage(f"is {NO_TIME}: try 30d or 7d", example="stats 30d", word=clip(unescape(words[0])))


def _allow(words: list[str]) -> Command:
    subject = _subject(words[0]) if words else None
    if subject is None:
        return _nobody("allow", words, "allow @user operator for 8h because on call")
    rest, role, duration = words[1:], "operator", None
    if rest and rest[0].lower() in ROLES:
        role, rest = rest[0].lower(), rest[1:]
    if rest and rest[0].lower() == "for":
        if not rest[1:]:
            return _not_allowed("is followed by no time: try 8h or 7d", "for")
        try:
            duration, rest = parse_duration(rest[1]), rest[2:]
        except ValueError:
            return _not_allowed(f"is {NO_TIME}: try 8h or 7d", rest[1])
    if rest and rest[0].lower() != "because":
        return _not_allowed(_misplaced(rest[0], len(words) == len(rest) + 1), rest[0])
    if rest and not rest[1:]:
        return _not_allowed("is followed by no reason", "because")
    return Allow(subject, role, duration, clean(unescape(" ".join(rest[1:]))) or None)


def _misplaced(word: str, first: bool) -> str:
    """What is wrong with a word that is neither `for` nor `because`.

    Args:
        first: whether it follows the person at once, where a role may stand.
    """
    if word.lower() in ROLES:
        return "comes right after the person or user group"
    try:
        parse_duration(word)
    except ValueError:
        known = f"{', '.join(ROLES[:-1])} or {ROLES[-1]}"
        return f"is no role: try {known}" if first else "stands where I expected “because” and a reason"
    return f"needs “for” before it: for {word.lower()}"


def _not_allowed(problem: str, word: str) -> Usage:
    example = "allow @user operator for 8h because on call"
    return Usage(problem, example=example, word=clip(unescape(word)), changes=True)


def _nobody(command: str, words: list[str], example: str) -> Usage:
    if not words:
        return Usage(f"{command} takes a person or user group", example=example, changes=True)
    problem = "is nobody I know: type @ and choose the person or user group from Slack’s list"
    return Usage(problem, example=example, word=clip(unescape(words[0])), changes=True)


def _revoke(words: list[str]) -> Command:
    subject = _subject(words[0]) if words else None
    if subject is None:
        return _nobody("revoke", words, "revoke @user")
    if words[1:]:
        problem = "is more than revoke takes, which ends all that one person or user group was granted"
        return Usage(problem, example="revoke @user", word=_given(words[1:]), changes=True)
    return Revoke(subject)


_WORDS: dict[str, Callable[[list[str]], Command]] = {
    "help": lambda _: Help(),
    "status": _status,
    "audit": _audit,
    "stats": _stats,
    "allow": _allow,
    "revoke": _revoke,
    "access": lambda _: ShowAccess(),
}

_TEXTS: dict[str, Callable[[str], Command]] = {"list": _list, "run": _run}
"""What is read from the text as it stands, since blanks in it tell something."""

_SUBJECT = re.compile(r"<(?:@([UW][A-Z0-9]+)|!subteam\^(S[A-Z0-9]+))(?:\|[^>]*)?>")


def _subject(word: str) -> str | None:
    """The user or user group that a word mentions."""
    found = _SUBJECT.fullmatch(word)
    return found[1] or found[2] if found else None


def _given(words: list[str]) -> str:
    return clip(unescape(" ".join(words)))

"""What is on record beside requests, in words: grants, approvals, who took what, refusals. Pure.

🔑 @Ada allowed @Ben to retry jobs for 8 h (because on call)
⛔ @Ben wanted to read the audit, and may not: not on the allow-list
"""

from collections.abc import Callable
from datetime import datetime

from bot.access.messages import scope
from bot.access.policy import Role, Terms
from bot.audit.entry import DENIED, Event
from bot.base.clock import say_duration
from bot.records.line import Line
from bot.records.why import why_of
from bot.retries.messages.naming import in_sentence, title_of
from bot.slack.blocks import counted, date, escape, foreign, mention

Told = tuple[str, str]
"""An emoji and a sentence."""


def who_of(line: Line, them: str | None = None) -> str:
    """Who it was: a mention, the name of the command line's user, or the bot itself."""
    user_id = line.user_id if them is None else them
    if not user_id:
        return "The bot"
    plain = escape(user_id)
    return mention(plain) if plain[:1] in "UWS" and plain.isalnum() else f"`{foreign(user_id)}`"


def _whom(line: Line, name: str = "subject") -> str:
    subject = line.detail.get(name)
    return who_of(line, str(subject)) if subject else "somebody"


def job_of(line: Line) -> str:
    """Returns what the job of an entry is called, within a sentence; empty where it is about none."""
    job_id = line.retry.job_id if line.retry is not None else line.job_id
    title = title_of(line.retry.job if line.retry is not None else None, job_id, line.about) if job_id else ""
    return in_sentence(title)


def of_job(line: Line) -> str:
    """Returns the same, to follow a sentence."""
    named = job_of(line)
    return f" · {named}" if named else ""


def because(line: Line) -> str:
    """Returns the reason somebody gave, in parentheses, to follow what they did; empty where they gave none."""
    return f" (because {foreign(line.reason, 200).removeprefix('because ')})" if line.reason else ""


DOING: dict[str, Callable[[Line], str]] = {
    Event.GRANT: lambda line: f"give {_whom(line)} access" if line.detail.get("subject") else "give access",
    Event.REVOKE: lambda line: f"end the access of {_whom(line)}",
    Event.APPROVAL: lambda line: f"approve the request of {_whom(line, 'for')}: {job_of(line)}",
    Event.DECLINE: lambda line: f"decline the request of {_whom(line, 'for')}: {job_of(line)}",
    Event.BREAK_GLASS: lambda line: f"let {job_of(line) or 'a job'} through without a second person",
    Event.MUTE: lambda line: f"mute the alerts of {job_of(line) or 'a job'}",
    Event.UNMUTE: lambda line: f"unmute the alerts of {job_of(line) or 'a job'}",
    Event.TAKE: lambda line: f"take {_failure(line)}",
    Event.RELEASE: lambda line: f"release {_failure(line)}",
    Event.SNOOZE: lambda line: f"snooze {_failure(line)}",
    Event.LOOK: lambda line: foreign(str(line.detail.get("what") or "look at jobs"), 200),
    Event.AUDIT_READ: lambda line: "read the audit",
    Event.REQUEST: lambda line: f"retry {_jobs(line)}",
    Event.RERUN: lambda line: f"rerun {_jobs(line, 'report')}",
    Event.CANCEL: lambda line: f"cancel {_jobs(line)}",
}
"""What somebody wanted to do, in the infinitive."""


def _jobs(line: Line, noun: str = "job") -> str:
    total = line.detail.get("total") or len(line.detail.get("jobs") or ())
    return job_of(line) or (counted(total, noun) if isinstance(total, int) and total else f"{noun}s")


def not_done(line: Line) -> Told:
    """Returns what somebody wanted to do, and why nothing came of it."""
    tell = DOING.get(line.event)
    doing = tell(line) if tell is not None else f"{foreign(line.event.replace('_', ' '))}{of_job(line)}"
    why = why_of(line.detail)
    denied = line.outcome == DENIED
    may_not = ", and may not" if denied else ", which was refused"
    emoji = ":no_entry:" if denied else ":information_source:"
    return emoji, f"{who_of(line)} wanted to {doing}{may_not}{f': {why}' if why else ''}"


_MAY = {Role.OPERATOR: "retry jobs", Role.AUDITOR: "read the audit", Role.ADMIN: "do everything"}


def _grant(line: Line) -> Told:
    older = line.detail.get("older")
    if line.outcome is not None and isinstance(older, list):
        grants = counted(len(older), "older grant")
        did = f"had a new grant replace {grants}" if line.outcome == "replaced" else f"kept {grants} beside a new one"
        return ":key:", f"{who_of(line)} {did} of {_whom(line)}"
    role = Role(line.detail["role"]) if line.detail.get("role") in set(Role) else None
    may = _MAY[role] if role else foreign(str(line.detail.get("role") or "something"))
    return ":key:", f"{who_of(line)} allowed {_whom(line)} to {may}{_scope(line, role)}{_for(line)}{because(line)}"


def _scope(line: Line, role: Role | None) -> str:
    types, channels = (
        frozenset(escape(str(one)) for one in line.detail.get(name) or ()) for name in ("job_types", "channels")
    )
    return scope(Terms(role=role or Role.OPERATOR, job_types=types, channels=channels))


def _for(line: Line) -> str:
    ends = _moment(line.detail.get("expires_at"))
    return f" for {say_duration(ends - line.at)}" if ends is not None else ""


def _moment(written: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(written)) if written else None
    except ValueError:
        return None


def _revoke(line: Line) -> Told:
    role = line.detail.get("role")
    what = f" as {foreign(str(role))}" if role else ""
    return ":no_entry_sign:", f"{who_of(line)} ended the access of {_whom(line)}{what}{because(line)}"


def _snooze(line: Line) -> Told:
    until = _moment(line.detail.get("until"))
    if until is None:
        ended = f"{who_of(line)} ended the snooze of" if line.user_id else "The time was over for the snooze of"
        return ":alarm_clock:", f"{ended} {_failure(line)}"
    return ":zzz:", f"{who_of(line)} snoozed {_failure(line)} until {date(until)}{because(line)}"


def _failure(line: Line) -> str:
    """The job of an alert, or how many failures of a storm there were."""
    total = line.detail.get("total") or line.detail.get("jobs")
    many = counted(total, "failure") if isinstance(total, int) and total > 1 else ""
    return job_of(line) or many or ("a storm of failures" if line.detail.get("storm") else "a failure")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _outside(line: Line) -> Told:
    now = (line.status_after or "").removeprefix("JOB_STATUS_").replace("_", " ").lower()
    stands = f": it is {foreign(now)}" if now else ""
    return ":eyes:", f"{_capital(_failure(line))} was moved in Sift, and not by the bot{stands}"


def _anchor(line: Line) -> Told:
    where = f" in <#{escape(line.channel_id)}>" if line.channel_id else ""
    count = line.detail.get("count")
    entries = f" ({count:,} entries)" if isinstance(count, int) else ""
    return ":anchor:", f"The head of the audit{entries} was posted{where}"


def _archive(line: Line) -> Told:
    first, last = line.detail.get("first_id"), line.detail.get("last_id")
    which = f" {first:,} to {last:,}" if isinstance(first, int) and isinstance(last, int) else ""
    file = f" `{foreign(str(line.detail['file']))}`" if line.detail.get("file") else ""
    return ":card_file_box:", f"{who_of(line)} moved the entries{which} into a file{file}"


def _recover(line: Line) -> Told:
    closed = [line.detail.get(name) for name in ("unknown", "refused")]
    many = sum(one for one in closed if isinstance(one, int))
    requests = counted(many, "open request") or "no open request"
    return ":adhesive_bandage:", f"{who_of(line)} closed {requests} after a restore from a backup"


_READ = {
    "home": "saw the audit in the Home tab",
    "stats": "looked at the statistics",
    "page": "read on in the audit",
    "verify": "verified the audit",
}


def _audit_read(line: Line) -> Told:
    what = str(line.detail.get("what") or "")
    words = _READ.get(what) or ("exported the audit" if what.startswith("export") else "read the audit")
    wanted = line.detail.get("filters")
    filters = wanted if isinstance(wanted, dict) else {}
    parts = [f"of {who_of(line, str(filters['user']))}" if filters.get("user") else ""]
    parts += [f"{name} `{foreign(str(filters[name]))}`" for name in ("job", "run", "request") if filters.get(name)]
    return ":mag:", " ".join(filter(None, [f"{who_of(line)} {words}", ", ".join(filter(None, parts))]))


def _plainly(emoji: str, verb: str) -> Callable[[Line], Told]:
    return lambda line: (emoji, f"{who_of(line)} {verb} {_failure(line)}{because(line)}")


def _of_request(emoji: str, verb: str, more: str = "") -> Callable[[Line], Told]:
    def tell(line: Line) -> Told:
        owner = line.detail.get("for") or (line.retry.user_id if line.retry is not None else None)
        whose = f"the request of {who_of(line, str(owner))}" if owner else "a request"
        named = job_of(line)
        return emoji, f"{who_of(line)} {verb} {whose}{more}{f': {named}' if named else ''}{because(line)}"

    return tell


TOLD: dict[str, Callable[[Line], Told]] = {
    Event.APPROVAL_ASKED: lambda line: (":busts_in_silhouette:", f"A second person was asked for{of_job(line)}"),
    Event.APPROVAL: _of_request(":white_check_mark:", "approved"),
    Event.DECLINE: _of_request(":no_entry:", "declined"),
    Event.BREAK_GLASS: _of_request(":rotating_light:", "let", " through without a second person"),
    Event.GRANT: _grant,
    Event.REVOKE: _revoke,
    Event.AUDIT_READ: _audit_read,
    Event.ALERT: lambda line: (":rotating_light:", f"{_capital(_failure(line))} failed, and was alerted"),
    Event.OUTSIDE: _outside,
    Event.MUTE: _plainly(":no_bell:", "muted the alerts of"),
    Event.UNMUTE: _plainly(":bell:", "unmuted the alerts of"),
    Event.TAKE: _plainly(":raising_hand:", "took"),
    Event.RELEASE: _plainly(":wave:", "released"),
    Event.SNOOZE: _snooze,
    Event.REMIND: lambda line: (":alarm_clock:", f"The bot reminded of {_failure(line)}"),
    Event.ANCHOR: _anchor,
    Event.ARCHIVE: _archive,
    Event.RECOVER: _recover,
}
"""What was done, by the event's name."""
